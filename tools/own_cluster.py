"""Our side of script/bench failover: a home with two hosts and one server on them."""

import os
import shutil

from howdah_client import Home
from howdah_pair import Pair
from loop_disks import LoopDisks


class OwnCluster(Pair):
    """What failover_faults.py asks of a cluster. With `has_disks` each host is on a small disk of
    its own."""

    name = "Howdah"

    def __init__(self, has_disks=False):
        super().__init__(Home(arguments=("--agent-zones", "1,2")), "pair")
        self.disks = LoopDisks(os.path.join(self.home.folder, "disks")) if has_disks else None

    def __enter__(self):
        try:
            for zone in ("1", "2") if self.disks else ():
                self.disks.mount(self.folder(zone))
            self.home.start()
            self.home.make_group()
            self.create()
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

    def primary(self):
        return self.zones()[0]

    def standby(self):
        return self.zones()[1]

    def planned(self):
        self.home.finish(self.fail_over("PlannedFailover"))

    def forced(self):
        self.home.finish(self.fail_over("ForcedFailover"))

    def lose_host(self, zone):
        """howdahd too: it would start the agent again."""
        self.home.kill("howdahd")
        self.kill_host(zone)

    def kill_control_plane(self):
        self.home.kill("howdahd")

    def heal(self):
        self.home.ensure_howdahd()
