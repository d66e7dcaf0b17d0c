"""A Howdah of three machines, which are network namespaces of this one: howdah-host joins them with
tickets, etcd holds what they agree on, and servers with a standby live on two of them."""

import json
import os
import subprocess
import unittest

from support import Case, howdah_client, require_binaries, wait_until
from failover_case import FailoverCase
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
            FailoverCase.pair = PAIR = SpreadPair(HOWDAH, "pair").create(zones=("2", "1"))
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
        one, home = self.host("one", "--ticket", "-", "--address", HOWDAH.machines[2].address)
        one.stdin.write(ticket + "\n")
        one.stdin.close()
        wait_until("it has joined", lambda: os.path.exists(os.path.join(home, "joined.json")))
        one.terminate()
        self.assertEqual(one.wait(20), 0)
        status, said = self.join(ticket, "two")
        self.assertEqual(status, 1, said)
        self.assertIn("the ticket is not valid", said)
        self.assertIn("howdah host add", said)

    def test_what_is_no_ticket_is_refused(self):
        for ticket in ("", "abc", "e30", "x" * 5000):
            status, said = self.join(ticket, "none")
            self.assertEqual(status, 1, said)
            self.assertIn("howdah host add", said)

    def test_options_that_would_have_no_effect_are_refused(self):
        for option in ("--address", "--gateway-source"):
            process, _ = self.host("none", option, "10.77.0.3")
            said, _ = process.communicate(timeout=20)
            self.assertEqual(process.returncode, 2, said)
            self.assertIn("--ticket", said)

    def test_names_and_zones_are_checked(self):
        for name, zone in (("-x", "1"), ("a%20b", "1"), ("x", "a/b"), ("y" * 64, "1")):
            answer = HOWDAH.first.call(
                "POST", f"/providers/Howdah.Platform/hosts/{name}/invite",
                {"properties": {"availabilityZone": zone}}, version="2026-11-01")
            self.assert_error(answer, 400)

    def host(self, name, *arguments):
        """howdah-host with a home of its own, on the third machine."""
        home = os.path.join(HOWDAH.first.dir, "hosts", name)
        os.makedirs(home, exist_ok=True)
        programs = os.path.join(HOWDAH.first.dir, "no-programs")
        with HOWDAH.machines[2].inside():
            process = subprocess.Popen(
                [howdah_client.binary("howdah-host"), "--home", home, "--programs", programs,
                 *arguments], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT)
        self.addCleanup(self.end, process)
        return process, home

    @staticmethod
    def end(process):
        process.kill()
        process.wait()
        for each in (process.stdin, process.stdout):
            each.close()

    def join(self, ticket, name):
        """For a ticket that is no good: the exit status, and what was said."""
        process, _ = self.host(name, "--ticket", "-", "--address", HOWDAH.machines[2].address)
        said, _ = process.communicate(ticket + "\n", timeout=20)
        return process.returncode, said

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


class Failover(FailoverCase):
    """The members are on the first machine, as howdahd is, and on the second; their client is on the
    third, and goes through the gateway there."""

    def setUp(self):
        inside = HOWDAH.machines[2].inside()
        inside.__enter__()
        self.addCleanup(inside.__exit__, None, None, None)
        HOWDAH.bring_back()
        super().setUp()

    def is_primary_in(self, zone):
        if self.before[0] != zone:
            HOWDAH.first.finish(PAIR.fail_over("PlannedFailover"))
            self.zones_were_exchanged()
            self.before = PAIR.zones()

    def test_a_planned_failover_goes_to_another_machine(self):
        self.assertNotEqual(*self.before)
        HOWDAH.first.finish(PAIR.fail_over("PlannedFailover"))
        self.zones_were_exchanged()
        self.nothing_is_lost()

    def test_b_howdahds_own_machine_is_lost_with_its_primary(self):
        self.is_primary_in("1")
        HOWDAH.kill_node("1")
        self.nothing_is_lost()
        HOWDAH.restart_node("1")
        self.zones_were_exchanged()

    def test_b_another_machine_is_lost(self):
        self.is_primary_in("2")
        HOWDAH.kill_node("2")
        self.nothing_is_lost()
        HOWDAH.restart_node("2")
        self.zones_were_exchanged()

    def test_c_the_network_of_the_primary_is_cut(self):
        """Its own PostgreSQL must be ended by itself; who is on that machine hears nothing."""
        primary = set(PAIR.postgres(self.before[0]))
        machine = HOWDAH.machine_in(self.before[0])
        machine.cut()
        try:
            self.goes_on()
            wait_until("the old primary has ended",
                       lambda: not primary & set(PAIR.postgres(self.before[0])), 30)
        finally:
            machine.mend()
        self.nothing_is_lost()
        self.zones_were_exchanged()

    def test_d_the_members_do_not_reach_each_other(self):
        """Both have etcd: the primary goes on alone, and nothing fails over."""
        one, two = (HOWDAH.machine_in(zone) for zone in self.before)
        one.cut_from(two)
        try:
            self.goes_on()
            self.assertEqual(PAIR.term(), self.term)
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
