"""A server with a standby, through the shipped programs: two agents of one machine are two hosts in
two zones. What users ask for, and what goes on by itself when something dies."""

import glob
import json
import os
import signal
import subprocess
import unittest

from support import Case, howdah_client, started_home, wait_until
from commit_probe import CommitProbe

HOME = None
SKU = {"name": "Standard_D2ds_v5", "tier": "GeneralPurpose"}
PAIR = "pair"


def setUpModule():
    global HOME
    HOME = started_home(arguments=("--agent-zones", "1,2"))
    try:
        HOME.create_server(PAIR, sku=SKU, properties={
            "highAvailability": {"mode": "ZoneRedundant"}})
    except BaseException:
        tearDownModule()
        raise


def tearDownModule():
    if HOME:
        HOME.stop()


def server(name=PAIR):
    return HOME.get(HOME.server_path(name)).json


def availability(name=PAIR):
    return server(name)["properties"]["highAvailability"]


def is_healthy(name=PAIR):
    return availability(name)["state"] == "Healthy"


def zones(name=PAIR):
    """Of the primary and of the standby."""
    properties = server(name)["properties"]
    zone = properties.get("availabilityZone") or server(name).get("availabilityZone")
    return zone, properties["highAvailability"].get("standbyAvailabilityZone")


def agent_of_zone(zone):
    """The pid of the agent, the folder of its data."""
    folder = os.path.join(HOME.dir, "agent" if zone == "1" else f"agent-{zone}")
    for each in HOME.processes():
        if each.name == "howdah-agent" and ["--zone", zone] == each.argv[
                each.argv.index("--zone"):each.argv.index("--zone") + 2]:
            return each.pid, folder
    raise AssertionError(f"there is no agent in zone {zone}")


def postgres_of(folder):
    return [p.pid for p in HOME.processes()
            if p.name == "postgres" and p.cwd.startswith(folder + "/")]


def signal_all(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def probe(name=PAIR):
    environment, conninfo = HOME.client(name)
    return CommitProbe(f"{conninfo} password={environment['PGPASSWORD']} "
                       f"sslrootcert={environment['PGSSLROOTCERT']} connect_timeout=10").prepare()


def fail_over(mode, name=PAIR):
    return HOME.call("POST", HOME.server_path(name) + "/restart",
                     {"restartWithFailover": True, "failoverMode": mode})


class Failover(Case):
    def setUp(self):
        HOME.ensure_howdahd()
        wait_until("the server is healthy", is_healthy, 90)
        self.probe = probe().start()
        self.assertTrue(self.probe.wait_for_more(), self.probe.errors[-3:])

    def tearDown(self):
        self.probe.stop()

    def nothing_is_lost(self):
        self.assertTrue(self.probe.wait_for_more(), self.probe.errors[-3:])
        self.probe.stop()
        self.assertEqual(self.probe.lost(), [])
        print(f"longest time without a commit: {self.probe.longest_gap():.3f} s")

    def test_a_planned_failover_exchanges_the_zones(self):
        before = zones()
        self.assertEqual(sorted(before), ["1", "2"])
        HOME.finish(fail_over("PlannedFailover"))
        self.assertEqual(zones(), (before[1], before[0]))
        wait_until("the former primary is the standby", is_healthy, 60)
        self.nothing_is_lost()
        self.assertEqual(server()["properties"]["state"], "Ready")

    def test_a_forced_failover_ends_the_primary_at_once(self):
        before = zones()
        HOME.finish(fail_over("ForcedFailover"))
        self.assertEqual(zones(), (before[1], before[0]))
        wait_until("the former primary is the standby", is_healthy, 60)
        self.nothing_is_lost()

    def test_with_agent_and_howdahd_dead_the_standby_takes_over(self):
        before = zones()
        agent, folder = agent_of_zone(before[0])
        HOME.kill("howdahd")
        signal_all([agent, *postgres_of(folder)], signal.SIGKILL)
        self.nothing_is_lost()
        HOME.start()
        wait_until("the API has seen the failover",
                   lambda: zones() == (before[1], before[0]), 30)
        wait_until("the lost host has a standby again", is_healthy, 90)

    def test_a_primary_whose_agent_is_dead_is_fenced(self):
        before = zones()
        agent, folder = agent_of_zone(before[0])
        primary = postgres_of(folder)
        HOME.kill("howdahd")
        os.kill(agent, signal.SIGKILL)
        self.nothing_is_lost()
        wait_until("the old primary was ended",
                   lambda: not set(primary) & set(postgres_of(folder)), 10)
        HOME.start()
        wait_until("the API has seen the failover",
                   lambda: zones() == (before[1], before[0]), 30)
        wait_until("the host has a standby again", is_healthy, 90)

    def test_a_stopped_primary_that_is_continued_is_no_second_one(self):
        before = zones()
        _, folder = agent_of_zone(before[0])
        stopped = postgres_of(folder)
        signal_all(stopped, signal.SIGSTOP)
        try:
            self.assertTrue(self.probe.wait_for_more(timeout=30), self.probe.errors[-3:])
        finally:
            signal_all(stopped, signal.SIGCONT)
        self.nothing_is_lost()
        wait_until("the former primary is the standby", is_healthy, 90)
        self.assertEqual(zones(), (before[1], before[0]))


class Wishes(Case):
    def test_enable_fail_over_stop_start_disable_and_delete(self):
        name = "grown"
        HOME.create_server(name, sku=SKU)
        HOME.psql(name, "create table t as select 1 as x")
        self.assertEqual(availability(name), {"mode": "Disabled", "state": "NotEnabled"})
        refused = fail_over("PlannedFailover", name)
        self.assertGreaterEqual(refused.status, 400, repr(refused))
        pid = HOME.backend(name)["pid"]
        HOME.do("PATCH", HOME.server_path(name),
                {"properties": {"highAvailability": {"mode": "ZoneRedundant"}}}, timeout=120)
        self.assertEqual(HOME.backend(name)["pid"], pid, "it was restarted")
        self.assertEqual(availability(name)["state"], "Healthy")
        HOME.finish(fail_over("PlannedFailover", name))
        self.assertEqual(HOME.psql(name, "select x from t"), "1")
        wait_until("the pair is healthy", lambda: is_healthy(name), 60)
        HOME.set_parameter(name, "work_mem", "7000")
        self.assertEqual(HOME.psql(name, "show work_mem"), "7000kB")

        HOME.finish(HOME.call("POST", HOME.server_path(name) + "/stop"))
        self.assertEqual(server(name)["properties"]["state"], "Stopped")
        HOME.finish(HOME.call("POST", HOME.server_path(name) + "/start"))
        self.assertEqual(HOME.psql(name, "select x from t"), "1")
        wait_until("the pair is healthy", lambda: is_healthy(name), 60)

        HOME.do("PATCH", HOME.server_path(name),
                {"properties": {"highAvailability": {"mode": "Disabled"}}}, timeout=120)
        self.assertEqual(availability(name), {"mode": "Disabled", "state": "NotEnabled"})
        HOME.psql(name, "insert into t values (2)")
        folders = glob.glob(os.path.join(HOME.dir, "agent*", "instances", "*"))
        self.assertEqual(len(folders), 3, folders)  # the pair's and this one's

        HOME.do("PATCH", HOME.server_path(name),
                {"properties": {"highAvailability": {"mode": "ZoneRedundant"}}}, timeout=120)
        HOME.finish(fail_over("ForcedFailover", name))
        self.assertEqual(HOME.psql(name, "select sum(x) from t"), "3")
        HOME.do("DELETE", HOME.server_path(name))
        folders = glob.glob(os.path.join(HOME.dir, "agent*", "instances", "*"))
        self.assertEqual(len(folders), 2, folders)

    def test_what_cannot_be_is_refused_clearly(self):
        burstable = HOME.call("PUT", HOME.server_path("small"), HOME.server_body(
            "small", properties={"highAvailability": {"mode": "SameZone"}}))
        self.assertEqual(burstable.status, 400, repr(burstable))
        same = HOME.call("PUT", HOME.server_path("same"), HOME.server_body(
            "same", sku=SKU, properties={"highAvailability": {"mode": "SameZone"}}))
        self.assertIn(same.status, (400, 409), repr(same))  # each zone has one host
        self.assertTrue(same.error["message"])
        unknown = HOME.call("PUT", HOME.server_path("far"), HOME.server_body(
            "far", sku=SKU, properties={"highAvailability": {
                "mode": "ZoneRedundant", "standbyAvailabilityZone": "9"}}))
        self.assertGreaterEqual(unknown.status, 400, repr(unknown))

    def test_the_command_line_fails_over_and_shows_it(self):
        wait_until("the server is healthy", is_healthy, 90)
        before = zones()

        def howdah(*arguments):
            return subprocess.run(
                [howdah_client.binary("howdah"), *arguments], text=True,
                env={"PATH": os.environ["PATH"], "HOME": HOME.user_folder, "LANG": "C.UTF-8"},
                stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)

        login = howdah("login", "--credentials",
                       os.path.join(HOME.dir, "howdahd", "bootstrap-credentials.json"))
        self.assertEqual(login.returncode, 0, login.stderr)
        done = howdah("server", "failover", "--planned", "-n", PAIR, "-g", HOME.group)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(zones(), (before[1], before[0]))
        shown = howdah("server", "show", "-n", PAIR, "-g", HOME.group, "--output", "json")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        shown = json.loads(shown.stdout)
        self.assertEqual(shown["properties"]["highAvailability"]["mode"], "ZoneRedundant")


if __name__ == "__main__":
    unittest.main(verbosity=2)
