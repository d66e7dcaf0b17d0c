"""What the azurerm provider said to a Howdah, said once more to a fresh one: each of its requests
in order, with the answers' statuses, headers and the fields that the provider reads. The recordings
in test/terraform/recorded come from test_terraform.py."""

import glob
import json
import os
import re
import time
import unittest

import terraform_support
from support import Case, howdah_client, started_home

HOME = None
SERVER = "terraform-server"
POLL_SECONDS_MAX = 90
POLL_PAUSE = 0.1


def setUpModule():
    global HOME
    HOME = started_home()


def tearDownModule():
    if HOME:
        HOME.stop()


class Replay(Case):
    def setUp(self):
        self.names = terraform_support.common_placeholders(
            HOME, HOME.credentials["api_url"].rstrip("/"))
        self.passwords = [howdah_client.password(), howdah_client.password()]
        for number, each in enumerate(self.passwords, 1):
            self.names.add(f"password-{number}", each)

    def send(self, step):
        body = step.get("body")
        if isinstance(body, str):
            body = self.names.show(body).encode()
        elif body is not None:
            body = json.dumps(self.names.show_json(body)).encode()
        headers = {k: self.names.show(v) for k, v in step["headers"].items()}
        answer = HOME.raw(step["method"], self.names.show(step["path"]), body, headers)
        try:
            value = answer.json
        except ValueError:
            value = None
        terraform_support.learn(self.names, answer.headers, value)
        return answer, value

    def differences(self, step, answer, value):
        """What of an answer is not as it was recorded, as text."""
        found = []
        if answer.status != step["status"]:
            found.append(f"the status is {answer.status}, not {step['status']}")
        for name, text in step["answer_headers"].items():
            if answer.headers.get(name) != self.names.show(text):
                found.append(f"{name} is {answer.headers.get(name)!r}, not {text!r}")
        if "reads" in step:
            path = step["path"].split("?")[0]
            part = terraform_support.read_part(step["method"], path, value)
            wanted = self.names.show_json(step["reads"])
            if part != wanted:
                found.append(f"it reads {part}, not {wanted}")
        return "; ".join(found)

    def take(self, step, where):
        end = time.monotonic() + POLL_SECONDS_MAX
        while True:
            answer, value = self.send(step)
            differences = self.differences(step, answer, value)
            if not differences:
                return
            failed = isinstance(value, dict) and value.get("status") in ("Failed", "Canceled")
            if (not step.get("poll") or failed or answer.status not in (200, 202)
                    or time.monotonic() > end):
                self.fail(f"{where}: {step['method']} {step['path']}: {differences}")
            time.sleep(POLL_PAUSE)

    def psql(self, sql, password, **where):
        return HOME.psql(SERVER, sql, secret=password, **where)

    def after(self, name):
        """What the client cannot see of what it did."""
        if name == "1-create":
            self.psql("create table kept as select 42 as n", self.passwords[0], db="app")
            self.assertEqual(self.psql("show work_mem", self.passwords[0]), "8MB")
            self.psql("create extension hstore", self.passwords[0], db="app")
        if name == "3-change":
            self.assertEqual(self.psql("select n from kept", self.passwords[1], db="app"), "42")
            self.assertEqual(self.psql("show work_mem", self.passwords[1]), "16MB")
            self.assertEqual(self.psql("show max_connections", self.passwords[1]), "70")
        if name == "5-import":
            self.assertEqual(self.psql("select n from kept", self.passwords[1], db="app"), "42")

    def test_the_recorded_requests_are_answered_as_they_were(self):
        files = sorted(glob.glob(os.path.join(terraform_support.RECORDED, "*.json")))
        self.assertEqual([re.sub(r"-.*", "", os.path.basename(f)) for f in files],
                         ["1", "2", "3", "4", "5", "6"])
        for file in files:
            name = os.path.basename(file).removesuffix(".json")
            with open(file, encoding="utf-8") as text:
                steps = json.load(text)
            self.assertGreater(len(steps), 5, name)
            for number, step in enumerate(steps, 1):
                self.take(step, f"{name}, step {number}")
            self.after(name)

    def test_no_secret_is_in_the_recordings(self):
        for file in glob.glob(os.path.join(terraform_support.RECORDED, "*.json")):
            with open(file, encoding="utf-8") as text:
                steps = json.load(text)
            for step in steps:
                self.assertRegex(step["headers"].get("authorization", "Bearer {token-1}"),
                                 r"^Bearer \{token-\d+\}$", file)
                properties = (step.get("body") or {}) if isinstance(step.get("body"), dict) else {}
                secret = properties.get("properties", {}).get("administratorLoginPassword")
                self.assertRegex(secret or "{password-1}", r"^\{password-\d\}$", file)
                if isinstance(step.get("body"), str):
                    self.assertIn("client_secret={secret", step["body"], file)


if __name__ == "__main__":
    unittest.main(verbosity=2)
