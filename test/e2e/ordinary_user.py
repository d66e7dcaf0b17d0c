"""A module of tests once more, with all of Howdah run by an ordinary user."""

import os
import unittest

from support import howdah_client

USER = os.environ.get("HOWDAH_E2E_USER", "nobody")


def again(module, into, names):
    """Puts setUpModule, tearDownModule and these classes of `module` into the namespace `into`. Skipped
    if the tests themselves run as an ordinary user: `module` has done so already then."""

    def set_up():
        if os.geteuid() != 0:
            raise unittest.SkipTest("the tests themselves run as an ordinary user")
        howdah_client.default_user = USER
        try:
            module.setUpModule()
        finally:
            howdah_client.default_user = None

    into["setUpModule"] = set_up
    into["tearDownModule"] = module.tearDownModule
    for name in names:
        # A class of that module, so that its setUpModule is its.
        into[name] = type(name, (getattr(module, name),), {"__module__": into["__name__"]})
