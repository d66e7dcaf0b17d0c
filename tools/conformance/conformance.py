#!/usr/bin/env python3
"""Tries the API with clients nobody here wrote, against a real howdahd: every operation of the
Python and the JavaScript SDK, every command of az. Writes docs/reference/conformance.md; with --check it
writes nothing and fails if anything is broken or if that page is out of date. Started by
script/conformance, which brings the clients."""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import uuid

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(ROOT, "test", "e2e"), os.path.join(ROOT, "tools"), HERE]

import howdah_client  # noqa: E402
from rows import BROKEN, NOT_BUILT, NOTHING_YET, WORKS  # noqa: E402
from support import started_home  # noqa: E402

AZ_VERSIONS = 2  # Debian's and the newest
PATIENCE_S = 1500  # clients wait for an operation without an end
PAGE = os.path.join(ROOT, "docs", "reference", "conformance.md")
HEAD = """# Conformance

What clients that nobody here wrote can do with this Howdah. Made by `script/conformance`, which
starts a real howdahd and tries every operation and command as a user would.

- **works**: the effect was seen, by psql or by a later GET, not by a status code; the last column
  says how.
- **not built yet**: refused with a documented error: `FeatureNotSupported`, or Azure's own for a
  provider or type that is not there.
- **nothing yet**: an empty list, or `ResourceNotFound`, of what cannot be made yet: the truth, but no proof that
  something works.
- **not for us**: never asks this Howdah.
- **broken**: anything else.

"""


def javascript(home, packages):
    client = "JavaScript SDK 9.0.0"
    facts = {**home.credentials, "group": home.group, "password": "Correct-Horse-42",
             "conninfo": f"host=SERVER.{howdah_client.DOMAIN} hostaddr=127.0.0.1 "
                         f"port={home.gateway_port} user=dba dbname=postgres "
                         f"sslmode=verify-full sslrootcert={home.credentials['ca_path']}"}
    path = os.path.join(home.folder, "javascript.json")
    with open(path, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as file:
        json.dump(facts, file)
    environment = {"PATH": os.environ["PATH"], "HOME": home.folder,
                   "NODE_EXTRA_CA_CERTS": home.credentials["ca_path"]}
    found = []
    with subprocess.Popen(["node", os.path.join(HERE, "javascript_sdk.mjs"), path], cwd=packages,
                          env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout:
                each = {"client": client, **json.loads(line)}
                print(f"{client:22} {each['outcome']:14} {each['what']}: {each['proof']}",
                      file=sys.stderr, flush=True)
                found.append(each)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0 or not found:
        raise AssertionError(f"the JavaScript client ended with {process.returncode}")
    return found


def python(home):
    import python_neighbours
    import python_sdk
    client = python_sdk.Client(home)
    return python_sdk.run(client) + python_neighbours.run(home, client.credential)


def az(home, program):
    import az_cli
    import az_neighbours
    client = az_cli.Az(home, howdah_client.binary("howdah"), program,
                       "az-config-" + uuid.uuid4().hex)
    return az_cli.run(client) + az_neighbours.run(client)


def page_of(rows):
    text = HEAD
    clients = list(dict.fromkeys(each["client"] for each in rows))
    text += ("| client | works | not built yet | nothing yet | broken | not for us |\n"
             "|---|---|---|---|---|---|\n")
    for client in clients:
        counts = [sum(r["client"] == client and r["outcome"] == outcome for r in rows)
                  for outcome in (WORKS, NOT_BUILT, NOTHING_YET, BROKEN, "not for us")]
        text += f"| {client} | {' | '.join(map(str, counts))} |\n"
    for client in clients:
        text += f"\n## {client}\n\n| operation or command | outcome | seen |\n|---|---|---|\n"
        for each in rows:
            if each["client"] == client:
                proof = each["proof"].replace("|", "\\|")
                text += f"| `{each['what']}` | {each['outcome']} | {proof} |\n"
    return text


def give_up(home, words):
    """Keeps what Howdah was at, which the client that waits for it cannot say, and ends the run."""
    words.append(f"not done after {PATIENCE_S} s; the end of Howdah's own logs:")
    try:
        for name in ("howdah-agent.log", "../../howdahd.log"):
            path = os.path.join(home.dir, "log", name)
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = file.readlines()
                troubles = [each for each in lines if '"info"' not in each]
                for line in troubles[-6:] + lines[-3:]:
                    words.append(line.replace('"', "")[:330].strip())
    finally:
        os.kill(os.getpid(), signal.SIGINT)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--npm", help="folder with node_modules")
    parser.add_argument("--az", action="append", default=[], metavar="PROGRAM",
                        help="an az to try; more than one may be named")
    parser.add_argument("--python", action="store_true", help="the Python SDK is installed")
    arguments = parser.parse_args()
    home = started_home(backups=True)
    rows, last_words = [], []
    watch = threading.Timer(PATIENCE_S, give_up, [home, last_words])
    watch.daemon = True
    watch.start()
    try:
        if arguments.python:
            rows += python(home)
        if arguments.npm:
            rows += javascript(home, arguments.npm)
        for program in arguments.az:
            rows += az(home, program)
    except KeyboardInterrupt:
        last_words = last_words or ["interrupted"]
    finally:
        watch.cancel()
        home.stop()
    if last_words:
        print("\n".join(last_words))
        return 1
    broken = [f"{r['client']}: {r['what']}: {r['proof']}" for r in rows if r["outcome"] == BROKEN]
    for each in broken:
        print("broken: " + each)
    page = page_of(rows)
    whole = arguments.python and arguments.npm and len(arguments.az) == AZ_VERSIONS
    if not arguments.check:
        with open(PAGE, "w", encoding="utf-8") as file:
            file.write(page)
    elif whole:
        with open(PAGE, encoding="utf-8") as file:
            if file.read() != page:
                print(f"out of date: {PAGE}\n  what to do: script/conformance, and commit it")
                return 1
    print(f"{sum(r['outcome'] == WORKS for r in rows)} work, "
          f"{sum(r['outcome'] == NOT_BUILT for r in rows)} not built yet, "
          f"{sum(r['outcome'] == NOTHING_YET for r in rows)} with nothing yet, {len(broken)} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
