"""The life of a flexible server through the public API, and what PostgreSQL behind it is like."""

import concurrent.futures
import glob
import json
import os
import re
import signal
import ssl
import struct
import subprocess
import time
import unittest

from support import Case, howdah_client, started_home, wait_until
from howdah_client import (ACCESS_DENIED, ADMIN, DOMAIN, OLD_API_VERSION, UNRECOGNIZED_NAME,
                           PidWatch)

HOME = None
MAIN = "life"
OTHER = "other"


def setUpModule():
    global HOME
    HOME = started_home()
    try:
        HOME.create_server(MAIN, tags={"team": "blue"})
        HOME.create_server(OTHER, firewall=False)
    except BaseException:
        tearDownModule()
        raise


def tearDownModule():
    if HOME:
        HOME.stop()


def path(server=MAIN):
    return HOME.server_path(server)


def state(server=MAIN):
    return HOME.get(path(server)).json["properties"]["state"]


def locales():
    """The database locales of this machine, as PostgreSQL spells them."""
    output = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=True).stdout
    return {line.lower().replace("-", "") for line in output.split()}


class Shape(Case):
    def check_common(self, body, properties):
        self.assertEqual(body["id"].lower(), path().lower())
        self.assertEqual(body["name"], MAIN)
        self.assertEqual(body["type"], "Microsoft.DBforPostgreSQL/flexibleServers")
        self.assertEqual(body["location"].lower(), "local")
        self.assertEqual(body["sku"], {"name": "Standard_B1ms", "tier": "Burstable"})
        self.assertEqual(properties["administratorLogin"], ADMIN)
        self.assertNotIn("administratorLoginPassword",
                         {k for k, v in properties.items() if v is not None})
        self.assertEqual(properties["version"], "15")
        self.assertRegex(str(properties["minorVersion"]), r"^\d+(\.\d+)?$")
        self.assertEqual(properties["state"], "Ready")
        self.assertEqual(properties["fullyQualifiedDomainName"], f"{MAIN}.{DOMAIN}")
        # Other tests change storage, retention and maintenance window of the same server.
        self.assertIn(properties["storage"]["storageSizeGB"], (32, 64))
        self.assertIn(properties["backup"]["backupRetentionDays"], range(7, 36))
        self.assertEqual(properties["backup"]["geoRedundantBackup"], "Disabled")
        self.assertEqual(properties["network"]["publicNetworkAccess"], "Enabled")
        self.assertEqual(properties["highAvailability"]["mode"], "Disabled")
        self.assertIn(properties["maintenanceWindow"]["customWindow"], ("Disabled", "Enabled"))
        self.assertEqual(properties["authConfig"]["passwordAuth"], "Enabled")
        self.assertEqual(properties["authConfig"]["activeDirectoryAuth"], "Disabled")
        self.assertEqual(properties["replicationRole"], "Primary")
        self.assertRegex(body["systemData"]["createdAt"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")

    def test_get_shows_a_server_in_the_shape_of_the_newest_version(self):
        body = HOME.get(path()).json
        self.check_common(body, body["properties"])
        self.assertEqual(body["tags"].get("team"), "blue")
        self.assertIn("replica", body["properties"])
        self.assertEqual(body["properties"]["replica"]["role"], "Primary")

    def test_get_shows_a_server_in_the_shape_of_2022(self):
        body = HOME.get(path(), version=OLD_API_VERSION).json
        self.check_common(body, body["properties"])
        for newer in ("replica", "cluster", "privateEndpointConnections"):
            self.assertNotIn(newer, body["properties"])

    def test_paths_match_in_any_letter_case_and_with_empty_segments(self):
        self.assertEqual(HOME.get(path().upper()).status, 200)
        self.assertEqual(HOME.get(path().lower()).status, 200)
        self.assertEqual(HOME.get(path().replace("/providers/", "//providers//")).status, 200)

    def test_lists_in_the_group_and_in_the_subscription_hold_both_servers(self):
        for base in (HOME.group_path(), HOME.subscription):
            answer = HOME.get(f"{base}/providers/Microsoft.DBforPostgreSQL/flexibleServers")
            self.assertEqual(answer.status, 200)
            self.assertEqual(sorted(s["name"] for s in answer.json["value"]), [MAIN, OTHER])

    def test_capabilities_have_each_versions_own_shape(self):
        where = (f"{HOME.subscription}/providers/Microsoft.DBforPostgreSQL/locations/local/"
                 "capabilities")
        new = HOME.get(where).json["value"][0]
        old = HOME.get(where, version=OLD_API_VERSION).json["value"][0]
        editions = {e["name"] for e in new["supportedServerEditions"]}
        self.assertLessEqual({"Burstable", "GeneralPurpose", "MemoryOptimized"}, editions)
        self.assertIn("15", {v["name"] for v in new["supportedServerVersions"]})
        for edition in new["supportedServerEditions"]:
            self.assertGreaterEqual(len(edition["supportedServerSkus"]), 2)
            sizes = edition["supportedStorageEditions"][0]["supportedStorageMb"]
            self.assertIn("storageSizeMb", sizes[0])
        self.assertIn(new["geoBackupSupported"], ("Enabled", "Disabled"))
        self.assertNotIn("supportedServerEditions", old)
        versions = old["supportedFlexibleServerEditions"][0]["supportedServerVersions"]
        self.assertIn("15", {v["name"] for v in versions})
        self.assertGreaterEqual(len(versions[0]["supportedVcores"]), 1)
        self.assertIsInstance(old["geoBackupSupported"], bool)
        self.assertIn("storageSizeMB", old["supportedFlexibleServerEditions"][0]
                      ["supportedStorageEditions"][0]["supportedStorageMB"][0])

    def test_check_name_availability_tells_taken_bad_and_free_names_apart(self):
        def ask(name):
            answer = HOME.call("POST", f"{HOME.subscription}/providers/Microsoft.DBforPostgreSQL/"
                               "checkNameAvailability",
                               {"name": name, "type": "Microsoft.DBforPostgreSQL/flexibleServers"})
            self.assertEqual(answer.status, 200, repr(answer))
            return answer.json

        free = ask("surely-free")
        self.assertTrue(free["nameAvailable"])
        taken = ask(MAIN)
        self.assertEqual((taken["nameAvailable"], taken["reason"]), (False, "AlreadyExists"))
        bad = ask("-Bad_Name-")
        self.assertEqual((bad["nameAvailable"], bad["reason"]), (False, "Invalid"))
        self.assertTrue(bad["message"] and taken["message"])

    def test_operations_of_the_provider_are_listed(self):
        answer = HOME.get("/providers/Microsoft.DBforPostgreSQL/operations")
        self.assertEqual(answer.status, 200)
        names = {o["name"] for o in answer.json["value"]}
        self.assertIn("Microsoft.DBforPostgreSQL/flexibleServers/read", names)
        self.assertTrue(all(o["display"]["operation"] for o in answer.json["value"]))

    def test_a_long_request_answers_with_absolute_addresses_and_retry_after(self):
        answer = HOME.call("PATCH", path(), {"tags": {"team": "blue", "asked": "yes"},
                                             "properties": {"backup": {"backupRetentionDays": 7}}})
        self.assertIn(answer.status, (200, 201, 202))
        if answer.status != 200:
            for name in ("azure-asyncoperation", "location"):
                self.assertTrue(answer.headers[name].startswith("https://"), name)
                self.assertIn("api-version=", answer.headers[name])
            self.assertRegex(answer.headers["retry-after"], r"^\d+$")
        HOME.finish(answer)

    def test_an_operation_shows_its_times_and_its_result_address_answers_the_resource(self):
        answer = HOME.call("POST", path(OTHER) + "/restart", {})
        self.assertEqual(answer.status, 202, repr(answer))
        operation = HOME.finish(answer)
        self.assertEqual(operation["status"], "Succeeded")
        self.assertRegex(operation["startTime"], r"^\d{4}-\d\d-\d\dT")
        self.assertRegex(operation["endTime"], r"^\d{4}-\d\d-\d\dT")
        self.assertTrue(operation["name"])
        parts = answer.headers["location"].split("/", 3)[3]
        self.assertIn(HOME.get("/" + parts).status, (200, 204))


class Changes(Case):
    def test_tags_are_replaced_by_a_patch_and_nothing_else_changes(self):
        watch = PidWatch(HOME.backend(MAIN)["data"])
        before = HOME.get(path()).json
        HOME.do("PATCH", path(), {"tags": {"team": "red", "cost": "7"}})
        after = HOME.get(path()).json
        self.assertEqual(after["tags"], {"team": "red", "cost": "7"})
        for each in (before, after):
            each["properties"].pop("howdah", None)  # generations
        self.assertEqual(after["properties"], before["properties"])
        HOME.do("PATCH", path(), {"tags": {"team": "blue"}})
        self.assertEqual(watch.stop(), 1, "tags restarted the server")

    def test_a_repeated_put_of_the_same_server_changes_nothing(self):
        watch = PidWatch(HOME.backend(MAIN)["data"])
        HOME.do("PUT", path(), HOME.server_body(MAIN, tags={"team": "blue"}))
        self.assertEqual(HOME.psql(MAIN, "select 1"), "1")
        self.assertEqual(watch.stop(), 1, "the same PUT restarted the server")

    def test_kept_fields_are_shown_as_they_were_set(self):
        HOME.do("PATCH", path(), {"properties": {
            "backup": {"backupRetentionDays": 14},
            "maintenanceWindow": {"customWindow": "Enabled", "dayOfWeek": 3, "startHour": 22,
                                  "startMinute": 30}}})
        properties = HOME.get(path()).json["properties"]
        self.assertEqual(properties["backup"]["backupRetentionDays"], 14)
        window = properties["maintenanceWindow"]
        self.assertEqual((window["customWindow"], window["dayOfWeek"], window["startHour"],
                          window["startMinute"]), ("Enabled", 3, 22, 30))

    def test_storage_grows_and_never_shrinks(self):
        HOME.do("PATCH", path(), {"properties": {"storage": {"storageSizeGB": 64}}})
        self.assertEqual(HOME.get(path()).json["properties"]["storage"]["storageSizeGB"], 64)
        answer = HOME.call("PATCH", path(), {"properties": {"storage": {"storageSizeGB": 32}}})
        self.assert_error(answer, range(400, 500), target="storageSizeGB")
        self.assertEqual(HOME.get(path()).json["properties"]["storage"]["storageSizeGB"], 64)

    def test_what_cannot_change_is_refused_by_name(self):
        for change, target in (({"version": "14"}, "version"),
                               ({"administratorLogin": "somebody"}, "administratorLogin")):
            with self.subTest(target):
                answer = HOME.call("PATCH", path(), {"properties": change})
                self.assert_error(answer, range(400, 500), target=target)
        body = HOME.server_body(MAIN, location="elsewhere")
        self.assert_error(HOME.call("PUT", path(), body), range(400, 500), target="location")

    def test_a_dynamic_parameter_is_in_force_at_once_without_a_restart(self):
        watch = PidWatch(HOME.backend(MAIN)["data"])
        shown = HOME.parameter(MAIN, "work_mem")
        self.assertTrue(shown["isDynamicConfig"])
        self.assertEqual(shown["dataType"], "Integer")
        self.assertEqual(shown["source"], "system-default")
        HOME.set_parameter(MAIN, "work_mem", "16384")
        self.assertEqual(HOME.psql(MAIN, "show work_mem"), "16MB")
        shown = HOME.parameter(MAIN, "work_mem")
        self.assertEqual((shown["value"], shown["source"]), ("16384", "user-override"))
        self.assertFalse(shown["isConfigPendingRestart"])
        self.assertEqual(watch.stop(), 1, "a dynamic parameter restarted the server")

    def test_a_static_parameter_waits_for_a_restart_and_says_so(self):
        watch = PidWatch(HOME.backend(MAIN)["data"])
        before = HOME.psql(MAIN, "show max_locks_per_transaction")
        shown = HOME.parameter(MAIN, "max_locks_per_transaction")
        self.assertFalse(shown["isDynamicConfig"])
        wanted = "96" if before != "96" else "128"
        HOME.set_parameter(MAIN, "max_locks_per_transaction", wanted)
        self.assertEqual(HOME.psql(MAIN, "show max_locks_per_transaction"), before)
        wait_until("the parameter is shown as pending", lambda: HOME.parameter(
            MAIN, "max_locks_per_transaction")["isConfigPendingRestart"], 10)
        self.assertEqual(watch.stop(), 1, "a static parameter restarted the server by itself")
        HOME.do("POST", path() + "/restart", {})
        self.assertEqual(HOME.psql(MAIN, "show max_locks_per_transaction"), wanted)
        wait_until("nothing is pending any more", lambda: not HOME.parameter(
            MAIN, "max_locks_per_transaction")["isConfigPendingRestart"], 10)

    def test_a_parameter_goes_back_to_its_default(self):
        HOME.set_parameter(MAIN, "statement_timeout", "77000")
        self.assertEqual(HOME.psql(MAIN, "show statement_timeout"), "77s")
        default = HOME.parameter(MAIN, "statement_timeout")["defaultValue"]
        HOME.do("PUT", path() + "/configurations/statement_timeout",
                {"properties": {"value": default, "source": "system-default"}})
        self.assertEqual(HOME.psql(MAIN, "show statement_timeout"), default)

    def test_the_parameter_list_shows_what_postgres_shows(self):
        listed = []
        answer = HOME.get(path() + "/configurations")
        while True:
            self.assertEqual(answer.status, 200)
            listed += answer.json["value"]
            if not answer.json.get("nextLink"):
                break
            answer = HOME.get("/" + answer.json["nextLink"].split("/", 3)[3])
        values = {c["name"]: c["properties"] for c in listed}
        self.assertGreater(len(values), 100)
        shown = dict(line.split("|", 1) for line in HOME.psql(
            MAIN, "select name, setting from pg_settings").splitlines())
        computed = ("shared_memory_size", "shared_memory_size_in_huge_pages", "wal_buffers",
                    "tcp_keepalives_count", "tcp_keepalives_idle", "tcp_keepalives_interval")
        different = {n: (values[n]["value"], shown[n]) for n in values
                     if n in shown and n not in computed and values[n]["value"] != shown[n]
                     and not values[n]["isConfigPendingRestart"]
                     and values[n]["dataType"] in ("Integer", "Boolean", "Enumeration")}
        self.assertEqual(different, {})
        for own in ("require_secure_transport", "azure.extensions", "shared_preload_libraries"):
            self.assertIn(own, values)

    def test_a_password_reset_lets_the_new_one_in_and_the_old_one_no_more(self):
        old = HOME.passwords[MAIN]
        session = HOME.session(MAIN)
        self.assertEqual(session.run("select 1;"), "1")
        new = howdah_client.password()
        HOME.do("PATCH", path(), {"properties": {"administratorLoginPassword": new}})
        HOME.passwords[MAIN] = new
        self.assertEqual(HOME.psql(MAIN, "select 1"), "1")
        refused = HOME.psql(MAIN, "select 1", secret=old, check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("password authentication failed", refused.stderr)
        self.assertEqual(session.run("select 2;"), "2", "a reset ends nobody's session")
        session.close()

    def test_a_new_size_keeps_the_data_and_resizes_postgres(self):
        HOME.create_server("resized")
        HOME.psql("resized", "create table t as select generate_series(1, 1000) n")
        small = int(HOME.psql("resized", "select setting from pg_settings "
                                         "where name = 'shared_buffers'"))
        watch = PidWatch(HOME.backend("resized")["data"])
        HOME.do("PATCH", path("resized"),
                {"sku": {"name": "Standard_D2ds_v5", "tier": "GeneralPurpose"}})
        self.assertEqual(HOME.get(path("resized")).json["sku"],
                         {"name": "Standard_D2ds_v5", "tier": "GeneralPurpose"})
        self.assertEqual(HOME.psql("resized", "select count(*) from t"), "1000")
        self.assertLessEqual(watch.stop(), 2, "restarted more than once")
        big = int(HOME.psql("resized", "select setting from pg_settings "
                                       "where name = 'shared_buffers'"))
        if big <= small:
            self.assertTrue(HOME.parameter("resized", "shared_buffers")["isConfigPendingRestart"])
        HOME.do("DELETE", path("resized"))

    def test_as_root_the_size_is_a_limit_of_cpu_memory_and_io(self):
        if os.geteuid() != 0 or HOME.user:
            self.skipTest("limits need root")
        folders = howdah_client.cgroup_folders(HOME.postmaster(MAIN).pid)
        own = set(howdah_client.cgroup_folders(os.getpid()))
        folders = [f for f in folders if f not in own]
        text = {}
        for folder in folders:
            for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.max",
                         "memory.limit_in_bytes", "memory.max", "blkio.throttle.read_iops_device",
                         "io.max"):
                file = os.path.join(folder, name)
                if os.path.exists(file):
                    with open(file, encoding="utf-8") as content:
                        text[name] = content.read().strip()
        self.assertTrue(text, f"the postmaster is in no control group of its own: {folders}")
        if "cpu.max" in text:
            quota, period = text["cpu.max"].split()
        else:
            quota, period = text["cpu.cfs_quota_us"], text["cpu.cfs_period_us"]
        self.assertEqual(int(quota) / int(period), 1, "Standard_B1ms has one virtual core")
        memory = int(text.get("memory.max") or text["memory.limit_in_bytes"])
        self.assertLessEqual(memory, 4 << 30, "Standard_B1ms has 2 GiB")
        self.assertTrue(text.get("io.max") or text.get("blkio.throttle.read_iops_device"),
                        f"no IO limit: {text}")


class StopAndStart(Case):
    NAME = "sleeper"

    @classmethod
    def setUpClass(cls):
        HOME.create_server(cls.NAME)
        HOME.set_parameter(cls.NAME, "require_secure_transport", "off")
        cls.port = HOME.own_port(cls.NAME)

    @classmethod
    def tearDownClass(cls):
        HOME.do("DELETE", path(cls.NAME))

    def test_a_stopped_server_refuses_connections_with_a_reason_and_starts_again(self):
        HOME.psql(self.NAME, "create table kept as select 7 as n")
        data = HOME.backend(self.NAME)["data"]
        HOME.do("POST", path(self.NAME) + "/stop")
        self.assertEqual(state(self.NAME), "Stopped")
        self.assertFalse([p for p in HOME.postmasters() if p.cwd == data])
        self.assertEqual(HOME.tls_answer(f"{self.NAME}.{DOMAIN}"), ("alert", ACCESS_DENIED))
        refused = self.assert_within(5, lambda: HOME.psql(
            self.NAME, "select 1", check=False, sslmode="disable", port=self.port))
        self.assertNotEqual(refused.returncode, 0)
        self.assertRegex(refused.stderr, r"FATAL:.*stopped")
        HOME.do("POST", path(self.NAME) + "/start")
        self.assertEqual(state(self.NAME), "Ready")
        self.assertEqual(HOME.psql(self.NAME, "select n from kept"), "7")

    def test_stop_and_start_of_what_is_so_already_are_harmless(self):
        HOME.do("POST", path(self.NAME) + "/start")
        self.assertEqual(HOME.psql(self.NAME, "select 1"), "1")

    def test_a_stopped_server_stays_stopped_over_a_restart_of_howdah(self):
        HOME.do("POST", path(self.NAME) + "/stop")
        HOME.kill("howdah-agent")
        HOME.kill("howdahd")
        HOME.start()
        HOME.one("howdah-agent")
        self.assertEqual(state(self.NAME), "Stopped")
        self.assertEqual(HOME.psql(MAIN, "select 1"), "1")
        self.assertEqual(len([p for p in HOME.postmasters()]),
                         len([s for s in self.servers() if state(s) == "Ready"]))
        HOME.do("POST", path(self.NAME) + "/start")
        self.assertEqual(HOME.psql(self.NAME, "select 1"), "1")

    @staticmethod
    def servers():
        listed = HOME.get(HOME.group_path()
                          + "/providers/Microsoft.DBforPostgreSQL/flexibleServers")
        return [s["name"] for s in listed.json["value"]]

    def test_connections_are_held_while_a_server_restarts_not_refused(self):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            begun = pool.submit(lambda: HOME.do("POST", path(self.NAME) + "/restart", {}))
            results = []
            while not begun.done() or not results:
                results += pool.map(lambda _: HOME.psql(
                    self.NAME, "select pg_postmaster_start_time()", check=False), range(2))
            begun.result()
        # A session that was already passed on may be ended by the shutdown itself.
        bad = [r.stderr for r in results if r.returncode != 0 and not re.search(
            r"terminating connection|server closed the connection|EOF detected", r.stderr)]
        self.assertEqual(bad, [])

    def test_a_connection_during_a_start_waits_until_the_server_is_there(self):
        HOME.do("POST", path(self.NAME) + "/stop")
        answer = HOME.call("POST", path(self.NAME) + "/start")

        def attempt():
            result = HOME.psql(self.NAME, "select 1", check=False)
            return result.returncode == 0

        wait_until("the server lets in", attempt, 15)
        HOME.finish(answer)


class Databases(Case):
    def create(self, name, charset="UTF8", collation=None):
        properties = {"charset": charset}
        if collation:
            properties["collation"] = collation
        return HOME.call("PUT", f"{path()}/databases/{name}", {"properties": properties})

    def test_databases_have_the_collation_that_was_asked_for(self):
        for name, collation in (("coll_c", "C"), ("coll_utf8", "C.utf8")):
            with self.subTest(collation):
                HOME.finish(self.create(name, collation=collation))
                self.assertEqual(HOME.psql(
                    MAIN, "select datcollate, datctype, pg_encoding_to_char(encoding) "
                          f"from pg_database where datname = '{name}'"),
                    f"{collation}|{collation}|UTF8")
                shown = HOME.get(f"{path()}/databases/{name}").json
                self.assertEqual(shown["properties"]["collation"], collation)
                self.assertEqual(shown["properties"]["charset"].upper(), "UTF8")
                self.assertEqual(shown["type"],
                                 "Microsoft.DBforPostgreSQL/flexibleServers/databases")

    def test_azures_default_collation_works_or_is_refused_by_name(self):
        answer = self.create("coll_azure", collation="en_US.utf8")
        if "en_us.utf8" in locales():
            HOME.finish(answer)
            self.assertEqual(HOME.psql(
                MAIN, "select datcollate from pg_database where datname = 'coll_azure'"),
                "en_US.utf8")
        elif answer.status >= 400:
            self.assert_error(answer, 400, target="collation")
            self.assertIn("en_US.utf8", answer.error["message"])
        else:
            operation = HOME.operation(answer)
            self.assertEqual(operation["status"], "Failed",
                             "accepted a collation that this machine does not have")
            self.assertIn("en_US.utf8", operation["error"]["message"])

    def test_the_administrator_can_work_in_a_database_made_by_the_api(self):
        HOME.finish(self.create("workplace", collation="C"))
        HOME.psql(MAIN, "create table t(n int); insert into t values (1); "
                        "create schema s; create table s.t(n int)", db="workplace")
        self.assertEqual(HOME.psql(MAIN, "select n from t", db="workplace"), "1")

    def test_a_database_with_sessions_is_dropped(self):
        HOME.finish(self.create("busy", collation="C"))
        with HOME.session(MAIN, db="busy") as session:
            self.assertEqual(session.run("select 1;"), "1")
            HOME.do("DELETE", f"{path()}/databases/busy")
        self.assertEqual(HOME.psql(
            MAIN, "select count(*) from pg_database where datname = 'busy'"), "0")
        self.assertEqual(HOME.get(f"{path()}/databases/busy").status, 404)

    def test_a_database_is_dropped_and_created_again_by_requests_that_queue(self):
        """What is there in the end is what was asked for last."""
        where = f"{path()}/databases/again"

        def shown():
            return HOME.psql(MAIN, "select datcollate from pg_database where datname = 'again'")

        HOME.finish(self.create("again", collation="C"))
        HOME.psql(MAIN, "create table old(n int)", db="again")
        answers = [HOME.call("DELETE", where), self.create("again", collation="C.utf8")]
        for answer in answers:
            self.assertEqual(answer.status, 202, repr(answer))
        for answer in answers:
            HOME.finish(answer)
        self.assertEqual(shown(), "C.utf8")
        self.assertEqual(HOME.psql(MAIN, "select to_regclass('old') is null", db="again"), "t")
        self.assertEqual(HOME.get(where).json["properties"]["collation"], "C.utf8")
        answers = [HOME.call("DELETE", where), self.create("again", collation="C"),
                   HOME.call("DELETE", where)]
        for answer in answers:
            self.assertEqual(answer.status, 202, repr(answer))
        for answer in answers:
            HOME.finish(answer)
        self.assertEqual(shown(), "")
        self.assertEqual(HOME.get(where).status, 404)
        answers = [self.create("again", collation="C"), HOME.call("DELETE", where)]
        for answer in answers:
            self.assertEqual(HOME.finish(answer)["status"], "Succeeded")
        self.assertEqual(shown(), "")

    def test_a_name_with_quotes_and_capitals_is_one_database_and_no_sql(self):
        name = 'Odd-Name_1'
        answer = self.create(name, collation="C")
        if answer.status >= 400:
            self.assert_error(answer, 400)
            return
        HOME.finish(answer)
        self.assertEqual(HOME.psql(
            MAIN, f"select count(*) from pg_database where datname = '{name}'"), "1")
        HOME.do("DELETE", f"{path()}/databases/{name}")

    def test_a_database_made_with_sql_appears_in_the_list(self):
        HOME.psql(MAIN, "create database by_sql")
        wait_until("the list shows it", lambda: "by_sql" in [
            d["name"] for d in HOME.get(path() + "/databases").json["value"]], 20)
        HOME.psql(MAIN, "drop database by_sql")


class Firewall(Case):
    HOST = f"{OTHER}.{DOMAIN}"

    def tearDown(self):
        for rule in HOME.get(path(OTHER) + "/firewallRules").json["value"]:
            HOME.forbid(OTHER, rule["name"])

    def test_without_a_rule_everybody_is_refused_with_the_tls_alert(self):
        self.assertEqual(HOME.tls_answer(self.HOST), ("alert", ACCESS_DENIED))
        refused = HOME.psql(OTHER, "select 1", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("access denied", refused.stderr)

    def test_a_rule_for_the_address_lets_in_and_its_removal_refuses_again(self):
        HOME.allow(OTHER, "loop", "127.0.0.1")
        self.assertEqual(HOME.psql(OTHER, "select 1"), "1")
        HOME.forbid(OTHER, "loop")
        self.assertEqual(HOME.tls_answer(self.HOST), ("alert", ACCESS_DENIED))

    def test_the_rule_0_0_0_0_means_this_host(self):
        HOME.allow(OTHER, "AllowAllAzureServices", "0.0.0.0")
        self.assertEqual(HOME.psql(OTHER, "select 1"), "1")

    def test_a_rule_for_other_addresses_does_not_let_in(self):
        HOME.allow(OTHER, "elsewhere", "10.0.0.1", "10.0.0.255")
        self.assertEqual(HOME.tls_answer(self.HOST), ("alert", ACCESS_DENIED))
        HOME.allow(OTHER, "around", "127.0.0.0", "127.0.0.255")
        self.assertEqual(HOME.psql(OTHER, "select 1"), "1")

    def test_twenty_rules_set_at_once_are_all_in_force_and_so_is_their_removal(self):
        addresses = [f"127.7.0.{number}" for number in range(1, 21)]
        self.assertEqual(HOME.tls_answer(self.HOST, source=addresses[0]), ("alert", ACCESS_DENIED))
        for allow in (True, False):
            begin = time.monotonic()
            answers = HOME.set_rules(OTHER, addresses, allow)
            self.assertEqual({answer.status for answer in answers}, {202}, repr(answers))
            HOME.wait_for_rules(OTHER, addresses, allow)
            print(f"20 rules {'set' if allow else 'removed'} at once: in force after "
                  f"{time.monotonic() - begin:.2f} s", flush=True)
            if allow:
                self.assertEqual(HOME.tls_answer(self.HOST, source="127.7.0.99"),
                                 ("alert", ACCESS_DENIED), "an address without a rule")
            for answer in answers:
                HOME.finish(answer)
            rules = HOME.get(path(OTHER) + "/firewallRules").json["value"]
            self.assertEqual(sorted(r["properties"]["startIpAddress"] for r in rules),
                             sorted(addresses) if allow else [])

    def test_a_rule_is_shown_listed_and_changed(self):
        HOME.allow(OTHER, "one", "10.1.2.3", "10.1.2.9")
        shown = HOME.get(path(OTHER) + "/firewallRules/one").json
        self.assertEqual(shown["properties"], {"startIpAddress": "10.1.2.3",
                                               "endIpAddress": "10.1.2.9"})
        self.assertEqual(shown["type"], "Microsoft.DBforPostgreSQL/flexibleServers/firewallRules")
        HOME.allow(OTHER, "one", "10.1.2.4", "10.1.2.9")
        rules = HOME.get(path(OTHER) + "/firewallRules").json["value"]
        self.assertEqual([r["properties"]["startIpAddress"] for r in rules], ["10.1.2.4"])

    def test_the_firewall_also_guards_the_servers_own_port(self):
        port = HOME.own_port(OTHER)
        kind, what = HOME.tls_answer(self.HOST, port)
        self.assertEqual((kind, what), ("alert", ACCESS_DENIED))

    def test_no_server_of_the_machine_is_reached_past_the_gateway(self):
        """As dblink and postgres_fdw of another server would: straight to PostgreSQL's port."""
        with open(os.path.join(HOME.dir, "gateway", "routes.json"), encoding="utf-8") as file:
            routes = {each["server_name"]: each for each in json.load(file)["routes"]}
        done = subprocess.run(
            ["psql", "-X", f"host=127.0.0.1 port={routes[OTHER]['backend_port']} user={ADMIN} "
             "dbname=postgres sslmode=require connect_timeout=10", "-c", "select 1"],
            env={**os.environ, "PGPASSWORD": "Any-Password-1"}, capture_output=True, text=True,
            timeout=30, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('pg_hba.conf rejects connection for host "127.0.0.1"', done.stderr)

    def test_no_public_access_refuses_even_where_a_rule_allows(self):
        HOME.allow(OTHER, "loop", "127.0.0.1")
        HOME.do("PATCH", path(OTHER), {"properties": {"network": {
            "publicNetworkAccess": "Disabled"}}})
        self.assertEqual(HOME.tls_answer(self.HOST), ("alert", ACCESS_DENIED))
        HOME.do("PATCH", path(OTHER), {"properties": {"network": {
            "publicNetworkAccess": "Enabled"}}})
        self.assertEqual(HOME.psql(OTHER, "select 1"), "1")


class Gateway(Case):
    def test_an_unknown_host_name_gets_the_alert_for_it(self):
        self.assertEqual(HOME.tls_answer(f"nobody.{DOMAIN}"), ("alert", UNRECOGNIZED_NAME))
        self.assertEqual(HOME.tls_answer("example.org"), ("alert", UNRECOGNIZED_NAME))

    def test_a_client_without_server_name_needs_the_servers_own_port(self):
        self.assertEqual(HOME.tls_answer(None), ("alert", UNRECOGNIZED_NAME))
        self.assertEqual(HOME.tls_answer(None, HOME.own_port(MAIN)), ("hello", None))
        self.assertEqual(HOME.psql(MAIN, "select 1", port=HOME.own_port(MAIN), extra="sslsni=0"),
                         "1")

    def test_two_servers_have_different_ports_of_their_own(self):
        self.assertNotEqual(HOME.own_port(MAIN), HOME.own_port(OTHER))

    def test_channel_binding_works_through_the_gateway(self):
        self.assertEqual(HOME.psql(MAIN, "select ssl from pg_stat_ssl where pid = pg_backend_pid()",
                                   extra="channel_binding=require"), "t")

    def test_the_certificate_is_the_servers_own_and_ecdsa(self):
        with HOME.connect() as plain:
            plain.sendall(howdah_client.SSL_REQUEST)
            self.assertEqual(plain.recv(1), b"S")
            context = ssl.create_default_context(cafile=HOME.endpoints["ca"])
            with context.wrap_socket(plain, server_hostname=f"{MAIN}.{DOMAIN}") as secure:
                names = [v for k, v in secure.getpeercert()["subjectAltName"] if k == "DNS"]
                der = secure.getpeercert(binary_form=True)
        self.assertIn(f"{MAIN}.{DOMAIN}", names)
        self.assertNotIn(f"{OTHER}.{DOMAIN}", names)
        text = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-text"], input=der,
                              capture_output=True, check=True).stdout.decode()
        self.assertIn("ecdsa-with-SHA256", text)

    def test_a_direct_tls_client_of_an_older_server_gets_no_application_protocol(self):
        with HOME.connect() as connection:
            connection.sendall(howdah_client.client_hello(f"{MAIN}.{DOMAIN}", ["postgresql"]))
            self.assertEqual(howdah_client.read_tls_answer(connection),
                             ("alert", howdah_client.NO_APPLICATION_PROTOCOL))

    def test_a_query_is_cancelled_through_the_gateway(self):
        for where in ({}, {"port": HOME.own_port(MAIN)}):
            with self.subTest(where):
                self.cancel(where)

    def cancel(self, where):
        environment, conninfo = HOME.client(MAIN, **where)
        with subprocess.Popen(["psql", "-XqAt", "-d", conninfo, "-c", "select pg_sleep(60)"],
                              env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as sleeper:
            wait_until("the query runs", lambda: HOME.psql(
                MAIN, "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)' "
                      "and state = 'active'") == "1")
            begin = time.monotonic()
            sleeper.send_signal(signal.SIGINT)
            try:
                _, errors = sleeper.communicate(timeout=15)
            except subprocess.TimeoutExpired:
                sleeper.kill()
                self.fail("the cancel request did not reach the server")
            self.assertIn("canceling statement due to user request", errors)
            self.assertLess(time.monotonic() - begin, 5)

    def test_a_stranger_cannot_cancel_another_sessions_query(self):
        with HOME.session(MAIN) as session:
            pid = int(session.run("select pg_backend_pid();"))
            for key in range(20):
                with HOME.connect() as connection:
                    connection.sendall(struct.pack("!IIII", 16, 80877102, pid, key))
                    self.assertIn(howdah_client.read_to_end(connection), (b"",))
            self.assertEqual(session.run("select 5;"), "5")

    def test_secure_transport_is_required_until_it_is_switched_off(self):
        port = HOME.own_port(MAIN)
        refused = HOME.psql(MAIN, "select 1", check=False, sslmode="disable", port=port)
        self.assertNotEqual(refused.returncode, 0)
        self.assertRegex(refused.stderr, r"FATAL:.*(TLS|SSL|secure|encrypt)")
        HOME.set_parameter(MAIN, "require_secure_transport", "off")
        try:
            self.assertEqual(HOME.psql(
                MAIN, "select ssl from pg_stat_ssl where pid = pg_backend_pid()",
                sslmode="disable", port=port), "f")
            self.assertEqual(HOME.psql(MAIN, "select 1"), "1")
        finally:
            HOME.set_parameter(MAIN, "require_secure_transport", "on")
        refused = HOME.psql(MAIN, "select 1", check=False, sslmode="disable", port=port)
        self.assertNotEqual(refused.returncode, 0)

    def test_a_plain_client_on_the_shared_port_gets_a_clean_error(self):
        refused = HOME.psql(MAIN, "select 1", check=False, sslmode="disable")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("FATAL:", refused.stderr)

    def test_the_gateway_counts_per_server(self):
        def numbers(value):
            found = []
            for child in value.values() if isinstance(value, dict) else value:
                if isinstance(child, bool):
                    continue
                if isinstance(child, int):
                    found.append(child)
                elif isinstance(child, (dict, list)):
                    found += numbers(child)
            return found

        before = HOME.server_stats(MAIN)
        self.assertIsNotNone(before, "the statistics have no entry for the server")
        HOME.psql(MAIN, "select repeat('x', 100000)")
        wait_until("its bytes were counted", lambda: sum(numbers(HOME.server_stats(MAIN)))
                   > sum(numbers(before)) + 90000, 10)


class Authentication(Case):
    def authentication_request(self):
        """What the server asks of a client: (code, mechanisms)."""
        with HOME.connect() as plain:
            plain.sendall(howdah_client.SSL_REQUEST)
            self.assertEqual(plain.recv(1), b"S")
            context = ssl.create_default_context(cafile=HOME.endpoints["ca"])
            with context.wrap_socket(plain, server_hostname=f"{MAIN}.{DOMAIN}") as secure:
                secure.sendall(howdah_client.startup_packet(ADMIN))
                message = secure.recv(4096)
        self.assertEqual(message[:1], b"R", message)
        return struct.unpack("!I", message[5:9])[0], message[9:].rstrip(b"\0").split(b"\0")

    def test_the_server_asks_for_scram_and_nothing_else(self):
        code, mechanisms = self.authentication_request()
        self.assertEqual(code, 10, "not SASL")
        self.assertEqual(set(mechanisms), {b"SCRAM-SHA-256", b"SCRAM-SHA-256-PLUS"})

    def test_a_role_with_an_md5_hash_cannot_log_in(self):
        HOME.psql(MAIN, "drop role if exists md5er")
        made = HOME.psql(MAIN, "create role md5er login password "
                               "'md5" + "0123456789abcdef" * 2 + "'", check=False)
        if made.returncode == 0:
            refused = HOME.psql(MAIN, "select 1", user="md5er", secret="any", check=False)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("password authentication failed", refused.stderr)
            HOME.psql(MAIN, "drop role md5er")
        self.assertEqual(HOME.psql(MAIN, "show password_encryption"), "scram-sha-256")

    def test_wrong_passwords_and_unknown_users_get_the_same_answer(self):
        def refusal(**who):
            return re.sub(r'user "[^"]*"', "user", HOME.psql(
                MAIN, "select 1", check=False, **who).stderr.split("FATAL:")[-1])

        self.assertEqual(refusal(secret="wrong"), refusal(user="nobody_here", secret="wrong"))

    def test_nobody_gets_in_as_the_owner_of_the_cluster(self):
        superusers = HOME.psql(MAIN, "select rolname from pg_roles where rolsuper").split()
        self.assertTrue(superusers)
        for role in superusers:
            for where in ({}, {"port": HOME.backend(MAIN)["port"], "sslmode": "require"}):
                refused = HOME.psql(MAIN, "select 1", user=role, secret="", check=False, **where)
                self.assertNotEqual(refused.returncode, 0, f"{role} came in without a password")


class Privileges(Case):
    RESERVED = ("pg_execute_server_program", "pg_read_server_files", "pg_write_server_files")

    def refuse(self, sql, **where):
        result = HOME.psql(MAIN, sql, check=False, **where)
        self.assertNotEqual(result.returncode, 0, f"allowed: {sql}")
        return result.stderr

    def test_the_administrator_is_not_a_superuser_and_has_azures_rights(self):
        self.assertEqual(HOME.psql(
            MAIN, "select rolsuper, rolcreatedb, rolcreaterole, rolcanlogin, rolbypassrls, "
                  "pg_has_role(current_user, 'azure_pg_admin', 'member') "
                  "from pg_roles where rolname = current_user"), "f|t|t|t|f|t")

    def test_the_administrator_can_do_an_administrators_work(self):
        for sql in ("create role worker login password 'w-" + "x" * 20 + "'",
                    "grant worker to current_user",
                    "create database job_db owner worker",
                    "alter role worker connection limit 3",
                    "select count(*) from pg_stat_activity where query <> ''",
                    "drop database job_db",
                    "drop role worker"):
            with self.subTest(sql):
                HOME.psql(MAIN, sql)
        with HOME.session(MAIN) as victim:
            pid = victim.run("select pg_backend_pid();")
            self.assertEqual(HOME.psql(MAIN, f"select pg_terminate_backend({pid})"), "t")

    def test_reserved_roles_cannot_be_granted_by_any_road(self):
        HOME.psql(MAIN, "drop role if exists stray; create role stray")
        for role in self.RESERVED:
            for sql in (f"grant {role} to current_user",
                        f"grant {role} to stray",
                        f"grant {role} to stray with admin option",
                        f"create role evil in role {role}",
                        f"create role evil in group {role}",
                        f"alter group {role} add user stray",
                        f"do $$ begin execute 'grant {role} to stray'; end $$",
                        f"create function pg_temp.f() returns void language sql as "
                        f"'grant {role} to stray'; select pg_temp.f()",
                        f"set role {role}",
                        f"alter role {role} login password 'x'",
                        f"drop role {role}"):
                with self.subTest(sql):
                    self.refuse(sql)
        self.assertEqual(HOME.psql(
            MAIN, "select count(*) from pg_auth_members m join pg_roles r on r.oid = m.roleid "
                  "join pg_roles u on u.oid = m.member where r.rolname in "
                  "('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files') "
                  "and not u.rolsuper"), "0")
        HOME.psql(MAIN, "drop role stray")

    def test_no_road_leads_to_a_shell_or_to_files(self):
        HOME.psql(MAIN, "drop table if exists loot; create table loot(t text)")
        for sql in ("copy loot from program 'id'",
                    "copy loot to program 'cat'",
                    "copy loot from '/etc/passwd'",
                    "copy loot to '/tmp/howdah-loot'",
                    "select pg_read_file('/etc/passwd')",
                    "select pg_read_binary_file('PG_VERSION')",
                    "select pg_ls_dir('/')",
                    "select lo_import('/etc/passwd')",
                    "create function evil() returns int language c as '/tmp/evil.so', 'evil'",
                    "create extension file_fdw",
                    "create extension adminpack",
                    "load '/tmp/evil.so'",
                    "alter system set archive_command = 'id'",
                    "create role evil superuser",
                    "alter role current_user superuser",
                    "create role evil bypassrls",
                    "set session authorization pg_monitor",
                    "select pg_reload_conf()",
                    "select rolpassword from pg_authid",
                    "select pg_hba_file_rules()"):
            with self.subTest(sql):
                self.refuse(sql)

    def test_the_clusters_owner_and_the_reserved_group_are_out_of_reach(self):
        for role in HOME.psql(MAIN, "select rolname from pg_roles where rolsuper").split():
            for sql in (f'alter role "{role}" password \'x\'', f'drop role "{role}"',
                        f'alter role "{role}" nosuperuser', f'grant "{role}" to current_user',
                        f'set role "{role}"', f'alter role "{role}" set search_path = evil'):
                with self.subTest(sql):
                    self.refuse(sql)
        for sql in ("drop role azure_pg_admin", "alter role azure_pg_admin rename to mine",
                    "grant azure_pg_admin to current_user with admin option; "
                    "alter role azure_pg_admin superuser"):
            with self.subTest(sql):
                self.refuse(sql)

    def test_a_role_made_by_the_administrator_is_no_road_either(self):
        secret = howdah_client.password()
        HOME.psql(MAIN, "drop role if exists helper")
        HOME.psql(MAIN, f"create role helper login createrole password '{secret}'")
        for role in self.RESERVED:
            with self.subTest(role):
                self.refuse(f"grant {role} to helper", user="helper", secret=secret)
        HOME.psql(MAIN, "drop role helper")

    def test_event_triggers_and_search_paths_do_not_run_code_as_the_agent(self):
        """Whatever the agent runs as a superuser must not call a customer's functions."""
        HOME.psql(MAIN, """
            create or replace function public.count(anyelement) returns bigint language sql as
                'select 0::bigint';
            create or replace function public.now_evil() returns text language plpgsql as
                $$ begin return current_user; end $$;
            create table if not exists public.pg_database(datname name);
            create table if not exists public.pg_settings(name text, setting text)""")
        try:
            self.assertEqual(HOME.parameter(MAIN, "work_mem")["dataType"], "Integer")
            HOME.do("PUT", path() + "/databases/shadowed",
                    {"properties": {"charset": "UTF8", "collation": "C"}})
            names = [d["name"] for d in HOME.get(path() + "/databases").json["value"]]
            self.assertIn("shadowed", names)
            HOME.do("DELETE", path() + "/databases/shadowed")
        finally:
            HOME.psql(MAIN, "drop table public.pg_database, public.pg_settings; "
                            "drop function public.count(anyelement), public.now_evil()")


class Extensions(Case):
    def tearDown(self):
        HOME.set_parameter(MAIN, "azure.extensions", "")

    def test_an_extension_that_is_not_allow_listed_is_refused(self):
        HOME.set_parameter(MAIN, "azure.extensions", "")
        for name in ("hstore", "pg_stat_statements", "pg_buffercache", "postgres_fdw"):
            with self.subTest(name):
                refused = HOME.psql(MAIN, f"create extension {name}", check=False)
                self.assertNotEqual(refused.returncode, 0, f"{name} was created")

    def test_an_allow_listed_extension_is_created_and_works(self):
        HOME.set_parameter(MAIN, "azure.extensions", "hstore,pg_buffercache,pg_trgm")
        self.assertEqual(set(HOME.psql(MAIN, "show azure.extensions").lower().split(",")),
                         {"hstore", "pg_buffercache", "pg_trgm"})
        HOME.psql(MAIN, "create extension hstore")
        self.assertEqual(HOME.psql(MAIN, "select 'a=>1'::hstore -> 'a'"), "1")
        # pg_buffercache is not trusted: only the allow-list lets somebody else make it.
        HOME.psql(MAIN, "create extension pg_buffercache")
        self.assertEqual(HOME.psql(
            MAIN, "select count(*) from pg_extension where extname = 'pg_buffercache'"), "1")
        HOME.psql(MAIN, "drop extension hstore; drop extension pg_buffercache")

    def test_an_allow_list_with_an_unknown_extension_is_refused(self):
        answer = HOME.call("PATCH", path() + "/configurations/azure.extensions",
                           {"properties": {"value": "no_such_extension",
                                           "source": "user-override"}})
        self.assert_error(answer, 400)
        self.assertIn("no_such_extension", answer.error["message"])

    def test_creating_an_extension_runs_no_code_of_the_customer_as_superuser(self):
        """The classic attack: objects in the target schema that the script would pick up."""
        HOME.set_parameter(MAIN, "azure.extensions", "pg_buffercache")
        HOME.psql(MAIN, """
            drop schema if exists trap cascade; create schema trap;
            create function trap.spring() returns event_trigger language plpgsql as
                $$ begin execute 'alter role dba superuser'; end $$""")
        HOME.psql(MAIN, "create event trigger t on ddl_command_end execute function trap.spring()",
                  check=False)
        HOME.psql(MAIN, "create extension pg_buffercache schema trap", check=False)
        HOME.psql(MAIN, "drop event trigger if exists t", check=False)
        HOME.psql(MAIN, "drop extension if exists pg_buffercache; drop schema trap cascade",
                  check=False)
        self.assertEqual(HOME.psql(
            MAIN, "select rolsuper from pg_roles where rolname = current_user"), "f")

    def test_shared_preload_libraries_are_kept_beside_howdahs_own(self):
        own = HOME.psql(MAIN, "show shared_preload_libraries", check=False).stdout
        shown = HOME.parameter(MAIN, "shared_preload_libraries")
        self.assertFalse(shown["isDynamicConfig"])
        HOME.set_parameter(MAIN, "azure.extensions", "pg_stat_statements")
        HOME.set_parameter(MAIN, "shared_preload_libraries", "auto_explain,pg_stat_statements")
        wait_until("pending", lambda: HOME.parameter(
            MAIN, "shared_preload_libraries")["isConfigPendingRestart"], 10)
        HOME.do("POST", path() + "/restart", {})
        HOME.psql(MAIN, "create extension if not exists pg_stat_statements")
        HOME.psql(MAIN, "select count(*) from pg_stat_statements")
        self.assertEqual(HOME.parameter(MAIN, "shared_preload_libraries")["value"],
                         "auto_explain,pg_stat_statements")
        # The guard of the reserved roles is still loaded.
        refused = HOME.psql(MAIN, "grant pg_execute_server_program to current_user", check=False)
        self.assertNotEqual(refused.returncode, 0, f"the guard was replaced (before: {own})")
        HOME.psql(MAIN, "drop extension pg_stat_statements")


class Postgres(Case):
    def test_checksums_are_on(self):
        self.assertEqual(HOME.psql(MAIN, "show data_checksums"), "on")

    def test_two_servers_have_different_system_identifiers(self):
        HOME.allow(OTHER)
        ids = [HOME.psql(s, "select system_identifier from pg_control_system()", check=False)
               for s in (MAIN, OTHER)]
        if any(r.returncode for r in ids):  # not granted to the administrator: ask pg_controldata
            values = []
            for server in (MAIN, OTHER):
                out = subprocess.run(["/usr/lib/postgresql/15/bin/pg_controldata",
                                      HOME.backend(server)["data"]], capture_output=True,
                                     text=True, check=True).stdout
                values.append(re.search(r"system identifier: *(\d+)", out).group(1))
        else:
            values = [r.stdout.strip() for r in ids]
        HOME.forbid(OTHER)
        self.assertNotEqual(values[0], values[1])

    def test_postgres_runs_as_an_unprivileged_user_on_loopback_only(self):
        postmaster = HOME.postmaster(MAIN)
        self.assertNotEqual(postmaster.uid, 0)
        backend = HOME.backend(MAIN)
        listening = subprocess.run(["ss", "-ltnH"], capture_output=True, text=True, check=False)
        if listening.returncode == 0:
            addresses = [l.split()[3] for l in listening.stdout.splitlines()
                         if l.split()[3].endswith(f":{backend['port']}")]
            self.assertTrue(addresses)
            self.assertTrue(all(a.startswith("127.0.0.1:") for a in addresses), addresses)

    def test_as_root_every_server_has_an_operating_system_user_of_its_own(self):
        if os.geteuid() != 0 or HOME.user:
            self.skipTest("users of their own need root")
        HOME.allow(OTHER)
        users = {HOME.postmaster(s).uid for s in (MAIN, OTHER)}
        HOME.forbid(OTHER)
        self.assertEqual(len(users), 2)
        mode = os.stat(HOME.backend(MAIN)["data"]).st_mode
        self.assertEqual(mode & 0o007, 0, "others may look into the data directory")

    def test_fifteen_connections_are_reserved(self):
        maximum = int(HOME.psql(MAIN, "show max_connections"))
        self.assertEqual(str(maximum), HOME.parameter(MAIN, "max_connections")["value"])
        self.assertEqual(HOME.psql(MAIN, "show superuser_reserved_connections"), "15")
        environment, conninfo = HOME.client(MAIN)
        script = os.path.join(HOME.folder, "one.sql")
        with open(script, "w", encoding="utf-8") as file:
            file.write("select 1;\n")

        def run(clients):
            return subprocess.run(["pgbench", "-n", "-c", str(clients), "-t", "1", "-f", script,
                                   conninfo], env=environment, capture_output=True, text=True,
                                  timeout=120, check=False)

        enough = run(maximum - 17)
        self.assertEqual(enough.returncode, 0, enough.stderr)
        many = run(maximum - 14)
        self.assertNotEqual(many.returncode, 0)
        self.assertIn("remaining connection slots are reserved", many.stderr)

    def test_howdah_can_still_work_when_customers_hold_all_connections(self):
        maximum = int(HOME.psql(MAIN, "show max_connections"))
        sessions = []
        try:
            for _ in range(maximum - 17):
                sessions.append(HOME.session(MAIN))
            sessions[-1].run("select 1;")
            HOME.do("PUT", path() + "/databases/when_full",
                    {"properties": {"charset": "UTF8", "collation": "C"}})
            HOME.do("DELETE", path() + "/databases/when_full")
        finally:
            for session in sessions:
                session.close()

    def test_logs_are_json(self):
        data_folders = [os.path.dirname(p) for p in glob.glob(
            os.path.join(HOME.dir, "**", "PG_VERSION"), recursive=True)]
        self.assertTrue(data_folders)
        found = 0
        for name in glob.glob(os.path.join(HOME.dir, "**", "*.json"), recursive=True):
            with open(name, encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()
            if lines and '"error_severity"' in lines[0]:
                found += 1
                for line in lines[:-1]:
                    self.assertIn("message", json.loads(line))
        self.assertGreaterEqual(found, 2, "no JSON log of PostgreSQL")
        with open(HOME.log_path, encoding="utf-8") as file:
            for line in file.read().splitlines():
                self.assertIsInstance(json.loads(line), dict, line)


class Secrets(Case):
    def needles(self):
        HOME.psql(MAIN, "select 1")
        needles = {f"password of {s}": p for s, p in HOME.passwords.items()}
        needles["client secret"] = HOME.credentials["client_secret"]
        needles["a SCRAM verifier"] = "SCRAM-SHA-256$"
        needles["a token"] = HOME.token()
        needles["a private key"] = "PRIVATE KEY-----"
        return needles

    def test_no_secret_stands_in_a_log(self):
        logs = [HOME.log_path]
        for base, _, names in os.walk(HOME.dir):
            logs += [os.path.join(base, n) for n in names
                     if "/log" in base.removeprefix(HOME.dir) or n.endswith((".log", ".json"))]
        logs = [l for l in logs if os.path.basename(l) != "bootstrap-credentials.json"]
        self.assertGreater(len(logs), 1, "there are no logs")
        self.check(logs, self.needles())

    def test_no_secret_stands_in_clear_in_the_home(self):
        needles = self.needles()
        files = []
        for base, folders, names in os.walk(HOME.dir):
            if "PG_VERSION" in names:  # PostgreSQL's own catalog holds the verifiers
                folders.clear()
                continue
            files += [os.path.join(base, n) for n in names]
        files = [f for f in files if os.path.isfile(f)
                 and os.path.basename(f) != "bootstrap-credentials.json"]
        keys = needles.pop("a private key")
        self.check(files, needles)
        for each in files:
            with open(each, "rb") as file:
                if keys.encode() in file.read():
                    self.assertTrue(howdah_client.is_private(each) or self.folder_is_private(each),
                                    f"{each} holds a key and others may read it")

    @staticmethod
    def folder_is_private(file):
        folder = os.path.dirname(file)
        while folder.startswith(HOME.dir) and folder != HOME.dir:
            if os.stat(folder).st_mode & 0o077 == 0:
                return True
            folder = os.path.dirname(folder)
        return False

    def check(self, files, needles):
        for each in files:
            try:
                with open(each, "rb") as file:
                    content = file.read()
            except OSError:
                continue
            for what, needle in needles.items():
                self.assertFalse(needle.encode() in content, f"{what} stands in {each}")

    def test_no_secret_stands_in_a_process(self):
        needles = self.needles()
        new = howdah_client.password()
        needles["the new password"] = new
        answer = HOME.call("PATCH", path(), {"properties": {"administratorLoginPassword": new}})
        HOME.passwords[MAIN] = new
        seen = 0
        for _ in range(20):
            for each in HOME.processes():
                for name in ("cmdline", "environ"):
                    try:
                        with open(f"/proc/{each.pid}/{name}", "rb") as file:
                            content = file.read()
                    except OSError:
                        continue
                    seen += 1
                    for what, needle in needles.items():
                        self.assertFalse(needle.encode() in content,
                                         f"{what} in {name} of {each}")
        HOME.finish(answer)
        self.assertGreater(seen, 20)

    def test_the_credentials_file_and_the_stores_are_private(self):
        for name in ("howdahd/bootstrap-credentials.json", "howdahd/store.db"):
            self.assertTrue(howdah_client.is_private(os.path.join(HOME.dir, name))
                            or self.folder_is_private(os.path.join(HOME.dir, name)), name)
        self.assertTrue(howdah_client.is_private(
            os.path.join(HOME.dir, "howdahd/bootstrap-credentials.json")))

    def test_the_admin_socket_is_not_for_everybody(self):
        mode = os.stat(os.path.join(HOME.dir, "gateway", "gateway.sock")).st_mode
        self.assertEqual(mode & 0o007, 0)


class Deletion(Case):
    def test_a_deleted_servers_name_is_free_and_its_next_life_is_empty(self):
        HOME.create_server("phoenix")
        HOME.psql("phoenix", "create table t as select 1")
        HOME.set_parameter("phoenix", "work_mem", "9999")
        HOME.do("DELETE", path("phoenix"))
        self.assert_error(HOME.get(path("phoenix")), 404, "ResourceNotFound")
        self.assertEqual(HOME.tls_answer(f"phoenix.{DOMAIN}"), ("alert", UNRECOGNIZED_NAME))
        HOME.passwords["phoenix"] = howdah_client.password()
        HOME.create_server("phoenix")
        self.assertEqual(HOME.psql(
            "phoenix", "select count(*) from pg_class where relname = 't'"), "0")
        self.assertNotEqual(HOME.psql("phoenix", "show work_mem"), "9999kB")
        HOME.do("DELETE", path("phoenix"))

    def test_deleting_what_is_not_there_answers_204(self):
        self.assertEqual(HOME.call("DELETE", path("never-was")).status, 204)

    def test_deleting_a_group_deletes_its_servers(self):
        HOME.make_group("doomed")
        where = HOME.server_path("doomed-1", "doomed")
        HOME.do("PUT", where, HOME.server_body("doomed-1"))
        postmasters = len(HOME.postmasters())
        answer = HOME.call("DELETE", HOME.group_path("doomed"),
                           version=howdah_client.RESOURCES_VERSION)
        self.assertIn(answer.status, (200, 202), repr(answer))
        wait_until("the group is gone", lambda: HOME.get(
            HOME.group_path("doomed"), howdah_client.RESOURCES_VERSION).status == 404, 60)
        wait_until("its server is gone", lambda: len(HOME.postmasters()) == postmasters - 1, 30)
        self.assertEqual(HOME.get(where).status, 404)

    def test_changes_of_one_server_are_queued_never_called_busy(self):
        HOME.create_server("queue")
        answers = [HOME.call("PATCH", path("queue") + "/configurations/work_mem",
                             {"properties": {"value": str(value), "source": "user-override"}})
                   for value in range(5000, 5010)]
        answers.append(HOME.call("POST", path("queue") + "/restart", {}))
        answers.append(HOME.call("PUT", path("queue") + "/databases/app",
                                 {"properties": {"charset": "UTF8", "collation": "C"}}))
        answers.append(HOME.call("PATCH", path("queue"), {"tags": {"a": "b"}}))
        for answer in answers:
            self.assertLess(answer.status, 300, repr(answer))
        for answer in answers:
            HOME.finish(answer)
        self.assertEqual(HOME.psql("queue", "show work_mem"), "5009kB")
        self.assertEqual(HOME.psql(
            "queue", "select count(*) from pg_database where datname = 'app'"), "1")
        answer = HOME.call("DELETE", path("queue"))
        HOME.finish(answer)


if __name__ == "__main__":
    unittest.main(verbosity=2)
