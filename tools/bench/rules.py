#!/usr/bin/env python3
"""How long it takes until twenty firewall rules that are set by twenty requests at once are all in force
at the gateway: until a connection from each rule's address is let in."""

import statistics

from howdah_bench import arguments_of, finish, howdah_client, row, say, timed

RULES = 20
SECONDS = 2.0
NAME = "ruled"


def main():
    arguments = arguments_of(__doc__, rounds=5)
    addresses = [f"127.7.0.{number}" for number in range(1, RULES + 1)]
    with howdah_client.Home() as home:
        home.make_group()
        home.create_server(NAME, firewall=False)
        taken = {True: [], False: []}
        for number in range(arguments.rounds):
            for allow, seen in taken.items():
                def change(allow=allow):
                    for answer in home.set_rules(NAME, addresses, allow):
                        if answer.status != 202:
                            raise SystemExit(f"a rule was refused: {answer!r}")
                    home.wait_for_rules(NAME, addresses, allow)

                seen.append(timed(change))
                say(f"  round {number + 1}: {'set' if allow else 'removed'} {seen[-1]:.3f} s")
        median = {allow: statistics.median(seen) for allow, seen in taken.items()}
        finish([row("rules", f"{RULES} firewall rules {word} at once, until all are in force",
                    f"{SECONDS:.0f} s", median[allow] / SECONDS, at_most=1.0,
                    ours=f"{median[allow]:.3f}", theirs=f"{SECONDS:.0f} s")
                for allow, word in ((True, "set"), (False, "removed"))])


if __name__ == "__main__":
    main()
