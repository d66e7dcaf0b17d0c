"""Rounds of faults: one cluster, one fault, one probe; what the probe noticed and what was lost."""

import statistics
import subprocess
import sys
import time
import typing

BOUND = 60.0       # seconds after which nobody waits for a failover any more
HOPELESS = 2       # rounds beyond the bound after which a peer is not asked again
COMMITS = 100      # that show that all goes on


def say(text):
    print(text, file=sys.stderr, flush=True)


class Round(typing.NamedTuple):
    seconds: float   # without a commit, BOUND at most
    commits: int     # acknowledged, and looked for afterwards
    lost: int


def seconds_text(seconds):
    return f">{BOUND:.0f}" if seconds >= BOUND else f"{seconds:.3f}"


def median_text(rounds):
    """The median, and the longest in brackets."""
    seconds = [each.seconds for each in rounds]
    return f"{seconds_text(statistics.median(seconds))} ({seconds_text(max(seconds))})"


def median_of(rounds):
    return statistics.median(each.seconds for each in rounds)


def one_round(cluster, fault):
    """And whether the cluster is well afterwards; AssertionError if it is not before."""
    cluster.heal()
    cluster.wait_until_healthy()
    time.sleep(1.0)
    probe = cluster.probe().start()
    try:
        if not probe.wait_for_more(COMMITS):
            raise AssertionError(f"no commits before the fault: {probe.errors[-3:]}")
        # A standby that fell behind as the client began is another fault, and one too many.
        cluster.wait_until_healthy()
        begin = time.monotonic()
        is_well = happens(cluster, fault, probe, begin)
    finally:
        probe.stop()
    gap = probe.longest_gap(begin - 0.05) if is_well else BOUND
    lost = probe.lost() if is_well else []
    if lost:
        say(f"  LOST: {lost[:20]}")
    looked_for = len(probe.acknowledged) if is_well else 0
    return Round(min(gap, BOUND), looked_for, len(lost)), is_well


def happens(cluster, fault, probe, begin):
    """The fault, its end, and healing; whether all is well at last."""
    try:
        with fault.happens(cluster):
            probe.wait_for_more(COMMITS, BOUND)
            time.sleep(max(0.0, begin + fault.lasts - time.monotonic()))
        cluster.heal()
        cluster.wait_until_healthy()
    except AssertionError as error:
        say(f"  NOT WELL: {error}; the probe: {probe.errors[-1:]}")
        return False
    return probe.wait_for_more(COMMITS)


class Side:
    """One that has the faults, ours or a peer. Its cluster is made by `make` when it is first
    needed, and made anew when a round has left it ill."""

    def __init__(self, name, make, gives_up=False):
        self.name = name
        self.commits = 0
        self.lost = 0
        self.ill = 0
        self._make = make
        self._gives_up = gives_up
        self._cluster = None

    def measure(self, fault, count):
        """So many rounds, or fewer if it is hopeless or some could not be had."""
        rounds = []
        for number in range(count):
            found = self._measure_one(fault)
            if not found:
                continue
            rounds.append(found)
            self.commits += rounds[-1].commits
            self.lost += rounds[-1].lost
            say(f"  {self.name}: {fault.what}, round {number + 1} of {count}: "
                f"{seconds_text(rounds[-1].seconds)} s; lost so far: {self.lost} of {self.commits}")
            last = [each.seconds for each in rounds[-HOPELESS:]]
            if self._gives_up and len(last) == HOPELESS and min(last) >= BOUND:
                break
        return rounds

    def _measure_one(self, fault):
        found, is_well = None, False
        try:
            if self._cluster is None:
                self._cluster = self._make().__enter__()
            found, is_well = one_round(self._cluster, fault)
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            say(f"  NO ROUND: {self.name}, {fault.what}: {error}")
        if not is_well:
            self.ill += 1
            self.close()
        return found

    def close(self):
        cluster, self._cluster = self._cluster, None
        if cluster:
            cluster.__exit__(None, None, None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
