#!/usr/bin/env python3
"""What a client of a highly available server notices of a failover: the longest time without a
commit, one client over TLS through the gateway that connects anew at once; and whether any
acknowledged commit was lost. Two hosts of one machine, and for faults of networks three machines,
which are network namespaces. With --peers, others have the same faults
on the same machine."""

import os
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
    parser.add_argument("--many", action="store_true",
                        help="so many rounds as show that no commit is lost: 100 or 20 of each")
    parser.add_argument("--peers", metavar="VENV",
                        help="Patroni, pg_auto_failover and the floor too; VENV has Patroni")
    parser.add_argument("--peer-rounds", type=int, help="rounds of each peer; as --rounds")
    parser.add_argument("--false-failovers", type=float, metavar="MINUTES",
                        help="instead of all this: count failovers at full load of the processor")


def our_rounds(arguments, fault):
    of = {key: int(count) for key, count in arguments.rounds_of}
    return of.get(fault.key, fault.many if arguments.many else arguments.rounds)


def chosen(arguments):
    asked = {*arguments.faults, *(key for key, _ in arguments.rounds_of)}
    unknown = asked - {fault.key for fault in FAULTS}
    if unknown:
        raise SystemExit(f"error: there is no fault {', '.join(sorted(unknown))}\n"
                         f"  what to do: use some of {', '.join(f.key for f in FAULTS)}")
    return [fault for fault in FAULTS if fault.key in arguments.faults]


def measure_ours(arguments, faults):
    """{fault: rounds}, commits, lost, rounds that it did not get well from."""
    found, commits, lost, ill = {}, 0, 0, 0
    for needs, make in CLUSTERS.items():
        mine = [fault for fault in faults if fault.needs == needs]
        reason = why_not() if mine and needs == "machines" else ""
        if reason:
            say(f"SKIPPED: no machines can be made here, so no network is cut: {reason}")
            continue
        with Side(OURS, make) as side:
            try:
                for fault in mine:
                    found[fault] = side.measure(fault, our_rounds(arguments, fault))
            except NoDisks as error:
                say(f"SKIPPED: no disks can be made here, so they neither hang nor fill: {error}")
            commits, lost, ill = commits + side.commits, lost + side.lost, ill + side.ill
    return {fault: rounds for fault, rounds in found.items() if rounds}, commits, lost, ill


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


def rows_of_ours(ours, commits, lost, ill):
    rows = []
    for fault, rounds in ours.items():
        against = fault.reach or 1.0  # without a reach: of one second
        rows.append(row("failover", f"{fault.what}: {NO_COMMIT}", f"{against} s",
                        median_of(rounds) / against, at_most=1.0 if fault.reach else None,
                        ours=median_text(rounds), theirs=f"{against} s"))
        rows[-1]["seconds"] = [round(each.seconds, 4) for each in rounds]
    rows.append(row("failover", "acknowledged commits that were lost", "none", float(lost),
                    at_most=0.0, ours=lost, theirs=f"{commits} commits"))
    rows.append(row("failover", "rounds after which it was not well again", "none", float(ill),
                    at_most=0.0, ours=ill, theirs=f"{sum(map(len, ours.values()))} rounds"))
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
    if arguments.false_failovers:
        return finish(false_failovers(arguments.false_failovers))
    if arguments.peers and not os.access(os.path.join(arguments.peers, "bin/patroni"), os.X_OK):
        raise SystemExit(f"error: there is no Patroni in {arguments.peers}\n"
                         "  what to do: script/bench failover --peers brings it there")
    faults = chosen(arguments)
    ours, commits, lost, ill = measure_ours(arguments, faults)
    rows = rows_of_ours(ours, commits, lost, ill)
    if arguments.peers:
        for peers in measure_peers(arguments, faults):
            say(wide_table(ours, peers, f"{lost} of {commits}"))
            rows += rows_of_peer(ours, *peers[-1])
    return finish(rows)


if __name__ == "__main__":
    main()
