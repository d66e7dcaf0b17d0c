#!/usr/bin/env python3
"""Backups of a pgbench server: a backup on demand and a restore through Howdah, against pgBackRest by
hand with the same configuration; and what archiving costs pgbench's TPC-B, against a server of a Howdah
without backups. As root, which alone may use what belongs to the agent."""

import datetime
import glob
import json
import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid

from howdah_bench import arguments_of, finish, howdah_client, medians_in_turns, row, say, timed

WAIT_MAX = 900
NAME = "bench"
SIZE = {"sku": {"name": "Standard_D2ds_v5", "tier": "GeneralPurpose"}}


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


def gateway(home, name):
    return (f"host={name}.{howdah_client.DOMAIN} hostaddr=127.0.0.1 port={home.gateway_port} "
            f"user=dba dbname=postgres sslmode=verify-full "
            f"sslrootcert={home.credentials['ca_path']}")


def output_of(*command, password=None):
    # The superuser's own search path has no customer's schema in it.
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C",
                   "PGOPTIONS": "-c search_path=public"}
    if password:
        environment["PGPASSWORD"] = password
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False,
                          stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise SystemExit(f"{command[0]}: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    return done.stdout.strip()


def tps(seconds, *where, password=None):
    text = output_of("pgbench", "-n", "-T", str(seconds), "-c", "8", "-j", "2", *where,
                     password=password)
    return float(next(line for line in text.splitlines() if line.startswith("tps = ")).split()[2])


def restorable(home, name):
    return home.get(home.server_path(name)).json["properties"]["howdah"].get("restorable", [])


def now():
    moment = datetime.datetime.now(datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


class ByHand:
    """pgBackRest with the configuration that the agent wrote for the server."""

    def __init__(self, home):
        self.home = home
        self.instance, self.state = instance_of(home, NAME)
        self.stanza = os.path.basename(self.instance)
        self.configuration = os.path.join(self.instance, "backup", "pgbackrest.conf")
        self.sizes = {each: output_of("psql", "-XqAt", *direct(home, NAME), "-d",
                                      "azure_maintenance", "-c", f"SHOW {each}")
                      for each in ("shared_buffers", "max_wal_size", "max_connections",
                                   "max_locks_per_transaction", "max_worker_processes")}

    def words(self, configuration, *arguments):
        return ["pgbackrest", f"--config={configuration}", f"--stanza={self.stanza}", *arguments]

    def back_up(self):
        """As the superuser, and reading the files itself, as pgBackRest does unless it is kept
        apart from PostgreSQL."""
        return timed(lambda: output_of(*self.words(
            self.configuration, "--pg1-user=howdah", "--type=diff", "--no-expire-auto",
            "backup")))

    def restore(self, target):
        """Until the first query. The repository is copied for PostgreSQL's user before that."""
        user = pwd.getpwnam("postgres")
        as_postgres = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}",
                       "--clear-groups"]
        folder = tempfile.mkdtemp(prefix="howdah-bench-", dir="/tmp")
        data, repository = os.path.join(folder, "data"), os.path.join(folder, "repository")
        configuration = os.path.join(folder, "pgbackrest.conf")
        shutil.copytree(os.path.join(self.home.dir, "backups"), repository)
        with open(self.configuration, encoding="utf-8") as file:
            text = file.read()
        for own in ("lock", "spool", "log"):
            os.mkdir(os.path.join(folder, own))
        text = "\n".join(
            f"repo1-path={repository}" if line.startswith("repo1-path=") else
            f"pg1-path={data}" if line.startswith("pg1-path=") else
            f"spool-path={folder}/spool" if line.startswith("spool-path=") else
            f"lock-path={folder}/lock" if line.startswith("lock-path=") else
            f"log-path={folder}/log" if line.startswith("log-path=") else line
            for line in text.splitlines())
        with open(configuration, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        os.mkdir(data, 0o700)
        output_of("chown", "-R", "postgres:postgres", folder)
        get = " ".join(self.words(configuration, "archive-get", "%f", '"%p"'))
        server = None
        try:
            begin = time.monotonic()
            output_of(*as_postgres, *self.words(
                configuration, "--type=time",
                "--target=" + target.replace("T", " ").replace("Z", "+00"),
                "--target-action=promote", "restore"))
            output_of("sync", "-f", data)
            with open(os.path.join(data, "postgresql.conf"), "w", encoding="utf-8") as file:
                file.write(f"listen_addresses = ''\nunix_socket_directories = '{folder}'\n"
                           f"restore_command = '{get}'\nport = 5432\nhot_standby = off\n")
                for name, value in self.sizes.items():
                    file.write(f"{name} = '{value}'\n")
            with open(os.path.join(data, "pg_hba.conf"), "w", encoding="utf-8") as file:
                file.write("local all all trust\n")
            with open(os.path.join(data, "pg_ident.conf"), "w", encoding="utf-8"):
                pass
            output_of("chown", "postgres:postgres", *glob.glob(os.path.join(data, "*.conf")))
            program = f"/usr/lib/postgresql/{self.state['spec']['major']}/bin/postgres"
            # pylint: disable=consider-using-with
            server = subprocess.Popen([*as_postgres, program, "-D", data], cwd="/",
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL)
            while subprocess.run(["psql", "-XqAt", "-h", folder, "-p", "5432", "-U", "howdah", "-d",
                                  "postgres", "-c", "SELECT 1"], capture_output=True,
                                 check=False).returncode != 0:
                if server.poll() is not None or time.monotonic() - begin > WAIT_MAX:
                    raise SystemExit("PostgreSQL did not come up from what pgBackRest restored")
                time.sleep(0.05)
            return time.monotonic() - begin
        finally:
            if server:
                server.terminate()
                server.wait()
            shutil.rmtree(folder, ignore_errors=True)


def back_up(home):
    path = home.server_path(NAME) + "/backups/b" + uuid.uuid4().hex[:8]
    taken = timed(lambda: home.do("PUT", path, timeout=WAIT_MAX))
    home.do("DELETE", path, timeout=WAIT_MAX)
    return taken


def restore(home, target):
    """Until the first query through the gateway."""
    name = "back-" + uuid.uuid4().hex[:8]
    body = {"location": howdah_client.LOCATION, "properties": {
        "createMode": "PointInTimeRestore", "sourceServerResourceId": home.server_path(NAME),
        "pointInTimeUTC": target}}
    home.passwords[name] = home.passwords[NAME]
    begin = time.monotonic()
    answer = home.call("PUT", home.server_path(name), body)
    if answer.status != 202:
        raise SystemExit(f"PUT of a restore: {answer!r}")
    home.allow(name)
    while home.psql(name, "select 1", check=False).returncode != 0:
        if time.monotonic() - begin > WAIT_MAX:
            raise SystemExit("the restored server did not answer")
        time.sleep(0.05)
    taken = time.monotonic() - begin
    home.finish(answer, WAIT_MAX)
    # Its first backup would disturb the next measurement.
    home.do("DELETE", home.server_path(name), timeout=WAIT_MAX)
    return taken


def fill(home, scale):
    home.make_group()
    home.create_server(NAME, **SIZE)
    home.allow(NAME)
    output_of("pgbench", "-i", "-q", "-s", str(scale), gateway(home, NAME),
              password=home.passwords[NAME])


def with_backups(arguments, rows):
    with howdah_client.Home(backups=True) as home:
        fill(home, arguments.scale)
        howdah_client.wait_until("the first backup is made", lambda: restorable(home, NAME),
                                 WAIT_MAX)
        by_hand = ByHand(home)
        say("backups of everything: nothing is as in the first one")
        medians = medians_in_turns({"howdah": lambda: back_up(home), "by hand": by_hand.back_up},
                                   arguments.rounds)
        rows.append(row("backups", f"backup on demand, pgbench scale {arguments.scale}",
                        "pgBackRest by hand", medians["howdah"] / medians["by hand"], at_most=1.1,
                        ours=f"{medians['howdah']:.1f} s", theirs=f"{medians['by hand']:.1f} s"))
        target = now()
        howdah_client.wait_until("that time can be restored", lambda: (
            restorable(home, NAME)[-1]["to"] > target), WAIT_MAX)
        say("restores, until the first query")
        medians = medians_in_turns({"howdah": lambda: restore(home, target),
                                    "by hand": lambda: by_hand.restore(target)}, arguments.rounds)
        rows.append(row("backups", f"restore until the first query, scale {arguments.scale}",
                        "pgBackRest and PostgreSQL by hand",
                        medians["howdah"] / medians["by hand"], at_most=1.1,
                        ours=f"{medians['howdah']:.1f} s", theirs=f"{medians['by hand']:.1f} s"))
        return archiving(home, arguments, rows)


def archiving(home, arguments, rows):
    """TPC-B, by the unix socket and through the gateway, in turns with a server that archives
    nothing."""
    with howdah_client.Home(backups=False) as bare:
        fill(bare, arguments.scale)
        seconds = arguments.seconds

        def by_socket(where):
            return tps(seconds, *direct(where, NAME), "postgres")

        def by_gateway():
            return tps(seconds, gateway(home, NAME), password=home.passwords[NAME])

        for each in (home, bare):
            tps(10, *direct(each, NAME), "postgres")
        say("TPC-B with 8 clients, transactions a second")
        medians = medians_in_turns({"archiving": lambda: by_socket(home),
                                    "bare": lambda: by_socket(bare), "gateway": by_gateway},
                                   arguments.rounds)
        bare_text = f"{medians['bare']:.0f} /s"
        rows.append(row("backups", "TPC-B a second with archiving, by the socket",
                        "without archiving", medians["archiving"] / medians["bare"], at_least=0.95,
                        ours=f"{medians['archiving']:.0f}", theirs=bare_text))
        rows.append(row("backups", "TPC-B a second with archiving, through the gateway with TLS",
                        "without archiving, by the socket", medians["gateway"] / medians["bare"],
                        ours=f"{medians['gateway']:.0f}", theirs=bare_text))


def main():
    def extend(parser):
        parser.add_argument("--scale", type=int, default=50, help="of pgbench")
        parser.add_argument("--seconds", type=int, default=60, help="of each round of TPC-B")

    arguments = arguments_of(__doc__, rounds=3, extend=extend)
    if os.geteuid() != 0:
        raise SystemExit("this benchmark runs as root")
    rows = []
    with_backups(arguments, rows)
    finish(rows)


if __name__ == "__main__":
    main()
