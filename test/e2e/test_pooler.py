#!/usr/bin/env python3
"""Connections through PgBouncer, by the server parameter pgbouncer.enabled: what clients get, and that a
planned failover or a restart costs them no error."""

import base64
import glob
import hashlib
import hmac
import json
import os
import pwd
import re
import subprocess
import time
import unittest

from support import Case, howdah_client, run_guide, started_home, wait_until
from howdah_pair import SKU, Pair

HOME = None
PAIR = None
PORT = None
CLIENTS = 8
SCRIPT = """INSERT INTO pooled (v) VALUES (1);
SELECT count(*) FROM (SELECT 1 FROM pooled LIMIT 5) AS few;
"""


def pooler_port():
    return PAIR.properties()["howdah"].get("poolerPort")


def setUpModule():
    global HOME, PAIR, PORT
    HOME = started_home(arguments=("--agent-zones", "1,2"))
    try:
        PAIR = Pair(HOME, "pair").create()
        HOME.set_parameter("pair", "pgbouncer.enabled", "true")
        PORT = wait_until("the port of pooled servers is known", pooler_port, 30)
        wait_until("PgBouncer lets clients in",
                   lambda: HOME.psql("pair", "SELECT 1", check=False, port=PORT).returncode == 0, 30)
        HOME.psql("pair", "CREATE TABLE pooled (id bigserial PRIMARY KEY, v int)")
    except BaseException:
        tearDownModule()
        raise


def tearDownModule():
    if HOME:
        HOME.stop()


class Pgbench:
    """pgbench through the pooler, meanwhile."""

    def __init__(self, seconds):
        self.script = os.path.join(HOME.folder, "pooled.sql")
        with open(self.script, "w", encoding="utf-8") as file:
            file.write(SCRIPT)
        environment, conninfo = HOME.client("pair", port=PORT)
        self.process = subprocess.Popen(
            ["pgbench", "-n", "-c", str(CLIENTS), "-T", str(seconds), "-f", self.script, conninfo],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)

    def end(self):
        """How many transactions it did; none of them may have failed."""
        out, errors = self.process.communicate(timeout=120)
        if self.process.returncode != 0 or "error" in errors.lower() or "aborted" in errors:
            raise AssertionError(f"pgbench: {self.process.returncode} {errors[-2000:]} {out[-500:]}")
        failed = re.search(r"number of failed transactions: (\d+)", out)
        if failed and int(failed.group(1)):
            raise AssertionError(out)
        return int(re.search(r"transactions actually processed: (\d+)", out).group(1))


def count():
    return int(HOME.psql("pair", "SELECT count(*) FROM pooled"))


def sockets():
    """Of every member of the pair: the folder of its socket, and its port."""
    found = []
    for path in glob.glob(os.path.join(HOME.dir, "gateway", "routes*.json")):
        with open(path, encoding="utf-8") as file:
            for route in json.load(file)["routes"]:
                if route["server_name"] == "pair":
                    found.append((route["pooling"]["socket_folder"], route["backend_port"]))
    return found


def by_socket(folder, port, role, secret, user=None):
    """As PgBouncer comes to PostgreSQL; `user`: as whom of the operating system."""
    whose = {} if user is None else {"user": user, "group": pwd.getpwuid(user).pw_gid,
                                     "extra_groups": []}
    return subprocess.run(
        ["psql", "-XqAt", f"host={folder} port={port} user={role} dbname=postgres",
         "-c", "SELECT current_user"], env={**os.environ, "PGPASSWORD": secret}, cwd="/",
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False, **whose)


class Pooler(Case):
    def setUp(self):
        HOME.ensure_howdahd()
        PAIR.wait_until_healthy()

    def through_pooler(self, sql, **where):
        return HOME.psql("pair", sql, port=PORT, **where)

    def test_tls_is_verified_and_sessions_are_shared(self):
        self.assertEqual(self.through_pooler("SELECT current_user", sslmode="verify-full"),
                         howdah_client.ADMIN)
        pids = {self.through_pooler("SELECT pg_backend_pid()") for _ in range(5)}
        self.assertEqual(len(pids), 1, "each client got a session of its own")

    def test_a_wrong_password_is_refused(self):
        wrong = HOME.psql("pair", "SELECT 1", check=False, port=PORT, secret="wrong")
        self.assertNotEqual(wrong.returncode, 0)
        self.assertIn("authentication failed", wrong.stderr)

    def test_the_poolers_own_role_is_for_poolers_alone(self):
        backend = HOME.backend("pair")
        pem = os.path.join(os.path.dirname(backend["data"]), "config", "server.pem")
        with open(pem, "rb") as file:
            key = hashlib.sha256(file.read()).digest()
        secret = base64.b64encode(hmac.digest(key, b"howdah pooler", "sha256")).decode()
        role = {"user": "howdah_pooler", "secret": secret, "check": False}
        # As PgBouncer comes, which shows that the password is right.
        direct = by_socket(backend["socket"], backend["port"], "howdah_pooler", secret)
        self.assertEqual(direct.stdout.strip(), "howdah_pooler", direct.stderr)
        for port in (PORT, HOME.gateway_port):
            self.assertNotEqual(HOME.psql("pair", "SELECT 1", port=port, **role).returncode, 0)
        console = HOME.psql("pair", "SHOW POOLS", check=False, port=PORT, db="pgbouncer")
        self.assertNotEqual(console.returncode, 0)

    def test_no_session_of_any_server_gets_to_a_pooled_one_past_its_firewall(self):
        """By dblink, with a right password: of another server, and of the pooled one itself."""
        HOME.create_server("other")
        places = sockets()
        self.assertEqual(len(places), 2, "a socket of each member")
        secret = HOME.passwords["pair"]
        primary = HOME.backend("pair")
        self.assertIn((primary["socket"], primary["port"]), places)
        for folder, port in places:
            # So the password is right, and both the path and the rules would let it in.
            entered = by_socket(folder, port, howdah_client.ADMIN, secret)
            self.assertEqual(entered.stdout.strip(), howdah_client.ADMIN, entered.stderr)
        for server in ("other", "pair"):
            HOME.set_parameter(server, "azure.extensions", "dblink")
            HOME.psql(server, "CREATE EXTENSION IF NOT EXISTS dblink")
            for folder, port in places:
                for host, reason in ((folder, "could not create socket: Permission denied"),
                                     ("127.0.0.1", "pg_hba.conf rejects connection for host")):
                    answer = HOME.psql(
                        server, "SELECT * FROM dblink($c$host=%s port=%d dbname=postgres user=%s "
                        "password=%s$c$, 'SELECT 1') AS t (x int)"
                        % (host, port, howdah_client.ADMIN, secret), check=False)
                    self.assertNotEqual(answer.returncode, 0, (server, host, answer.stdout))
                    self.assertIn(reason, answer.stderr, (server, host))
        HOME.do("DELETE", HOME.server_path("other"))

    def test_as_root_only_the_server_and_its_pgbouncer_enter_the_folder_of_the_socket(self):
        if os.geteuid() != 0 or HOME.user:
            self.skipTest("users of their own need root")
        HOME.create_server("other")
        pooler = howdah_client.process(HOME.one("pgbouncer")).uid
        stranger = howdah_client.process(HOME.backend("other")["pid"]).uid
        for folder, port in sockets():
            owner = os.stat(folder).st_uid
            self.assertEqual(len({pooler, stranger, owner, 0}), 4)
            for user, message in ((pooler, ""), (stranger, "Permission denied")):
                answer = by_socket(folder, port, howdah_client.ADMIN, HOME.passwords["pair"],
                                   user=user)
                self.assertIn(message, answer.stderr)
                self.assertEqual(answer.returncode == 0, not message, answer.stderr)
        HOME.do("DELETE", HOME.server_path("other"))

    def test_as_root_pgbouncers_files_are_not_its_own(self):
        if os.geteuid() != 0 or HOME.user:
            self.skipTest("users of their own need root")
        folder = glob.glob(os.path.join(HOME.dir, "pooler", "p*"))[0]
        for path in [folder, *glob.glob(os.path.join(folder, "*"))]:
            facts = os.stat(path)
            self.assertEqual(facts.st_uid, 0, path)
            self.assertEqual(facts.st_mode & 0o007, 0, path)
            is_lock = os.path.basename(path) == "lock"
            self.assertEqual(bool(facts.st_mode & 0o020), is_lock, path)

    def test_plain_connections_are_refused_by_pgbouncer_itself(self):
        folder = glob.glob(os.path.join(HOME.dir, "pooler", "p*"))[0]
        with open(os.path.join(folder, "port"), encoding="utf-8") as file:
            port = int(file.read())
        for mode in ("disable", "require"):  # not from the gateway's address
            refused = HOME.psql("pair", "SELECT 1", check=False, port=port, sslmode=mode)
            self.assertNotEqual(refused.returncode, 0, mode)
        plain = HOME.psql("pair", "SELECT 1", check=False, port=PORT, sslmode="disable")
        self.assertNotEqual(plain.returncode, 0)

    def test_a_role_that_sql_made_logs_in_at_once(self):
        HOME.psql("pair", "CREATE ROLE fresh LOGIN PASSWORD 'fresh-Passw0rd'")
        self.assertEqual(self.through_pooler("SELECT current_user", user="fresh",
                                             secret="fresh-Passw0rd"), "fresh")
        HOME.psql("pair", "DROP ROLE fresh")

    def test_pgbench_survives_planned_failovers_without_an_error(self):
        before = count()
        bench = Pgbench(14)
        time.sleep(2)
        zones = PAIR.zones()
        HOME.finish(PAIR.fail_over("PlannedFailover"))
        wait_until("the API has seen the failover", lambda: PAIR.zones() == zones[::-1], 30)
        PAIR.wait_until_healthy()
        time.sleep(0.5)
        HOME.finish(PAIR.fail_over("PlannedFailover"))
        done = bench.end()
        self.assertGreater(done, 0)
        self.assertEqual(count() - before, done, "commits that pgbench counted are not there")

    def test_pgbench_survives_a_restart_without_an_error(self):
        bench = Pgbench(8)
        time.sleep(1.5)
        HOME.do("POST", HOME.server_path("pair") + "/restart")
        self.assertGreater(bench.end(), 0)

    def test_clients_find_the_new_primary_after_a_forced_failover(self):
        zones = PAIR.zones()
        HOME.finish(PAIR.fail_over("ForcedFailover"))
        wait_until("the API has seen the failover", lambda: PAIR.zones() == zones[::-1], 30)
        self.assertEqual(self.through_pooler("SELECT pg_is_in_recovery()"), "f")

    def test_sessions_outlive_the_pooler_program_and_pgbouncer_is_started_again(self):
        with HOME.session("pair", port=PORT) as session:
            session.run("SELECT 1;")
            HOME.kill("howdah-pooler")
            self.assertEqual(session.run("SELECT 2;"), "2")
        HOME.one("howdah-pooler")
        pid = HOME.kill("pgbouncer")
        wait_until("another PgBouncer runs",
                   lambda: HOME.pids("pgbouncer") and HOME.pids("pgbouncer") != [pid], 20)
        self.assertEqual(self.through_pooler("SELECT 3"), "3")

    def test_sessions_outlive_a_pooler_that_finds_no_routes(self):
        routes = glob.glob(os.path.join(HOME.dir, "gateway", "routes*.json"))
        self.assertEqual(len(routes), 2)
        with HOME.session("pair", port=PORT) as session:
            session.run("SELECT 1;")
            for path in routes:
                os.rename(path, path + ".away")
            try:
                HOME.kill("howdah-pooler")
                HOME.one("howdah-pooler")
                time.sleep(12)  # by then it would have forgotten the server
                self.assertEqual(session.run("SELECT 2;"), "2")
            finally:
                for path in routes:
                    os.rename(path + ".away", path)
            self.assertEqual(session.run("SELECT 3;"), "3")
        wait_until("PgBouncer lets clients in",
                   lambda: HOME.psql("pair", "SELECT 1", check=False, port=PORT).returncode == 0)

    def test_a_database_that_is_closed_to_the_public_is_reached(self):
        HOME.psql("pair", "CREATE DATABASE closed")
        HOME.psql("pair", "REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
        wait_until("the pooler is let in", lambda: HOME.psql(
            "pair", "SELECT 1", check=False, port=PORT, db="closed").returncode == 0, 40)
        HOME.psql("pair", "DROP DATABASE closed WITH (FORCE)")

    def test_who_logged_in_to_a_server_is_no_client_of_the_next_one_of_its_name(self):
        HOME.create_server("again", sku=SKU)
        HOME.set_parameter("again", "pgbouncer.enabled", "true")
        wait_until("PgBouncer lets clients in", lambda: HOME.psql(
            "again", "SELECT 1", check=False, port=PORT).returncode == 0, 30)
        with HOME.session("again", port=PORT) as session:
            session.run("SELECT 1;")
            HOME.do("DELETE", HOME.server_path("again"))
            HOME.create_server("again", sku=SKU)
            HOME.set_parameter("again", "pgbouncer.enabled", "true")
            wait_until("PgBouncer lets clients of the new one in", lambda: HOME.psql(
                "again", "SELECT 1", check=False, port=PORT).returncode == 0, 30)
            with self.assertRaises(Exception):
                session.run("SELECT 2;")
        HOME.do("DELETE", HOME.server_path("again"))

    def test_its_settings_are_followed_without_a_restart(self):
        HOME.set_parameter("pair", "pgbouncer.pool_mode", "session")
        with HOME.session("pair", port=PORT) as session:
            session.run("SET application_name = 'kept';")
            self.assertEqual(session.run("SHOW application_name;"), "kept")
        answer = HOME.parameter("pair", "pgbouncer.pool_mode")
        self.assertEqual(answer["value"], "session")
        HOME.set_parameter("pair", "pgbouncer.pool_mode", "transaction")

    def test_switched_off_nothing_is_left_and_it_can_be_switched_on_again(self):
        HOME.set_parameter("pair", "pgbouncer.enabled", "false")
        wait_until("PgBouncer is gone", lambda: not HOME.pids("pgbouncer"), 30)
        refused = HOME.psql("pair", "SELECT 1", check=False, port=PORT)
        self.assertNotEqual(refused.returncode, 0)
        # As PostgreSQL servers have it that an older version has started.
        backend = HOME.backend("pair")
        os.chmod(os.path.join(backend["socket"], f".s.PGSQL.{backend['port']}"), 0o700)
        HOME.set_parameter("pair", "pgbouncer.enabled", "true")
        wait_until("PgBouncer lets clients in",
                   lambda: HOME.psql("pair", "SELECT 1", check=False, port=PORT).returncode == 0, 30)
        self.assertEqual(HOME.backend("pair")["pid"], backend["pid"], "it was restarted")

    def test_the_commands_of_the_guide(self):
        self.assertIn("poolerPort", run_guide(HOME, "pooling.md"))

    def test_a_burstable_server_is_refused(self):
        HOME.create_server("small")
        refused = HOME.call("PUT", HOME.server_path("small") + "/configurations/pgbouncer.enabled",
                            {"properties": {"value": "true", "source": "user-override"}})
        self.assertEqual(refused.status, 400, repr(refused))
        self.assertIn("Burstable", refused.error["message"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
