#!/usr/bin/env python3
"""Measures howdah-gateway against HAProxy (TCP mode) and against no proxy at all.

Every figure is a ratio of two sides measured in the same run, in turns, so that a busy machine
disturbs both alike. Prints a JSON array of {name, what, against, ratio, reach, met} to standard
output, and what it does to standard error.
"""

import argparse
import glob
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HOST = "bench.db.test"
SIDES = ("direct", "haproxy", "gateway")


def say(text):
    print(text, file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="howdah-bench-"))
        self.children = []
        versions = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda p: int(p.split("/")[4]))
        if not versions:
            raise SystemExit("no PostgreSQL is installed")
        self.postgres_bin = pathlib.Path(versions[-1]).parent
        self.ports = {"direct": free_port(), "haproxy": free_port(), "gateway": free_port(), "gateway_own": free_port()}

    # PostgreSQL does not run as root.
    def as_user(self, command):
        return ["runuser", "-u", "postgres", "--"] + command if os.geteuid() == 0 else command

    def start(self, command, log):
        child = subprocess.Popen(command, stdout=open(self.folder / log, "ab"), stderr=subprocess.STDOUT)
        self.children.append(child)
        return child

    def start_postgres(self):
        data = self.folder / "data"
        key, certificate = self.folder / "server.key", self.folder / "server.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-sha256", "-nodes",
             "-days", "2", "-subj", f"/CN={HOST}", "-keyout", key, "-out", certificate],
            check=True, capture_output=True)
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            for path in (self.folder, key, certificate):
                os.chown(path, user.pw_uid, user.pw_gid)
        os.chmod(key, 0o600)
        subprocess.run(self.as_user([str(self.postgres_bin / "initdb"), "-D", str(data), "-U", "bench", "-A", "trust",
                                     "--no-sync"]), check=True, capture_output=True)
        with open(data / "postgresql.conf", "a") as conf:
            conf.write(f"port={self.ports['direct']}\nlisten_addresses='127.0.0.1'\nunix_socket_directories=''\n"
                       f"ssl=on\nssl_cert_file='{certificate}'\nssl_key_file='{key}'\nfsync=off\n"
                       "max_connections=200\nshared_buffers=64MB\n")
        with open(data / "pg_hba.conf", "a") as rules:
            rules.write("host all all 127.0.0.2/32 trust\n")  # where the gateway comes from
        self.start(self.as_user([str(self.postgres_bin / "postgres"), "-D", str(data)]), "postgres.log")
        wait_for_port(self.ports["direct"])
        subprocess.run(["pgbench", "-i", "-q", "-s", "2", self.conninfo("direct", False)], check=True,
                       capture_output=True)

    def start_haproxy(self):
        conf = self.folder / "haproxy.cfg"
        conf.write_text(
            f"global\n  nbthread {self.arguments.threads}\n  maxconn 4000\n"
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"
            f"listen pg\n  bind 127.0.0.1:{self.ports['haproxy']}\n  server one 127.0.0.1:{self.ports['direct']}\n")
        self.haproxy = self.start(["haproxy", "-db", "-f", str(conf)], "haproxy.log")
        wait_for_port(self.ports["haproxy"])

    def start_gateway(self):
        pid = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        routes = self.folder / "routes.json"
        routes.write_text(json.dumps({"revision": 1, "routes": [{
            "server_id": "/bench", "server_name": "bench", "host_names": [HOST], "port": self.ports["gateway_own"],
            "state": "open", "backend_port": self.ports["direct"], "postmaster_pid": pid, "major": 15,
            "require_tls": False, "public_access": True,
            "firewall_rules": [{"name": "local", "start_ip": "127.0.0.1", "end_ip": "127.0.0.1"}]}]}))
        self.gateway = self.start(
            [str(pathlib.Path(self.arguments.bin) / "howdah-gateway"), "--routes", str(routes), "--port",
             str(self.ports["gateway"]), "--threads", str(self.arguments.threads), "--drain-timeout", "0"], "gateway.log")
        wait_for_port(self.ports["gateway"])

    def conninfo(self, side, tls):
        port = self.ports["gateway_own" if side == "gateway" and not tls else side]
        return (f"host={HOST} hostaddr=127.0.0.1 port={port} user=bench dbname=postgres "
                f"sslmode={'require' if tls else 'disable'}")

    def cpu_ns(self, side):
        child = {"haproxy": self.haproxy, "gateway": self.gateway}.get(side)
        if child is None:
            return 0
        total = 0
        for path in glob.glob(f"/proc/{child.pid}/task/*/schedstat"):
            total += int(pathlib.Path(path).read_text().split()[0])
        return total

    def pgbench(self, side, tls, clients, extra=()):
        """One run: transactions a second, 99th percentile in ms, proxy CPU in us a transaction."""
        logs = self.folder / "log"
        shutil.rmtree(logs, ignore_errors=True)
        logs.mkdir()
        before = self.cpu_ns(side)
        done = subprocess.run(
            ["pgbench", "-n", "-S", "-c", str(clients), "-j", str(min(clients, 2)), "-T", str(self.arguments.seconds),
             "-l", "--log-prefix", str(logs / "t"), *extra, self.conninfo(side, tls)],
            capture_output=True, text=True)
        rates = [float(line.split()[2]) for line in done.stdout.splitlines() if line.startswith("tps =")]
        if done.returncode != 0 or not rates:
            raise SystemExit(f"pgbench through {side} failed ({done.returncode}): {done.stderr} {done.stdout}")
        cpu = self.cpu_ns(side) - before
        latencies = []
        for path in logs.iterdir():
            with open(path) as lines:
                latencies.extend(int(line.split(" ", 3)[2]) for line in lines)
        latencies.sort()
        return {"rate": rates[0], "p99": latencies[len(latencies) * 99 // 100] / 1000, "cpu": cpu / 1000 / len(latencies)}

    def in_turns(self, tls, clients, extra=()):
        """The runs of each side. The sides take turns, and each round begins with another."""
        runs = {side: [] for side in SIDES}
        for round_number in range(self.arguments.rounds):
            turn = round_number % len(SIDES)
            for side in SIDES[turn:] + SIDES[:turn]:
                runs[side].append(self.pgbench(side, tls, clients, extra))
        for side in SIDES:
            say(f"  {side:8} {median(runs, side, 'rate'):10.0f}/s  p99 {median(runs, side, 'p99'):8.3f} ms  "
                f"cpu {median(runs, side, 'cpu'):6.2f} us")
        return runs

    def close(self):
        for child in reversed(self.children):
            if child.poll() is None:
                # runuser passes SIGTERM on; PostgreSQL then waits for sessions, of which there are none.
                child.send_signal(signal.SIGTERM)
                try:
                    child.wait(20)
                except subprocess.TimeoutExpired:
                    child.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def median(runs, side, key):
    return statistics.median(run[key] for run in runs[side])


def row(what, runs, key, unit, at_least=None, at_most=None, against="haproxy"):
    """The ratio is the median of the rounds' ratios: both sides of a round met the same machine."""
    ratio = statistics.median(ours[key] / theirs[key] for ours, theirs in zip(runs["gateway"], runs[against]))
    met = None
    reach = ""
    if at_least is not None:
        met, reach = ratio >= at_least, f"at least {at_least}"
    if at_most is not None:
        met, reach = ratio <= at_most, f"at most {at_most}"
    ours, theirs = median(runs, "gateway", key), median(runs, against, key)
    return {"name": "gateway", "what": what, "against": {"haproxy": "HAProxy"}.get(against, against),
            "ratio": round(ratio, 3), "reach": reach, "met": met,
            "measured": f"{ours:.4g} / {theirs:.4g} {unit}"}


def measure(bench):
    rows = []
    for tls in (False, True):
        kind = "TLS" if tls else "plain"
        for clients in bench.arguments.clients:
            label = f"{clients} client{'s' if clients > 1 else ''}, {kind}"
            say(f"select-only, {label}")
            runs = bench.in_turns(tls, clients)
            rows.append(row(f"transactions a second, {label}", runs, "rate", "/s", at_least=1.0))
            rows.append(row(f"transactions a second, {label}", runs, "rate", "/s", against="direct"))
            rows.append(row(f"99th percentile of latency, {label}", runs, "p99", "ms", at_most=1.0))
            reach = {"at_most": 0.9} if clients == 16 else {}
            rows.append(row(f"CPU per transaction, {label}", runs, "cpu", "us", **reach))
    for tls in (False, True) if bench.arguments.connections else ():
        kind = "TLS" if tls else "plain"
        say(f"new connections, {kind}")
        runs = bench.in_turns(tls, 4, ("-C",))
        rows.append(row(f"new connections a second, {kind}", runs, "rate", "/s", at_least=1.0))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True, help="folder with the release programs")
    parser.add_argument("--seconds", type=int, default=3, help="length of one run")
    parser.add_argument("--rounds", type=int, default=5, help="runs of which the median is taken")
    parser.add_argument("--threads", type=int, default=2, help="threads of the gateway and of HAProxy")
    parser.add_argument("--no-connections", dest="connections", action="store_false",
                        help="leave out the new connections a second")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    arguments = parser.parse_args()
    for program in ("haproxy", "pgbench", "openssl"):
        if shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin") is None:
            raise SystemExit(f"{program} is not installed")
    os.environ["PATH"] += ":/usr/sbin"
    bench = Bench(arguments)
    try:
        bench.start_postgres()
        bench.start_haproxy()
        bench.start_gateway()
        rows = measure(bench)
    finally:
        bench.close()
    json.dump(rows, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
