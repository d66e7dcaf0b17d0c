#!/usr/bin/env python3
"""Backups of a pgbench server: a full backup and a restore by Howdah, against pgBackRest and
PostgreSQL by hand with the same settings; a read replica, against pg_basebackup; and what archiving
costs pgbench's TPC-B, against a server of the same settings whose archive_command is /bin/true.

No full backup can be asked for: one on demand is differential, and a server's first one is made
before it has data. So each round restores a server, and measures the first backup of what was
restored, which is a full one with all data. Both sides do the same."""

import datetime
import glob
import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import uuid

from howdah_bench import arguments_of, finish, howdah_client, row, say, timed

WAIT_MAX = 900
PAUSE = 0.05
# Not the limit of a small disk is to be measured: P4, which 32 GiB have, does 120 I/Os a second.
SIZE = {"sku": {"name": "Standard_D2ds_v5", "tier": "GeneralPurpose"},
        "properties": {"storage": {"storageSizeGB": 32, "tier": "P50"}}}
SOURCE, BARE = "source", "bare"
# PostgreSQL does not run as root.
AS_USER = ([] if os.geteuid() != 0 else
           ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"])


def output_of(*command, password=None):
    # The superuser's own search path has no customer's schema in it.
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C",
                   "PGOPTIONS": "-c search_path=public"}
    if password:
        environment["PGPASSWORD"] = password
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False,
                          stdin=subprocess.DEVNULL, cwd="/")
    if done.returncode != 0:
        raise SystemExit(f"{command}: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    return done.stdout.strip()


def until(what, is_so):
    return howdah_client.wait_until(what, is_so, WAIT_MAX, PAUSE)


def medians_in_turns(sides, rounds):
    """{name: the medians of what its function returns, a dictionary}. The sides take turns, and
    each round begins with another."""
    seen = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            values = sides[name]()
            seen[name].append(values)
            say(f"  round {number + 1}: {name:9} "
                + ", ".join(f"{each} {value:.2f}" for each, value in values.items()))
    return {name: {each: statistics.median(values[each] for values in runs) for each in runs[0]}
            for name, runs in seen.items()}


# -- Howdah ------------------------------------------------------------------------------------


def instance_of(home, name):
    """Folder and state of the server's instance."""
    for path in glob.glob(os.path.join(home.dir, "agent", "instances", "*", "state.json")):
        with open(path, encoding="utf-8") as file:
            state = json.load(file)
        if state["spec"]["server_name"] == name:
            return os.path.dirname(path), state
    raise SystemExit(f"no instance of {name}")


def direct(home, name):
    """What a libpq program needs to come by the unix socket, as the agent's own user does."""
    folder, state = instance_of(home, name)
    return ["-h", os.path.join(home.dir, "agent", "s", os.path.basename(folder)[:8]),
            "-p", str(state["backend_port"]), "-U", "howdah"]


def by_tls(home, name, port):
    return (f"host={name}.{howdah_client.DOMAIN} hostaddr=127.0.0.1 port={port} user=dba "
            f"dbname=postgres sslmode=verify-full sslrootcert={home.credentials['ca_path']}")


def restorable(home, name):
    return home.get(home.server_path(name)).json["properties"]["howdah"].get("restorable")


def fill(home, name, scale):
    home.create_server(name, **SIZE)
    output_of("pgbench", "-i", "-q", "-s", str(scale), by_tls(home, name, home.gateway_port),
              password=home.passwords[name])


def made_from(home, source, **properties):
    """A new server's name, and the seconds until its first query through the gateway."""
    name = "back-" + uuid.uuid4().hex[:8]
    home.passwords[name] = home.passwords[source]
    body = {"location": howdah_client.LOCATION, "properties": {
        "sourceServerResourceId": home.server_path(source), **properties}}
    rule = {"properties": {"startIpAddress": "127.0.0.1", "endIpAddress": "127.0.0.1"}}
    begin = time.monotonic()
    begun = [home.call("PUT", home.server_path(name), body),
             home.call("PUT", home.server_path(name) + "/firewallRules/here", rule)]
    until("the first query", lambda: home.psql(name, "select 1", check=False).returncode == 0)
    taken = time.monotonic() - begin
    for each in begun:
        home.finish(each, WAIT_MAX)
    return name, taken


def restore(home, source, target):
    return made_from(home, source, createMode="PointInTimeRestore", pointInTimeUTC=target)


def follow(home, source):
    name, taken = made_from(home, source, createMode="Replica")
    home.do("DELETE", home.server_path(name), timeout=WAIT_MAX)
    return {"replica": taken}


def backup_process(home, name):
    """Howdah's pgBackRest that makes a backup of the server; none: there is none now."""
    stanza = "--stanza=" + os.path.basename(instance_of(home, name)[0])
    return next((each for each in home.processes() if each.name == "pgbackrest"
                 and stanza in each.argv and "backup" in each.argv), None)


def first_backup(home, name):
    """Of a server that has just become ready. `full`: from the start of Howdah's pgBackRest until
    the API says that there is something to restore; `program`: until that pgBackRest ended; `all`:
    from now on, so with the stanza and what Howdah waits for."""
    begin = time.monotonic()
    process = until("its backup begins", lambda: backup_process(home, name))
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - process.start / os.sysconf("SC_CLK_TCK")
    started = time.monotonic() - age
    until("pgBackRest ends", lambda: howdah_client.process(process.pid) is None)
    program = time.monotonic() - started
    until("it can be restored", lambda: restorable(home, name))
    end = time.monotonic()
    return {"full": end - started, "program": program, "all": end - begin}


def by_howdah(home, source, target):
    name, taken = restore(home, source, target)
    found = {"restore": taken, **first_backup(home, name)}
    home.do("DELETE", home.server_path(name), timeout=WAIT_MAX)
    return found


# -- By hand -----------------------------------------------------------------------------------


class ByHand:
    """A PostgreSQL and a repository, configured as the agent has them for a server of Howdah, but
    in folders of their own, and without what is Howdah's alone. pgBackRest runs as PostgreSQL's
    user and reads the files itself."""

    def __init__(self, home, folder):
        instance, state = instance_of(home, SOURCE)
        self.home = home
        self.folder = folder
        self.data = os.path.join(folder, "data")
        self.bin = f"/usr/lib/postgresql/{state['spec']['major']}/bin"
        self.process = None
        for each in (folder, self.data, *(os.path.join(folder, own) for own in
                                          ("repository", "lock", "spool", "log"))):
            os.mkdir(each, 0o700)
        self.pgbackrest = ["pgbackrest", f"--config={folder}/pgbackrest.conf",
                           f"--stanza={os.path.basename(instance)}"]
        self._write_pgbackrest(os.path.join(instance, "backup", "pgbackrest.conf"))
        self._write_postgresql(os.path.join(instance, "config", "postgresql.conf"))
        if AS_USER:
            output_of("chown", "-R", "postgres:postgres", folder)

    def _write_pgbackrest(self, theirs):
        own = {"repo1-path": f"{self.folder}/repository", "lock-path": f"{self.folder}/lock",
               "spool-path": f"{self.folder}/spool", "log-path": f"{self.folder}/log",
               "pg1-path": self.data, "pg1-socket-path": self.folder, "pg1-port": "5432",
               "pg1-database": "postgres", "pg1-user": "howdah"}
        with open(theirs, encoding="utf-8") as file:
            lines = [line.partition("=") for line in file.read().splitlines()]
        with open(f"{self.folder}/pgbackrest.conf", "w", encoding="utf-8") as file:
            file.writelines(f"{key}{sign}{own.get(key, value)}\n" for key, sign, value in lines)

    def _write_postgresql(self, theirs):
        own = {"data_directory": self.data, "hba_file": f"{self.data}/pg_hba.conf",
               "ident_file": f"{self.data}/pg_ident.conf", "listen_addresses": "", "port": "5432",
               "unix_socket_directories": self.folder, "ssl": "off",
               "shared_preload_libraries": "", "logging_collector": "off",
               "log_destination": "stderr",
               "archive_command": " ".join([*self.pgbackrest, "archive-push", "%p"])}
        with open(theirs, encoding="utf-8") as file:
            text = file.read()  # of two lines about one setting the last counts
        with open(f"{self.folder}/postgresql.conf", "w", encoding="utf-8") as file:
            file.write(text + "".join(f"{key} = '{value}'\n" for key, value in own.items()))

    def run(self, *command):
        return output_of(*AS_USER, *command)

    def sql(self, text):
        return self.run("psql", "-XqAt", "-h", self.folder, "-U", "howdah", "-d", "postgres", "-c",
                        text)

    def start(self, *settings):
        """Until the first query."""
        with open(f"{self.folder}/start.log", "wb") as log:
            # pylint: disable=consider-using-with
            self.process = subprocess.Popen(
                [*AS_USER, f"{self.bin}/postgres", "-D", self.data, "-c",
                 f"config_file={self.folder}/postgresql.conf", *settings], cwd="/",
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def answers():
            if self.process.poll() is not None:
                with open(f"{self.folder}/start.log", encoding="utf-8") as log:
                    raise SystemExit("by hand PostgreSQL does not start: " + log.read()[-2000:])
            return subprocess.run([*AS_USER, "psql", "-XqAt", "-h", self.folder, "-U", "howdah",
                                   "-d", "postgres", "-c", "select 1"], capture_output=True,
                                  check=False, cwd="/").returncode == 0

        until("the first query by hand", answers)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()

    def fill(self, scale):
        """With a first backup."""
        self.run(f"{self.bin}/initdb", "--no-sync", "-k", "-E", "UTF8", "--locale=C.UTF-8", "-A",
                 "trust", "-U", "howdah", "-D", self.data)
        self.start()
        self.run("pgbench", "-i", "-q", "-s", str(scale), "-h", self.folder, "-U", "howdah",
                 "postgres")
        self.back_up()

    def back_up(self):
        """A full one into a repository that is still empty. What is there when pgBackRest ends can
        be restored, so `full` and `program` are one."""
        begin = time.monotonic()
        self.run(*self.pgbackrest, "stanza-create")
        full = timed(lambda: self.run(*self.pgbackrest, "--type=full", "--no-expire-auto",
                                      "backup"))
        return {"full": full, "program": full, "all": time.monotonic() - begin}

    def mark(self):
        """A time with a commit behind it that is in the repository."""
        time.sleep(1.1)  # a backup's end is rounded up to a second
        target = self.sql("select now()")
        self.sql("select txid_current()")
        file = self.sql("select pg_walfile_name(pg_switch_wal())")
        until("it is archived", lambda: self.sql(
            "select last_archived_wal from pg_stat_archiver") >= file)
        return target

    def restore_and_back_up(self, target):
        """What by_howdah does: the restored one begins a repository of its own."""
        new = ByHand(self.home, os.path.join(self.folder, uuid.uuid4().hex))
        try:
            begin = time.monotonic()
            self.run(*self.pgbackrest, f"--pg1-path={new.data}", "--type=time",
                     f"--target={target}", "--target-action=promote", "restore")
            # As Howdah does: nobody is answered before the target, and archiving begins later.
            new.start("-c", "hot_standby=off", "-c", "archive_mode=off")
            taken = time.monotonic() - begin
            new.stop()
            new.start()
            return {"restore": taken, **new.back_up()}
        finally:
            new.stop()
            shutil.rmtree(new.folder, ignore_errors=True)


    def follow(self):
        """A standby of its own, until the first query."""
        new = ByHand(self.home, os.path.join(self.folder, uuid.uuid4().hex))
        try:
            begin = time.monotonic()
            self.run(f"{self.bin}/pg_basebackup", "-h", self.folder, "-U", "howdah", "-D", new.data,
                     "-X", "stream", "-c", "fast")
            self.run("touch", os.path.join(new.data, "standby.signal"))
            new.start("-c", f"primary_conninfo=host={self.folder} user=howdah", "-c",
                      "archive_mode=off")
            return {"replica": time.monotonic() - begin}
        finally:
            new.stop()
            shutil.rmtree(new.folder, ignore_errors=True)


# -- What is compared --------------------------------------------------------------------------


def with_all_data(home):
    """A server whose first backup has what the source was filled with; its name."""
    filled = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    home.do("PUT", home.server_path(SOURCE) + "/backups/filled", timeout=WAIT_MAX)
    until("what was filled in can be restored",
          lambda: restorable(home, SOURCE)[-1]["to"] > filled)
    name, _ = restore(home, SOURCE, restorable(home, SOURCE)[-1]["to"])
    first_backup(home, name)
    return name


def backups(home, folder, arguments, rows):
    by_hand = ByHand(home, os.path.join(folder, "by-hand"))
    try:
        by_hand.fill(arguments.scale)
        marked = by_hand.mark()
        name = with_all_data(home)
        target = restorable(home, name)[-1]["to"]
        say("restores until the first query, and full backups of what was restored: seconds")
        medians = medians_in_turns({"howdah": lambda: by_howdah(home, name, target),
                                    "by hand": lambda: by_hand.restore_and_back_up(marked)},
                                   arguments.rounds)
        say("read replicas until the first query: seconds")
        replicas = medians_in_turns({"howdah": lambda: follow(home, name),
                                     "by hand": by_hand.follow}, arguments.rounds)
        for side, found in replicas.items():
            medians[side] |= found
    finally:
        by_hand.stop()
    home.do("DELETE", home.server_path(name), timeout=WAIT_MAX)

    def add(what, against, key, at_most=None):
        ours, theirs = (medians[side][key] for side in ("howdah", "by hand"))
        rows.append(row("backups", f"{what}, pgbench scale {arguments.scale}", against,
                        ours / theirs, at_most=at_most, ours=f"{ours:.1f} s",
                        theirs=f"{theirs:.1f} s"))

    add("full backup, until it can be restored", "pgBackRest by hand", "full", at_most=1.1)
    add("Howdah's pgBackRest alone in that", "pgBackRest by hand", "program")
    add("first backup of a ready server, with all before it", "stanza-create and backup by hand",
        "all")
    add("restore until the first query", "pgBackRest and PostgreSQL by hand", "restore",
        at_most=1.1)
    add("read replica until the first query", "pg_basebackup and start by hand", "replica",
        at_most=1.1)


def start_haproxy(folder, backend):
    """In front of PostgreSQL, which lets in who comes from the gateway's address; and its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = os.path.join(folder, "haproxy.cfg")
    with open(path, "w", encoding="utf-8") as file:
        file.write("global\n  nbthread 2\ndefaults\n  mode tcp\n  timeout connect 5s\n"
                   "  timeout client 1h\n  timeout server 1h\n"
                   f"listen pg\n  bind 127.0.0.1:{port}\n"
                   f"  server one 127.0.0.1:{backend} source 127.0.0.2\n")
    # pylint: disable=consider-using-with
    return subprocess.Popen(["haproxy", "-db", "-f", path], stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), port


def tps(home, server, seconds, *where, password=None):
    """And how many segments it has written but not archived at its end. They do not disturb who is
    measured next."""
    def ask(text):
        return output_of("psql", "-XqAt", *direct(home, server), "-d", "postgres", "-c", text)

    left = "select count(*) from pg_ls_archive_statusdir() where name like '%.ready'"
    ask("checkpoint")
    text = output_of("pgbench", "-T", str(seconds), "-c", "8", "-j", "2", *where,
                     password=password)
    waiting = int(ask(left))
    until("all is archived", lambda: ask(left) == "0")
    rate = next(line for line in text.splitlines() if line.startswith("tps = "))
    return {"tps": float(rate.split()[2]), "not archived": waiting}


def archiving(home, folder, arguments, rows):
    """Of two servers that are alike: what one server archives only now and then would be a gap, and
    Howdah closes gaps with another backup."""
    fill(home, BARE, arguments.scale)
    until("the first backup is made", lambda: restorable(home, BARE))
    bare = ["psql", "-XqAt", *direct(home, BARE), "-d", "postgres"]
    output_of(*bare, "-c", "alter system set archive_command = '/bin/true'", "-c",
              "select pg_reload_conf()")
    haproxy, port = start_haproxy(folder, instance_of(home, SOURCE)[1]["backend_port"])
    password = home.passwords[SOURCE]

    def by_socket(server):
        return tps(home, server, arguments.seconds, *direct(home, server), "postgres")

    def by_port(port):
        return tps(home, SOURCE, arguments.seconds, by_tls(home, SOURCE, port), password=password)

    try:
        for each in (SOURCE, BARE):
            by_socket(each)
        say("TPC-B with 8 clients: transactions a second")
        medians = medians_in_turns({"archiving": lambda: by_socket(SOURCE),
                                    "bare": lambda: by_socket(BARE),
                                    "gateway": lambda: by_port(home.gateway_port),
                                    "haproxy": lambda: by_port(port)}, arguments.rounds)
    finally:
        haproxy.terminate()
        haproxy.wait()
    if output_of(*bare, "-c", "show archive_command") != "/bin/true":
        raise SystemExit("Howdah has set the archive_command again")

    def add(what, against, side, other, at_least=None):
        ours, theirs = medians[side]["tps"], medians[other]["tps"]
        rows.append(row("backups", what, against, ours / theirs, at_least=at_least,
                        ours=f"{ours:.0f}", theirs=f"{theirs:.0f} /s"))

    add("TPC-B a second with archiving, by the socket", "archive_command = /bin/true",
        "archiving", "bare", at_least=0.95)
    add("TPC-B a second with archiving, by the gateway, TLS",
        "archive_command = /bin/true, by the socket", "gateway", "bare")
    add("TPC-B a second with archiving, by the gateway, TLS", "HAProxy before the same server",
        "gateway", "haproxy")


def main():
    def extend(parser):
        parser.add_argument("--scale", type=int, default=50, help="of pgbench")
        parser.add_argument("--seconds", type=int, default=60, help="of each round of TPC-B")

    arguments = arguments_of(__doc__, rounds=5, extend=extend)
    os.environ["PATH"] += ":/usr/sbin"
    for program in ("haproxy", "pgbackrest", "pgbench"):
        if shutil.which(program) is None:
            raise SystemExit(f"{program} is not installed")
    rows = []
    with (tempfile.TemporaryDirectory(prefix="howdah-bench-", dir="/tmp") as folder,
          howdah_client.Home(backups=True) as home):
        os.chmod(folder, 0o755)
        say("filling servers")
        home.make_group()
        fill(home, SOURCE, arguments.scale)
        backups(home, folder, arguments, rows)
        archiving(home, folder, arguments, rows)
    finish(rows)


if __name__ == "__main__":
    main()
