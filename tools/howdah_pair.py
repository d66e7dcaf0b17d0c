"""A highly available server on the hosts of one home, and what can happen to it."""

import contextlib
import glob
import json
import os
import signal

from commit_probe import CommitProbe
from howdah_client import wait_until

SKU = {"name": "Standard_D2ds_v5", "tier": "GeneralPurpose"}


def signal_all(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


class Pair:
    """A server by its name; it need not be highly available yet."""

    def __init__(self, home, name):
        self.home = home
        self.name = name

    def create(self, mode="ZoneRedundant", zones=None, tier=None):
        """`zones`: of the primary and of the standby. `tier`: of the storage; the size's own one,
        with 120 writes a second, holds a busy client up for 0.1 to 0.3 s at a time."""
        properties = {"highAvailability": {"mode": mode}}
        if tier:
            properties["storage"] = {"storageSizeGB": 32, "tier": tier}
        if zones:
            properties["availabilityZone"] = zones[0]
            properties["highAvailability"]["standbyAvailabilityZone"] = zones[1]
        self.home.create_server(self.name, sku=SKU, properties=properties)
        return self

    def properties(self):
        return self.home.get(self.home.server_path(self.name)).json["properties"]

    def availability(self):
        return self.properties()["highAvailability"]

    def is_healthy(self):
        """Also by the members' record: howdahd shows what it heard last for two seconds after its
        own start."""
        newest = max(self.known_records(), key=lambda each: each["term"], default={})
        return bool(newest.get("sync_set")) and self.availability()["state"] == "Healthy"

    def wait_until_healthy(self, timeout=90):
        wait_until(f"{self.name} is healthy", self.is_healthy, timeout)

    def zones(self):
        """Of the primary and of the standby."""
        properties = self.properties()
        return (properties.get("availabilityZone"),
                properties["highAvailability"].get("standbyAvailabilityZone"))

    def patch(self, mode):
        self.home.do("PATCH", self.home.server_path(self.name),
                     {"properties": {"highAvailability": {"mode": mode}}}, timeout=120)

    def fail_over(self, mode):
        """The answer to the request."""
        return self.home.call("POST", self.home.server_path(self.name) + "/restart",
                              {"restartWithFailover": True, "failoverMode": mode})

    def agent(self, zone):
        """The pid of the agent of a zone; the zones of the home are "1", "2" and so on."""
        for each in self.home.processes():
            if each.name == "howdah-agent" and each.argv[each.argv.index("--zone") + 1] == zone:
                return each.pid
        raise AssertionError(f"there is no agent in zone {zone}")

    def postgres(self, zone):
        """The pids of all processes of PostgreSQL in a zone."""
        return [p.pid for p in self.home.processes()
                if p.name == "postgres" and p.cwd.startswith(self.folder(zone) + "/")]

    def postmaster(self, zone):
        mine = set(self.postgres(zone))
        found = [p.pid for p in self.home.postmasters() if p.pid in mine]
        if not found:
            raise AssertionError(f"there is no postmaster in zone {zone}")
        return found[0]

    def agents(self, zone):
        return [self.agent(zone)]

    def folder(self, zone):
        """All that the agent of a zone keeps, PostgreSQL's data with it."""
        return os.path.join(self.home.dir, "agent" if zone == "1" else f"agent-{zone}")

    def folders(self):
        """Of the agents of all zones."""
        return glob.glob(os.path.join(self.home.dir, "agent*"))

    def states(self):
        """What each member has written down."""
        found = []
        for folder in self.folders():
            for path in glob.glob(os.path.join(folder, "instances", "*", "ha.json")):
                with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as file:
                    found.append(json.load(file))
        return found

    def known_records(self):
        """The members' record, as each agent has read it last."""
        return [each["known"] for each in self.states() if "known" in each]

    def term(self):
        """The newest that any agent has heard of: one more for each failover."""
        return max([0, *(term for each in self.states() for term in terms(each))])

    def kill_host(self, zone):
        """Agent and PostgreSQL; the agent is started again while howdahd lives."""
        signal_all([self.agent(zone), *self.postgres(zone)], signal.SIGKILL)

    def conninfo(self):
        """Through the gateway, over TLS."""
        environment, conninfo = self.home.client(self.name)
        return (f"{conninfo} password={environment['PGPASSWORD']} "
                f"sslrootcert={environment['PGSSLROOTCERT']} connect_timeout=10")

    def probe(self):
        return CommitProbe(self.conninfo()).prepare()


def terms(value):
    """Every "term" in a value of JSON."""
    found = []
    for key, child in value.items() if isinstance(value, dict) else ():
        found += [child] if key == "term" else terms(child)
    return found
