"""Load for a machine."""

import contextlib
import os
import subprocess
import sys

WORK = "while True: sum(range(1000))"


@contextlib.contextmanager
def all_cores_busy():
    """One process for each core and one more, each a session of its own: kernels share processors
    among sessions. They end with the block, or with this process."""
    command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-c", WORK]
    busy = [subprocess.Popen(command, start_new_session=True) for _ in range((os.cpu_count() or 1) + 1)]
    try:
        yield
    finally:
        for each in busy:
            each.kill()
            each.wait()
