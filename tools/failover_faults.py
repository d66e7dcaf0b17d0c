"""What can happen to a highly available server, ours or a peer's. A fault is a context manager that
takes the cluster: it has happened when the block begins, and what lasts ends with the block."""

import contextlib
import os
import signal
import time
import typing

from commit_probe import Connection
from howdah_pair import signal_all

LASTS = 5.0  # seconds, of what is ended again
FILL_TIMEOUT = 60


class Fault(typing.NamedTuple):
    key: str
    what: str
    happens: typing.Callable
    reach: float = None           # seconds without a commit
    is_for_peers: bool = False
    needs: str = ""               # "disks": a small one for each member; "machines": several
    lasts: float = 0.0
    many: int = 20                # rounds that show that no commit is lost


@contextlib.contextmanager
def planned(cluster):
    cluster.planned()
    yield


@contextlib.contextmanager
def forced(cluster):
    cluster.forced()
    yield


@contextlib.contextmanager
def kill_postmaster(cluster):
    os.kill(cluster.postmaster(cluster.primary()), signal.SIGKILL)
    yield


@contextlib.contextmanager
def lose_primary(cluster):
    cluster.lose_host(cluster.primary())
    yield


@contextlib.contextmanager
def lose_standby(cluster):
    cluster.lose_host(cluster.standby())
    yield


@contextlib.contextmanager
def stopped(pids):
    signal_all(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_all(pids, signal.SIGCONT)


@contextlib.contextmanager
def hang(cluster):
    with stopped(cluster.postgres(cluster.primary())):
        yield


@contextlib.contextmanager
def pause(cluster):
    primary = cluster.primary()
    with stopped([*cluster.agents(primary), *cluster.postgres(primary)]):
        yield


@contextlib.contextmanager
def kill_agent(cluster):
    signal_all(cluster.agents(cluster.primary()), signal.SIGKILL)
    yield


@contextlib.contextmanager
def kill_control_plane(cluster):
    cluster.kill_control_plane()
    yield


@contextlib.contextmanager
def hang_storage(cluster):
    with cluster.disks.frozen(cluster.disk(cluster.primary())):
        yield


@contextlib.contextmanager
def fill_disk(cluster):
    """A file takes all that is free, then WAL is written until there is no room for it."""
    with cluster.disks.full(cluster.disk(cluster.primary())):
        connection, end = Connection(cluster.conninfo()), time.monotonic() + FILL_TIMEOUT
        while connection.execute(
                "SELECT pg_logical_emit_message(false, 'fill', repeat('x', 4000000))") is not None:
            if time.monotonic() > end:
                raise AssertionError("the disk does not fill")
        connection.close()
        yield


@contextlib.contextmanager
def partition(cluster):
    """The primary's machine is cut off from everybody, and mended later."""
    with cluster.cut_off(cluster.primary()):
        yield


@contextlib.contextmanager
def lose_silently(cluster):
    """The silent kind: nobody sees a connection end."""
    primary = cluster.primary()
    with cluster.cut_off(primary):
        cluster.lose_host(primary)
        yield


@contextlib.contextmanager
def part_members(cluster):
    with cluster.parted():
        yield


@contextlib.contextmanager
def lose_machine(cluster):
    cluster.lose_host(cluster.primary())
    yield


FAULTS = (
    Fault("planned", "planned failover", planned, 0.3, is_for_peers=True),
    Fault("forced", "forced failover", forced, 0.3),
    Fault("kill", "postmaster killed", kill_postmaster, 0.3, is_for_peers=True, many=100),
    Fault("node", "node lost: agent and PostgreSQL killed", lose_primary, 2.0, is_for_peers=True),
    Fault("hang", "PostgreSQL stopped (SIGSTOP)", hang, 2.0, is_for_peers=True, lasts=LASTS),
    Fault("pause", f"agent and PostgreSQL paused for {LASTS:.0f} s", pause, 2.0, is_for_peers=True,
          lasts=LASTS, many=100),
    Fault("standby", "standby lost, with its agent", lose_standby, is_for_peers=True),
    Fault("agent", "agent killed alone", kill_agent, lasts=LASTS),
    Fault("control", "howdahd killed alone", kill_control_plane, lasts=LASTS),
    Fault("storage", "storage hangs (fsfreeze)", hang_storage, 3.0, needs="disks", lasts=LASTS),
    Fault("full", "disk full", fill_disk, needs="disks"),
    Fault("partition", f"partition: the primary's machine cut off for {LASTS:.0f} s", partition,
          2.0, needs="machines", lasts=LASTS, many=100),
    Fault("silent", "machine lost silently: its network cut, then all killed", lose_silently, 2.0,
          needs="machines"),
    Fault("machine", "machine lost: agent, PostgreSQL and etcd killed", lose_machine, 2.0,
          needs="machines"),
    Fault("link", f"the members' machines do not reach each other for {LASTS:.0f} s", part_members,
          needs="machines", lasts=LASTS),
    Fault("far", "planned failover to another machine", planned, 0.3, needs="machines"),
)
