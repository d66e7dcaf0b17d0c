"""The life of a server once more, with all of Howdah run by an ordinary user."""

import os
import unittest

import ordinary_user
import test_server_life as life

ordinary_user.again(life, globals(), (
    "Authentication", "Changes", "Databases", "Deletion", "Extensions", "Firewall", "Gateway",
    "Postgres", "Privileges", "Secrets", "Shape", "StopAndStart"))


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


if __name__ == "__main__":
    unittest.main(verbosity=2)
