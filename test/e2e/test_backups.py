"""Backups: from a server's first minute, and back to any second as a new server."""

import contextlib
import datetime
import glob
import json
import os
import pwd
import signal
import subprocess
import time
import unittest

import support
from support import Case, flip_a_bit, howdah_client, run_guide, started_home, wait_until

HOME = None
MAIN = "kept"


def setUpModule():
    global HOME
    HOME = started_home(backups=True)
    try:
        HOME.create_server(MAIN)
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


def backups(name=MAIN):
    answer = HOME.get(HOME.server_path(name) + "/backups")
    if answer.status != 200:
        raise AssertionError(repr(answer))
    return answer.json["value"]


def now():
    """By the server's own clock, which is this machine's."""
    return datetime.datetime.now(datetime.timezone.utc)


def text_of(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def instance_folder(name=MAIN):
    return support.instance_folder(HOME, name)


def has_instance(name):
    try:
        return bool(instance_folder(name))
    except AssertionError:
        return False


def backed_up(name=MAIN):
    """The condition."""
    found = [each for each in server(name)["properties"]["howdah"]["conditions"]
             if each["type"] == "BackedUp"]
    return found[0] if found else {"status": "Unknown"}


def backup_processes(name, command="backup"):
    """pgBackRest's that back the server up, or restore from it."""
    found = []
    try:
        stanza = "--stanza=" + os.path.basename(instance_folder(name))
    except AssertionError:
        return found
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, encoding="utf-8") as file:
                words = file.read().split("\0")
        except OSError:
            continue
        if stanza in words and command in words:
            found.append(int(path.split("/")[2]))
    return found


def as_superuser(name, *commands):
    support.as_superuser(HOME, name, *commands)


@contextlib.contextmanager
def no_archiving():
    """No server of this machine gets rid of its WAL."""
    program = os.path.join(HOME.dir, "agent", "bin", "howdah-archive")
    os.rename(program, program + ".away")
    try:
        yield
    finally:
        os.rename(program + ".away", program)


def archive(name=MAIN):
    """PostgreSQL would archive the present segment in four minutes; now it does at once, also when
    nothing was written to it."""
    as_superuser(name, "SELECT txid_current()", "SELECT pg_switch_wal()")


def is_restorable(moment, name=MAIN):
    if restorable(name) and restorable(name)[-1]["to"] >= text_of(moment):
        return True
    archive(name)
    time.sleep(2)
    return False


def put(name, body):
    return HOME.call("PUT", HOME.server_path(name), body)


def restore_body(moment, source=MAIN):
    return {"location": howdah_client.LOCATION,
            "properties": {"createMode": "PointInTimeRestore",
                           "sourceServerResourceId": HOME.server_path(source),
                           "pointInTimeUTC": moment}}


class Backups(Case):
    def test_1_the_first_backup_comes_by_itself(self):
        wait_until("a backup is there", backups, timeout=180)
        entry = backups()[0]
        self.assertEqual(entry["properties"]["backupType"], "Full")
        self.assertEqual(entry["properties"]["source"], "Automatic")
        self.assertEqual(entry["type"], "Microsoft.DBforPostgreSQL/flexibleServers/backups")
        one = HOME.get(HOME.server_path(MAIN) + "/backups/" + entry["name"])
        self.assertEqual(one.json, entry)
        wait_until("a time can be restored", restorable, timeout=60)
        self.assertEqual(server()["properties"]["backup"]["earliestRestoreDate"],
                         restorable()[0]["from"])
        missing = HOME.get(HOME.server_path(MAIN) + "/backups/none")
        self.assertEqual(missing.status, 404)

    def test_2_every_second_can_be_asked_for_also_of_an_idle_server(self):
        wait_until("a time can be restored", restorable, timeout=180)
        HOME.psql(MAIN, "CREATE TABLE numbers (n int); INSERT INTO numbers VALUES (1)")
        time.sleep(1.1)
        first = now()
        time.sleep(1.1)
        HOME.psql(MAIN, "INSERT INTO numbers VALUES (2)")
        time.sleep(1.1)
        wait_until("the first time can be restored",
                   lambda: is_restorable(first), timeout=150)
        # Nobody has committed after this yet, and nothing of it is archived: the restore waits.
        second = now()
        time.sleep(0.01)
        HOME.psql(MAIN, "INSERT INTO numbers VALUES (3)")
        for name, moment, rows in (("back-one", first, "1"), ("back-two", second, "1 2")):
            answer = put(name, restore_body(text_of(moment)))
            self.assertEqual(answer.status, 202, repr(answer))
            HOME.finish(answer, timeout=300)
            HOME.passwords[name] = HOME.passwords[MAIN]
            HOME.allow(name)
            self.assertEqual(HOME.psql(name, "SELECT string_agg(n::text, ' ' ORDER BY n) "
                                             "FROM numbers"), rows)
            self.assertEqual(HOME.psql(name, "SELECT pg_is_in_recovery()"), "f")
            HOME.psql(name, "INSERT INTO numbers VALUES (9)")
        self.assertEqual(HOME.psql(MAIN, "SELECT string_agg(n::text, ' ' ORDER BY n) "
                                         "FROM numbers"), "1 2 3")
        # A timeline and a stanza of its own: it is backed up itself.
        wait_until("the restored server is backed up", lambda: backups("back-one"), timeout=180)

    def test_5_a_backup_that_is_killed_is_made_again(self):
        name = "killed"
        answer = put(name, HOME.server_body(name))
        wait_until("pgBackRest copies it", lambda: backup_processes(name), timeout=180, pause=0.01)
        for pid in backup_processes(name):
            os.kill(pid, signal.SIGKILL)
        HOME.finish(answer)
        self.assertEqual(backups(name), [])
        wait_until("another backup is made", lambda: backups(name), timeout=180)

    def test_5_a_backup_on_demand_stays_until_it_is_deleted(self):
        wait_until("a backup is there", backups, timeout=180)
        path = HOME.server_path(MAIN) + "/backups/before-upgrade"
        HOME.do("PUT", path, timeout=180)
        entry = HOME.get(path).json["properties"]
        self.assertEqual(entry["source"], "Customer Initiated")
        self.assertEqual(entry["howdah"]["kind"], "Differential")
        self.assertEqual(HOME.call("PUT", path).status, 409)
        HOME.do("DELETE", path, timeout=60)
        self.assertEqual(HOME.get(path).status, 404)
        self.assertGreaterEqual(len(backups()), 1)
        refused = HOME.call("DELETE", HOME.server_path(MAIN) + "/backups/" + backups()[0]["name"])
        self.assertEqual(refused.status, 409, repr(refused))

    def test_5_a_backup_on_demand_outlives_a_killed_agent(self):
        wait_until("a backup is there", backups, timeout=180)
        path = HOME.server_path(MAIN) + "/backups/twice"
        answer = HOME.call("PUT", path)
        wait_until("pgBackRest copies it", lambda: backup_processes(MAIN), timeout=60, pause=0.01)
        HOME.kill("howdah-agent")
        HOME.finish(answer, timeout=180)
        named = [each for each in backups() if each["name"] == "twice"]
        self.assertEqual(len(named), 1, "once, whoever made it")
        HOME.do("DELETE", path, timeout=60)

    def test_5_a_deleted_server_comes_back_with_all_that_was_committed(self):
        name = "dropped"
        HOME.create_server(name)
        source = HOME.server_path(name)
        wait_until("a backup is there", lambda: restorable(name), timeout=180)
        # What PostgreSQL cannot archive any more, the agent does.
        with no_archiving():
            HOME.psql(name, "CREATE TABLE numbers AS SELECT generate_series(1, 1000) AS n")
            archive(name)
            HOME.psql(name, "INSERT INTO numbers SELECT generate_series(1001, 2000)")
            first_life = now()
            HOME.do("DELETE", source, timeout=180)
        self.assertEqual(HOME.get(source).status, 404)
        other = put("other", {"location": howdah_client.LOCATION, "properties": {
            "createMode": "ReviveDropped", "sourceServerResourceId": source + "x"}})
        self.assertEqual(other.status, 404)
        answer = put(name, {"location": howdah_client.LOCATION, "properties": {
            "createMode": "ReviveDropped", "sourceServerResourceId": source}})
        self.assertEqual(answer.status, 202, repr(answer))
        HOME.finish(answer, timeout=300)
        HOME.allow(name)
        self.assertEqual(HOME.psql(name, "SELECT count(*), sum(n) FROM numbers"), "2000|2001000")
        # A second life of the name does not push out the first one.
        wait_until("a backup is there", lambda: restorable(name), timeout=180)
        HOME.psql(name, "DROP TABLE numbers")
        HOME.do("DELETE", source)
        answer = put("first-life", {"location": howdah_client.LOCATION, "properties": {
            "createMode": "ReviveDropped", "sourceServerResourceId": source,
            "pointInTimeUTC": text_of(first_life)}})
        self.assertEqual(answer.status, 202, repr(answer))
        HOME.finish(answer, timeout=300)
        HOME.passwords["first-life"] = HOME.passwords[name]
        HOME.allow("first-life")
        self.assertEqual(HOME.psql("first-life", "SELECT count(*), sum(n) FROM numbers"),
                         "2000|2001000")
        HOME.do("DELETE", HOME.server_path("first-life"))

    def test_5_a_restore_that_is_not_wanted_any_more_ends(self):
        wait_until("a time can be restored", restorable, timeout=180)
        HOME.psql(MAIN, "CREATE TABLE never AS SELECT 1 AS n")
        self.addCleanup(HOME.psql, MAIN, "DROP TABLE never")
        with no_archiving():
            answer = put("unwanted", restore_body(text_of(now())))
            self.assertEqual(answer.status, 202, repr(answer))
            wait_until("the restore waits for what is not archived",
                       lambda: has_instance("unwanted"), timeout=60)
            # Without an end to it, it would wait for six minutes.
            HOME.do("DELETE", HOME.server_path("unwanted"), timeout=90)

    def test_5_damaged_pages_are_found_and_named_and_a_sound_backup_is_restored(self):
        wait_until("a time can be restored", restorable, timeout=180)
        HOME.psql(MAIN, "CREATE TABLE fragile AS SELECT generate_series(1, 10000) AS n")
        sound = now()
        wait_until("that time can be restored", lambda: is_restorable(sound), timeout=150)
        as_superuser(MAIN, "CHECKPOINT")
        file = HOME.psql(MAIN, "SELECT pg_relation_filepath('fragile')")
        with open(os.path.join(instance_folder(), "data", file), "r+b") as pages:
            pages.seek(3 * 8192 + 1000)
            pages.write(b"not what was written")
        backup = HOME.server_path(MAIN) + "/backups/damaged"
        HOME.do("PUT", backup, timeout=180)
        wait_until("the condition says so", lambda: backed_up()["status"] == "False", timeout=60)
        self.assertIn(f"{file} at page 3 ", backed_up()["message"])
        self.assertIn("The newest sound backup is of 20", backed_up()["message"])
        name = "sound"
        HOME.finish(put(name, restore_body(text_of(sound))), timeout=300)
        HOME.passwords[name] = HOME.passwords[MAIN]
        HOME.allow(name)
        self.assertEqual(HOME.psql(name, "SELECT count(*), sum(n) FROM fragile"), "10000|50005000")
        HOME.do("DELETE", HOME.server_path(name))
        # What is damaged is gone, and the next backup says so.
        HOME.psql(MAIN, "DROP TABLE fragile")
        HOME.do("DELETE", backup, timeout=60)
        as_superuser(MAIN, "CHECKPOINT")
        HOME.do("PUT", HOME.server_path(MAIN) + "/backups/mended", timeout=180)
        wait_until("the condition is well again", lambda: backed_up()["status"] == "True",
                   timeout=60)
        HOME.do("DELETE", HOME.server_path(MAIN) + "/backups/mended", timeout=60)

    def test_5_a_flipped_file_of_a_backup_is_refused_and_named(self):
        name = "flipped"
        HOME.create_server(name)
        wait_until("a time can be restored", lambda: restorable(name), timeout=180)
        stanza = os.path.basename(instance_folder(name))
        copies = glob.glob(os.path.join(HOME.dir, "backups", "backup", stanza, "*F", "pg_data",
                                        "base", "*", "*"))
        largest = max(copies, key=os.path.getsize)
        flip_a_bit(largest)
        answer = put("of-flipped", restore_body(restorable(name)[-1]["to"], source=name))
        self.assertEqual(answer.status, 202, repr(answer))
        operation = HOME.operation(answer, timeout=300)
        self.assertEqual(operation["status"], "Failed")
        # pgBackRest tells which file only when it unpacks to something else.
        label = largest.split(os.sep + stanza + os.sep)[1].split(os.sep)[0]
        self.assertIn(f"the backup {label}: ", operation["error"]["message"])
        for each in ("of-flipped", name):
            HOME.do("DELETE", HOME.server_path(each))

    def test_5_a_repository_that_is_away_costs_no_second_of_the_window(self):
        wait_until("a time can be restored", restorable, timeout=180)
        before = restorable()
        folder = os.path.join(HOME.dir, "backups")
        os.rename(folder, folder + ".away")
        try:
            archive()
            wait_until("the condition says so", lambda: backed_up()["status"] == "False",
                       timeout=60)
            self.assertIn("WAL cannot be kept", backed_up()["message"])
            HOME.psql(MAIN, "CREATE TABLE meanwhile AS SELECT 1 AS n")
            moment = now()
            archive()
            # Also an agent that has begun anew must not make another repository in its place.
            HOME.kill("howdah-agent")
            wait_until("it says so again", lambda: "not there" in backed_up().get("message", ""),
                       timeout=60)
            self.assertFalse(os.path.exists(folder))
        finally:
            os.rename(folder + ".away", folder)
        wait_until("the condition is well again", lambda: backed_up()["status"] == "True",
                   timeout=120)
        wait_until("that time can be restored", lambda: is_restorable(moment), timeout=120)
        self.assertEqual(len(restorable()), len(before), "there is no new gap")

    def test_5_what_is_killed_in_a_restore_goes_on(self):
        wait_until("a time can be restored", restorable, timeout=180)
        HOME.psql(MAIN, "CREATE TABLE IF NOT EXISTS whole AS SELECT generate_series(1, 5000) AS n")
        name = "killed-back"
        answer = put(name, restore_body(text_of(now())))
        self.assertEqual(answer.status, 202, repr(answer))
        wait_until("pgBackRest restores it", lambda: backup_processes(MAIN, "restore"),
                   timeout=120, pause=0.01)
        for pid in backup_processes(MAIN, "restore"):
            os.kill(pid, signal.SIGKILL)
        wait_until("it is tried again", lambda: backup_processes(MAIN, "restore"), timeout=120,
                   pause=0.01)
        HOME.kill("howdah-agent")
        HOME.finish(answer, timeout=300)
        HOME.passwords[name] = HOME.passwords[MAIN]
        HOME.allow(name)
        self.assertEqual(HOME.psql(name, "SELECT count(*), sum(n) FROM whole"), "5000|12502500")
        HOME.do("DELETE", HOME.server_path(name))

    def test_6_the_guide(self):
        said = run_guide(HOME, "backups.md")
        self.assertIn("orders-back", said)
        # Both servers are deleted; their backups stay for a while.
        dropped = os.path.join(HOME.dir, "backups", "dropped")
        wait_until("deleted servers are noted",
                   lambda: os.path.isdir(dropped) and len(os.listdir(dropped)) >= 2)
        kept = os.listdir(os.path.join(HOME.dir, "backups", "backup"))
        self.assertTrue(set(os.listdir(dropped)) & set(kept))

    def test_3_a_time_outside_the_window_is_refused_at_once_with_the_nearest(self):
        wait_until("a time can be restored", restorable, timeout=180)
        early = put("too-early", restore_body("2020-01-01T00:00:00Z"))
        self.assert_error(early, 400, target="pointInTimeUTC")
        self.assertIn(restorable()[0]["from"], str(early.error))
        late = put("too-late", restore_body("2099-01-01T00:00:00Z"))
        self.assert_error(late, 400, target="pointInTimeUTC")
        self.assertIn("latest time that can be restored", str(late.error))
        self.assertEqual(HOME.get(HOME.server_path("too-late")).status, 404)

    def test_4_other_bad_requests(self):
        wait_until("a time can be restored", restorable, timeout=180)
        moment = restorable()[0]["from"]
        body = restore_body(moment)
        for field, value in (("sourceServerResourceId", "x"), ("pointInTimeUTC", "yesterday"),
                             ("version", "13"), ("administratorLogin", "somebody")):
            changed = {**body, "properties": {**body["properties"], field: value}}
            self.assert_error(put("wrong", changed), range(400, 410),
                              target=field)
        for field in ("sourceServerResourceId", "pointInTimeUTC"):
            properties = {k: v for k, v in body["properties"].items() if k != field}
            self.assert_error(put("wrong", {**body, "properties": properties}), 400, target=field)
        self.assert_error(put(MAIN, body), (400, 409))
        nobody = restore_body(moment, source="nobody")
        self.assert_error(put("wrong", nobody), 404)

    def test_5_the_repository_is_the_agents_alone_and_shows_no_plain_text(self):
        folder = os.path.join(HOME.dir, "backups")
        self.assertEqual(os.stat(folder).st_mode & 0o777, 0o700)
        key = os.path.join(instance_folder(), "backup", "key")
        self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)
        with open(key, encoding="utf-8") as file:
            secret = file.read()
        self.assertEqual(len(secret), 64)
        for each in HOME.processes():
            self.assertNotIn(secret, " ".join(each.argv))


if __name__ == "__main__":
    unittest.main(verbosity=2)
