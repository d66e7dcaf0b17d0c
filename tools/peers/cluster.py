"""What the peers share: a temporary folder, processes of an ordinary user, PostgreSQL found by its
data folder. Everything listens on 127.0.0.1 alone and ends with the cluster."""

import contextlib
import ctypes
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from howdah_client import process, wait_until
from howdah_pair import signal_all

HOST = "127.0.0.1"
POSTGRES_BIN = "/usr/lib/postgresql/15/bin"
USER = "postgres"  # PostgreSQL and pg_autoctl refuse to run as root
# PostgreSQL's wal_retrieve_retry_interval, as we set it: a standby that is asked to promote just
# as it finds out that no more WAL comes sleeps for all of it first, five seconds by default.
RETRY_INTERVAL = "100ms"
PR_SET_CHILD_SUBREAPER = 36
START_TIMEOUT = 90
END_TIMEOUT = 10


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def all_processes():
    found = (process(int(entry)) for entry in os.listdir("/proc") if entry.isdigit())
    return [each for each in found if each is not None]


class Collector:
    """Waits for every postmaster that its father has left to us: one that is dead and that nobody
    waited for looks alive to those that look for its pid. (No process of ours is a postgres.)"""

    def __init__(self):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._end.wait(0.02):
            for pid in children():
                if is_dead_postgres(pid):
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(pid, os.WNOHANG)

    def stop(self):
        self._end.set()
        self._thread.join()


def children():
    found = []
    for path in glob.glob("/proc/self/task/*/children"):
        with contextlib.suppress(OSError), open(path, encoding="utf-8") as file:
            found += map(int, file.read().split())
    return found


def is_dead_postgres(pid):
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            command, _, rest = file.read().rpartition(b") ")
    except OSError:
        return False
    return command.endswith(b"(postgres") and rest.startswith(b"Z")


class Member:
    """One of the two machines: an agent and its PostgreSQL."""

    def __init__(self, folder, name):
        self.name = name
        self.folder = os.path.join(folder, name)
        self.data = os.path.join(self.folder, "data")
        self.port = free_port()
        self.agent = None  # the agent's process, or the first of them


class Cluster:
    """Two members, "a" and "b". Those that derive from it say how they are started, who is primary,
    how one hands over, and when all is well."""

    name = ""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="howdah-peer-")
        self._owner = pwd.getpwnam(USER) if os.geteuid() == 0 else None
        self._children = []
        self.members = [Member(self.folder, name) for name in "ab"]
        for folder in (self.folder, *(member.folder for member in self.members)):
            self.make_folder(folder)
        self._collector = Collector()

    # -- what a peer says ----------------------------------------------------------------------

    def start(self):
        raise NotImplementedError

    def start_agent(self, member):
        raise NotImplementedError

    def primary(self):
        """The member that serves."""
        raise NotImplementedError

    def planned(self):
        """Hands over, in order."""
        raise NotImplementedError

    def is_healthy(self):
        """Whether both members run and commits wait for both."""
        raise NotImplementedError

    def probe(self):
        raise NotImplementedError

    # -- what faults need ----------------------------------------------------------------------

    def named(self, names):
        """The one member that has the one name."""
        found = [member for member in self.members if [member.name] == names]
        if not found:
            raise AssertionError(f"{self.name}: the primary is {names}")
        return found[0]

    def standby(self):
        primary = self.primary()
        return next(member for member in self.members if member is not primary)

    def postgres(self, member):
        """The pids of all its PostgreSQL's processes."""
        return [p.pid for p in all_processes() if p.name == "postgres" and p.cwd == member.data]

    def postmaster(self, member):
        with open(os.path.join(member.data, "postmaster.pid"), encoding="utf-8") as file:
            return int(file.readline())

    def agents(self, member):
        """The agent's process and those that it began, PostgreSQL left out."""
        family, processes = {member.agent.pid}, all_processes()
        for _ in range(len(processes)):
            more = {p.pid for p in processes if p.ppid in family} - family
            if not more:
                break
            family |= more
        return sorted(family - set(self.postgres(member)))

    def lose_host(self, member):
        signal_all([*self.agents(member), *self.postgres(member)], signal.SIGKILL)

    def heal(self):
        """Starts the agents that have ended."""
        for member in self.members:
            if member.agent.poll() is not None:
                self.start_agent(member)

    def wait_until_healthy(self, timeout=START_TIMEOUT):
        """And still is two seconds later: a peer may see only then what has happened to it."""
        since = None

        def stays():
            nonlocal since
            try:
                is_healthy = self.is_healthy()
            except (OSError, ValueError):
                is_healthy = False
            since = (since or time.monotonic()) if is_healthy else None
            return since and time.monotonic() > since + 2

        wait_until(f"{self.name} is healthy", stays, timeout, pause=0.2)

    # -- processes and files -------------------------------------------------------------------

    def make_folder(self, path):
        os.makedirs(path, mode=0o700, exist_ok=True)
        if self._owner:
            os.chown(path, self._owner.pw_uid, self._owner.pw_gid)

    def write(self, path, text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        if self._owner:
            os.chown(path, self._owner.pw_uid, self._owner.pw_gid)
        return path

    def _as_user(self):
        if not self._owner:
            return {}
        return {"user": self._owner.pw_uid, "group": self._owner.pw_gid, "extra_groups": []}

    def environment(self):
        return {"PATH": f"{POSTGRES_BIN}:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
                "HOME": self.folder, "XDG_RUNTIME_DIR": self.folder,
                "PGHOST": self.folder, "PG_REGRESS_SOCK_DIR": self.folder}

    def begin(self, command, log):
        """A process that ends with the cluster; what it prints is in `log`."""
        with open(os.path.join(self.folder, log), "ab") as file:
            child = subprocess.Popen(command, cwd=self.folder, env=self.environment(),
                                     stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                     start_new_session=True, **self._as_user())
        self._children.append(child)
        return child

    def run(self, command, timeout=60):
        done = subprocess.run(command, cwd=self.folder, env=self.environment(), timeout=timeout,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              **self._as_user())
        if done.returncode != 0:
            raise AssertionError(f"{command[:3]} ended with {done.returncode}: "
                                 f"{done.stderr[-2000:]}")
        return done.stdout

    def own_processes(self):
        """All that works in our folder or names it, and our children."""
        own = {child.pid for child in self._children if child.poll() is None}
        return [p for p in all_processes() if p.pid in own or p.cwd.startswith(self.folder)
                or any(self.folder in argument for argument in p.argv)]

    def tail(self, log, lines=20):
        with contextlib.suppress(OSError):
            with open(os.path.join(self.folder, log), encoding="utf-8", errors="replace") as file:
                return "".join(file.readlines()[-lines:])
        return ""

    def close(self):
        end = time.monotonic() + END_TIMEOUT
        while (left := self.own_processes()) and time.monotonic() < end:
            signal_all([p.pid for p in left], signal.SIGKILL)
            time.sleep(0.05)
        self._collector.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        try:
            self.start()
            self.wait_until_healthy()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()
