#!/usr/bin/env python3
"""What the benchmarks share: arguments, rows, medians of two sides taken in turns; and, as a program,
the table of their results:

    howdah_bench.py table FILE...     FILE: what one benchmark printed
"""

import argparse
import json
import os
import statistics
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import howdah_client  # noqa: E402


def say(text):
    print(text, file=sys.stderr, flush=True)


def arguments_of(about, rounds, extend=None):
    """`extend` may add arguments of its own to the parser."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--bin", required=True, help="folder with the release programs")
    parser.add_argument("--rounds", type=int, default=rounds,
                        help="measurements of which the median is taken")
    if extend:
        extend(parser)
    arguments = parser.parse_args()
    os.environ["HOWDAH_BIN_DIR"] = os.path.abspath(arguments.bin)
    return arguments


def row(name, what, against, ratio, at_most=None, at_least=None, ours=None, theirs=None):
    """One line of the table. `ours` and `theirs` say what was measured, for the eye."""
    met, reach = None, ""
    if at_most is not None:
        met, reach = ratio <= at_most, f"at most {at_most}"
    if at_least is not None:
        met, reach = ratio >= at_least, f"at least {at_least}"
    found = {"name": name, "what": what, "against": against, "ratio": round(ratio, 3),
             "reach": reach, "met": met}
    if ours is not None:
        found["measured"] = f"{ours} / {theirs}"
    return found


def medians_in_turns(sides, rounds):
    """{name: median of what its function returns}, the sides measured in turns, so that a busy
    machine disturbs all alike."""
    seen = {name: [] for name in sides}
    for number in range(rounds):
        for name, measure in sides.items():
            value = measure()
            seen[name].append(value)
            say(f"  round {number + 1}: {name} {value:.4f}")
    return {name: statistics.median(values) for name, values in seen.items()}


def timed(action):
    begin = time.monotonic()
    action()
    return time.monotonic() - begin


def finish(rows):
    json.dump(rows, sys.stdout, indent=1)
    print()


def table(rows):
    titles = ["name", "what", "against", "ratio", "reach", "met", "measured"]
    lines = [titles, ["-" * len(t) for t in titles]]
    for each in rows:
        met = {True: "yes", False: "NO", None: ""}[each["met"]]
        lines.append([each["name"], each["what"], each["against"], f"{each['ratio']:.3f}",
                      each["reach"], met, each.get("measured", "")])
    widths = [max(len(line[i]) for line in lines) for i in range(len(titles))]
    lines[1] = ["-" * w for w in widths]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths)) + " |"
                     for line in lines)


def main():
    if len(sys.argv) < 3 or sys.argv[1] != "table":
        raise SystemExit(__doc__)
    rows = []
    for path in sys.argv[2:]:
        with open(path, encoding="utf-8") as file:
            rows += json.load(file)
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())


__all__ = ["arguments_of", "finish", "howdah_client", "medians_in_turns", "row", "say", "timed"]
