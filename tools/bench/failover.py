#!/usr/bin/env python3
"""What a client of a highly available server notices of a failover: the longest time without a commit,
one client over TLS through the gateway that connects anew at once; and whether any acknowledged commit
was lost. Two hosts of one machine."""

import os
import signal
import statistics
import time

from howdah_bench import arguments_of, finish, howdah_client, row, say
from howdah_pair import Pair, signal_all

PAUSE = 5.0


def planned(pair, _):
    pair.home.finish(pair.fail_over("PlannedFailover"))


def forced(pair, _):
    pair.home.finish(pair.fail_over("ForcedFailover"))


def kill_postmaster(pair, zone):
    os.kill(pair.postmaster(zone), signal.SIGKILL)


def lose_host(pair, zone):
    """howdahd too: it would start the agent again."""
    pair.home.kill("howdahd")
    pair.kill_host(zone)


def hang(pair, zone):
    pids = pair.postgres(zone)
    signal_all(pids, signal.SIGSTOP)
    time.sleep(PAUSE)
    signal_all(pids, signal.SIGCONT)


def pause(pair, zone):
    pids = [pair.agent(zone), *pair.postgres(zone)]
    signal_all(pids, signal.SIGSTOP)
    time.sleep(PAUSE)
    signal_all(pids, signal.SIGCONT)


FAULTS = (
    ("planned failover", planned, 0.3),
    ("forced failover", forced, 0.3),
    ("postmaster killed", kill_postmaster, 0.3),
    ("agent, PostgreSQL and howdahd killed", lose_host, 2.0),
    ("PostgreSQL stopped (SIGSTOP)", hang, 2.0),
    (f"agent and PostgreSQL paused for {PAUSE:.0f} s", pause, 2.0),
)


def one_round(pair, fault):
    """Seconds without a commit, commits acknowledged, commits lost."""
    pair.home.ensure_howdahd()
    pair.wait_until_healthy()
    time.sleep(1.0)
    probe = pair.probe().start()
    probe.wait_for_more(100)
    begin = time.monotonic()
    fault(pair, pair.zones()[0])
    if not probe.wait_for_more(100):
        raise SystemExit(f"no commits after the fault: {probe.errors[-3:]}")
    pair.home.ensure_howdahd()
    pair.wait_until_healthy()
    probe.stop()
    lost = probe.lost()
    if lost:
        say(f"  LOST: {lost[:20]}")
    return probe.longest_gap(begin - 0.05), len(probe.acknowledged), len(lost)


def main():
    arguments = arguments_of(__doc__, rounds=5)
    rows, lost, commits = [], 0, 0
    with howdah_client.Home(arguments=("--agent-zones", "1,2")) as home:
        home.make_group()
        pair = Pair(home, "pair").create()
        for what, fault, seconds in FAULTS:
            gaps = []
            for number in range(arguments.rounds):
                gap, acknowledged, missing = one_round(pair, fault)
                gaps.append(gap)
                lost += missing
                commits += acknowledged
                say(f"  round {number + 1}: {what} {gap:.3f} s")
            median = statistics.median(gaps)
            rows.append(row("failover", f"{what}: longest time without a commit", f"{seconds} s",
                            median / seconds, at_most=1.0,
                            ours=f"{median:.3f} (longest {max(gaps):.3f})", theirs=f"{seconds} s"))
    rows.append(row("failover", "acknowledged commits that were lost", "none", float(lost),
                    at_most=0.0, ours=lost, theirs=f"{commits} commits"))
    finish(rows)


if __name__ == "__main__":
    main()
