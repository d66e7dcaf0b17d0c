"""PostgreSQL's log files through the API: switched on, listed, downloaded by links that expire."""

import concurrent.futures
import glob
import json
import os
import re
import ssl
import unittest
import urllib.error
import urllib.parse
import urllib.request

from support import Case, howdah_client, started_home, wait_until

HOME = None
MAIN = "logs"
OTHER = "silent"
MARK = "a recognisable error 4711"


def setUpModule():
    global HOME
    HOME = started_home()
    try:
        HOME.create_server(MAIN)
        HOME.create_server(OTHER)
        HOME.set_parameter(MAIN, "logfiles.download_enable", "on")
    except BaseException:
        tearDownModule()
        raise


def tearDownModule():
    if HOME:
        HOME.stop()


def path(server=MAIN):
    return HOME.server_path(server)


def files(server=MAIN):
    answer = HOME.get(path(server) + "/logFiles")
    if answer.status != 200:
        raise AssertionError(repr(answer))
    return answer.json["value"]


def newest(server=MAIN):
    wait_until("log files are listed", lambda: files(server), timeout=40)
    return files(server)[-1]["properties"]["url"]


def download(url, headers=None):
    """As az does: urllib, and no token."""
    context = ssl.create_default_context(cafile=os.path.join(HOME.dir, "ca.pem"))
    context.check_hostname = False
    request = urllib.request.Request(url, headers=headers or {})
    try:
        with urllib.request.urlopen(request, context=context, timeout=60) as answer:
            return answer.status, dict(answer.headers.items()), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers.items()), error.read()


def folder(server=MAIN):
    """Of the log files, by what the agent keeps."""
    for state in glob.glob(os.path.join(HOME.dir, "agent", "instances", "*", "state.json")):
        with open(state, encoding="utf-8") as file:
            if json.load(file)["spec"]["server_name"] == server:
                return os.path.join(os.path.dirname(state), "log")
    raise AssertionError(f"no instance of {server}")


class ServerLogs(Case):
    def refused(self, url):
        status, headers, body = download(url)
        self.assertEqual(status, 403, body)
        self.assertIn("application/json", headers.get("content-type", headers.get("Content-Type")))
        error = json.loads(body)["error"]
        self.assertEqual(error["code"], "AuthorizationFailed")
        for hint in ("expired on", "incarnation", "signature"):
            self.assertNotIn(hint, error["message"])

    def test_an_error_is_found_in_the_downloaded_log(self):
        HOME.psql(MAIN, f"do $$ begin raise exception '{MARK}'; end $$", check=False)
        listed = wait_until("log files are listed", files, timeout=40) or files()
        # Other tests put files of the year 2000 there and take them away again.
        listed = [each for each in listed if not each["name"].startswith("postgresql-2000")]
        for file in listed:
            self.assertRegex(file["name"], r"^postgresql-[0-9_-]+\.(json|log|csv)$")
            self.assertEqual(file["type"], "Microsoft.DBforPostgreSQL/flexibleServers/logFiles")
            self.assertEqual(set(file["properties"]), {"createdTime", "lastModifiedTime",
                                                       "sizeInKb", "type", "url"})
        texts = []
        for file in listed:
            status, headers, body = download(file["properties"]["url"])
            self.assertEqual(status, 200, body)
            lower = {name.lower(): value for name, value in headers.items()}
            self.assertEqual(int(lower["content-length"]), len(body))
            texts.append(body.decode())
        found = [line for text in texts for line in text.splitlines() if MARK in line]
        self.assertTrue(found)
        self.assertIn(MARK, json.loads(found[0])["message"])

    def test_a_range_is_a_part_of_the_file(self):
        url = newest()
        _, _, whole = download(url)
        status, headers, part = download(url, {"Range": "bytes=10-19"})
        self.assertEqual(status, 206)
        self.assertEqual(part, whole[10:20])
        lower = {name.lower(): value for name, value in headers.items()}
        self.assertRegex(lower["content-range"], r"^bytes 10-19/\d+$")
        self.assertEqual(download(url, {"Range": f"bytes={10 ** 12}-"})[0], 416)

    def test_a_server_without_the_parameter_lists_nothing(self):
        self.assertEqual(files(OTHER), [])

    def test_a_changed_link_is_refused(self):
        url = newest()
        parts = urllib.parse.urlsplit(url)
        query = urllib.parse.parse_qs(parts.query)
        self.refused(url.replace(query["sig"][0][20:26], "AAAAAA"))
        self.refused(url.replace("se=2", "se=3"))
        self.refused(url.split("&sig=")[0])
        name = os.path.basename(parts.path)
        self.refused(url.replace(name, re.sub(r"\d", "9", name)))
        self.refused(url.replace(name, "..%2Fstate.json"))
        self.assertEqual(download(url)[0], 200)

    def test_a_link_that_is_used_after_downloads_were_switched_off_is_refused(self):
        HOME.create_server("switched")
        HOME.set_parameter("switched", "logfiles.download_enable", "on")
        url = newest("switched")
        self.assertEqual(download(url)[0], 200)
        HOME.set_parameter("switched", "logfiles.download_enable", "off")
        self.refused(url)
        self.assertEqual(files("switched"), [])

    def test_a_link_does_not_outlive_its_server(self):
        HOME.create_server("mortal")
        HOME.set_parameter("mortal", "logfiles.download_enable", "on")
        url = newest("mortal")
        self.assertEqual(download(url)[0], 200)
        HOME.do("DELETE", path("mortal"))
        self.refused(url)
        HOME.create_server("mortal")
        HOME.set_parameter("mortal", "logfiles.download_enable", "on")
        self.refused(url)
        self.assertEqual(download(newest("mortal"))[0], 200)

    def test_a_file_that_is_gone_is_not_found(self):
        newest()
        victim = os.path.join(folder(), "postgresql-2000-01-01_000000.json")
        with open(victim, "w", encoding="utf-8") as file:
            file.write("old\n")
        listed = wait_until("the file is listed", lambda: [
            each for each in files() if each["name"] == os.path.basename(victim)], timeout=40)
        self.assertEqual(download(listed[0]["properties"]["url"])[2], b"old\n")
        os.remove(victim)
        status, _, body = download(listed[0]["properties"]["url"])
        self.assertEqual(status, 404, body)

    def test_files_older_than_the_retention_are_removed(self):
        victim = os.path.join(folder(), "postgresql-2000-01-02_000000.json")
        with open(victim, "w", encoding="utf-8") as file:
            file.write("old\n")
        os.utime(victim, (1, 1))
        wait_until("the old file is removed", lambda: not os.path.exists(victim), timeout=40)

    def test_a_link_in_the_folder_leads_nowhere(self):
        trap = os.path.join(folder(), "postgresql-2000-01-03_000000.json")
        marker = os.path.join(folder(), "postgresql-2000-01-04_000000.json")
        os.symlink(os.path.join(HOME.dir, "howdahd", "master.key"), trap)
        with open(marker, "w", encoding="utf-8") as file:
            file.write("marker\n")
        try:
            wait_until("the file beside it is listed", lambda: any(
                each["name"] == os.path.basename(marker) for each in files()), timeout=40)
            self.assertNotIn(os.path.basename(trap), [each["name"] for each in files()])
        finally:
            os.remove(trap)
            os.remove(marker)

    def test_a_large_file_arrives_whole_beside_others_and_takes_no_memory(self):
        newest()
        large = os.path.join(folder(), "postgresql-2000-01-05_000000.json")
        block = bytes(range(256)) * 4096
        with open(large, "wb") as file:
            for _ in range(60):
                file.write(block)
        try:
            listed = wait_until("the large file is listed", lambda: [
                each for each in files() if each["name"] == os.path.basename(large)], timeout=40)
            url = listed[0]["properties"]["url"]
            pids = [HOME.one("howdahd"), HOME.one("howdah-agent")]
            for pid in pids:
                howdah_client.reset_peak(pid)
            before = [howdah_client.rss_kb(pid) for pid in pids]
            with concurrent.futures.ThreadPoolExecutor() as pool:
                answers = [pool.submit(download, url) for _ in range(2)]
                small = download(newest())
                self.assertEqual(small[0], 200)
                for answer in answers:
                    status, _, body = answer.result()
                    self.assertEqual(status, 200)
                    self.assertEqual(body, block * 60)
            after = [howdah_client.rss_kb(pid, "VmHWM") for pid in pids]
            if not howdah_client.is_sanitized():
                for one, other in zip(before, after):
                    self.assertLess(other - one, 30 * 1024)
        finally:
            os.remove(large)

    def test_a_download_goes_on_when_the_agent_is_killed(self):
        url = newest()
        HOME.kill("howdah-agent")
        # It is started again at once, and asked for the file.
        self.assertEqual(download(url)[0], 200)

    def test_no_log_of_ours_has_a_signature(self):
        url = newest()
        download(url)
        self.refused(url.replace("se=2", "se=3"))
        signature = url.split("&sig=")[1]
        texts = [HOME.log_tail(10000)]
        for name in glob.glob(os.path.join(HOME.dir, "log", "*")):
            with open(name, encoding="utf-8", errors="replace") as file:
                texts.append(file.read())
        self.assertTrue(any("log downloaded" in text for text in texts))
        for text in texts:
            self.assertNotIn(signature, text)
            self.assertNotIn("sig=", text)


if __name__ == "__main__":
    unittest.main()
