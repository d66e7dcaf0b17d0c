#!/usr/bin/env python3
"""Whether the API stays as fast when there is much in the store: GET of one server with 10,000 servers
against 10, and a page of 100 servers with 10,000 against a store that has just these 100. How many
requests it answers, against nginx with a file of that size. And what the check of a token costs."""

import http.client
import os
import re
import socket
import ssl
import statistics
import subprocess
import tempfile
import time

from howdah_bench import arguments_of, finish, howdah_client, row, say

MANY, FEW, PAGE = 10_000, 10, 100
REQUESTS = 200
QUIET_SECONDS = 1.0
QUIET_TICKS = 3
WAIT_MAX = 300
CLIENTS, WRK_SECONDS = 8, 5
TOKENS = 100
TOKEN_MS = 0.2
PROVIDER = "providers/Microsoft.DBforPostgreSQL/flexibleServers"


def ticks(pid):
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rsplit(b")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def wait_until_quiet(home):
    """Until howdahd has looked at all servers once and has nothing to do about them."""
    end = time.monotonic() + WAIT_MAX
    while True:
        before = ticks(home.process.pid)
        time.sleep(QUIET_SECONDS)
        if ticks(home.process.pid) - before <= QUIET_TICKS:
            return
        if time.monotonic() > end:
            raise SystemExit("howdahd does not come to rest")


class Side:
    """A Howdah with so many servers in its store."""

    def __init__(self, servers):
        say(f"filling a store with {servers} servers")
        self.home = howdah_client.Home(pool_size=0)
        self.home.start()
        self.home.kill("howdahd")
        subprocess.run([howdah_client.binary("howdah-fill-store"), self.home.dir, str(servers)],
                       check=True)
        self.home.start()
        wait_until_quiet(self.home)
        group = f"{self.home.subscription}/resourceGroups/filled/{PROVIDER}"
        version = "?api-version=" + howdah_client.API_VERSION
        self.one = f"{group}/filled-{servers // 2:06}{version}"
        self.list = group + version

    def connection(self):
        return http.client.HTTPSConnection("127.0.0.1", self.home.api_port, timeout=30,
                                           context=self.home._tls)

    def median(self, path, servers):
        """Of the time of one request on a connection that is open already, in seconds."""
        connection = self.connection()
        headers = {"Authorization": "Bearer " + self.home.token()}
        taken = []
        for _ in range(REQUESTS):
            begin = time.monotonic()
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            taken.append(time.monotonic() - begin)
            if answer.status != 200 or body.count(b'"name":"filled-') != servers:
                raise SystemExit(f"GET {path}: {answer.status} {body[:500]}")
        connection.close()
        return statistics.median(taken)

    def stop(self):
        # Deleting the servers one by one would take long, and nothing runs for them.
        self.home.process.kill()
        self.home.process.wait()
        self.home.stop()


class Nginx:
    """nginx with one static file, over TLS with a certificate of the same kind as howdahd's."""

    CONF = """daemon off;
error_log stderr;
pid nginx.pid;
worker_processes auto;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    keepalive_requests 100000000;
    open_file_cache max=10;
    sendfile on;
    tcp_nopush on;
    types { application/json json; }
    server {
        listen 127.0.0.1:PORT ssl;
        ssl_certificate server.pem;
        ssl_certificate_key server.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        root .;
    }
}
"""

    def __init__(self, body):
        self.folder = tempfile.TemporaryDirectory(prefix="howdah-bench-nginx-")
        os.chmod(self.folder.name, 0o755)
        with open(os.path.join(self.folder.name, "server.json"), "wb") as file:
            file.write(body)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
             "-sha256", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", "server.key",
             "-out", "server.pem"], cwd=self.folder.name, check=True, capture_output=True)
        conf = os.path.join(self.folder.name, "nginx.conf")
        with open(conf, "w", encoding="utf-8") as file:
            file.write(self.CONF.replace("PORT", str(self.port)))
        self.process = subprocess.Popen(["nginx", "-p", self.folder.name, "-c", conf],
                                        stderr=subprocess.DEVNULL)
        howdah_client.wait_until("nginx listens", self.listens)

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


def cipher(port):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 5) as plain, context.wrap_socket(
            plain) as connection:
        return connection.cipher()[:2]


def wrk(port, path, headers=()):
    """Requests a second, and the 99th percentile of their time in ms."""
    options = [option for each in headers for option in ("-H", each)]
    text = subprocess.run(
        ["wrk", "-t2", f"-c{CLIENTS}", f"-d{WRK_SECONDS}s", "--latency", *options,
         f"https://127.0.0.1:{port}{path}"], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"wrk: {text}")
    number, unit = re.search(r"99% +([\d.]+)(us|ms|s)", text).groups()
    return (float(re.search(r"Requests/sec: +([\d.]+)", text)[1]),
            float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit])


def throughput(side, rounds):
    """GET of one server against nginx with a file of the same size."""
    token = side.home.token()
    body = side.home.call("GET", side.one).body
    nginx = Nginx(body)
    try:
        if cipher(nginx.port) != cipher(side.home.api_port):
            raise SystemExit(f"{cipher(nginx.port)} is not {cipher(side.home.api_port)}")
        sides = {"howdahd": (side.home.api_port, side.one, ["Authorization: Bearer " + token]),
                 "nginx": (nginx.port, "/server.json", ["Authorization: Bearer " + token])}
        seen = {name: [] for name in sides}
        for number in range(rounds):
            for name, where in sides.items():
                seen[name].append(wrk(*where))
                rate, p99 = seen[name][-1]
                say(f"  round {number + 1}: {name} {rate:.0f}/s, 99th percentile {p99:.2f} ms")
    finally:
        nginx.stop()
    rate, p99 = ({name: statistics.median(value[i] for value in seen[name]) for name in sides}
                 for i in range(2))
    what = f"GET of one server a second, {CLIENTS} clients, {MANY} in the store"
    against = f"nginx, a file of {len(body)} bytes"
    return [row("api", what, against, rate["howdahd"] / rate["nginx"], at_least=0.25,
                ours=f"{rate['howdahd']:.0f}", theirs=f"{rate['nginx']:.0f} /s"),
            row("api", f"99th percentile of its latency, {CLIENTS} clients", against,
                p99["howdahd"] / p99["nginx"], ours=f"{p99['howdahd']:.2f}",
                theirs=f"{p99['nginx']:.2f} ms")]


def token_check(side):
    """What howdahd takes for a token that it sees for the first time, and later. Asked for is a path
    that nobody has: without a token the answer is 401, and with one 404, one check later."""
    connection = side.connection()
    taken = {"none": [], "new": [], "known": []}

    def ask(kind, token=None):
        begin = time.monotonic()
        connection.request("GET", "/nothing", headers={"Authorization": "Bearer " + token}
                           if token else {})
        answer = connection.getresponse()
        body = answer.read()
        taken[kind].append((time.monotonic() - begin) * 1e3)
        if answer.status != (404 if token else 401):
            raise SystemExit(f"GET /nothing: {answer.status} {body[:500]}")

    for number in range(TOKENS):
        token = side.home.token(fresh=True)
        ask("none")  # what follows a pause takes longer
        taken["none"].pop()
        for kind in ("none", "new", "known") if number % 2 else ("new", "known", "none"):
            ask(kind, None if kind == "none" else token)
    connection.close()
    median = {kind: statistics.median(values) for kind, values in taken.items()}
    rows = []
    for kind, what in (("new", "that was not seen before"), ("known", "that was seen before")):
        adds = max(median[kind] - median["none"], 0.0)
        say(f"  a token {what} adds {adds * 1e3:.0f} us to {median['none'] * 1e3:.0f} us")
        rows.append(row("api", f"check of a token {what}", f"{TOKEN_MS} ms", adds / TOKEN_MS,
                        at_most=1.0, ours=f"{adds * 1e3:.0f}", theirs=f"{TOKEN_MS * 1e3:.0f} us"))
    return rows


def compare(what, against, path_of, servers, ours, theirs, rounds):
    seen = {ours: [], theirs: []}
    for _ in range(rounds):
        for side in (ours, theirs):
            seen[side].append(side.median(path_of(side), servers))
    one, other = (statistics.median(seen[side]) for side in (ours, theirs))
    say(f"  {what}: {one * 1e6:.0f} us against {other * 1e6:.0f} us")
    return row("api", what, against, one / other, at_most=1.5, ours=f"{one * 1e6:.0f} us",
               theirs=f"{other * 1e6:.0f} us")


def main():
    arguments = arguments_of(__doc__, rounds=5)
    sides = {}
    try:
        for servers in (MANY, FEW, PAGE):
            sides[servers] = Side(servers)
        rows = throughput(sides[MANY], arguments.rounds) + token_check(sides[MANY])
        finish([compare(f"GET of one server, {MANY} in the store", f"{FEW} in the store",
                        lambda side: side.one, 1, sides[MANY], sides[FEW], arguments.rounds),
                compare(f"page of {PAGE} servers, {MANY} in the store", f"{PAGE} in the store",
                        lambda side: side.list, PAGE, sides[MANY], sides[PAGE],
                        arguments.rounds), *rows])
    finally:
        for side in sides.values():
            side.stop()


if __name__ == "__main__":
    main()
