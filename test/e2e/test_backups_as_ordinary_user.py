"""Backups once more, with all of Howdah run by an ordinary user."""

import unittest

import ordinary_user
import test_backups

ordinary_user.again(test_backups, globals(), ["Backups"])

if __name__ == "__main__":
    unittest.main(verbosity=2)
