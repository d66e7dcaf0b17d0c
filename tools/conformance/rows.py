"""What the conformance runs share: rows of the table, and how an outcome is told."""

import sys
import time
import traceback

WORKS, NOT_BUILT, BROKEN = "works", "not built yet", "broken"
# An empty list, or 404, of what cannot be made yet: the truth, and proves nothing that works.
NOTHING_YET = "nothing yet"
# What Howdah says when it answers 404 for such a thing.
UNSUPPORTED = "not supported by this version of Howdah"


class NothingYet(Exception):
    """A list of what cannot be made yet is empty."""


class NotForUs(Exception):
    """It cannot be tried here, for the reason that it says."""


class Rows:
    """The outcome of every operation or command of one client, in the order they were tried."""

    def __init__(self, client):
        self.client = client
        self.rows = []

    def add(self, what, outcome, proof):
        self.rows.append({"client": self.client, "what": what, "outcome": outcome, "proof": proof})
        print(f"{self.client:22} {outcome:14} {what}: {proof}", file=sys.stderr, flush=True)

    def attempt(self, what, action, refusal_of):
        """`action` does it and returns how the effect was seen. refusal_of(exception): the text of
        a documented FeatureNotSupported, or None. A 404 that says so is no refusal: there is
        nothing of the kind."""
        try:
            self.add(what, WORKS, action())
        except NotForUs as reason:
            self.add(what, "not for us", str(reason))
        except NothingYet as reason:
            self.add(what, NOTHING_YET, str(reason))
        except Exception as error:  # pylint: disable=broad-except
            refusal = refusal_of(error)
            if not refusal and UNSUPPORTED in str(error) and "ResourceNotFound" in str(error):
                self.add(what, NOTHING_YET, "ResourceNotFound, as none can be made")
            elif refusal:
                self.add(what, NOT_BUILT, refusal)
            else:
                text = traceback.format_exception_only(type(error), error)[-1].strip()
                self.add(what, BROKEN, " ".join(text.split())[:300])


def nothing_yet(found):
    """For a list of what cannot be made yet; AssertionError if it has something."""
    if list(found):
        raise AssertionError("it answers, but nothing here proves its effect")
    raise NothingYet("an empty list, as none can be made")


def seen(what, condition):
    """The proof `what`, if it holds."""
    if not condition:
        raise AssertionError(f"not seen: {what}")
    return what


def seen_soon(what, probe, seconds=20):
    end = time.monotonic() + seconds
    while not probe():
        if time.monotonic() > end:
            raise AssertionError(f"not seen in {seconds} s: {what}")
        time.sleep(0.1)
    return what
