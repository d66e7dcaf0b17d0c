"""What nobody can beat with PostgreSQL's own means: the bench itself waits for the end of the
primary's postmaster (a pidfd) and promotes the standby at once, without asking anybody. It knows no
other fault; it is a measure, not high availability."""

import contextlib
import os
import select
import shutil
import signal
import threading

from commit_probe import CommitProbe, Connection, HastyConnection
from peers.cluster import HOST, RETRY_INTERVAL, USER, Cluster

SETTINGS = """\
listen_addresses = '{host}'
unix_socket_directories = '{folder}'
port = {port}
synchronous_standby_names = '{names}'
wal_retrieve_retry_interval = '{retry}'
"""


class Floor(Cluster):
    name = "floor (a pidfd, and a signal)"

    def __init__(self):
        super().__init__()
        self._primary, self._other = self.members
        self._watch = None

    def start(self):
        primary = self._primary
        self.run(["initdb", "-D", primary.data, "-U", USER, "-A", "trust"])
        self._begin(primary, "*")
        self._join()

    def _begin(self, member, names):
        """A standby waits for nobody, so that it can commit as soon as it is promoted."""
        self.write(os.path.join(member.data, "floor.conf"), SETTINGS.format(
            host=HOST, folder=self.folder, port=member.port, names=names, retry=RETRY_INTERVAL))
        with open(os.path.join(member.data, "postgresql.conf"), "a", encoding="utf-8") as file:
            file.write("include 'floor.conf'\n")
        self.run(["pg_ctl", "-D", member.data, "-l", os.path.join(member.folder, "log"), "-w",
                  "start"])

    def _join(self):
        """The other member becomes the standby, by a copy, and the primary is watched."""
        shutil.rmtree(self._other.data, ignore_errors=True)
        self.run(["pg_basebackup", "-D", self._other.data, "-R", "-c", "fast", "-d",
                  f"host={HOST} port={self._primary.port} user={USER}"])
        self._begin(self._other, "")
        self._tell(self._primary, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        self._tell(self._primary, "SELECT pg_reload_conf()")
        self._watch = threading.Thread(target=self._promote_at_its_end, daemon=True, args=(
            os.pidfd_open(self.postmaster(self._primary)), self._other,
            self.postmaster(self._other)))
        self._watch.start()

    def _promote_at_its_end(self, descriptor, standby, postmaster):
        with open(os.path.join(standby.data, "promote.new"), "w", encoding="utf-8"):
            pass
        select.select([descriptor], [], [])
        with contextlib.suppress(OSError):  # when all of it is ended
            os.rename(os.path.join(standby.data, "promote.new"),
                      os.path.join(standby.data, "promote"))
            os.kill(postmaster, signal.SIGUSR1)
        os.close(descriptor)

    def _conninfo(self, member):
        return (f"host={HOST} port={member.port} user={USER} dbname=postgres sslmode=disable "
                "gssencmode=disable target_session_attrs=read-write")

    def _tell(self, member, sql):
        connection = Connection(self._conninfo(member))
        try:
            answer = connection.execute(sql) if connection.is_open else None
            if answer is None:
                raise OSError(f"{member.name}: {connection.error}")
            return answer
        finally:
            connection.close()

    def start_agent(self, member):
        """There is none."""

    def primary(self):
        return self._primary

    def heal(self):
        """After a promotion the former primary becomes the standby."""
        if not self._watch.is_alive():
            self._primary, self._other = self._other, self._primary
            self._join()

    def is_healthy(self):
        return self._watch.is_alive() and self._tell(
            self._primary,
            "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == ["1"]

    def probe(self):
        return CommitProbe(*map(self._conninfo, self.members), connection=HastyConnection).prepare()
