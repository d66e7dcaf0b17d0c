"""Read replicas: servers that follow another one, and are promoted."""

import glob
import os
import signal
import unittest

from support import (Case, as_superuser, howdah_client, instance_folder, run_guide, started_home,
                     wait_until)

HOME = None
SOURCE = "source"


def setUpModule():
    global HOME
    HOME = started_home(backups=True)
    try:
        HOME.create_server(SOURCE)
        HOME.psql(SOURCE, "CREATE TABLE numbers AS SELECT generate_series(1, 1000) AS n")
    except BaseException:
        tearDownModule()
        raise


def tearDownModule():
    if HOME:
        HOME.stop()


def server(name):
    return HOME.get(HOME.server_path(name)).json


def create(name, source=SOURCE, **more):
    body = {"location": howdah_client.LOCATION, "properties": {
        "createMode": "Replica", "sourceServerResourceId": HOME.server_path(source), **more}}
    return HOME.call("PUT", HOME.server_path(name), body)


def made(name, source=SOURCE):
    """A read replica that a client can log in to."""
    answer = create(name, source)
    if answer.status != 202:
        raise AssertionError(repr(answer))
    HOME.finish(answer, timeout=300)
    HOME.passwords[name] = HOME.passwords[source]
    HOME.allow(name)


def promote(name, option="Planned"):
    return HOME.call("PATCH", HOME.server_path(name), {"properties": {"replica": {
        "role": "None", "promoteMode": "Standalone", "promoteOption": option}}})


def promoted(name, option="Planned"):
    answer = promote(name, option)
    if answer.status != 202:
        raise AssertionError(repr(answer))
    HOME.finish(answer, timeout=180)


def count(name, table="numbers"):
    return int(HOME.psql(name, f"SELECT count(*) FROM {table}"))


def postmaster_of(name):
    with open(os.path.join(instance_folder(HOME, name), "data", "postmaster.pid"), encoding="utf-8") as file:
        return int(file.readline())


def is_streaming(name):
    return server(name)["properties"]["howdah"].get("replication", {}).get("streaming", False)


class Replicas(Case):
    def test_1_a_replica_has_what_its_source_commits_and_takes_no_writes(self):
        made("reader")
        wait_until("it streams", lambda: is_streaming("reader"), timeout=60)
        self.assertEqual(count("reader"), count(SOURCE))
        HOME.psql(SOURCE, "INSERT INTO numbers VALUES (0)")
        wait_until("it has it", lambda: count("reader") == count(SOURCE), timeout=10)
        refused = HOME.psql("reader", "CREATE TABLE mine (n int)", check=False)
        self.assertIn("read-only", refused.stderr)
        shown = server("reader")["properties"]
        self.assertEqual(shown["replicationRole"], "AsyncReplica")
        self.assertEqual(shown["sourceServerResourceId"], HOME.server_path(SOURCE).lower())
        self.assertEqual(shown["replica"]["replicationState"], "Active")
        self.assertEqual(server(SOURCE)["properties"]["replica"], {"role": "Primary",
                                                                   "capacity": 5})
        listed = HOME.get(HOME.server_path(SOURCE) + "/replicas").json["value"]
        self.assertEqual([each["name"] for each in listed], ["reader"])

    def test_2_what_a_replica_cannot_be_is_refused(self):
        self.assert_error(create("second", "reader"), 409)
        self.assert_error(create("second", pointInTimeUTC="2026-11-24T00:00:00Z"), 400)
        self.assert_error(create("second", highAvailability={"mode": "SameZone"}), 400)
        self.assert_error(create("second", "nobody"), 404)
        path = HOME.server_path("reader")
        self.assert_error(HOME.call("PUT", path + "/databases/new", {"properties": {}}), 409)
        self.assert_error(HOME.call("PATCH", path, {"properties": {
            "administratorLoginPassword": "Another1Secret!"}}), 400)
        self.assert_error(HOME.call("PATCH", path, {"properties": {"replica": {
            "role": "Primary", "promoteMode": "Switchover"}}}), 400)
        self.assert_error(HOME.call("PATCH", HOME.server_path(SOURCE), {"properties": {
            "replica": {"role": "AsyncReplica"}}}), 400)
        self.assert_error(HOME.call("DELETE", HOME.server_path(SOURCE)), 409)

    def test_3_it_follows_through_restarts_of_everybody(self):
        HOME.kill("howdah-agent")
        HOME.psql(SOURCE, "INSERT INTO numbers VALUES (0)")
        wait_until("nobody noticed", lambda: count("reader") == count(SOURCE), timeout=30)
        os.kill(postmaster_of(SOURCE), signal.SIGKILL)
        wait_until("the source is there again", lambda: HOME.psql(
            SOURCE, "INSERT INTO numbers VALUES (0)", check=False).returncode == 0, timeout=60)
        wait_until("it follows", lambda: count("reader") == count(SOURCE), timeout=60)
        os.kill(postmaster_of("reader"), signal.SIGKILL)
        HOME.psql(SOURCE, "INSERT INTO numbers VALUES (0)")
        wait_until("it follows again", lambda: HOME.psql(
            "reader", "SELECT count(*) FROM numbers", check=False).stdout.strip() ==
            str(count(SOURCE)), timeout=60)
        HOME.do("POST", HOME.server_path(SOURCE) + "/restart", timeout=120)
        HOME.do("POST", HOME.server_path("reader") + "/restart", timeout=120)
        HOME.psql(SOURCE, "INSERT INTO numbers VALUES (0)")
        wait_until("it follows once more", lambda: count("reader") == count(SOURCE), timeout=60)

    def test_4_what_the_source_has_no_more_comes_from_its_repository(self):
        HOME.do("POST", HOME.server_path("reader") + "/stop", timeout=120)
        for _ in range(4):
            HOME.psql(SOURCE, "INSERT INTO numbers SELECT generate_series(1, 100000)")
            as_superuser(HOME, SOURCE, "SELECT pg_switch_wal()", "CHECKPOINT")
        HOME.do("POST", HOME.server_path("reader") + "/start", timeout=120)
        wait_until("it has caught up", lambda: count("reader") == count(SOURCE), timeout=120)
        wait_until("it streams", lambda: is_streaming("reader"), timeout=60)

    def test_5_more_connections_of_the_source_do_not_stop_it(self):
        HOME.set_parameter(SOURCE, "max_connections", "120")
        HOME.do("POST", HOME.server_path(SOURCE) + "/restart", timeout=120)
        HOME.psql(SOURCE, "INSERT INTO numbers VALUES (0)")
        wait_until("it follows", lambda: HOME.psql(
            "reader", "SELECT count(*) FROM numbers", check=False).stdout.strip() ==
            str(count(SOURCE)), timeout=90)

    def test_6_a_planned_promotion_loses_nothing_and_makes_a_server(self):
        HOME.psql(SOURCE, "CREATE TABLE last AS SELECT generate_series(1, 50000) AS n")
        promoted("reader")
        self.assertEqual(count("reader", "last"), 50000)
        HOME.psql("reader", "INSERT INTO last VALUES (0)")
        self.assertEqual(count(SOURCE, "last"), 50000)
        shown = server("reader")["properties"]
        self.assertEqual(shown["replicationRole"], "Primary")
        self.assertEqual(HOME.get(HOME.server_path(SOURCE) + "/replicas").json["value"], [])
        wait_until("it has backups of its own", lambda: server("reader")["properties"]["howdah"]
                   .get("restorable"), timeout=180)
        HOME.do("PUT", HOME.server_path("reader") + "/databases/mine", {"properties": {}})
        HOME.do("POST", HOME.server_path("reader") + "/restart", timeout=120)
        self.assertEqual(count("reader", "last"), 50001)

    def test_7_a_forced_promotion_needs_no_source(self):
        made("alone")
        have = count(SOURCE)
        wait_until("it has all", lambda: count("alone") == have, timeout=60)
        HOME.do("POST", HOME.server_path(SOURCE) + "/stop", timeout=120)
        answer = promote("alone")
        self.assertEqual(answer.status, 202, repr(answer))
        with self.assertRaisesRegex(AssertionError, "source"):
            HOME.finish(answer, timeout=180)
        self.assertEqual(server("alone")["properties"]["replicationRole"], "AsyncReplica")
        promoted("alone", "Forced")
        self.assertEqual(count("alone"), have)
        HOME.psql("alone", "INSERT INTO numbers VALUES (0)")
        HOME.do("POST", HOME.server_path(SOURCE) + "/start", timeout=120)
        self.assertEqual(count(SOURCE), have)
        HOME.do("DELETE", HOME.server_path("alone"), timeout=120)

    def test_8_an_agent_that_is_killed_in_between_goes_on(self):
        answer = create("cut")
        self.assertEqual(answer.status, 202, repr(answer))
        wait_until("it is begun", lambda: glob.glob(
            os.path.join(HOME.dir, "agent", "instances", "*", "backup", "restored")), timeout=60,
                   pause=0.01)
        HOME.kill("howdah-agent")
        HOME.finish(answer, timeout=180)
        HOME.passwords["cut"] = HOME.passwords[SOURCE]
        HOME.allow("cut")
        wait_until("it follows", lambda: count("cut") == count(SOURCE), timeout=60)
        HOME.arm("agent.replica.promoted")
        answer = promote("cut")
        wait_until("it is killed", lambda: HOME.was_hit("agent.replica.promoted"), timeout=60)
        HOME.finish(answer, timeout=180)
        HOME.psql("cut", "INSERT INTO numbers VALUES (0)")
        HOME.do("DELETE", HOME.server_path("cut"), timeout=120)

    def test_9_the_guide(self):
        said = run_guide(HOME, "replicas.md")
        self.assertIn("AsyncReplica", said)
        self.assertIn("Primary", said)


if __name__ == "__main__":
    unittest.main(verbosity=2)
