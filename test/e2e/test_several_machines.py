"""A Howdah of three machines, which are network namespaces of this one: howdah-host joins them with
tickets, etcd holds what they agree on, and servers with a standby live on two of them."""

import json
import os
import subprocess
import unittest

from support import Case, howdah_client, require_binaries, wait_until
from howdah_pair import SKU
from machines import SeveralMachines, SpreadPair, why_not

HOWDAH = None
PAIR = None
REASON = why_not()


def setUpModule():
    global HOWDAH, PAIR
    if REASON:
        raise unittest.SkipTest("SKIPPED: " + REASON)
    require_binaries()
    HOWDAH = SeveralMachines().__enter__()
    try:
        with HOWDAH.machines[0].inside():
            PAIR = SpreadPair(HOWDAH, "pair").create()
    except BaseException:
        tearDownModule()
        raise


def tearDownModule():
    if HOWDAH:
        HOWDAH.__exit__()


class OnFirst(Case):
    """Tests and their clients are on the first machine."""

    def setUp(self):
        inside = HOWDAH.machines[0].inside()
        inside.__enter__()
        self.addCleanup(inside.__exit__, None, None, None)


class Joining(OnFirst):
    def test_the_machines_are_listed(self):
        hosts = {h["properties"]["hostName"]: h["properties"] for h in HOWDAH.hosts()}
        self.assertEqual({h["availabilityZone"] for h in hosts.values()}, {"1", "2", "3"})
        self.assertEqual(hosts["b"]["availabilityZone"], "2")
        self.assertEqual(hosts["c"]["address"], HOWDAH.machines[2].address)

    def test_a_ticket_is_good_once(self):
        ticket = HOWDAH.ticket("again", "1")
        done = [self.join(ticket, name) for name in ("one", "two")]
        self.assertEqual(done[0].returncode, 124, done[0].stdout)  # it ran until it was ended
        self.assertEqual(done[1].returncode, 1)
        self.assertIn("the ticket is not valid", done[1].stdout)
        self.assertIn("howdah host add", done[1].stdout)

    def test_what_is_no_ticket_is_refused(self):
        for ticket in ("", "abc", "e30", "x" * 5000):
            done = self.join(ticket, "none")
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn("howdah host add", done.stdout)

    def test_names_and_zones_are_checked(self):
        for name, zone in (("-x", "1"), ("a%20b", "1"), ("x", "a/b"), ("y" * 64, "1")):
            answer = HOWDAH.first.call(
                "POST", f"/providers/Howdah.Platform/hosts/{name}/invite",
                {"properties": {"availabilityZone": zone}}, version="2026-11-01")
            self.assert_error(answer, 400)

    def join(self, ticket, name):
        """howdah-host with a home of its own, on the third machine, for a few seconds at most."""
        home = os.path.join(HOWDAH.first.dir, "hosts", name)
        os.makedirs(home, exist_ok=True)
        programs = os.path.join(HOWDAH.first.dir, "no-programs")
        with HOWDAH.machines[2].inside():
            return subprocess.run(
                ["timeout", "4", howdah_client.binary("howdah-host"), "--home", home, "--address",
                 HOWDAH.machines[2].address, "--programs", programs, "--ticket", "-"],
                input=ticket + "\n", text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                check=False)

    def test_the_command_line_shows_machines_and_makes_tickets(self):
        home = HOWDAH.first
        environment = {"PATH": os.environ["PATH"], "HOME": home.user_folder, "LANG": "C.UTF-8"}
        credentials = os.path.join(home.dir, "howdahd", "bootstrap-credentials.json")

        def howdah(*arguments):
            return subprocess.run([howdah_client.binary("howdah"), *arguments], text=True,
                                  capture_output=True, check=True, env=environment).stdout

        howdah("login", "--credentials", credentials)
        shown = json.loads(howdah("host", "list", "-o", "json"))
        self.assertEqual(len(shown), len(HOWDAH.hosts()))
        made = json.loads(howdah("host", "add", "d", "--zone", "2", "-o", "json"))
        self.assertIn(made["ticket"], made["command"])
        self.assertIn("howdah-host --address", howdah("host", "add", "d", "-o", "table"))


class Servers(OnFirst):
    def test_every_gateway_leads_to_every_server(self):
        home = HOWDAH.first
        home.create_server("far", properties={"availabilityZone": "3"})
        self.assertEqual(home.psql("far", "select 1"), "1")
        home.psql("far", "create table t as select 7 as x")
        for machine in HOWDAH.machines:
            with machine.inside():
                environment, conninfo = home.client("far")
                conninfo = conninfo.replace(f"hostaddr={HOWDAH.machines[0].address}",
                                            f"hostaddr={machine.address}")
                done = subprocess.run(["psql", "-XqAt", "-d", conninfo, "-c", "select x from t"],
                                      env=environment, capture_output=True, text=True, check=False)
                self.assertEqual(done.stdout, "7\n", done.stderr)

    def test_nobody_but_gateways_gets_in_past_them(self):
        """From a machine's own address, with the right password and TLS."""
        zone = PAIR.zones()[0]
        postmaster = PAIR.postmaster(zone)
        with open(f"/proc/{postmaster}/cwd/postmaster.pid", encoding="utf-8") as file:
            port = file.read().splitlines()[3]
        environment, _ = HOWDAH.first.client("pair")
        target = HOWDAH.machine_in(zone)
        for machine in HOWDAH.machines:
            with machine.inside():
                done = subprocess.run(
                    ["psql", "-XqAt", "-d", f"host={target.address} port={port} dbname=postgres "
                     f"user={howdah_client.ADMIN} sslmode=require", "-c", "select 1"],
                    env=environment, capture_output=True, text=True, check=False)
                self.assertIn("pg_hba.conf", done.stderr, f"from {machine.address}")


class Failover(OnFirst):
    def setUp(self):
        super().setUp()
        HOWDAH.first.ensure_howdahd()
        PAIR.wait_until_healthy()
        self.before = PAIR.zones()
        self.probe = PAIR.probe().start()
        self.assertTrue(self.probe.wait_for_more(), self.probe.errors[-3:])

    def tearDown(self):
        self.probe.stop()

    def nothing_is_lost(self):
        self.assertTrue(self.probe.wait_for_more(timeout=30), self.probe.errors[-3:])
        self.probe.stop()
        self.assertEqual(self.probe.lost(), [])
        print(f"longest time without a commit: {self.probe.longest_gap():.3f} s")

    def zones_were_exchanged(self):
        wait_until("the API has seen the failover",
                   lambda: PAIR.zones() == (self.before[1], self.before[0]), 30)
        PAIR.wait_until_healthy()

    def test_a_planned_failover_goes_to_another_machine(self):
        self.assertNotEqual(*self.before)
        HOWDAH.first.finish(PAIR.fail_over("PlannedFailover"))
        self.zones_were_exchanged()
        self.nothing_is_lost()

    def test_b_a_lost_machine_is_replaced_by_the_other(self):
        HOWDAH.kill_node(self.before[0])
        self.nothing_is_lost()
        HOWDAH.restart_node(self.before[0])
        self.zones_were_exchanged()

    def test_c_the_network_of_the_primary_is_cut(self):
        """Its own PostgreSQL must be ended by itself; who is on that machine hears nothing."""
        if self.before[0] == "1":  # where the client is
            HOWDAH.first.finish(PAIR.fail_over("PlannedFailover"))
            self.zones_were_exchanged()
            self.before = PAIR.zones()
        primary = set(PAIR.postgres(self.before[0]))
        machine = HOWDAH.machine_in(self.before[0])
        machine.cut()
        try:
            self.assertTrue(self.probe.wait_for_more(timeout=30), self.probe.errors[-3:])
            wait_until("the old primary has ended",
                       lambda: not primary & set(PAIR.postgres(self.before[0])), 10)
        finally:
            machine.mend()
        self.nothing_is_lost()
        self.zones_were_exchanged()

    def test_d_the_members_do_not_reach_each_other(self):
        """Both have etcd: the primary goes on alone, and nothing fails over."""
        one, two = (HOWDAH.machine_in(zone) for zone in self.before)
        term = PAIR.term()
        one.cut_from(two)
        try:
            self.assertTrue(self.probe.wait_for_more(timeout=30), self.probe.errors[-3:])
            self.assertEqual(PAIR.term(), term)
        finally:
            one.mend_to(two)
        self.nothing_is_lost()
        PAIR.wait_until_healthy()
        self.assertEqual(PAIR.zones(), self.before)

    def test_e_without_howdahd_the_standby_takes_over(self):
        HOWDAH.first.kill("howdahd")
        os.kill(PAIR.postmaster(self.before[0]), 9)
        self.nothing_is_lost()
        HOWDAH.first.start()
        self.zones_were_exchanged()


if __name__ == "__main__":
    unittest.main()
