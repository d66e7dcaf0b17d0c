"""A server with a standby, through the shipped programs: two agents of one machine are two hosts in
two zones. What users ask for, and what goes on by itself when something dies."""

import glob
import os
import signal
import unittest

from support import Case, run_guide, started_home, wait_until
from failover_case import FailoverCase
from howdah_pair import SKU, Pair, signal_all

HOME = None
PAIR = None


def setUpModule():
    global HOME, PAIR
    HOME = started_home(arguments=("--agent-zones", "1,2"))
    try:
        FailoverCase.pair = PAIR = Pair(HOME, "pair").create()
    except BaseException:
        tearDownModule()
        raise


def tearDownModule():
    if HOME:
        HOME.stop()


class Failover(FailoverCase):
    def test_a_planned_failover_exchanges_the_zones(self):
        self.assertEqual(sorted(self.before), ["1", "2"])
        HOME.finish(PAIR.fail_over("PlannedFailover"))
        self.assertEqual(PAIR.zones(), (self.before[1], self.before[0]))
        self.zones_were_exchanged()
        self.nothing_is_lost()
        self.assertEqual(PAIR.properties()["state"], "Ready")

    def test_a_forced_failover_ends_the_primary_at_once(self):
        HOME.finish(PAIR.fail_over("ForcedFailover"))
        self.assertEqual(PAIR.zones(), (self.before[1], self.before[0]))
        self.zones_were_exchanged()
        self.nothing_is_lost()

    def test_with_agent_and_howdahd_dead_the_standby_takes_over(self):
        HOME.kill("howdahd")
        PAIR.kill_host(self.before[0])
        self.nothing_is_lost()
        HOME.start()
        self.zones_were_exchanged()

    def test_a_primary_whose_agent_is_dead_is_fenced(self):
        primary = PAIR.postgres(self.before[0])
        HOME.kill("howdahd")
        os.kill(PAIR.agent(self.before[0]), signal.SIGKILL)
        self.nothing_is_lost()
        wait_until("the old primary was ended",
                   lambda: not set(primary) & set(PAIR.postgres(self.before[0])), 10)
        HOME.start()
        self.zones_were_exchanged()

    def test_a_stopped_primary_that_is_continued_is_no_second_one(self):
        stopped = PAIR.postgres(self.before[0])
        signal_all(stopped, signal.SIGSTOP)
        try:
            self.goes_on()
        finally:
            signal_all(stopped, signal.SIGCONT)
        self.nothing_is_lost()
        self.zones_were_exchanged()


class Wishes(Case):
    def test_enable_fail_over_stop_start_disable_and_delete(self):
        grown = Pair(HOME, "grown").create("Disabled")
        HOME.psql(grown.name, "create table t as select 1 as x")
        self.assertEqual(grown.availability(), {"mode": "Disabled", "state": "NotEnabled"})
        refused = grown.fail_over("PlannedFailover")
        self.assertGreaterEqual(refused.status, 400, repr(refused))
        pid = HOME.backend(grown.name)["pid"]
        grown.patch("ZoneRedundant")
        self.assertEqual(HOME.backend(grown.name)["pid"], pid, "it was restarted")
        self.assertEqual(grown.availability()["state"], "Healthy")
        HOME.finish(grown.fail_over("PlannedFailover"))
        self.assertEqual(HOME.psql(grown.name, "select x from t"), "1")
        grown.wait_until_healthy()
        HOME.set_parameter(grown.name, "work_mem", "7000")
        self.assertEqual(HOME.psql(grown.name, "show work_mem"), "7000kB")

        HOME.finish(HOME.call("POST", HOME.server_path(grown.name) + "/stop"))
        self.assertEqual(grown.properties()["state"], "Stopped")
        HOME.finish(HOME.call("POST", HOME.server_path(grown.name) + "/start"))
        self.assertEqual(HOME.psql(grown.name, "select x from t"), "1")
        grown.wait_until_healthy()

        grown.patch("Disabled")
        self.assertEqual(grown.availability(), {"mode": "Disabled", "state": "NotEnabled"})
        HOME.psql(grown.name, "insert into t values (2)")
        self.assertEqual(len(self.instances()), 3)  # the pair's and this one's
        grown.patch("ZoneRedundant")
        HOME.finish(grown.fail_over("ForcedFailover"))
        self.assertEqual(HOME.psql(grown.name, "select sum(x) from t"), "3")
        HOME.do("DELETE", HOME.server_path(grown.name))
        self.assertEqual(len(self.instances()), 2)

    def test_a_standby_that_is_being_built_can_be_called_off(self):
        server = Pair(HOME, "hasty").create("Disabled")
        path = HOME.server_path(server.name)
        before = len(self.instances())
        begun = HOME.call("PATCH", path, {"properties": {"highAvailability": {
            "mode": "ZoneRedundant"}}})
        copies = wait_until("the copy has begun", lambda: [
            p.pid for p in HOME.processes() if p.name == "pg_basebackup"], 60, 0.002)
        signal_all(copies, signal.SIGSTOP)
        self.assertEqual(server.availability()["state"], "CreatingStandby")
        server.patch("Disabled")
        self.assertEqual(server.availability(), {"mode": "Disabled", "state": "NotEnabled"})
        self.assertIn(HOME.operation(begun)["status"], ("Succeeded", "Canceled"))
        self.assertEqual(len(self.instances()), before, "something of the standby is left")
        self.assertFalse([p for p in HOME.processes() if p.pid in copies])
        self.assertEqual(HOME.psql(server.name, "select 1"), "1")
        HOME.do("DELETE", path)

    @staticmethod
    def instances():
        return glob.glob(os.path.join(HOME.dir, "agent*", "instances", "*"))

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

    def test_the_commands_of_the_guide(self):
        self.assertIn("Healthy", run_guide(HOME, "high-availability.md"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
