"""Proofs: backups are restored beside a server, read as a whole, and compared with the server."""

import glob
import json
import os
import pwd
import subprocess
import threading
import time
import unittest

from support import (Case, flip_a_bit, howdah_client, instance_folder, run_guide, started_home,
                     wait_until)

HOME = None
MAIN = "proved"


def setUpModule():
    global HOME
    HOME = started_home(backups=True)
    try:
        credentials = os.path.join(HOME.dir, "howdahd", "bootstrap-credentials.json")
        howdah("login", "--credentials", credentials)
        HOME.create_server(MAIN)
        HOME.psql(MAIN, "CREATE TABLE first AS SELECT 1 AS n")
        wait_until("a time can be restored", restorable, timeout=180)
    except BaseException:
        tearDownModule()
        raise


def tearDownModule():
    if HOME:
        HOME.stop()


def server(name=MAIN):
    return HOME.get(HOME.server_path(name)).json


def restorable(name=MAIN):
    return server(name)["properties"]["howdah"].get("restorable", [])


def condition(name=MAIN):
    return next((each for each in server(name)["properties"]["howdah"]["conditions"]
                 if each["type"] == "Proved"), {"status": "Unknown"})


def scratches():
    """Whatever there is of scratch instances."""
    found = glob.glob(os.path.join(HOME.dir, "agent", "instances", "scratch-*"))
    found += glob.glob(os.path.join(HOME.dir, "agent", "s", "scratch-*"))
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, encoding="utf-8") as file:
                if HOME.dir + "/agent/instances/scratch-" in file.read():
                    found.append(path)
        except OSError:
            continue
    return found


def prove(name=MAIN, **body):
    """What the proof says."""
    answer = HOME.call("POST", HOME.server_path(name) + "/howdahProve", body or None)
    if answer.status != 202:
        raise AssertionError(repr(answer))
    HOME.finish(answer, timeout=300)
    return HOME.get(answer.json["id"]).json["properties"]


def howdah(*arguments, check=True):
    environment = {"PATH": os.environ["PATH"], "HOME": HOME.user_folder, "LANG": "C.UTF-8"}
    return subprocess.run([howdah_client.binary("howdah"), *arguments], text=True, timeout=300,
                          capture_output=True, check=check, env=environment)


class Proofs(Case):
    def test_a_server_is_proved_and_its_report_is_signed(self):
        HOME.psql(MAIN, "CREATE TABLE numbers AS SELECT generate_series(1, 5000) AS n")
        HOME.psql(MAIN, "CREATE MATERIALIZED VIEW seen AS SELECT sum(n) FROM numbers")
        HOME.psql(MAIN, "CREATE UNLOGGED TABLE brief AS SELECT 1 AS n")
        HOME.psql(MAIN, "CREATE TABLE \"it's \"\"odd\"\"\" (t text, d date, f float8, b bytea)")
        HOME.psql(MAIN, "INSERT INTO \"it's \"\"odd\"\"\" VALUES ('ü', now(), 0.1, '\\x00ff')")
        HOME.do("PUT", HOME.server_path(MAIN) + "/databases/second", {"properties": {}})
        HOME.psql(MAIN, "CREATE TABLE other AS SELECT 'x' AS t", db="second")
        HOME.psql(MAIN, "ALTER DATABASE second SET DateStyle = 'German'")
        users = {each.pw_name for each in pwd.getpwall()}
        proof = json.loads(howdah("server", "prove", "-g", HOME.group, "-s", MAIN,
                                  "-o", "json").stdout)
        told = proof["properties"]
        self.assertEqual(told["outcome"], "Proved")
        self.assertGreaterEqual(told["tables"]["total"], 3)
        self.assertEqual(told["tables"]["same"], told["tables"]["total"], told)
        self.assertGreaterEqual(told["tables"]["sameRows"], 5002)
        self.assertEqual(told["notChecked"], 0)
        self.assertRegex(told["backup"], r"^20\d{6}-\d{6}F")
        self.assertEqual(scratches(), [])
        self.assertEqual({each.pw_name for each in pwd.getpwall()} - users, set())
        wait_until("the condition says so", lambda: condition()["status"] == "True", timeout=30)
        listed = json.loads(howdah("server", "proof", "list", "-g", HOME.group, "-s", MAIN,
                                   "-o", "json").stdout)
        self.assertEqual(listed[0]["name"], proof["name"])
        last = server()["properties"]["howdah"]["lastProof"]
        self.assertEqual(last["outcome"], "Proved")
        self.assertLess(last["ageSeconds"], 300)
        self.check_report(told["signedReport"])

    def check_report(self, token):
        path = os.path.join(HOME.user_folder, "report.jws")
        with open(path, "w", encoding="utf-8") as file:
            file.write(token)
        report = json.loads(howdah("server", "proof", "verify", "--file", path,
                                   "-o", "json").stdout)
        self.assertEqual(report["server_id"], HOME.server_path(MAIN).lower())
        self.assertEqual(report["outcome"], "proved")
        header, payload, signature = token.split(".")
        with open(path, "w", encoding="utf-8") as file:
            file.write(".".join((header, payload[:-6] + "AAAAAA", signature)))
        refused = howdah("server", "proof", "verify", "--file", path, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("not genuine", refused.stderr)

    def test_what_is_written_to_meanwhile_makes_no_false_alarm(self):
        # The smallest is read first, and is written to while the largest is.
        HOME.psql(MAIN, "CREATE TABLE busy (n int); "
                        "CREATE TABLE still AS SELECT generate_series(1, 2000000) AS n")
        stop = threading.Event()

        def write():
            with HOME.session(MAIN) as session:
                while not stop.is_set():
                    session.run("INSERT INTO busy VALUES (1);")
                    time.sleep(0.02)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            told = prove()
        finally:
            stop.set()
            thread.join()
        self.assertEqual(told["outcome"], "Proved", told)
        self.assertGreaterEqual(told["tables"]["changedMeanwhile"], 1)
        self.assertEqual(told["tables"]["same"] + told["tables"]["changedMeanwhile"],
                         told["tables"]["total"])
        HOME.psql(MAIN, "DROP TABLE busy; DROP TABLE still")

    def test_no_code_of_a_customer_runs(self):
        # Whatever of this ran as the superuser would fail, and leave its table unread or unchecked.
        spring = ("LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN "
                  "IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) "
                  "THEN RAISE EXCEPTION 'it ran'; END IF; RETURN 1; END $$")
        HOME.psql(MAIN, "CREATE TABLE trap (n int); INSERT INTO trap VALUES (1)")
        HOME.psql(MAIN, f"CREATE FUNCTION spring(int) RETURNS int {spring}")
        HOME.psql(MAIN, f"CREATE FUNCTION spring(trap) RETURNS text {spring}")
        HOME.psql(MAIN, "CREATE CAST (trap AS text) WITH FUNCTION spring(trap) AS IMPLICIT")
        HOME.psql(MAIN, "CREATE INDEX ON trap ((n + spring(1))) WHERE spring(2) = 1")
        HOME.psql(MAIN, "CREATE STATISTICS traps ON (n + spring(3)), n FROM trap")
        HOME.set_parameter(MAIN, "azure.extensions", "amcheck")
        self.addCleanup(HOME.set_parameter, MAIN, "azure.extensions", "")
        HOME.psql(MAIN, "CREATE SCHEMA mine; CREATE EXTENSION amcheck SCHEMA mine")
        # It fits better than amcheck's own.
        HOME.psql(MAIN, f"CREATE FUNCTION mine.verify_heapam(regclass) RETURNS int {spring}")
        told = prove()
        self.assertEqual(told["outcome"], "Proved", told)
        self.assertEqual(told["tables"]["same"], told["tables"]["total"])
        self.assertEqual(told["notChecked"], 0)
        HOME.psql(MAIN, "DROP TABLE trap CASCADE; DROP SCHEMA mine CASCADE")

    def test_a_time_of_before_is_restored_and_read(self):
        moment = restorable()[-1]["to"]
        told = prove(restoreTime=moment)
        self.assertEqual(told["outcome"], "Restored", told)
        self.assertEqual(told["restoredTime"], moment)
        self.assertEqual(told["tables"]["total"], 0, "nothing to compare it with")
        self.assertGreaterEqual(told["databases"], 2)

    def test_an_index_whose_function_tells_something_else_now_is_no_damage(self):
        HOME.psql(MAIN, "CREATE TABLE lied (n int); INSERT INTO lied SELECT generate_series(1, 99)")
        HOME.psql(MAIN, "CREATE FUNCTION lie(int) RETURNS int LANGUAGE sql IMMUTABLE AS "
                        "'SELECT $1'")
        HOME.psql(MAIN, "CREATE INDEX lied_by ON lied (lie(n))")
        HOME.psql(MAIN, "CREATE OR REPLACE FUNCTION lie(int) RETURNS int LANGUAGE sql IMMUTABLE "
                        "AS 'SELECT -$1'")
        told = prove()
        self.assertEqual(told["outcome"], "Proved", told)
        self.assertEqual(told["notChecked"], 1)
        HOME.psql(MAIN, "DROP TABLE lied")

    def test_a_damage_that_no_checksum_tells_is_found(self):
        HOME.psql(MAIN, "CREATE TABLE fragile AS SELECT generate_series(1, 10000) AS n")
        file = HOME.psql(MAIN, "SELECT pg_relation_filepath('fragile')")
        HOME.do("POST", HOME.server_path(MAIN) + "/stop", timeout=120)
        data = os.path.join(instance_folder(HOME, MAIN), "data")
        with open(os.path.join(data, file), "r+b") as pages:
            page = 3 * 8192
            pages.seek(page + 24)
            first_row = int.from_bytes(pages.read(4), "little") & 0x7fff
            # t_infomask2: it is said to have 2000 columns.
            pages.seek(page + first_row + 18)
            pages.write((2000).to_bytes(2, "little"))
        for mode in ("--disable", "--enable"):
            subprocess.run(["/usr/lib/postgresql/15/bin/pg_checksums", mode, "-D", data],
                           check=True, capture_output=True, timeout=60)
        HOME.do("POST", HOME.server_path(MAIN) + "/start", timeout=120)
        HOME.do("PUT", HOME.server_path(MAIN) + "/backups/damaged", timeout=180)
        told = prove()
        self.assertEqual(told["outcome"], "Failed", told)
        self.assertIn("damaged", told["reason"])
        self.assertIn("fragile: page 3, row 1", " ".join(told["damages"]))
        wait_until("the condition says so", lambda: condition()["status"] == "False", timeout=30)
        refused = howdah("server", "prove", "-g", HOME.group, "-s", MAIN, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("damaged", refused.stderr)
        HOME.psql(MAIN, "DROP TABLE fragile")
        self.assertEqual(prove()["outcome"], "Proved")

    def test_a_table_that_is_locked_and_one_that_is_too_wide_are_not_read(self):
        HOME.psql(MAIN, "CREATE TABLE locked AS SELECT 1 AS n; CREATE TABLE wide (t text)")
        HOME.psql(MAIN, "ALTER TABLE wide ALTER t SET STORAGE EXTERNAL; "
                        "INSERT INTO wide SELECT repeat('x', 40000000)")
        with HOME.session(MAIN) as session:
            session.run("BEGIN; LOCK TABLE locked;")
            told = prove()
            session.run("COMMIT;")
        self.assertEqual(told["outcome"], "Proved", told)
        self.assertEqual(told["tables"]["notRead"], 2)
        HOME.psql(MAIN, "DROP TABLE locked; DROP TABLE wide")

    def test_a_flipped_file_of_the_repository_is_found(self):
        name = "flipped"
        HOME.create_server(name)
        wait_until("a time can be restored", lambda: restorable(name), timeout=180)
        stanza = os.path.basename(instance_folder(HOME, name))
        copies = glob.glob(os.path.join(HOME.dir, "backups", "backup", stanza, "*F",
                                        "pg_data", "base", "*", "*"))
        largest = max(copies, key=os.path.getsize)
        flip_a_bit(largest)
        told = prove(name)
        self.assertEqual(told["outcome"], "Failed")
        self.assertIn("the backup 20", told["reason"])
        self.assertEqual(scratches(), [])
        HOME.do("DELETE", HOME.server_path(name))

    def test_a_killed_agent_leaves_nothing_and_the_proof_is_made(self):
        answer = HOME.call("POST", HOME.server_path(MAIN) + "/howdahProve")
        self.assertEqual(answer.status, 202, repr(answer))
        wait_until("it is being restored", scratches, timeout=60)
        before = scratches()
        HOME.kill("howdah-agent")
        HOME.finish(answer, timeout=300)
        told = HOME.get(answer.json["id"]).json["properties"]
        self.assertEqual(told["outcome"], "Proved", told)
        self.assertTrue(before)
        self.assertEqual(scratches(), [])

    def test_a_server_that_is_deleted_waits_for_no_proof(self):
        name = "gone"
        HOME.create_server(name)
        wait_until("a time can be restored", lambda: restorable(name), timeout=180)
        answer = HOME.call("POST", HOME.server_path(name) + "/howdahProve")
        self.assertEqual(answer.status, 202, repr(answer))
        wait_until("it is being restored", scratches, timeout=60)
        HOME.do("DELETE", HOME.server_path(name), timeout=60)
        wait_until("nothing is left of it", lambda: not scratches(), timeout=60)

    def test_a_server_is_deleted_whose_proof_waits_for_another(self):
        name = "waits"
        HOME.create_server(name)
        wait_until("a time can be restored", lambda: restorable(name), timeout=180)
        first = HOME.call("POST", HOME.server_path(MAIN) + "/howdahProve")
        self.assertEqual(first.status, 202, repr(first))
        wait_until("the first is being restored", scratches, timeout=60)
        second = HOME.call("POST", HOME.server_path(name) + "/howdahProve")
        self.assertEqual(second.status, 202, repr(second))
        time.sleep(1)
        HOME.do("DELETE", HOME.server_path(name), timeout=60)
        HOME.finish(first, timeout=300)

    def test_servers_are_proved_by_themselves(self):
        # Every 45 seconds instead of every week.
        home = started_home(backups=True, arguments=("--prove-every", str(45 / 86400)))
        try:
            home.create_server("own")
            home.psql("own", "CREATE TABLE numbers AS SELECT 1 AS n")
            path = home.server_path("own") + "/howdahProofs"
            wait_until("it was proved", lambda: home.get(path).json["value"], timeout=240)
            first = home.get(path).json["value"][0]
            self.assertEqual(first["properties"]["outcome"], "Proved")
            wait_until("it was proved again", lambda: len(home.get(path).json["value"]) > 1,
                       timeout=240)
        finally:
            home.stop()

    def test_the_guide(self):
        said = run_guide(HOME, "proofs.md")
        self.assertIn("Restored", said)
        self.assertIn("Signed By", said)

    def test_bad_requests(self):
        path = HOME.server_path(MAIN) + "/howdahProve"
        self.assert_error(HOME.call("POST", path, {"restoreTime": "yesterday"}), 400)
        self.assert_error(HOME.call("POST", path, {"restoreTime": "2020-01-01T00:00:00Z"}), 400)
        self.assert_error(HOME.call("POST", path, {"more": 1}), 400)
        self.assert_error(HOME.get(HOME.server_path(MAIN) + "/howdahProofs/none"), 404)


if __name__ == "__main__":
    unittest.main(verbosity=2)
