"""Patroni with the lowest settings that it takes, one etcd, and HAProxy before both members."""

import http.client
import json
import os

from commit_probe import CommitProbe, Connection
from howdah_client import wait_until
from peers.cluster import HOST, POSTGRES_BIN, RETRY_INTERVAL, USER, Cluster, free_port

# Patroni's least are 20, 1 and 3 (its documentation, "Dynamic configuration settings"). A primary
# that crashed is not waited for, and one that does not stop within a second is killed.
LIMITS = {"ttl": 20, "loop_wait": 1, "retry_timeout": 3, "maximum_lag_on_failover": 1 << 20,
          "primary_start_timeout": 0, "primary_stop_timeout": 1}

HAPROXY = """\
global
    maxconn 200
defaults
    mode tcp
    timeout connect 1s
    timeout client 10m
    timeout server 10m
    timeout check 500ms
listen primary
    bind {host}:{port}
    option httpchk OPTIONS /primary
    http-check expect status 200
    default-server inter 200ms fastinter 100ms downinter 100ms fall 2 rise 1 {at_down}
{servers}
"""


class Patroni(Cluster):
    def __init__(self, venv, is_strict):
        super().__init__()
        self.name = "Patroni, synchronous_mode" + ("_strict" if is_strict else "")
        self._is_strict = is_strict
        self._program = os.path.join(os.path.abspath(venv), "bin", "patroni")
        self._etcd = free_port()
        self._haproxy = free_port()
        self._rest = {member.name: free_port() for member in self.members}

    def start(self):
        self._start_etcd()
        for member in self.members:
            self.start_agent(member)
            wait_until(f"Patroni's {member.name} runs", lambda who=member: self._runs(who), 60)
        servers = "\n".join(f"    server {m.name} {HOST}:{m.port} check port {self._rest[m.name]}"
                            for m in self.members)
        path = self.write(os.path.join(self.folder, "haproxy.cfg"), HAPROXY.format(
            host=HOST, port=self._haproxy, servers=servers,
            at_down="on-marked-down shutdown-sessions"))
        self.begin(["haproxy", "-db", "-f", path], "haproxy.log")

    def _start_etcd(self):
        client, peer = f"http://{HOST}:{self._etcd}", f"http://{HOST}:{free_port()}"
        self.begin(["etcd", "--data-dir", os.path.join(self.folder, "etcd"), "--name", "one",
                    "--listen-client-urls", client, "--advertise-client-urls", client,
                    "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                    "--initial-cluster", f"one={peer}"], "etcd.log")

    def start_agent(self, member):
        # JSON is YAML too.
        path = self.write(os.path.join(member.folder, "patroni.yml"),
                          json.dumps(self._configuration(member), indent=1))
        member.agent = self.begin([self._program, path], f"{member.name}.log")

    def _configuration(self, member):
        user = {"username": USER, "password": USER}
        return {
            "scope": "peer", "name": member.name,
            "restapi": {"listen": f"{HOST}:{self._rest[member.name]}",
                        "connect_address": f"{HOST}:{self._rest[member.name]}"},
            "etcd3": {"hosts": f"{HOST}:{self._etcd}"},
            "bootstrap": {"dcs": {**LIMITS, "synchronous_mode": True,
                                  "synchronous_mode_strict": self._is_strict,
                                  "postgresql": {"use_pg_rewind": True, "use_slots": True}},
                          "initdb": [{"encoding": "UTF8"}, "data-checksums"]},
            "postgresql": {
                "listen": f"{HOST}:{member.port}", "connect_address": f"{HOST}:{member.port}",
                "data_dir": member.data, "bin_dir": POSTGRES_BIN,
                "pgpass": os.path.join(member.folder, "pgpass"),
                "authentication": {"superuser": user, "replication": user, "rewind": user},
                "pg_hba": ["local all all trust", f"host all all {HOST}/32 trust",
                           f"host replication all {HOST}/32 trust"],
                "parameters": {"unix_socket_directories": member.folder,
                               "wal_retrieve_retry_interval": RETRY_INTERVAL},
                "remove_data_directory_on_rewind_failure": True,
                "remove_data_directory_on_diverged_timelines": True},
        }

    def _ask(self, member, method, path, body=None, timeout=3):
        """Status and text of the answer of a member's REST API."""
        connection = http.client.HTTPConnection(HOST, self._rest[member.name], timeout=timeout)
        try:
            connection.request(method, path, body and json.dumps(body))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()

    def _runs(self, member):
        if member.agent.poll() is not None:
            raise AssertionError(f"Patroni ended:\n{self.tail(member.name + '.log')}")
        try:
            status, _ = self._ask(member, "GET", "/health")
        except OSError:
            return False
        return status == 200

    def _roles(self):
        """{member's name: (role, state)}, as the first member that answers tells it."""
        for member in self.members:
            try:
                _, text = self._ask(member, "GET", "/cluster")
            except OSError:
                continue
            return {m["name"]: (m["role"], m["state"]) for m in json.loads(text)["members"]}
        return {}

    def primary(self):
        leaders = [name for name, (role, _) in self._roles().items() if role == "leader"]
        return self.named(leaders)

    def planned(self):
        leader, candidate = self.primary(), self.standby()
        status, text = self._ask(leader, "POST", "/switchover",
                                 {"leader": leader.name, "candidate": candidate.name}, timeout=60)
        if status != 200:
            raise AssertionError(f"Patroni's switchover: {status} {text}")

    def is_healthy(self):
        wanted = [("leader", "running"), ("sync_standby", "streaming")]
        return sorted(self._roles().values()) == wanted and self._commits_wait()

    def _commits_wait(self):
        connection = Connection(self._conninfo())
        try:
            return connection.is_open and connection.execute(
                "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == ["1"]
        finally:
            connection.close()

    def _conninfo(self):
        return (f"host={HOST} port={self._haproxy} user={USER} dbname=postgres sslmode=disable "
                "gssencmode=disable connect_timeout=2")

    def probe(self):
        return CommitProbe(self._conninfo()).prepare()
