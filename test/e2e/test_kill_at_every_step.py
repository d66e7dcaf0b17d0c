"""kill -9 at every named failpoint of src/base/failpoint.h while a server lives its whole life.

For each failpoint a server is created, changed in every way the API knows, and deleted. The
failpoint is armed anew before every step, so that each step that passes it is killed there once.
After each step: what was accepted has ended, nothing was done twice, all processes are back, and a
second server beside it has noticed nothing. A failpoint that no step hit fails its test.
"""

import http.client
import os
import sys
import time
import unittest
import uuid

from support import Case, Relay, howdah_client, started_home, wait_until
from howdah_client import Bench, PidWatch, process

BYSTANDER = "bystander"

# The steps in which a failpoint lies. A name that is not here is armed in the whole life.
NATURAL = {
    "howdahd.deployment.after_step": ["deploy"],
    "howdahd.deployment.before_commit": ["deploy"],
    "agent.instance.claimed": ["create"],
    "agent.instance.configured": ["create", "update"],
    "agent.instance.started": ["create", "start"],
    "agent.instance.bootstrapped": ["create"],
    "agent.instance.before_restart": ["update", "restart"],
    "agent.instance.after_restart": ["update", "restart"],
    "agent.instance.before_stop": ["stop"],
    "agent.instance.after_stop": ["stop"],
    "agent.database.created": ["create_database"],
    "agent.database.dropped": ["drop_database"],
    "agent.password.changed": ["password"],
    "agent.token_administrators.changed": ["administrators"],
    "agent.instance.before_delete": ["delete"],
    "agent.instance.half_deleted": ["delete"],
    "agent.pool.half_prepared": ["create"],
    "agent.routes.before_publish": ["create", "firewall", "restart", "delete"],
    "agent.routes.after_publish": ["create", "firewall", "restart", "delete"],
    "gateway.routes.loaded": ["firewall", "restart"],
    "gateway.session.accepted": ["firewall"],
}

HOME = None
WATCHED = None


class Bystander:
    """A second server under load, directly and through the gateway."""

    def __init__(self, home):
        self.home = home
        home.create_server(BYSTANDER)
        home.psql(BYSTANDER, "create table bench(id int primary key, n bigint);"
                             "insert into bench values (1, 0), (2, 0)")
        self.backend = home.backend(BYSTANDER)
        self.relay = Relay(self.backend["port"])
        self.direct = None
        self.routed = None

    def load(self):
        if self.direct is None or self.direct.errors():
            self._renew("direct", port=self.relay.port, sslmode="require",
                        script="update bench set n = n + 1 where id = 1;\n")
        if self.routed is None or self.routed.errors():
            self._renew("routed", script="update bench set n = n + 1 where id = 2;\n")

    def _renew(self, name, **where):
        old = getattr(self, name)
        if old:
            old.stop()
        bench = Bench(self.home, BYSTANDER, **where)
        setattr(self, name, bench)
        wait_until(f"pgbench ({name}) makes progress",
                   lambda: bench.errors() or bench.progressed())
        if bench.errors():
            raise AssertionError(f"pgbench ({name}) cannot start: {bench.errors()}")

    def complaints(self, gateway_may_break):
        found = []
        now = process(self.backend["pid"])
        if now is None or now.start != self.backend["start"]:
            found.append(f"the bystander's postmaster {self.backend['pid']} is gone")
        if self.direct.errors():
            found.append("pgbench on the bystander's own port: " + self.direct.errors())
        if self.routed.errors() and not gateway_may_break:
            found.append("pgbench through the gateway: " + self.routed.errors())
        return found

    def stop(self):
        for bench in (self.direct, self.routed):
            if bench:
                bench.stop()
        self.relay.stop()


def setUpModule():
    global HOME, WATCHED
    HOME = started_home()
    try:
        WATCHED = Bystander(HOME)
        WATCHED.load()
    except BaseException:
        tearDownModule()
        raise


def tearDownModule():
    if WATCHED:
        WATCHED.stop()
    if HOME:
        HOME.stop()


class Life:
    """One server from its creation to its deletion, with every step checked."""

    STEPS = ["create", "firewall", "update", "parameter", "restart", "stop", "start", "password",
             "administrators", "create_database", "drop_database", "deploy", "delete"]
    # A server that is to be killed in `start` must have been stopped, and so on.
    NEEDS = {"start": ["stop"], "stop": ["start"], "drop_database": ["create_database"]}

    def __init__(self, test, name):
        self.test = test
        self.name = name
        self.path = HOME.server_path(name)
        self.data = None
        self.failed = []  # operations that ended Failed with a reason

    def steps(self, wanted):
        keep = {"create", "firewall", "delete", *wanted}
        for each in wanted:
            keep.update(self.NEEDS.get(each, []))
        return [s for s in self.STEPS if s in keep]

    # -- requests --------------------------------------------------------------------------

    def send(self, method, path, body=None, happened=None):
        """Sends a request, again after a lost answer. `happened` tells whether a request without
        an answer was accepted all the same, for those that must not be sent twice."""
        for _ in range(6):
            try:
                answer = HOME.call(method, path, body)
            except (OSError, http.client.HTTPException):
                self.revive_howdahd()
                if happened is not None and self.accepted_unseen(happened):
                    return None
                continue
            if answer.status != 503:
                return answer
            time.sleep(0.1)
        raise AssertionError(f"{method} {path} was never answered")

    @staticmethod
    def revive_howdahd():
        """Called when howdahd did not answer: it must have been killed."""
        wait_until("the howdahd that did not answer is dead",
                   lambda: HOME.process.poll() is not None, 10)
        HOME.ensure_howdahd()

    @staticmethod
    def accepted_unseen(happened):
        end = time.monotonic() + 4
        while time.monotonic() < end:
            if happened():
                return True
            time.sleep(0.02)
        return False

    def carry_out(self, method, path, body=None, happened=None):
        """A request to the end of its operation, which must be Succeeded, or Failed with a reason
        (then it is asked for once more)."""
        for _ in range(2):
            answer = self.send(method, path, body, happened)
            if answer is None:
                return
            self.test.assertLess(answer.status, 300, f"{method} {path}: {answer!r}")
            operation = HOME.operation(answer, timeout=90, restart=True)
            if not operation or operation["status"] == "Succeeded":
                return
            error = operation.get("error") or {}
            self.test.assertEqual(operation["status"], "Failed", operation)
            self.test.assertTrue(error.get("code") and error.get("message"),
                                 f"Failed without a reason: {operation}")
            self.failed.append(operation)
        self.test.fail(f"{method} {path} failed twice: {self.failed[-1]}")

    def get(self):
        """GET of the server, whatever dies meanwhile."""
        while True:
            try:
                return HOME.get(self.path)
            except (OSError, http.client.HTTPException):
                self.revive_howdahd()

    def state(self):
        answer = self.get()
        return answer.json["properties"]["state"] if answer.status == 200 else answer.status

    def reach(self, state, timeout=60):
        wait_until(f"{self.name} is {state}", lambda: self.state() == state, timeout)

    def query(self, sql, timeout=30, **where):
        """A query through the gateway; tried again while processes come back."""
        last = []

        def attempt():
            result = HOME.psql(self.name, sql, check=False, **where)
            last[:] = [result.stderr]
            return result if result.returncode == 0 else None

        try:
            return wait_until(f"{self.name} answers {sql!r}", attempt, timeout).stdout.strip()
        except AssertionError as error:
            raise AssertionError(f"{error}: {last}") from None

    def check_rows(self):
        self.test.assertEqual(self.query("select count(*), sum(n) from kept"), "100|5050")

    def watch(self):
        return PidWatch(self.data)

    # -- steps -----------------------------------------------------------------------------

    def create(self):
        self.carry_out("PUT", self.path, HOME.server_body(self.name))
        self.reach("Ready")
        listed = HOME.get(HOME.group_path()
                          + "/providers/Microsoft.DBforPostgreSQL/flexibleServers").json["value"]
        self.test.assertEqual([s["name"] for s in listed].count(self.name), 1)
        wait_until("two postmasters run, no third", lambda: len(HOME.postmasters()) == 2, 30)

    def firewall(self):
        self.carry_out("PUT", self.path + "/firewallRules/here",
                       {"properties": {"startIpAddress": "127.0.0.1",
                                       "endIpAddress": "127.0.0.1"}})
        self.query("create table if not exists kept as select n from generate_series(1, 100) n")
        self.data = HOME.backend(self.name)["data"]
        self.check_rows()
        rules = HOME.get(self.path + "/firewallRules").json["value"]
        self.test.assertEqual([r["name"] for r in rules], ["here"])

    def update(self):
        watch = self.watch()
        self.carry_out("PATCH", self.path,
                       {"sku": {"name": "Standard_B2s", "tier": "Burstable"}})
        self.reach("Ready")
        self.check_rows()
        self.test.assertLessEqual(watch.stop(), 2, "a new size restarted the server more than once")
        self.test.assertEqual(self.get().json["sku"]["name"], "Standard_B2s")

    def parameter(self):
        watch = self.watch()
        self.carry_out("PATCH", self.path + "/configurations/work_mem",
                       {"properties": {"value": "8192", "source": "user-override"}})
        wait_until("work_mem is in force", lambda: self.query("show work_mem") == "8MB", 20)
        self.check_rows()
        self.test.assertEqual(watch.stop(), 1, "a dynamic parameter restarted the server")

    def restart(self):
        before = self.query("select pg_postmaster_start_time()")
        watch = self.watch()
        self.carry_out("POST", self.path + "/restart", {}, happened=lambda: (
            len(watch.seen) > 1 or self.state() != "Ready"))
        self.reach("Ready")
        wait_until("the server was restarted",
                   lambda: self.query("select pg_postmaster_start_time()") != before, 30)
        self.check_rows()
        self.test.assertEqual(watch.stop(), 2, f"restarted other than once: {watch.seen}")

    def stop(self):
        # Stop and start reach a state: sending them again is harmless.
        self.carry_out("POST", self.path + "/stop")
        self.reach("Stopped")
        wait_until("its postmaster is gone",
                   lambda: all(p.cwd != self.data for p in HOME.postmasters()), 20)
        self.test.assertFalse(os.path.exists(os.path.join(self.data, "postmaster.pid")))

    def start(self):
        watch = self.watch()
        self.carry_out("POST", self.path + "/start")
        self.reach("Ready")
        self.check_rows()
        self.test.assertEqual(watch.stop(), 1, f"started other than once: {watch.seen}")

    def password(self):
        old = HOME.passwords[self.name]
        new = howdah_client.password()
        watch = self.watch()
        HOME.passwords[self.name] = new
        self.carry_out("PATCH", self.path, {"properties": {"administratorLoginPassword": new}})
        self.check_rows()
        refused = HOME.psql(self.name, "select 1", secret=old, check=False)
        self.test.assertNotEqual(refused.returncode, 0, "the old password still works")
        self.test.assertEqual(watch.stop(), 1, "a password reset restarted the server")

    def administrators(self):
        """One comes and goes; what a token opens is tried by test_entra_admin."""
        self.carry_out("PATCH", self.path, {"properties": {"authConfig": {
            "activeDirectoryAuth": "Enabled", "passwordAuth": "Enabled"}}})
        principal = str(uuid.uuid4())
        path = f"{self.path}/administrators/{principal}"
        can_log_in = "select count(*) from pg_roles where rolname = 'somebody' and rolcanlogin"
        self.carry_out("PUT", path, {"properties": {"principalName": "somebody",
                                                    "principalType": "User"}})
        self.test.assertEqual(self.query(can_log_in), "1")
        self.carry_out("DELETE", path)
        self.test.assertEqual(self.query(can_log_in), "0")
        self.test.assertEqual(HOME.get(self.path + "/administrators").json["value"], [])

    def create_database(self):
        self.carry_out("PUT", self.path + "/databases/app",
                       {"properties": {"charset": "UTF8", "collation": "C.utf8"}})
        self.test.assertEqual(
            self.query("select count(*) from pg_database where datname = 'app'"), "1")
        names = [d["name"] for d in HOME.get(self.path + "/databases").json["value"]]
        self.test.assertEqual(names.count("app"), 1, names)

    def drop_database(self):
        self.carry_out("DELETE", self.path + "/databases/app")
        self.test.assertEqual(
            self.query("select count(*) from pg_database where datname = 'app'"), "0")
        self.test.assertEqual(HOME.get(self.path + "/databases/app").status, 404)

    def deploy(self):
        """A template with a database and a firewall rule of the server."""
        path = (HOME.group_path() + "/providers/Microsoft.Resources/deployments/" + self.name
                + "?api-version=" + howdah_client.RESOURCES_VERSION)
        provider = "Microsoft.DBforPostgreSQL/flexibleServers/"
        version = howdah_client.API_VERSION
        resources = [
            {"type": provider + "databases", "apiVersion": version,
             "name": self.name + "/deployed",
             "properties": {"charset": "UTF8", "collation": "C.utf8"}},
            {"type": provider + "firewallRules", "apiVersion": version,
             "name": self.name + "/deployed",
             "properties": {"startIpAddress": "192.0.2.1", "endIpAddress": "192.0.2.1"}}]
        resources[1]["dependsOn"] = [f"[resourceId('{provider}databases', '{self.name}', "
                                     "'deployed')]"]
        body = {"properties": {"mode": "Incremental", "template": {
            "$schema": "https://schema.management.azure.com/schemas/2019-04-01/"
                       "deploymentTemplate.json#",
            "contentVersion": "1.0.0.0", "resources": resources}}}
        self.carry_out("PUT", path, body, happened=lambda: HOME.get(path).status == 200)

        def shown():
            try:
                return HOME.get(path).json["properties"]
            except (OSError, http.client.HTTPException):
                self.revive_howdahd()

        wait_until("the deployment has ended",
                   lambda: (shown() or {}).get("provisioningState") == "Succeeded", 90)
        self.test.assertEqual(
            self.query("select count(*) from pg_database where datname = 'deployed'"), "1")
        rules = [r["name"] for r in HOME.get(self.path + "/firewallRules").json["value"]]
        self.test.assertEqual(rules.count("deployed"), 1, rules)
        self.carry_out("DELETE", self.path + "/firewallRules/deployed")
        self.check_rows()

    def delete(self):
        self.carry_out("DELETE", self.path)
        wait_until("the server is gone", lambda: self.state() == 404, 60)
        wait_until("its postmaster is gone", lambda: len(HOME.postmasters()) == 1, 20)
        if self.data:
            wait_until("its folder is gone", lambda: not os.path.exists(self.data), 20)
        wait_until("its host name is refused", lambda: HOME.tls_answer(
            f"{self.name}.{howdah_client.DOMAIN}") == ("alert", howdah_client.UNRECOGNIZED_NAME))


class KillAtEveryStep(Case):
    def all_is_back(self, gateway):
        """Every process runs, once; the gateway's port is what it was."""
        HOME.ensure_howdahd()
        HOME.one("howdahd")
        HOME.one("howdah-agent")
        HOME.one("howdah-gateway")
        self.assertEqual(HOME.gateway_port, gateway, "the gateway came back on another port")
        with wait_until("the gateway accepts connections", self.gateway_answers):
            pass

    @staticmethod
    def gateway_answers():
        try:
            return HOME.connect()
        except OSError:
            return None

    def scenario(self, name):
        index = howdah_client.failpoints().index(name)
        life = Life(self, f"victim-{index}")
        wanted = NATURAL.get(name, Life.STEPS)
        hits = []
        gateway = HOME.gateway_port
        WATCHED.load()
        try:
            for step in life.steps(wanted):
                if step in wanted:
                    HOME.arm(name)
                getattr(life, step)()
                if name == "agent.pool.half_prepared" and step == "create":
                    wait_until("the pool is filled again", lambda: HOME.was_hit(name), 30)
                if HOME.disarm(name):
                    hits.append(step)
                    os.remove(os.path.join(HOME.failpoint_folder, name + ".hit"))
                self.all_is_back(gateway)
                complaints = WATCHED.complaints(name.startswith("gateway."))
                self.assertEqual(complaints, [], f"after {step}")
                WATCHED.load()
            self.check_operations()
        finally:
            HOME.disarm(name)
            HOME.ensure_howdahd()
            self.clean_up(life)
        sys.stderr.write(f"[killed in: {', '.join(hits) or 'nothing'}"
                         + (f"; ended Failed: {len(life.failed)}" if life.failed else "") + "] ")
        self.assertTrue(hits, f"the failpoint {name} was never hit")

    def check_operations(self):
        """No accepted operation is left unfinished, seen or not."""
        self.assertTrue(HOME.stored_operations(), "no operation is visible in the store")

        def open_ones():
            return [o for o in HOME.stored_operations() if o["status"] == "InProgress"]

        try:
            wait_until("no operation is in progress", lambda: not open_ones(), 30)
        except AssertionError as problem:
            raise AssertionError(f"still in progress: {open_ones()}") from problem
        for each in HOME.stored_operations():
            if each["status"] == "Failed":
                failure = each.get("failure") or {}
                self.assertTrue(failure.get("code") and failure.get("message"), each)

    @staticmethod
    def clean_up(life):
        """After a failed test: the next one starts with the bystander alone."""
        try:
            if life.state() != 404:
                HOME.operation(life.send("DELETE", life.path), timeout=30, restart=True)
        except (AssertionError, OSError) as error:
            sys.stderr.write(f"[left behind: {life.name}: {error}] ")

    def test_the_header_names_failpoints_of_all_three_processes(self):
        prefixes = {name.split(".")[0] for name in howdah_client.failpoints()}
        self.assertEqual(prefixes, {"howdahd", "agent", "gateway"})
        self.assertEqual(set(NATURAL) - set(howdah_client.failpoints()), set())


def _add(name):
    def test(self):
        self.scenario(name)

    words = name.replace(".", "_")
    setattr(KillAtEveryStep, f"test_killed_at_{words}_every_operation_ends_and_happens_once", test)


for _name in howdah_client.failpoints():
    # What needs backups is tried by test_replicas.py.
    if not _name.startswith("agent.replica."):
        _add(_name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
