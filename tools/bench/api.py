#!/usr/bin/env python3
"""Whether the API stays as fast when there is much in the store: GET of one server with 10,000 servers
against 10, and a page of 100 servers with 10,000 against a store that has just these 100."""

import http.client
import statistics
import subprocess
import time

from howdah_bench import arguments_of, finish, howdah_client, row, say

MANY, FEW, PAGE = 10_000, 10, 100
REQUESTS = 200
QUIET_SECONDS = 1.0
QUIET_TICKS = 3
WAIT_MAX = 300
PROVIDER = "providers/Microsoft.DBforPostgreSQL/flexibleServers"


def ticks(pid):
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rsplit(b")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def wait_until_quiet(home):
    """Until howdahd has looked at all servers once and has nothing to do about them."""
    end = time.monotonic() + WAIT_MAX
    while True:
        before = ticks(home.process.pid)
        time.sleep(QUIET_SECONDS)
        if ticks(home.process.pid) - before <= QUIET_TICKS:
            return
        if time.monotonic() > end:
            raise SystemExit("howdahd does not come to rest")


class Side:
    """A Howdah with so many servers in its store."""

    def __init__(self, servers):
        say(f"filling a store with {servers} servers")
        self.home = howdah_client.Home(pool_size=0)
        self.home.start()
        self.home.kill("howdahd")
        subprocess.run([howdah_client.binary("howdah-fill-store"), self.home.dir, str(servers)],
                       check=True)
        self.home.start()
        wait_until_quiet(self.home)
        group = f"{self.home.subscription}/resourceGroups/filled/{PROVIDER}"
        version = "?api-version=" + howdah_client.API_VERSION
        self.one = f"{group}/filled-{servers // 2:06}{version}"
        self.list = group + version

    def median(self, path, servers):
        """Of the time of one request on a connection that is open already, in seconds."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.home.api_port, timeout=30,
                                                 context=self.home._tls)
        headers = {"Authorization": "Bearer " + self.home.token()}
        taken = []
        for _ in range(REQUESTS):
            begin = time.monotonic()
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            taken.append(time.monotonic() - begin)
            if answer.status != 200 or body.count(b'"name":"filled-') != servers:
                raise SystemExit(f"GET {path}: {answer.status} {body[:500]}")
        connection.close()
        return statistics.median(taken)

    def stop(self):
        # Deleting the servers one by one would take long, and nothing runs for them.
        self.home.process.kill()
        self.home.process.wait()
        self.home.stop()


def compare(what, against, path_of, servers, ours, theirs, rounds):
    seen = {ours: [], theirs: []}
    for _ in range(rounds):
        for side in (ours, theirs):
            seen[side].append(side.median(path_of(side), servers))
    one, other = (statistics.median(seen[side]) for side in (ours, theirs))
    say(f"  {what}: {one * 1e6:.0f} us against {other * 1e6:.0f} us")
    return row("api", what, against, one / other, at_most=1.5, ours=f"{one * 1e6:.0f} us",
               theirs=f"{other * 1e6:.0f} us")


def main():
    arguments = arguments_of(__doc__, rounds=5)
    sides = {}
    try:
        for servers in (MANY, FEW, PAGE):
            sides[servers] = Side(servers)
        finish([compare(f"GET of one server, {MANY} in the store", f"{FEW} in the store",
                        lambda side: side.one, 1, sides[MANY], sides[FEW], arguments.rounds),
                compare(f"page of {PAGE} servers, {MANY} in the store", f"{PAGE} in the store",
                        lambda side: side.list, PAGE, sides[MANY], sides[PAGE],
                        arguments.rounds)])
    finally:
        for side in sides.values():
            side.stop()


if __name__ == "__main__":
    main()
