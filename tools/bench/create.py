#!/usr/bin/env python3
"""How long it takes to have a PostgreSQL server: PUT of a server until its first query succeeds through
the gateway, over verified TLS, against `initdb --no-sync`, start and first query, and against a copy of
a ready data directory, start and first query."""

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid

from howdah_bench import arguments_of, finish, howdah_client, medians_in_turns, row, say

WAIT_MAX = 60


class Plain:
    """PostgreSQL as one starts it by hand, as the user postgres if we are root."""

    def __init__(self):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"),
                       key=lambda p: int(p.split("/")[4]))
        if not found:
            raise SystemExit("no PostgreSQL is installed")
        self.bin = os.path.dirname(found[-1])
        self.folder = tempfile.mkdtemp(prefix="howdah-bench-", dir="/tmp")
        self.prefix = []
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self.prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}",
                           "--clear-groups"]
        self.ready = os.path.join(self.folder, "ready")
        self.initdb(self.ready)

    def run(self, *command):
        subprocess.run([*self.prefix, *command], check=True, cwd="/", stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def initdb(self, data):
        self.run(f"{self.bin}/initdb", "--no-sync", "-k", "-A", "trust", "-U", "bench", "-D", data)

    def first_query(self, data):
        """Starts a server on the directory, asks it until it answers, and ends it."""
        server = subprocess.Popen(
            [*self.prefix, f"{self.bin}/postgres", "-D", data, "-k", self.folder, "-h", "", "-c",
             "listen_addresses="], cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + WAIT_MAX
            while subprocess.run(["psql", "-XqAt", "-h", self.folder, "-U", "bench", "-d",
                                  "postgres", "-c", "select 1"], capture_output=True,
                                 check=False).returncode != 0:
                if time.monotonic() > end:
                    raise SystemExit("PostgreSQL did not start")
                time.sleep(0.01)
            return time.monotonic()
        finally:
            server.terminate()
            server.wait()

    def by_initdb(self):
        data = os.path.join(self.folder, uuid.uuid4().hex)
        begin = time.monotonic()
        self.initdb(data)
        end = self.first_query(data)
        shutil.rmtree(data)
        return end - begin

    def by_copy(self):
        data = os.path.join(self.folder, uuid.uuid4().hex)
        begin = time.monotonic()
        self.run("cp", "-a", self.ready, data)
        end = self.first_query(data)
        shutil.rmtree(data)
        return end - begin

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def prepared(home):
    """The number of prepared data directories that are ready."""
    folder = os.path.join(home.dir, "agent", "prepared")
    if not os.path.isdir(folder):
        return 0
    return len([n for n in os.listdir(folder) if not n.startswith("half-")])


def by_howdah(home):
    howdah_client.wait_until("a data directory is prepared", lambda: prepared(home) >= 1, WAIT_MAX)
    howdah_client.wait_until("the machine is quiet", lambda: is_quiet(home), WAIT_MAX)
    name = "bench-" + uuid.uuid4().hex[:12]
    body = home.server_body(name)
    token = home.token()
    begin = time.monotonic()
    put = home.call("PUT", home.server_path(name), body, token=token)
    if put.status not in (200, 201, 202):
        raise SystemExit(f"PUT of a server: {put!r}")
    rule = home.call("PUT", home.server_path(name) + "/firewallRules/here",
                     {"properties": {"startIpAddress": "127.0.0.1",
                                     "endIpAddress": "127.0.0.1"}}, token=token)
    if rule.status not in (200, 201, 202):
        raise SystemExit(f"PUT of a firewall rule: {rule!r}")
    while True:
        asked = home.psql(name, "select 1", check=False)
        if asked.returncode == 0:
            break
        if time.monotonic() - begin > WAIT_MAX:
            raise SystemExit(f"the server did not answer: {asked.stderr}\n"
                             f"{home.get(home.server_path(name)).body!r}\n{home.log_tail()}")
        time.sleep(0.01)
    taken = time.monotonic() - begin
    home.finish(put)
    home.finish(rule)
    home.do("DELETE", home.server_path(name))
    return taken


def is_quiet(home):
    """Nobody prepares a directory: the next measurement is not disturbed by the last one."""
    return not any(p.name in ("initdb", "cp") or "--boot" in p.argv or "--single" in p.argv
                   for p in home.processes())


def main():
    arguments = arguments_of(__doc__, rounds=7)
    plain = Plain()
    try:
        with howdah_client.Home() as home:
            home.make_group()
            say("creating servers")
            by_howdah(home)
            median = medians_in_turns({"howdah": lambda: by_howdah(home),
                                       "initdb": plain.by_initdb, "copy": plain.by_copy},
                                      arguments.rounds)
    finally:
        plain.close()
    what = "PUT of a server until its first query"
    ours = f"{median['howdah'] * 1000:.0f} ms"
    finish([row("create", what, "initdb --no-sync, start, first query",
                median["howdah"] / median["initdb"], at_most=0.4, ours=ours,
                theirs=f"{median['initdb'] * 1000:.0f} ms"),
            row("create", what, "copy of a ready directory, start, first query",
                median["howdah"] / median["copy"], ours=ours,
                theirs=f"{median['copy'] * 1000:.0f} ms")])


if __name__ == "__main__":
    main()
