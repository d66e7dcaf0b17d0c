"""pg_auto_failover with aggressive settings: a monitor and two nodes; the client knows both."""

import os

from commit_probe import CommitProbe, Connection, HastyConnection
from howdah_client import wait_until
from peers.cluster import HOST, POSTGRES_BIN, RETRY_INTERVAL, USER, Cluster, Member

# Milliseconds, but for the number of retries. A node is looked at every half second, is ill when it
# neither answers that nor has reported for one and a half (its keeper reports every second), and an
# old primary is given one second to stop.
MONITOR_SETTINGS = {
    "health_check_period": 500,
    "health_check_timeout": 500,
    "health_check_max_retries": 1,
    "health_check_retry_delay": 100,
    "node_considered_unhealthy_timeout": 1500,
    "primary_demote_timeout": 1000,
    "startup_grace_period": 1000,
}

NODES = """SELECT nodename || ' ' || reportedstate || ' ' || goalstate || ' ' || health
FROM pgautofailover.node ORDER BY reportedstate"""


class AutoFailover(Cluster):
    name = "pg_auto_failover"

    def __init__(self):
        super().__init__()
        self.monitor = Member(self.folder, "monitor")
        self.make_folder(self.monitor.folder)
        self._uri = f"postgres://autoctl_node@{HOST}:{self.monitor.port}/pg_auto_failover"

    def start(self):
        self.run(self._create(self.monitor, "monitor"))
        self.run(["pg_autoctl", "config", "set", "--pgdata", self.monitor.data,
                  "postgresql.listen_addresses", HOST])
        self.start_agent(self.monitor)
        wait_until("the monitor runs", self._monitor_runs, 60)
        for name, value in MONITOR_SETTINGS.items():
            self._tell(f"ALTER SYSTEM SET pgautofailover.{name} = {value}")
        self._tell("SELECT pg_reload_conf()")
        for member in self.members:
            command = self._create(member, "postgres", "--run", "--name", member.name, "--listen",
                                   HOST, "--monitor", self._uri, "--dbname", "postgres")
            member.agent = self.begin(command, f"{member.name}.log")
            wait_until(f"node {member.name} is known", lambda who=member: self._knows(who), 60)
            if member is self.members[0]:  # the other is its copy
                tell(member, "postgres", "ALTER SYSTEM SET wal_retrieve_retry_interval = "
                     f"'{RETRY_INTERVAL}'")
                tell(member, "postgres", "SELECT pg_reload_conf()")

    @staticmethod
    def _create(member, kind, *more):
        return ["pg_autoctl", "create", kind, "--pgdata", member.data, "--pgport", str(member.port),
                "--pgctl", os.path.join(POSTGRES_BIN, "pg_ctl"), "--hostname", HOST,
                "--auth", "trust", "--no-ssl", *more]

    def start_agent(self, member):
        member.agent = self.begin(["pg_autoctl", "run", "--pgdata", member.data],
                                  f"{member.name}.log")

    def _tell(self, sql):
        return tell(self.monitor, "pg_auto_failover", sql)

    def _monitor_runs(self):
        if self.monitor.agent.poll() is not None:
            raise AssertionError(f"the monitor ended:\n{self.tail('monitor.log')}")
        try:
            return self._tell("SELECT 1 FROM pgautofailover.formation") == ["1"]
        except OSError:
            return False

    def _nodes(self):
        """{member's name: (reported state, goal, health)}"""
        lines = (line.split() for line in self._tell(NODES))
        return {name: (state, goal, health) for name, state, goal, health in lines}

    def _knows(self, member):
        if member.agent.poll() is not None:
            raise AssertionError(f"the node ended:\n{self.tail(member.name + '.log')}")
        state, goal, _ = self._nodes().get(member.name, ("", "init", ""))
        return state == goal and state in ("single", "secondary", "catchingup", "primary")

    def primary(self):
        return self.named([name for name, (state, _, _) in self._nodes().items()
                           if state in ("primary", "wait_primary")])

    def planned(self):
        self._tell("SELECT pgautofailover.perform_failover('default', 0)")

    def is_healthy(self):
        return sorted(self._nodes().values()) == [("primary", "primary", "1"),
                                                  ("secondary", "secondary", "1")]

    def probe(self):
        """Tries both nodes in turn, as libpq does by its URI of two hosts, but is less patient."""
        each = [f"host={HOST} port={member.port} user={USER} dbname=postgres sslmode=disable "
                "gssencmode=disable target_session_attrs=read-write" for member in self.members]
        return CommitProbe(*each, connection=HastyConnection).prepare()


def tell(member, database, sql):
    """What a member answers to its superuser; OSError if it does not."""
    connection = Connection(f"host={HOST} port={member.port} user={USER} dbname={database} "
                            "sslmode=disable gssencmode=disable connect_timeout=2")
    try:
        answer = connection.execute(sql) if connection.is_open else None
        if answer is None:
            raise OSError(f"{member.name}: {connection.error}")
        return answer
    finally:
        connection.close()
