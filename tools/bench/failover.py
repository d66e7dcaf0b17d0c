#!/usr/bin/env python3
"""What a client of a highly available server notices of a failover: the longest time without a
commit, one client over TLS through the gateway that connects anew at once; and whether any
acknowledged commit was lost. Two hosts of one machine, and for faults of networks three machines,
which are network namespaces.

In this order: --rounds of each fault, nothing beside them, for the medians; the same faults for others,
if --peers is given; then, with --many, as many rounds as show that no commit is lost, several clusters at
once; and with --false-failovers, so many minutes at full load in which nothing should happen."""

import contextlib
import multiprocessing
import os
import queue
import signal
import sys
import time

from howdah_bench import arguments_of, finish, row, say

from busy_machine import all_cores_busy
from failover_faults import FAULTS
from failover_rounds import Side, median_of, median_text
from loop_disks import NoDisks
from machines import why_not
from own_cluster import OwnCluster, SpreadCluster
from peers.auto_failover import AutoFailover
from peers.floor import Floor
from peers.patroni import Patroni

OURS = "Howdah"
NO_COMMIT = "longest time without a commit"
# What a fault needs, and where it happens.
CLUSTERS = {"": OwnCluster, "disks": lambda: OwnCluster(has_disks=True), "machines": SpreadCluster}


def extend(parser):
    keys = [fault.key for fault in FAULTS]
    parser.add_argument("--faults", default=",".join(keys), type=lambda text: text.split(","),
                        help="only these, by commas: %(default)s")
    parser.add_argument("--rounds-of", action="append", default=[], metavar="FAULT=N",
                        type=lambda text: text.split("="), help="other rounds for one fault")
    parser.add_argument("--many", type=int, nargs="?", const=3, default=0, metavar="CLUSTERS",
                        help="100 or 20 rounds of each fault, on so many clusters at once "
                             "(without a number: %(const)s); only losses are counted")
    parser.add_argument("--peers", metavar="VENV",
                        help="Patroni, pg_auto_failover and the floor too; VENV has Patroni")
    parser.add_argument("--peer-rounds", type=int, help="rounds of each peer; as --rounds")
    parser.add_argument("--false-failovers", type=float, metavar="MINUTES",
                        help="at last, count failovers at full load of the processor")


def our_rounds(arguments, fault):
    return {key: int(count) for key, count in arguments.rounds_of}.get(fault.key, arguments.rounds)


def chosen(arguments):
    asked = {*arguments.faults, *(key for key, _ in arguments.rounds_of)}
    unknown = asked - {fault.key for fault in FAULTS}
    if unknown:
        raise SystemExit(f"error: there is no fault {', '.join(sorted(unknown))}\n"
                         f"  what to do: use some of {', '.join(f.key for f in FAULTS)}")
    return [fault for fault in FAULTS if fault.key in arguments.faults]


class Count:
    """What the rounds of one or more clusters came to."""

    def __init__(self):
        self.found = {}  # {fault: rounds}
        self.commits = self.lost = self.ill = 0

    def add(self, needs, wanted):
        """Rounds of [(fault, rounds)], which all need the same cluster."""
        reason = why_not() if wanted and needs == "machines" else ""
        if reason:
            say(f"SKIPPED: no machines can be made here, so no network is cut: {reason}")
            return
        with Side(OURS, CLUSTERS[needs]) as side:
            try:
                for fault, rounds in wanted:
                    self.found[fault] = side.measure(fault, rounds)
            except NoDisks as error:
                say(f"SKIPPED: no disks can be made here, so they neither hang nor fill: {error}")
            self.commits += side.commits
            self.lost += side.lost
            self.ill += side.ill

    def rounds(self):
        return sum(map(len, self.found.values()))


def measure_ours(arguments, faults):
    count = Count()
    for needs in CLUSTERS:
        count.add(needs, [(fault, our_rounds(arguments, fault)) for fault in faults
                          if fault.needs == needs])
    count.found = {fault: rounds for fault, rounds in count.found.items() if rounds}
    return count


def lane(left, results):
    """One cluster after the other, in a process of its own; whoever is free takes the longest fault
    that is left."""
    count = Count()
    try:
        with contextlib.suppress(queue.Empty):
            while True:
                fault = left.get(timeout=1)
                count.add(fault.needs, [(fault, fault.many)])
    finally:
        results.put(count)


def measure_many(clusters, faults):
    left, results = multiprocessing.Queue(), multiprocessing.Queue()
    for fault in sorted(faults, key=lambda each: -each.many):
        left.put(fault)
    lanes = [multiprocessing.Process(target=lane, args=(left, results)) for _ in range(clusters)]
    try:
        for each in lanes:
            each.start()
        counts = [results.get() for _ in lanes]
        for each in lanes:
            each.join()
            if each.exitcode != 0:
                raise AssertionError("a lane of the many rounds has failed; its error is above")
        return counts
    finally:
        for each in lanes:
            each.terminate()
            each.join()


def rows_of_many(counts):
    rounds = {fault: of for count in counts for fault, of in count.found.items()}
    rows = []
    for fault, of in sorted(rounds.items(), key=lambda item: item[0].what):
        lost, commits = sum(each.lost for each in of), sum(each.commits for each in of)
        checked = sum(each.commits > 0 for each in of)  # what was not well could not be asked
        rows.append(row("failover", f"{fault.what}, {checked} rounds: acknowledged commits lost",
                        "none", float(lost), at_most=0.0, ours=lost, theirs=f"{commits} commits"))
    ill = sum(count.ill for count in counts)
    rows.append(row("failover", "of many rounds, those after which it was not well again", "none",
                    float(ill), at_most=0.0, ours=ill,
                    theirs=f"{sum(count.rounds() for count in counts)} rounds"))
    return rows


def sides_of_peers(arguments):
    venv = arguments.peers
    return [Side("Patroni, synchronous_mode", lambda: Patroni(venv, False), gives_up=True),
            Side(AutoFailover.name, AutoFailover, gives_up=True),
            Side(Floor.name, Floor, gives_up=True),
            Side("Patroni, synchronous_mode_strict", lambda: Patroni(venv, True), gives_up=True)]


def measure_peers(arguments, faults):
    """[(side, {fault: rounds})], after each side."""
    count = arguments.rounds if arguments.peer_rounds is None else arguments.peer_rounds
    found = []
    for side in sides_of_peers(arguments):
        of = [fault for fault in faults if fault.is_for_peers]
        if side.name == Floor.name:
            of = [fault for fault in of if fault.key == "kill"]
        with side:
            found.append((side, {fault: side.measure(fault, count) for fault in of}))
        yield found


def rows_of_ours(count):
    rows = []
    for fault, rounds in count.found.items():
        against = fault.reach or 1.0  # without a reach: of one second
        rows.append(row("failover", f"{fault.what}: {NO_COMMIT}", f"{against} s",
                        median_of(rounds) / against, at_most=1.0 if fault.reach else None,
                        ours=median_text(rounds), theirs=f"{against} s"))
        rows[-1]["seconds"] = [round(each.seconds, 4) for each in rounds]
    rows.append(row("failover", "acknowledged commits that were lost", "none", float(count.lost),
                    at_most=0.0, ours=count.lost, theirs=f"{count.commits} commits"))
    rows.append(row("failover", "rounds after which it was not well again", "none",
                    float(count.ill), at_most=0.0, ours=count.ill,
                    theirs=f"{count.rounds()} rounds"))
    return rows


def rows_of_peer(ours, side, theirs):
    rows = []
    for fault, rounds in theirs.items():
        if fault in ours and rounds:
            rows.append(row("failover", f"{fault.what}: {NO_COMMIT}", side.name,
                            median_of(ours[fault]) / median_of(rounds),
                            ours=median_text(ours[fault]), theirs=f"{median_text(rounds)} s"))
            rows[-1]["peer_seconds"] = [round(each.seconds, 4) for each in rounds]
    rows.append(row("failover", f"acknowledged commits that {side.name} lost", "none",
                    float(side.lost), ours=side.lost, theirs=f"{side.commits} commits"))
    return rows


def wide_table(ours, peers, lost):
    """One line for each fault: ours, then each peer and the ratio ours / peer."""
    titles = ["fault", OURS, *(title for side, _ in peers for title in (side.name, "ratio"))]
    lines = [titles, ["---"] * len(titles)]
    for fault, rounds in ours.items():
        line = [fault.what, median_text(rounds)]
        for _, theirs in peers:
            of = theirs.get(fault)
            line += [median_text(of) if of else "",
                     f"{median_of(rounds) / median_of(of):.2f}" if of else ""]
        lines.append(line)
    lines.append(["acknowledged commits lost", lost,
                  *(cell for side, _ in peers for cell in (f"{side.lost} of {side.commits}", ""))])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def false_failovers(minutes):
    """A pair serves a probe while every core is busy; nobody asks for a failover."""
    with OwnCluster() as cluster:
        first, probe = cluster.term(), cluster.probe().start()
        begin = time.monotonic()
        with all_cores_busy():
            while time.monotonic() < begin + minutes * 60:
                time.sleep(min(60.0, minutes * 60))
                say(f"  {(time.monotonic() - begin) / 60:.1f} min: {cluster.term() - first} "
                    f"failovers, {len(probe.acknowledged)} commits, longest time without one "
                    f"{probe.longest_gap(begin):.3f} s")
        cluster.wait_until_healthy()
        probe.stop()
        lost, count = len(probe.lost()), cluster.term() - first
    commits = len(probe.acknowledged)
    load = f"{minutes:g} minutes, all cores busy"
    return [row("failover", f"failovers that nobody asked for, {load}", "none", float(count),
                at_most=0.0, ours=count, theirs=f"{commits} commits"),
            row("failover", f"acknowledged commits lost, {load}", "none", float(lost),
                at_most=0.0, ours=lost, theirs=f"{commits} commits"),
            row("failover", f"{NO_COMMIT}, {load}", "1 s", probe.longest_gap(begin),
                ours=f"{probe.longest_gap(begin):.3f}", theirs="1 s")]


def main():
    # Whoever ends this has disks thawed and processes ended all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    arguments = arguments_of(__doc__, rounds=5, extend=extend)
    if arguments.peers and not os.access(os.path.join(arguments.peers, "bin/patroni"), os.X_OK):
        raise SystemExit(f"error: there is no Patroni in {arguments.peers}\n"
                         "  what to do: script/bench failover --peers brings it there")
    faults = chosen(arguments)
    ours = measure_ours(arguments, faults)
    rows = rows_of_ours(ours) if ours.found else []
    if arguments.peers:
        for peers in measure_peers(arguments, faults):
            say(wide_table(ours.found, peers, f"{ours.lost} of {ours.commits}"))
            rows += rows_of_peer(ours.found, *peers[-1])
    if arguments.many:
        rows += rows_of_many(measure_many(arguments.many, faults))
    if arguments.false_failovers:
        rows += false_failovers(arguments.false_failovers)
    finish(rows)
    # A lost commit is no figure among others.
    return 1 if any(each["met"] is False and "acknowledged commits" in each["what"] for each in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
