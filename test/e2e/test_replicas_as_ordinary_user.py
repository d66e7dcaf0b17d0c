"""Read replicas once more, with all of Howdah run by an ordinary user."""

import unittest

import ordinary_user
import test_replicas

ordinary_user.again(test_replicas, globals(), ["Replicas"])

if __name__ == "__main__":
    unittest.main(verbosity=2)
