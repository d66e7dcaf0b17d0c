"""What the end-to-end tests share: the path to the client library and checks used in many files."""

import glob
import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))

import howdah_client  # noqa: E402
from howdah_client import Home, wait_until  # noqa: E402


class Relay:
    """A port that leads straight to a PostgreSQL, past the gateway, from the one address that its
    pg_hba.conf lets in."""

    SOURCE = "127.0.0.2"

    def __init__(self, backend_port):
        self.backend_port = backend_port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self):
        self.listener.close()

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
                backend = socket.create_connection(("127.0.0.1", self.backend_port),
                                                   source_address=(self.SOURCE, 0))
            except OSError:
                if self.listener.fileno() < 0:
                    return
                continue
            for one, other in ((client, backend), (backend, client)):
                threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    @staticmethod
    def _copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            for each in (source, target):
                each.close()


_homes = []


def _give_up(number, _):
    """A run that took too long is ended with SIGTERM: nothing of it may stay behind."""
    for home in _homes:
        home.abandon()
    os._exit(128 + number)


signal.signal(signal.SIGTERM, _give_up)


def require_binaries():
    missing = howdah_client.missing_binaries()
    if missing:
        raise RuntimeError(f"not built in {howdah_client.bin_dir()} (set HOWDAH_BIN_DIR): "
                           + ", ".join(missing))


def started_home(**options):
    """A running home with a resource group; ended and removed if the start fails."""
    require_binaries()
    home = Home(**options)
    _homes.append(home)
    try:
        home.start()
        home.make_group()
    except BaseException:
        sys.stderr.write(home.log_tail())
        home.stop()
        raise
    return home


class Case(unittest.TestCase):
    """Assertions of this suite."""

    maxDiff = None
    longMessage = True

    def assert_error(self, answer, status=None, code=None, target=None):
        """The answer is in Azure's error shape: a code, a sentence, and what it is about."""
        if status is not None:
            allowed = status if isinstance(status, (tuple, list, set, range)) else (status,)
            self.assertIn(answer.status, allowed, repr(answer))
        self.assertGreaterEqual(answer.status, 400, repr(answer))
        self.assertIn("application/json", answer.headers.get("content-type", ""), repr(answer))
        error = answer.error
        self.assertTrue(error.get("code"), f"no error.code in {answer!r}")
        self.assertRegex(error["code"], r"^[A-Za-z][A-Za-z0-9]+$")
        self.assertTrue(error.get("message"), f"no error.message in {answer!r}")
        if code is not None:
            allowed = code if isinstance(code, (tuple, list, set)) else (code,)
            self.assertIn(error["code"], allowed, repr(answer))
        if target is not None:
            self.assertIn(target.lower(), (error.get("target") or "").lower(),
                          f"error.target does not name {target}: {answer!r}")

    def assert_within(self, seconds, action):
        begin = time.monotonic()
        value = action()
        self.assertLess(time.monotonic() - begin, seconds)
        return value


__all__ = ["Case", "Home", "howdah_client", "require_binaries", "started_home", "wait_until"]


def flip_a_bit(path):
    """In the middle of the file."""
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def run_guide(home, name, timeout=400):
    """Runs the one block of commands of docs/guide/NAME in one shell; what they printed."""
    path = os.path.join(howdah_client.ROOT, "docs", "guide", name)
    with open(path, encoding="utf-8") as file:
        blocks = re.findall(r"^```sh\n(.*?)^```", file.read(), re.S | re.M)
    if len(blocks) != 1:
        raise AssertionError(f"{name} has {len(blocks)} blocks of commands")
    credentials = os.path.join(home.dir, "howdahd", "bootstrap-credentials.json")
    script = f"howdah login --credentials '{credentials}'\n{blocks[0]}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], text=True, timeout=timeout,
        stdin=subprocess.DEVNULL, capture_output=True, check=False, cwd=home.user_folder,
        env={"PATH": howdah_client.bin_dir() + ":" + os.environ["PATH"],
             "HOME": home.user_folder, "LANG": "C.UTF-8"})
    if done.returncode != 0:
        raise AssertionError(done.stdout + done.stderr)
    return done.stdout


def instance_folder(home, name):
    """Of a server's PostgreSQL on this machine, and not of a copy that proves its backups."""
    for path in glob.glob(os.path.join(home.dir, "agent", "instances", "*", "state.json")):
        if os.path.basename(os.path.dirname(path)).startswith("scratch-"):
            continue
        with open(path, encoding="utf-8") as file:
            if json.load(file)["spec"]["server_name"] == name:
                return os.path.dirname(path)
    raise AssertionError(f"no instance of {name}")


def as_superuser(home, name, *commands):
    """The agent's user alone may, through the socket."""
    folder = instance_folder(home, name)
    with open(os.path.join(folder, "state.json"), encoding="utf-8") as file:
        port = json.load(file)["backend_port"]
    sockets = os.path.join(home.dir, "agent", "s", os.path.basename(folder)[:8])
    who = []
    if home.user:
        entry = pwd.getpwnam(home.user)
        who = ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    subprocess.run([*who, "psql", "-Xqw", "-h", sockets, "-p", str(port), "-U", "howdah", "-d",
                    "azure_maintenance", *(word for each in commands for word in ("-c", each))],
                   check=True, timeout=30, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
