#!/usr/bin/env python3
"""Memory of all processes of Howdah, idle, with one server; PostgreSQL itself left out."""

import time

from howdah_bench import arguments_of, finish, howdah_client, row, say

REACH_MIB = 48
SETTLE_SECONDS = 5
NAMES = ("howdahd", "howdah-agent", "howdah-gateway")


def kib(pid, file, field):
    with open(f"/proc/{pid}/{file}", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith(field + ":"):
                return int(line.split()[1])
    return 0


def measured(home):
    """{name: (resident, proportional)} in MiB, of all processes of one name together."""
    found = {}
    for name in NAMES:
        pids = home.pids(name)
        if not pids:
            raise SystemExit(f"{name} does not run")
        found[name] = (sum(kib(p, "status", "VmRSS") for p in pids) / 1024,
                       sum(kib(p, "smaps_rollup", "Pss") for p in pids) / 1024)
    return found


def main():
    arguments_of(__doc__, rounds=1)
    with howdah_client.Home() as home:
        home.make_group()
        home.create_server("bench")
        if home.psql("bench", "select 1") != "1":
            raise SystemExit("the server does not answer")
        time.sleep(SETTLE_SECONDS)
        found = measured(home)
    for name, (resident, proportional) in found.items():
        say(f"  {name}: resident {resident:.1f} MiB, proportional {proportional:.1f} MiB")
    rows = []
    for index, kind in enumerate(("resident", "proportional")):
        total = sum(values[index] for values in found.values())
        parts = " + ".join(f"{values[index]:.1f}" for values in found.values())
        rows.append(row("memory", f"{kind} memory, idle, one server", f"{REACH_MIB} MiB",
                        total / REACH_MIB, at_most=1.0, ours=f"{parts} MiB",
                        theirs=f"{REACH_MIB} MiB"))
    finish(rows)


if __name__ == "__main__":
    main()
