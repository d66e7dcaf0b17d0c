"""Backups in a bucket of S3 and in a container of Azure Blob Storage, over TLS."""

import datetime
import os
import shutil
import subprocess
import tempfile
import time
import unittest

from support import Case, howdah_client, started_home, wait_until
from object_stores import S3, AzureBlob, modules

SECRET_TEXT = "nobody-but-its-owner-reads-this"


def now():
    """By the server's own clock, which is this machine's."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")[:23] + "Z"


class Elsewhere:
    """The same for each kind of repository."""

    store_type = None
    name = "kept"

    @classmethod
    def setUpClass(cls):
        if modules() is None:
            raise unittest.SkipTest("SKIPPED: npm's s3rver and azurite cannot be had")
        cls.folder = tempfile.mkdtemp(prefix="howdah-store-", dir="/tmp")
        cls.home = None
        cls.store = cls.store_type(cls.folder)
        try:
            cls.store.start()
            cls.home = started_home(backups=True,
                                    arguments=("--repository", cls.store.repository_file()))
            cls.home.create_server(cls.name)
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        if cls.home:
            cls.home.stop()
        cls.store.stop()
        shutil.rmtree(cls.folder)

    def path(self, name=None):
        return self.home.server_path(name or self.name)

    def howdah(self):
        return self.home.get(self.path()).json["properties"]["howdah"]

    def spans(self):
        return self.howdah().get("restorable", [])

    def condition(self):
        return next((each for each in self.howdah()["conditions"] if each["type"] == "BackedUp"),
                    {"status": "Unknown"})

    def backups(self):
        return self.home.get(self.path() + "/backups").json["value"]

    def rows_of_new(self, name, properties):
        """What the new server has, after which it goes."""
        answer = self.home.call("PUT", self.path(name), {
            "location": howdah_client.LOCATION,
            "properties": {"sourceServerResourceId": self.path(), **properties}})
        self.assertEqual(answer.status, 202, repr(answer))
        self.home.finish(answer, timeout=400)
        self.home.passwords[name] = self.home.passwords[self.name]
        self.home.allow(name)
        rows = self.home.psql(name, "SELECT string_agg(n::text, ' ' ORDER BY n) FROM numbers")
        self.assertEqual(self.home.psql(name, f"SELECT count(*) FROM texts WHERE t = '{SECRET_TEXT}'"),
                         "1")
        self.home.do("DELETE", self.path(name))
        return rows

    def test_1_every_second_can_be_restored(self):
        wait_until("a time can be restored", self.spans, timeout=240)
        self.home.psql(self.name, f"CREATE TABLE texts AS SELECT '{SECRET_TEXT}'::text AS t")
        self.home.psql(self.name, "CREATE TABLE numbers AS SELECT 1 AS n")
        time.sleep(0.01)
        first = now()
        time.sleep(0.01)
        self.home.psql(self.name, "INSERT INTO numbers VALUES (2)")
        time.sleep(0.01)
        second = now()
        time.sleep(0.01)
        self.home.psql(self.name, "INSERT INTO numbers VALUES (3)")
        for moment, rows in ((second, "1 2"), (first, "1")):
            self.assertEqual(self.rows_of_new("back", {"createMode": "PointInTimeRestore",
                                                       "pointInTimeUTC": moment}), rows)

    def test_2_a_backup_on_demand_is_made_and_dropped(self):
        path = self.path() + "/backups/before-upgrade"
        self.home.do("PUT", path, timeout=240)
        self.assertEqual(self.home.get(path).json["properties"]["howdah"]["kind"], "Differential")
        self.assertEqual(len(self.backups()), 2)
        self.home.do("DELETE", path, timeout=120)
        self.assertEqual(len(self.backups()), 1)

    def test_3_a_store_that_is_away_costs_no_second(self):
        gaps = len(self.spans())
        self.store.stop()
        try:
            self.home.kill("howdah-agent")
            wait_until("the condition says so", lambda: self.condition()["status"] == "False",
                       timeout=240)
            self.home.psql(self.name, "INSERT INTO numbers VALUES (4)")
            time.sleep(0.01)
            moment = now()
            time.sleep(0.01)
            self.home.psql(self.name, "INSERT INTO numbers VALUES (5)")
        finally:
            self.store.start()
        wait_until("the condition is well again", lambda: self.condition()["status"] == "True",
                   timeout=240)
        self.assertEqual(self.rows_of_new("meanwhile", {"createMode": "PointInTimeRestore",
                                                        "pointInTimeUTC": moment}), "1 2 3 4")
        self.assertEqual(len(self.spans()), gaps, "there is no new gap")

    def test_4_what_is_kept_and_said_is_not_plain(self):
        text = SECRET_TEXT.encode()
        seen = 0
        for each in self.store.objects():
            self.assertNotIn(text, each)
            seen += len(each)
        self.assertGreater(seen, 1_000_000)
        for each in self.home.processes():
            self.assertNotIn(self.store.secret, " ".join(each.argv))
        for folder, _, files in os.walk(self.home.folder):
            for each in (each for each in files if each.endswith(".log")):
                with open(os.path.join(folder, each), encoding="utf-8", errors="replace") as file:
                    self.assertNotIn('"' + self.store.secret, file.read(), each)

    def test_5_a_deleted_server_comes_back(self):
        self.home.psql(self.name, "INSERT INTO numbers VALUES (6)")
        self.home.do("DELETE", self.path())
        self.assertEqual(self.rows_of_new("revived", {"createMode": "ReviveDropped"}),
                         "1 2 3 4 5 6")


class InS3(Elsewhere, Case):
    store_type = S3


class InAzureBlob(Elsewhere, Case):
    store_type = AzureBlob


class Files(Case):
    def refusal(self, text, mode=0o600):
        with tempfile.TemporaryDirectory(prefix="howdah-e2e-") as folder:
            path = os.path.join(folder, "repository.toml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(path, mode)
            ended = subprocess.run(
                [howdah_client.binary("howdahd"), "--home", os.path.join(folder, "home"), "--repository", path],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        self.assertNotEqual(ended.returncode, 0)
        return ended.stderr + ended.stdout

    def test_a_file_that_is_wrong_or_open_is_refused_at_the_start(self):
        self.assertIn("'type' is missing", self.refusal(""))
        self.assertIn("'bucket' is missing", self.refusal('type = "s3"'))
        self.assertIn("chmod 600", self.refusal('type = "s3"', mode=0o644))


if __name__ == "__main__":
    unittest.main(verbosity=2)
