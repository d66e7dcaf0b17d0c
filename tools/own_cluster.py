"""Our side of script/bench failover: a home with two hosts and one server on them."""

import contextlib
import os
import shutil
import signal

from howdah_client import Home
from howdah_pair import Pair
from loop_disks import LoopDisks
from machines import SeveralMachines, SpreadPair


class Asked:
    """What failover_faults.py asks of every cluster of ours."""

    name = "Howdah"
    # What the disk gives, or nearly: no other cluster has a limit, and a limit is no outage.
    TIER = "P30"

    def primary(self):
        return self.zones()[0]

    def standby(self):
        return self.zones()[1]

    def planned(self):
        self.home.finish(self.fail_over("PlannedFailover"))

    def forced(self):
        self.home.finish(self.fail_over("ForcedFailover"))


class OwnCluster(Asked, Pair):
    """Two hosts of one machine. With `has_disks` each host is on a small disk of
    its own."""

    def __init__(self, has_disks=False):
        super().__init__(Home(arguments=("--agent-zones", "1,2")), "pair")
        self.disks = LoopDisks(os.path.join(self.home.folder, "disks")) if has_disks else None

    def __enter__(self):
        try:
            for zone in ("1", "2") if self.disks else ():
                self.disks.mount(self.folder(zone))
            self.home.start()
            self.home.make_group()
            self.create(tier=self.TIER)
            self.wait_until_healthy()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.home.stop()
        finally:
            if self.disks:
                self.disks.unmount()
                shutil.rmtree(self.home.folder, ignore_errors=True)

    def disk(self, zone):
        return self.folder(zone)

    def lose_host(self, zone):
        """howdahd too: it would start the agent again."""
        self.home.kill("howdahd")
        self.kill_host(zone)

    def kill_control_plane(self):
        self.home.kill("howdahd")

    def heal(self):
        self.home.ensure_howdahd()


class SpreadCluster(Asked, SpreadPair):
    """Three machines with an etcd; clients and howdahd are on the first, the members on
    the others."""

    def __init__(self):
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            machines = stack.enter_context(SeveralMachines())
            stack.enter_context(machines.machines[0].inside())
            super().__init__(machines, "pair")
            self.create(zones=("2", "3"), tier=self.TIER)
            self.wait_until_healthy()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    @contextlib.contextmanager
    def cut_off(self, zone):
        machine = self.machines.machine_in(zone)
        machine.cut()
        try:
            yield
        finally:
            machine.mend()

    @contextlib.contextmanager
    def parted(self):
        one, two = (self.machines.machine_in(zone) for zone in self.zones())
        one.cut_from(two)
        try:
            yield
        finally:
            one.mend_to(two)

    def lose_host(self, zone):
        """Its member of etcd too."""
        self.machines.etcd.signal(self.machines.machine_in(zone), signal.SIGKILL)
        self.machines.kill_node(zone)

    def heal(self):
        self.home.ensure_howdahd()
        self.machines.bring_back()
