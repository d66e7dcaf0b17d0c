"""Pooled connections once more, with all of Howdah run by an ordinary user: no folder keeps servers
apart there."""

import unittest

import ordinary_user
import test_pooler

ordinary_user.again(test_pooler, globals(), ["Pooler"])

if __name__ == "__main__":
    unittest.main(verbosity=2)
