"""The life of a server once more, with all of Howdah run by an ordinary user (when the tests run as
root; else test_server_life has done so already)."""

import os
import unittest

from support import howdah_client
import test_server_life as life

USER = os.environ.get("HOWDAH_E2E_USER", "nobody")


def setUpModule():
    if os.geteuid() != 0:
        raise unittest.SkipTest("the tests themselves run as an ordinary user")
    howdah_client.default_user = USER
    try:
        life.setUpModule()
    finally:
        howdah_client.default_user = None


def tearDownModule():
    life.tearDownModule()


class OrdinaryUser(life.Case):
    def test_nothing_runs_as_root(self):
        self.assertTrue(life.HOME.processes())
        for each in life.HOME.processes():
            self.assertNotEqual(each.uid, 0, each)

    def test_what_root_would_add_is_said(self):
        """Missing limits and users are named once in the log or shown as capabilities."""
        with open(life.HOME.log_path, encoding="utf-8") as file:
            text = file.read().lower()
        for base, _, names in os.walk(os.path.join(life.HOME.dir, "log")):
            for name in names:
                with open(os.path.join(base, name), encoding="utf-8", errors="replace") as file:
                    text += file.read().lower()
        self.assertIn("cgroup", text)


# Classes of this module, so that its setUpModule is theirs.
for _each in ("Authentication", "Changes", "Databases", "Deletion", "Extensions", "Firewall",
              "Gateway", "Postgres", "Privileges", "Secrets", "Shape", "StopAndStart"):
    globals()[_each] = type(_each, (getattr(life, _each),), {"__module__": __name__})

if __name__ == "__main__":
    unittest.main(verbosity=2)
