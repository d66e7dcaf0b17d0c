"""The data plane never depends on the control plane: what dies, and who does not notice."""

import json
import os
import signal
import threading
import time
import unittest

from support import Case, howdah_client, started_home, wait_until
from howdah_client import DOMAIN, UNRECOGNIZED_NAME, Bench, PidWatch, process

HOME = None
NAME = "steady"


def setUpModule():
    global HOME
    HOME = started_home()
    try:
        HOME.create_server(NAME)
        HOME.psql(NAME, "create table bench(id int primary key, n bigint);"
                        "insert into bench values (1, 0), (2, 0)")
    except BaseException:
        tearDownModule()
        raise


def tearDownModule():
    if HOME:
        HOME.stop()


class ControlPlaneDown(Case):
    def setUp(self):
        HOME.ensure_howdahd()
        for name in ("howdah-agent", "howdah-gateway"):
            HOME.one(name)
        self.backend = HOME.backend(NAME)
        self.benches = []

    def tearDown(self):
        for bench in self.benches:
            bench.stop()

    def bench(self, **options):
        bench = Bench(HOME, NAME, **options)
        self.benches.append(bench)
        wait_until("pgbench makes progress", lambda: bench.errors() or bench.progressed())
        self.assertEqual(bench.errors(), "")
        return bench

    def go_on(self, bench, seconds=2):
        """The load goes on without an error for some more of its seconds."""
        now = bench.progressed()
        wait_until("pgbench makes more progress",
                   lambda: bench.errors() or bench.progressed() >= now + seconds, 20)
        self.assertEqual(bench.errors(), "")

    def same_postmaster(self):
        now = process(self.backend["pid"])
        self.assertTrue(now is not None and now.start == self.backend["start"],
                        "the postmaster is another one")
        self.assertEqual(HOME.backend(NAME)["pid"], self.backend["pid"])

    def test_with_howdahd_dead_servers_and_gateway_go_on(self):
        bench = self.bench()
        HOME.kill("howdahd")
        self.go_on(bench)
        self.assertEqual(HOME.psql(NAME, "select 1"), "1")
        self.assertEqual(HOME.tls_answer(f"nobody.{DOMAIN}"), ("alert", UNRECOGNIZED_NAME))
        self.same_postmaster()
        agent, gateway = HOME.one("howdah-agent"), HOME.one("howdah-gateway")
        HOME.start()
        self.assertEqual((HOME.one("howdah-agent"), HOME.one("howdah-gateway")), (agent, gateway),
                         "howdahd did not adopt what ran")
        self.go_on(bench)
        self.assertEqual(HOME.get(HOME.server_path(NAME)).json["properties"]["state"], "Ready")

    def test_with_everything_of_howdah_dead_but_the_gateway_clients_still_come_in(self):
        bench = self.bench()
        HOME.kill("howdahd")
        HOME.kill("howdah-agent")
        self.go_on(bench)
        self.assertEqual(HOME.psql(NAME, "select 1"), "1")
        HOME.start()
        HOME.one("howdah-agent")
        self.same_postmaster()
        self.go_on(bench)

    def test_with_howdahd_and_agent_dead_a_new_gateway_serves_from_its_file(self):
        HOME.kill("howdahd")
        HOME.kill("howdah-agent")
        port = HOME.gateway_port
        HOME.kill("howdah-gateway")
        HOME.start()
        self.assertEqual(HOME.gateway_port, port)
        wait_until("the gateway lets in again",
                   lambda: HOME.psql(NAME, "select 1", check=False).returncode == 0, 20)
        self.same_postmaster()

    def test_a_killed_agent_comes_back_and_adopts_its_postmaster(self):
        bench = self.bench()
        watch = PidWatch(self.backend["data"])
        HOME.kill("howdah-agent")
        HOME.one("howdah-agent")
        HOME.set_parameter(NAME, "work_mem", "7000")  # the new agent has it in its hands
        self.assertEqual(HOME.psql(NAME, "show work_mem"), "7000kB")
        self.same_postmaster()
        self.assertEqual(watch.stop(), 1)
        self.go_on(bench)

    def test_an_adopted_postmaster_that_dies_is_started_again(self):
        HOME.kill("howdah-agent")
        HOME.one("howdah-agent")
        HOME.set_parameter(NAME, "work_mem", "7001")
        os.kill(self.backend["pid"], signal.SIGKILL)
        wait_until("the server answers again", lambda: HOME.psql(
            NAME, "select 1", check=False).returncode == 0, 30)
        self.assertNotEqual(HOME.backend(NAME)["pid"], self.backend["pid"])

    def test_a_postmaster_that_died_while_the_agent_was_away_is_started_again(self):
        HOME.kill("howdahd")
        HOME.kill("howdah-agent")
        os.kill(self.backend["pid"], signal.SIGKILL)
        HOME.start()
        wait_until("the server answers again", lambda: HOME.psql(
            NAME, "select 1", check=False).returncode == 0, 30)

    def test_a_dead_postmaster_comes_back_although_howdahd_is_dead(self):
        HOME.kill("howdahd")
        os.kill(self.backend["pid"], signal.SIGKILL)
        wait_until("the server answers again", lambda: HOME.psql(
            NAME, "select 1", check=False).returncode == 0, 30)
        HOME.start()
        self.assertEqual(HOME.psql(NAME, "select 1"), "1")

    def test_a_pid_file_of_another_process_is_not_adopted(self):
        """Pids are reused: a pid file that names a living stranger must not save it the start,
        nor cost the stranger its life."""
        HOME.kill("howdahd")
        HOME.kill("howdah-agent")
        stranger = os.getpid()
        os.kill(self.backend["pid"], signal.SIGKILL)
        wait_until("all of that server's processes are gone", lambda: not [
            p for p in HOME.processes() if p.cwd == self.backend["data"]], 30)
        file = os.path.join(self.backend["data"], "postmaster.pid")
        with open(file, encoding="utf-8") as old:
            lines = old.read().splitlines()
        lines[0] = str(stranger)
        with open(file, "w", encoding="utf-8") as new:
            new.write("\n".join(lines) + "\n")
        HOME.start()
        wait_until("the server answers again", lambda: HOME.psql(
            NAME, "select 1", check=False).returncode == 0, 60)

    def test_sigterm_to_howdahd_leaves_postgres_running(self):
        HOME.process.terminate()
        self.assertEqual(HOME.process.wait(20), 0)
        self.same_running()
        HOME.start()
        self.same_postmaster()
        self.assertEqual(HOME.psql(NAME, "select 1"), "1")

    def same_running(self):
        now = process(self.backend["pid"])
        self.assertTrue(now is not None and now.start == self.backend["start"])

    def test_a_second_howdahd_on_the_same_home_refuses_to_start(self):
        first = HOME.process
        second = howdah_client.subprocess.run(
            HOME.command(), cwd="/", stdin=howdah_client.subprocess.DEVNULL, capture_output=True,
            text=True, timeout=30, check=False)
        self.assertNotEqual(second.returncode, 0)
        self.assertTrue(second.stderr.strip())
        self.assertIsNone(first.poll())
        self.assertEqual(HOME.psql(NAME, "select 1"), "1")
        HOME.one("howdah-gateway")

    def test_a_token_outlives_a_restart_of_howdahd(self):
        token = HOME.token(fresh=True)
        HOME.kill("howdahd")
        HOME.start()
        answer = HOME.call("GET", HOME.server_path(NAME), token=token)
        self.assertEqual(answer.status, 200, repr(answer))

    def test_a_request_during_an_agents_absence_is_accepted_and_carried_out_later(self):
        agent = HOME.one("howdah-agent")
        os.kill(agent, signal.SIGSTOP)
        try:
            answer = HOME.call("PATCH", HOME.server_path(NAME) + "/configurations/work_mem",
                               {"properties": {"value": "7002", "source": "user-override"}})
            self.assertIn(answer.status, (200, 201, 202), repr(answer))
            self.assertEqual(HOME.psql(NAME, "select 1"), "1")
        finally:
            os.kill(agent, signal.SIGCONT)
        HOME.finish(answer)
        self.assertEqual(HOME.psql(NAME, "show work_mem"), "7002kB")

    def upgrade(self):
        """The program begins anew in the same process (docs/adr/0006), with all its sessions."""
        pid = HOME.one("howdah-gateway")
        before = json.loads(HOME.gateway_command("stats"))
        answer = json.loads(HOME.gateway_command("upgrade"))
        self.assertTrue(answer.get("upgraded"), answer)
        self.assertEqual(HOME.pids("howdah-gateway"), [pid])
        after = json.loads(HOME.gateway_command("stats"))
        self.assertEqual(after["upgrades"], before["upgrades"] + 1)
        return pid

    def test_the_gateway_is_upgraded_under_load_without_an_error(self):
        bench = self.bench(script="update bench set n = n + 1 where id = 1;\n", rate=200, clients=4)
        reconnecting = self.bench(script="select 1;\n", rate=10, arguments=("-C",))
        self.upgrade()
        self.go_on(bench, 3)
        self.go_on(reconnecting, 3)
        self.assertEqual(HOME.psql(NAME, "select 1"), "1")
        bench.stop()
        reconnecting.stop()
        self.assertEqual(HOME.psql(NAME, "select 1"), "1")
        self.assertTrue(HOME.server_stats(NAME))

    def test_the_gateway_is_upgraded_twice_in_a_row_and_new_clients_never_wait_long(self):
        slow, errors, stop = [], [], threading.Event()

        def connect():
            while not stop.is_set():
                begin = time.monotonic()
                result = HOME.psql(NAME, "select 1", check=False)
                if result.returncode != 0:
                    errors.append(result.stderr)
                slow.append(time.monotonic() - begin)

        thread = threading.Thread(target=connect)
        thread.start()
        try:
            for _ in range(2):
                self.upgrade()
        finally:
            stop.set()
            thread.join()
        self.assertEqual(errors, [])
        self.assertLess(max(slow), 5)

    def test_after_an_upgrade_howdahd_watches_over_the_new_gateway(self):
        self.upgrade()
        HOME.kill("howdah-gateway")
        HOME.one("howdah-gateway")
        wait_until("the gateway lets in again",
                   lambda: HOME.psql(NAME, "select 1", check=False).returncode == 0, 20)


if __name__ == "__main__":
    unittest.main(verbosity=2)
