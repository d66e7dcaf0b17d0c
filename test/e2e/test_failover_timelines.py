"""What is told of failovers: planned, forced, and when everything of a host was killed; and drills.
Through the shipped programs, with a client that knows how long it could not commit."""

import os
import signal
import unittest

from support import Case, started_home, wait_until
from failover_case import FailoverCase
from howdah_pair import Pair

HOME = None
PAIR = None
# The client's own connecting, and a machine that does other things.
MARGIN_MS = 300


def setUpModule():
    global HOME, PAIR
    HOME = started_home(arguments=("--agent-zones", "1,2"))
    try:
        FailoverCase.pair = PAIR = Pair(HOME, "told").create()
    except BaseException:
        tearDownModule()
        raise


def tearDownModule():
    if HOME:
        HOME.stop()


def path(rest):
    return f"{HOME.server_path(PAIR.name)}/{rest}"


def timelines():
    return HOME.get(path("howdahFailovers")).json["value"]


def reports():
    return HOME.get(path("howdahDrills")).json["value"]


def kinds(timeline):
    return [step["kind"] for step in timeline["steps"]]


class Timelines(FailoverCase):
    def told(self, timeout=90):
        """The timeline of the failover that this test made, when both members have told all."""
        def complete():
            found = [each for each in timelines() if each["properties"]["term"] > self.term]
            return found and found[-1]["properties"]["complete"]
        wait_until("both members have told all", complete, timeout)
        self.nothing_is_lost()
        name = str(self.term + 1)
        answer = HOME.get(path(f"howdahFailovers/{name}"))
        self.assertTrue(answer.headers.get("etag"))
        timeline = answer.json["properties"]
        print(f"client: {self.probe.longest_gap():.3f} s, members: {timeline['writesOut']}, "
              f"discarded: {timeline.get('discardedWalBytes')}")
        self.check(timeline)
        return timeline

    def check(self, timeline):
        """What holds for every failover."""
        self.assertEqual(timeline["term"], self.term + 1)
        times = [step["time"] for step in timeline["steps"]]
        self.assertEqual(times, sorted(times))
        self.assertEqual(timeline["firstSign"], timeline["steps"][0])
        self.assertNotEqual(timeline["oldPrimary"], timeline["newPrimary"])
        stopped = timeline["oldPrimaryStopped"]
        self.assertEqual(stopped["rule"], "L8")
        self.assertEqual(stopped["host"], timeline["newPrimary"])
        self.assertRegex(stopped["walPosition"], r"^[0-9A-F]+/[0-9A-F]+$")
        order = [stopped["time"], timeline["promotedTime"], timeline["openedTime"]]
        self.assertEqual(order, sorted(order))
        self.assertEqual(timeline["writesOut"]["to"], timeline["openedTime"])
        self.assertGreater(timeline["writesOut"]["milliseconds"], 0)
        self.assertLess(timeline["writesOut"]["milliseconds"],
                        1000 * self.probe.longest_gap() + MARGIN_MS)
        self.assertEqual(timeline["acknowledgedCommitsLost"], 0)
        self.assertGreaterEqual(timeline["discardedWalBytes"], 0)
        self.assertTrue(timeline["complete"])

    def test_a_planned_failover_discards_nothing(self):
        HOME.finish(PAIR.fail_over("PlannedFailover"))
        timeline = self.told()
        self.assertEqual(timeline["kind"], "Planned")
        self.assertEqual(timeline["firstSign"]["kind"], "PlannedFailoverAsked")
        self.assertEqual(timeline["takeOver"]["kind"], "HandedOver")
        self.assertEqual(timeline["takeOver"]["rule"], "L2")
        self.assertEqual(timeline["writesOut"]["fromStep"], "StopAsked")
        self.assertEqual(timeline["discardedWalBytes"], 0)
        self.assertNotIn("CopyBegun", kinds(timeline))
        self.assertNotIn("drill", timeline)

    def test_a_forced_failover_says_so(self):
        HOME.finish(PAIR.fail_over("ForcedFailover"))
        timeline = self.told()
        self.assertEqual(timeline["kind"], "Forced")
        self.assertEqual(timeline["takeOver"]["rule"], "L2")
        self.assertIn("PostgresEnded", kinds(timeline))
        self.assertIn("Rejoined", kinds(timeline))

    def test_a_killed_host_is_told_of_and_what_is_told_stays(self):
        HOME.kill("howdahd")  # which would start the agent again at once
        PAIR.kill_host(self.before[0])
        self.goes_on()
        HOME.start()
        timeline = self.told()
        self.assertEqual(timeline["kind"], "Unplanned")
        self.assertEqual(timeline["takeOver"]["kind"], "TakenOver")
        self.assertEqual(timeline["takeOver"]["rule"], "S6")
        self.assertEqual(timeline["writesOut"]["fromStep"], "StreamEnded")
        for kind in ("LastRenewal", "AgentStarted", "Promoted", "Opened", "Rejoined"):
            self.assertIn(kind, kinds(timeline))
        PAIR.wait_until_healthy()
        wait_until("the old copy is removed", lambda: "discardedWalKeptAt" not in HOME.get(
            path(f"howdahFailovers/{self.term + 1}")).json["properties"], 60)
        before = timelines()
        for zone in ("1", "2"):
            os.kill(PAIR.agent(zone), signal.SIGKILL)
        HOME.kill("howdahd")
        HOME.start()
        PAIR.wait_until_healthy()
        after = {each["name"]: each for each in timelines()}
        for each in before:
            self.assertEqual(after[each["name"]], each)

    def test_while_howdahd_is_down_the_members_remember(self):
        HOME.kill("howdahd")
        os.kill(PAIR.postmaster(self.before[0]), signal.SIGKILL)
        self.goes_on()
        HOME.start()
        timeline = self.told()
        self.assertEqual(timeline["kind"], "Unplanned")
        self.assertIn(timeline["firstSign"]["kind"], ("PostgresEnded", "StreamEnded"))
        self.assertEqual(timeline["takeOver"]["rule"], "L2")

    def test_a_drill_leaves_a_report_and_a_mark(self):
        answer = HOME.call("POST", path("howdahDrillFailover"), {"kind": "Planned"})
        self.assertEqual(answer.status, 202, repr(answer))
        name = answer.json["name"]
        second = HOME.call("POST", path("howdahDrillFailover"))
        self.assert_error(second, 409, "OperationNotAllowed")
        HOME.finish(answer)
        timeline = self.told()
        self.assertEqual(timeline["drill"], name)
        wait_until("the report is finished", lambda: HOME.get(
            path(f"howdahDrills/{name}")).json["properties"]["status"] == "Succeeded", 40)
        report = HOME.get(path(f"howdahDrills/{name}")).json["properties"]
        self.assertEqual(report["failover"], str(self.term + 1))
        self.assertEqual(report["trigger"], "Request")
        self.assertEqual(report["writesOutMilliseconds"], timeline["writesOut"]["milliseconds"])
        self.assertEqual(reports()[0]["name"], name)


class Schedules(Case):
    def setUp(self):
        HOME.ensure_howdahd()

    def test_a_schedule_is_set_shown_and_removed(self):
        schedule = path("howdahDrillSchedules/default")
        body = {"properties": {"recurrence": "Weekly"}}
        refused = HOME.call("PUT", schedule, body)
        self.assert_error(refused, 409, "OperationNotAllowed")
        self.assertIn("maintenance window", refused.error["message"])
        HOME.do("PATCH", HOME.server_path(PAIR.name), {"properties": {"maintenanceWindow": {
            "customWindow": "Enabled", "dayOfWeek": 0, "startHour": 3, "startMinute": 30}}},
                timeout=120)
        made = HOME.call("PUT", schedule, body)
        self.assertEqual(made.status, 201, repr(made))
        self.assertRegex(made.json["properties"]["nextTime"], r"T03:30:00\.000Z$")
        self.assertEqual(HOME.get(schedule).json, made.json)
        self.assertEqual(HOME.call("DELETE", schedule).status, 200)
        self.assertEqual(HOME.call("GET", schedule).status, 404)

    def test_a_drill_of_a_server_without_a_standby_is_refused(self):
        single = Pair(HOME, "single").create("Disabled")
        answer = HOME.call("POST", HOME.server_path(single.name) + "/howdahDrillFailover")
        self.assert_error(answer, 409, "OperationNotAllowed")
        self.assertIn("not highly available", answer.error["message"])
        HOME.do("DELETE", HOME.server_path(single.name))


if __name__ == "__main__":
    unittest.main(verbosity=2)
