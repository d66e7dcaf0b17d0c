"""The commands of docs/guide/azure-clients.md, word by word, as a fresh user would type them, and its lines of
Python and JavaScript with the credentials before them."""

import glob
import json
import os
import re
import shutil
import subprocess
import unittest

from support import Case, howdah_client, started_home

GUIDE = os.path.join(howdah_client.ROOT, "docs", "guide", "azure-clients.md")
# Where script/conformance has put the clients.
CLIENTS = os.environ.get("HOWDAH_CLIENTS_DIR",
                         os.path.join(howdah_client.ROOT, "build", "conformance"))
NEEDED = ("tenant_id", "client_id", "client_secret", "api_url", "subscription_id")


def blocks(language):
    with open(GUIDE, encoding="utf-8") as file:
        return re.findall(rf"^```{language}\n(.*?)^```", file.read(), re.S | re.M)


class Guide(Case):
    def test_the_commands_of_the_guide_do_what_it_says(self):
        if not shutil.which("az"):
            self.skipTest("SKIPPED: az is not installed (Debian: azure-cli)")
        commands = blocks("sh")
        self.assertGreater(len(commands), 5)
        home = started_home()
        try:
            user = os.path.join(home.folder, "guide")
            os.mkdir(user)
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", "\n".join(commands)], cwd=user, text=True,
                stdin=subprocess.DEVNULL, capture_output=True, timeout=600, check=False,
                env={"PATH": howdah_client.bin_dir() + ":" + os.environ["PATH"], "HOME": user,
                     "LANG": "C.UTF-8", "HOWDAH_HOME": home.dir,
                     "GUIDE_PASSWORD": howdah_client.password(),
                     "AZURE_CORE_COLLECT_TELEMETRY": "no"})
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            for seen in ("guide-server", "hello", "guide-admin", "8MB", "guide-server/shop", "2 to create"):
                self.assertIn(seen, done.stdout)
            with open(os.path.join(user, "app.sql"), encoding="utf-8") as dump:
                self.assertIn("hello", dump.read())
            self.assertEqual(home.get(home.server_path("guide-server", "guide")).status, 404)
        finally:
            home.stop()


class Sdks(Case):
    """A block of the guide, after lines that set the names it uses."""

    SERVER = "seen-by-sdk"

    @classmethod
    def setUpClass(cls):
        cls.home = home = started_home()
        home.create_server(cls.SERVER)
        shutil.copy(home.credentials["ca_path"], os.path.join(home.folder, "howdah-ca.pem"))
        cls.facts = {name: home.credentials[name].rstrip("/") for name in NEEDED}

    @classmethod
    def tearDownClass(cls):
        cls.home.stop()

    def run_block(self, program, name, text, **environment):
        with open(os.path.join(self.home.folder, name), "w", encoding="utf-8",
                  opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(text)
        done = subprocess.run([program, name], cwd=self.home.folder, text=True, timeout=120,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False,
                              env={"PATH": os.environ["PATH"], "HOME": self.home.folder,
                                   "LANG": "C.UTF-8", **environment})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(self.SERVER, done.stdout)

    def test_the_lines_of_python_list_a_server(self):
        found = blocks("python")
        self.assertEqual(len(found), 1)
        for python in (os.path.join(CLIENTS, "venv", "bin", "python"), shutil.which("python3")):
            if os.path.exists(python) and subprocess.run(
                    [python, "-c", "import azure.mgmt.postgresqlflexibleservers"],
                    capture_output=True, check=False).returncode == 0:
                break
        else:
            self.skipTest("SKIPPED: the Python SDK is not installed (script/conformance brings it)")
        prelude = "".join(f"{name} = {value!r}\n" for name, value in self.facts.items())
        self.run_block(python, "guide.py", prelude + found[0])

    def test_the_lines_of_javascript_list_a_server(self):
        found = blocks("js")
        self.assertEqual(len(found), 1)
        packages = os.path.join(CLIENTS, "node_modules")
        if not shutil.which("node") or not glob.glob(
                os.path.join(packages, "@azure", "arm-postgresql-flexible")):
            self.skipTest("SKIPPED: the JavaScript SDK is not installed "
                          "(script/conformance brings it)")
        os.symlink(packages, os.path.join(self.home.folder, "node_modules"))
        prelude = "".join(
            f"const {re.sub('_(.)', lambda letter: letter[1].upper(), name)} = "
            f"{json.dumps(value)};\n" for name, value in self.facts.items())
        self.run_block("node", "guide.mjs", prelude + found[0],
                       NODE_EXTRA_CA_CERTS="howdah-ca.pem")


if __name__ == "__main__":
    unittest.main(verbosity=2)
