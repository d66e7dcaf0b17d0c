"""Pooled connections once more, with all of Howdah run by an ordinary user (when the tests run as root;
else test_pooler has done so already): no folder keeps servers apart there."""

import os
import unittest

from support import howdah_client
import test_pooler as pooled

USER = os.environ.get("HOWDAH_E2E_USER", "nobody")


def setUpModule():
    if os.geteuid() != 0:
        raise unittest.SkipTest("the tests themselves run as an ordinary user")
    howdah_client.default_user = USER
    try:
        pooled.setUpModule()
    finally:
        howdah_client.default_user = None


def tearDownModule():
    pooled.tearDownModule()


# A class of this module, so that its setUpModule is its.
OrdinaryUser = type("OrdinaryUser", (pooled.Pooler,), {"__module__": __name__})

if __name__ == "__main__":
    unittest.main(verbosity=2)
