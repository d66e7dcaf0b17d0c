"""Drives a real Howdah for the end-to-end tests and the benchmarks: starts and ends
`howdahd --all-in-one` in a temporary home, talks to its REST API, runs psql and pgbench through
its gateway, and finds its processes. Python 3 standard library only.

It knows the public contracts alone: the REST API, the endpoints and credentials files, the
gateway's admin socket, and PostgreSQL's own files. The binaries are looked for in
$HOWDAH_BIN_DIR.
"""

import concurrent.futures
import glob
import grp
import http.client
import json
import os
import pwd
import random
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import stat
import struct
import subprocess
import tempfile
import threading
import time
import urllib.parse
import uuid

API_VERSION = "2025-08-01"
OLD_API_VERSION = "2022-12-01"
RESOURCES_VERSION = "2021-04-01"
DOMAIN = "postgres.database.howdah.local"
LOCATION = "local"
ADMIN = "dba"
OWN_PORTS = 100  # that the servers of one home may have
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# What a Home runs as when it is not told: None is the user of the test.
default_user = None

# TLS alert numbers (RFC 8446, 6).
ACCESS_DENIED = 49
NO_APPLICATION_PROTOCOL = 120
UNRECOGNIZED_NAME = 112

SSL_REQUEST = struct.pack("!II", 8, 80877103)
GSSENC_REQUEST = struct.pack("!II", 8, 80877104)


def bin_dir():
    folder = os.environ.get("HOWDAH_BIN_DIR")
    if folder:
        return folder
    for candidate in ("build/dev/bin", "build/release/bin", "build/bin"):
        if os.path.exists(os.path.join(ROOT, candidate, "howdahd")):
            return os.path.join(ROOT, candidate)
    return os.path.join(ROOT, "build/dev/bin")


def binary(name):
    return os.path.join(bin_dir(), name)


def missing_binaries():
    return [b for b in ("howdahd", "howdah-host", "howdah-agent", "howdah-fence", "howdah-gateway",
                         "howdah-pooler", "howdah")
            if not os.access(binary(b), os.X_OK)]


def failpoints():
    """The names in src/base/failpoint.h, in its order."""
    with open(os.path.join(ROOT, "src/base/failpoint.h"), encoding="utf-8") as header:
        text = header.read()
    table = text[text.index("kFailpoints[] = {"):]
    return re.findall(r'^\s*"([a-z_.]+)"', table[:table.index("};")], re.MULTILINE)


def wait_until(what, predicate, timeout=20.0, pause=0.05):
    """The first true value of predicate(); AssertionError naming `what` after the timeout."""
    end = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"still not so after {timeout:g} s: {what} (last: {value!r})")
        time.sleep(pause)


def password():
    """A fresh password that satisfies Azure's rules and cannot stand in a log by chance."""
    while ADMIN in (text := "Pw1-" + uuid.uuid4().hex):
        pass
    return text


class Response:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # lower case names
        self.body = body

    @property
    def json(self):
        return json.loads(self.body) if self.body else None

    @property
    def error(self):
        """The error object of Azure's error shape; {} if the answer has none."""
        try:
            value = self.json
        except ValueError:
            return {}
        return value.get("error", {}) if isinstance(value, dict) else {}

    def __repr__(self):
        return f"<{self.status} {self.body[:2000]!r}>"


class OperationFailed(AssertionError):
    pass


class Process:
    """One line of /proc, as it was when it was looked up."""

    def __init__(self, pid):
        base = f"/proc/{pid}"
        self.pid = pid
        with open(f"{base}/stat", "rb") as file:
            text = file.read()
        rest = text[text.rindex(b")") + 2:].split()
        self.state = rest[0].decode()
        self.ppid = int(rest[1])
        self.start = int(rest[19])
        with open(f"{base}/cmdline", "rb") as file:
            self.argv = [a.decode(errors="replace") for a in file.read().split(b"\0") if a]
        self.cwd = self._link("cwd")
        self.exe = self._link("exe").replace(" (deleted)", "")
        self.uid = os.stat(base).st_uid

    def _link(self, name):
        try:
            return os.readlink(f"/proc/{self.pid}/{name}")
        except OSError:
            return ""

    @property
    def name(self):
        return os.path.basename(self.exe)

    def __repr__(self):
        return f"<{self.pid} of {self.ppid} {self.state} {self.argv} in {self.cwd}>"


def process(pid):
    """The process, or None if there is none (or only its zombie)."""
    try:
        found = Process(pid)
    except (OSError, ValueError):
        return None
    return None if found.state in "ZX" else found


def rss_kb(pid, field="VmRSS"):
    """Resident memory now (VmRSS) or at its highest (VmHWM)."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1])
    return 0


def reset_peak(pid):
    """Makes VmHWM count anew, where the kernel allows it."""
    try:
        with open(f"/proc/{pid}/clear_refs", "w", encoding="utf-8") as file:
            file.write("5")
    except OSError:
        pass


class PsqlError(AssertionError):
    def __init__(self, result):
        super().__init__(f"psql ended with {result.returncode}: {result.stderr.strip()}")
        self.result = result


class Session:
    """A psql that stays connected. `run` answers the rows as text; after an error `failed`."""

    def __init__(self, home, server, **where):
        environment, conninfo = home.client(server, **where)
        self._errors = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            ["psql", "-XqAt", "-v", "ON_ERROR_STOP=0", "-d", conninfo], env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True)

    def run(self, sql):
        marker = uuid.uuid4().hex
        try:
            self._process.stdin.write(f"{sql}\n\\echo {marker}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise AssertionError("the session is gone: " + self.errors()) from None
        lines = []
        for line in self._process.stdout:
            if line.rstrip("\n") == marker:
                return "\n".join(lines)
            lines.append(line.rstrip("\n"))
        raise AssertionError("the session is gone: " + self.errors())

    def errors(self):
        self._errors.seek(0)
        return self._errors.read()

    def close(self):
        if self._process.poll() is None:
            try:
                self._process.stdin.close()
                self._process.wait(5)
            except (OSError, subprocess.TimeoutExpired):
                self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Bench:
    """A pgbench that runs until it is stopped. One client that fails ends the whole run."""

    def __init__(self, home, server, script="update bench set n = n + 1 where id = 1;\n", rate=40,
                 clients=1, arguments=(), **where):
        environment, conninfo = home.client(server, **where)
        self._script = tempfile.NamedTemporaryFile("w", suffix=".sql")
        self._script.write(script)
        self._script.flush()
        self._log = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            ["pgbench", "-n", "-f", self._script.name, "-c", str(clients), "-T", "3600", "-P", "1",
             *(["-R", str(rate)] if rate else []), *arguments, conninfo],
            env=environment, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT)

    def output(self):
        self._log.flush()
        self._log.seek(0)
        return self._log.read()

    def errors(self):
        """Why it is not well; "" if it is."""
        text = self.output()
        if self._process.poll() is not None:
            return f"pgbench ended with {self._process.returncode}: {text[-2000:]}"
        bad = [l for l in text.splitlines() if re.search(r"error|fatal|abort|lost", l, re.I)]
        bad = [l for l in bad if not re.fullmatch(r"progress: .* 0 failed.*", l)]
        return "\n".join(bad)

    def progressed(self):
        """The number of seconds in which it did at least one transaction."""
        return len([l for l in self.output().splitlines()
                    if re.match(r"progress: [\d.]+ s, (?!0\.0 tps)", l)])

    def stop(self):
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()
        self._log.close()
        self._script.close()


def reserved_ports():
    """The first of OWN_PORTS ports that no home of another test has, and what keeps them: a socket
    whose name is gone with the process."""
    slots = list(range(21000, 31000, OWN_PORTS))
    random.shuffle(slots)
    for first in slots:
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            lock.bind(f"\0howdah-test-ports-{first}")
            return first, lock
        except OSError:
            lock.close()
    raise AssertionError("all ports for servers are taken by other tests")


class Home:
    """One temporary home and everything that runs in it."""

    def __init__(self, user=None, pool_size=2, environment=None, arguments=(), backups=False):
        """`backups`: its servers are backed up, which costs seconds of every processor for each."""
        self.user = user or default_user
        self.pool_size = pool_size
        # Another Howdah of this machine may use the ports that servers have by default.
        self.own_ports, self._own_ports_lock = reserved_ports()
        self.extra_environment = environment or {}
        self.extra_arguments = list(arguments)  # of howdahd
        if not backups:
            self.extra_arguments += ["--repository", "none"]
        self.folder = tempfile.mkdtemp(prefix="howdah-e2e-", dir="/tmp")
        self.dir = os.path.join(self.folder, "home")
        self.failpoint_folder = os.path.join(self.folder, "failpoints")
        self.log_path = os.path.join(self.folder, "howdahd.log")
        self.user_folder = os.path.join(self.folder, "user")
        for folder in (self.dir, self.failpoint_folder, self.user_folder):
            os.mkdir(folder)
        os.chmod(self.folder, 0o755)
        os.chmod(self.dir, 0o755)
        os.chmod(self.failpoint_folder, 0o777)
        if self.user:
            entry = pwd.getpwnam(self.user)
            for folder in (self.folder, self.dir, self.failpoint_folder, self.user_folder):
                os.chown(folder, entry.pw_uid, entry.pw_gid)
        self.users_before = {entry.pw_name for entry in pwd.getpwall()}
        self.api_host = "127.0.0.1"
        self.api_port = 0
        self.gateway_port = 0
        self.endpoints = {}
        self.credentials = {}
        self.passwords = {}
        self.process = None
        self.group = "e2e"
        self._token = None
        self._token_end = 0.0
        self._tls = None
        self._cgroups = set()
        self._lock = threading.RLock()
        self.starts = 0

    # -- processes -------------------------------------------------------------------------

    def command(self):
        prefix = []
        if self.user:
            entry = pwd.getpwnam(self.user)
            prefix = ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}",
                      "--clear-groups"]
        return [*prefix, binary("howdahd"), "--all-in-one", "--home", self.dir, "--api-port",
                str(self.api_port), "--gateway-port", str(self.gateway_port), "--pool-size",
                str(self.pool_size), "--own-ports-first", str(self.own_ports),
                "--own-ports-last", str(self.own_ports + OWN_PORTS - 1), *self.extra_arguments]

    def start(self, timeout=120):
        """Starts howdahd and waits until it is ready."""
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": self.user_folder,
            "LANG": "C.UTF-8",
            "HOWDAH_FAILPOINTS": self.failpoint_folder,
            **self.extra_environment,
        }
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                environment[name] = os.environ[name]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), env=environment, cwd="/",
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)
        self.starts += 1
        path = os.path.join(self.dir, "run", "endpoints.json")

        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"howdahd ended with {self.process.returncode} at its start:\n"
                                     + self.log_tail())
            try:
                with open(path, encoding="utf-8") as file:
                    endpoints = json.load(file)
            except (OSError, ValueError):
                return None
            return endpoints if endpoints.get("pid") == self.process.pid else None

        self.endpoints = wait_until(f"{path} names the new howdahd", ready, timeout)
        self.api_port = urllib.parse.urlsplit(self.endpoints["api"]).port
        self.gateway_port = self.endpoints["gateway_port"]
        with open(os.path.join(self.dir, "howdahd", "bootstrap-credentials.json"),
                  encoding="utf-8") as file:
            self.credentials = json.load(file)
        self._tls = ssl.create_default_context(cafile=self.endpoints["ca"])
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def ensure_howdahd(self):
        """Starts howdahd again if it has died; whether it had."""
        with self._lock:
            if self.process.poll() is None:
                return False
            self.start()
            return True

    def log_tail(self, lines=30):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as file:
                return "".join(file.readlines()[-lines:])
        except OSError:
            return ""

    def processes(self):
        """All living processes of this home: named by it in their arguments or working in it."""
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            each = process(int(entry))
            if each is None:
                continue
            inside = each.cwd == self.dir or each.cwd.startswith(self.dir + "/")
            named = any(a == self.dir or self.dir + "/" in a or a.endswith("=" + self.dir)
                        for a in each.argv)
            if (inside or named) and each.name not in ("psql", "pgbench", "howdah", "python3"):
                found.append(each)
        known = {p.pid for p in found}
        for path in glob.glob(os.path.join(self.dir, "run", "*.pid")) + glob.glob(
                os.path.join(self.dir, "run", "*.lock")):
            try:
                with open(path, encoding="utf-8") as file:
                    pid = int(file.read().split()[0])
            except (OSError, ValueError, IndexError):
                continue
            each = process(pid)
            if each and pid not in known and each.name.startswith("howdah"):
                found.append(each)
                known.add(pid)
        return found

    def pids(self, name):
        """Pids of "howdahd", "howdah-agent" or "howdah-gateway" of this home."""
        return sorted(p.pid for p in self.processes() if p.name == name)

    def one(self, name, timeout=20):
        """The pid of the only process of this name."""
        pids = wait_until(f"exactly one {name} runs",
                          lambda: [self.pids(name)] if len(self.pids(name)) == 1 else None, timeout)
        return pids[0][0]

    def kill(self, name, number=signal.SIGKILL):
        """kill -9 of the one process of this name; its pid."""
        pid = self.one(name)
        os.kill(pid, number)
        if name == "howdahd":
            self.process.wait(20)
        else:
            wait_until(f"{name} {pid} is dead", lambda: process(pid) is None)
        return pid

    def postmasters(self):
        """Processes named postgres of this home whose parent is none."""
        servers = {p.pid: p for p in self.processes() if p.name == "postgres"}
        return [p for p in servers.values() if p.ppid not in servers and not any(
            a in ("--single", "--boot", "--check", "-V") for a in p.argv)]

    def remember_cgroups(self):
        for each in self.processes():
            self._cgroups |= set(cgroup_folders(each.pid))

    def stop(self):
        """Ends everything of this home and removes it (kept with HOWDAH_E2E_KEEP=1)."""
        try:
            self.remember_cgroups()
            if self.process and self.process.poll() is None:
                self._delete_all()
                self.process.terminate()
                try:
                    self.process.wait(15)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
        finally:
            self._end_processes()
            complaints = self.sanitizer_complaints()
            for folder in sorted(self._cgroups, key=len, reverse=True):
                if "howdah" in folder and os.path.isdir(folder):
                    try:
                        os.rmdir(folder)
                    except OSError:
                        pass
            if os.environ.get("HOWDAH_E2E_KEEP"):
                print(f"kept: {self.folder}")
            else:
                self._remove_users()
                shutil.rmtree(self.folder, ignore_errors=True)
        if complaints:
            raise AssertionError("a sanitizer complains:\n" + complaints)

    def sanitizer_complaints(self):
        """The first complaint in each log of our own processes, with what follows it."""
        found = []
        for path in [self.log_path, *glob.glob(os.path.join(self.dir, "log", "*.log"))]:
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    text = file.read()
            except OSError:
                continue
            match = re.search(r"(ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:)", text)
            if match:
                found.append(f"{path}:\n{text[match.start():match.start() + 6000]}")
        return "\n".join(found)

    def abandon(self):
        """Ends and removes everything at once, without a word to howdahd."""
        if self.process and self.process.poll() is None:
            self.process.kill()
        self._end_processes(graceful=False)
        self._remove_users()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _delete_all(self):
        try:
            servers = self.get(f"{self.group_path()}/providers/Microsoft.DBforPostgreSQL/"
                               "flexibleServers")
            begun = [self.call("DELETE", s["id"]) for s in servers.json.get("value", [])]
            for each in begun:
                self.operation(each, timeout=20)
        except (AssertionError, OSError, ValueError, AttributeError, http.client.HTTPException):
            pass

    def _end_processes(self, graceful=True):
        end = time.monotonic() + 20
        first = graceful
        while time.monotonic() < end:
            left = self.processes()
            if not left:
                break
            self._cgroups |= {f for p in left for f in cgroup_folders(p.pid)}
            for each in sorted(left, key=lambda p: p.name != "howdah-agent"):
                try:
                    os.kill(each.pid, signal.SIGQUIT if first and each.name == "postgres"
                            else signal.SIGKILL)
                except OSError:
                    pass
            first = False
            time.sleep(0.1)

    def _remove_users(self):
        if os.geteuid() != 0:
            return
        owners, groups = set(), set()
        for base, folders, _ in os.walk(self.dir):
            for each in [base, *(os.path.join(base, f) for f in folders)]:
                try:
                    facts = os.lstat(each)
                except OSError:
                    continue
                owners.add(facts.st_uid)
                groups.add(facts.st_gid)  # a PgBouncer's folder is root's, for it to read
        for entry in pwd.getpwall():
            if ((entry.pw_uid in owners or entry.pw_gid in groups) and entry.pw_name not in self.users_before
                    and entry.pw_name.startswith("howdah")):
                subprocess.run(["userdel", entry.pw_name], check=False, capture_output=True)

    # -- REST ------------------------------------------------------------------------------

    @property
    def subscription(self):
        return "/subscriptions/" + self.credentials["subscription_id"]

    def group_path(self, group=None):
        return f"{self.subscription}/resourceGroups/{group or self.group}"

    def server_path(self, server, group=None):
        return (f"{self.group_path(group)}/providers/Microsoft.DBforPostgreSQL/flexibleServers/"
                f"{server}")

    def raw(self, method, path, body=None, headers=None, timeout=30):
        """One request as it is; connection errors are raised."""
        connection = http.client.HTTPSConnection(self.api_host, self.api_port, timeout=timeout,
                                                 context=self._tls)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return Response(answer.status, {k.lower(): v for k, v in answer.getheaders()},
                            answer.read())
        finally:
            connection.close()

    def token_request(self, form, tenant=None):
        authority = urllib.parse.urlsplit(self.credentials["authority"]).path.rstrip("/")
        path = f"{authority}/{tenant or self.credentials['tenant_id']}/oauth2/v2.0/token"
        return self.raw("POST", path, urllib.parse.urlencode(form),
                        {"Content-Type": "application/x-www-form-urlencoded"})

    def token(self, fresh=False):
        if fresh or self._token is None or time.monotonic() > self._token_end:
            answer = self.token_request({
                "grant_type": "client_credentials",
                "client_id": self.credentials["client_id"],
                "client_secret": self.credentials["client_secret"],
                "scope": self.credentials["api_url"].rstrip("/") + "/.default",
            })
            if answer.status != 200:
                raise AssertionError(f"no token: {answer!r}")
            self._token = answer.json["access_token"]
            self._token_end = time.monotonic() + int(answer.json["expires_in"]) - 60
        return self._token

    def call(self, method, path, body=None, version=API_VERSION, headers=None, token=None,
             timeout=30):
        """A request with a token, an api-version and a JSON body."""
        if "api-version=" not in path and version:
            path += ("&" if "?" in path else "?") + "api-version=" + version
        sent = {"Authorization": "Bearer " + (token or self.token())}
        if body is not None:
            sent["Content-Type"] = "application/json"
            if not isinstance(body, (bytes, str)):
                body = json.dumps(body)
            if isinstance(body, str):
                body = body.encode()
        return self.raw(method, path, body, {**sent, **(headers or {})}, timeout)

    def get(self, path, version=API_VERSION):
        return self.call("GET", path, version=version)

    def operation(self, response, timeout=60, restart=False):
        """Follows a long-running request to its end: the operation's JSON ({} when the answer was
        final). With `restart` a howdahd that died meanwhile is started again."""
        if response.status not in (200, 201, 202, 204):
            raise OperationFailed(f"refused: {response!r}")
        url = response.headers.get("azure-asyncoperation")
        if not url:
            if response.status == 202:
                raise AssertionError(f"202 without Azure-AsyncOperation: {response.headers}")
            return {}
        parts = urllib.parse.urlsplit(url)
        path = parts.path + "?" + parts.query
        end = time.monotonic() + timeout
        last = None
        while time.monotonic() < end:
            try:
                answer = self.call("GET", path)
                last = answer
                if answer.status == 200:
                    if answer.json["status"] not in ("InProgress", "Accepted", "Running"):
                        return answer.json
                elif answer.status < 500:
                    raise AssertionError(f"the operation's state cannot be read: {answer!r}")
            except (OSError, http.client.HTTPException):
                if restart:
                    self.ensure_howdahd()
            time.sleep(0.05)
        raise AssertionError(f"the operation did not end in {timeout} s: {path}: {last!r}\n"
                             + self.log_tail(10))

    def finish(self, response, timeout=60):
        """Like operation, but it must have succeeded."""
        operation = self.operation(response, timeout)
        if operation and operation["status"] != "Succeeded":
            raise OperationFailed(json.dumps(operation))
        return operation

    def do(self, method, path, body=None, version=API_VERSION, timeout=60):
        """A request that must succeed, to its end."""
        return self.finish(self.call(method, path, body, version), timeout)

    def make_group(self, group=None):
        answer = self.call("PUT", self.group_path(group), {"location": LOCATION},
                           RESOURCES_VERSION)
        if answer.status not in (200, 201):
            raise AssertionError(f"no resource group: {answer!r}")

    def server_body(self, name, **changes):
        """A good PUT body of a server; its password is kept in self.passwords."""
        self.passwords.setdefault(name, password())
        body = {
            "location": LOCATION,
            "sku": {"name": "Standard_B1ms", "tier": "Burstable"},
            "properties": {
                "createMode": "Default",
                "version": "15",
                "administratorLogin": ADMIN,
                "administratorLoginPassword": self.passwords[name],
                "storage": {"storageSizeGB": 32},
                "backup": {"backupRetentionDays": 7, "geoRedundantBackup": "Disabled"},
                "network": {"publicNetworkAccess": "Enabled"},
                "highAvailability": {"mode": "Disabled"},
            },
        }
        body["properties"].update(changes.pop("properties", {}))
        body.update(changes)
        return body

    def create_server(self, name, firewall=True, **changes):
        """A ready server, open to 127.0.0.1 unless told otherwise."""
        self.do("PUT", self.server_path(name), self.server_body(name, **changes))
        if firewall:
            self.allow(name)
        return self.get(self.server_path(name)).json

    def allow(self, server, rule="here", start="127.0.0.1", end=None):
        self.do("PUT", f"{self.server_path(server)}/firewallRules/{rule}",
                {"properties": {"startIpAddress": start, "endIpAddress": end or start}})

    def forbid(self, server, rule="here"):
        self.do("DELETE", f"{self.server_path(server)}/firewallRules/{rule}")

    def set_parameter(self, server, name, value):
        self.do("PATCH", f"{self.server_path(server)}/configurations/{name}",
                {"properties": {"value": value, "source": "user-override"}})

    def parameter(self, server, name):
        answer = self.get(f"{self.server_path(server)}/configurations/{name}")
        if answer.status != 200:
            raise AssertionError(f"parameter {name}: {answer!r}")
        return answer.json["properties"]

    # -- PostgreSQL --------------------------------------------------------------------------

    def client(self, server, user=None, secret=None, db="postgres", sslmode="verify-full",
               host=None, port=None, extra=""):
        """Environment and connection string for psql and pgbench."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": self.folder,
            "LANG": "C.UTF-8",
            "PGPASSFILE": os.path.join(self.folder, "no.pgpass"),
            "PGSSLROOTCERT": self.endpoints["ca"] if sslmode.startswith("verify") else "",
            "PGCONNECT_TIMEOUT": "20",
            "PGPASSWORD": secret if secret is not None else self.passwords.get(server, ""),
            "PGGSSENCMODE": "disable",
        }
        if not environment["PGSSLROOTCERT"]:
            del environment["PGSSLROOTCERT"]
        conninfo = (f"host={host or server + '.' + DOMAIN} "
                    f"hostaddr={self.endpoints.get('gateway_address') or '127.0.0.1'} "
                    f"port={port or self.gateway_port} user={user or ADMIN} dbname={db} "
                    f"sslmode={sslmode} {extra}")
        return environment, conninfo

    def psql(self, server, sql, check=True, arguments=(), timeout=60, **where):
        """Runs one psql; its stdout without the last line end, or the whole result if not check."""
        environment, conninfo = self.client(server, **where)
        result = subprocess.run(
            ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *arguments, "-d", conninfo, "-c", sql],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=timeout, check=False)
        if not check:
            return result
        if result.returncode != 0:
            raise PsqlError(result)
        return result.stdout.rstrip("\n")

    def psql_file(self, server, path, timeout=180, **where):
        environment, conninfo = self.client(server, **where)
        return subprocess.run(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", conninfo, "-f", path],
                              env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=timeout, check=False)

    def session(self, server, **where):
        return Session(self, server, **where)

    def postmaster(self, server, **where):
        """The postmaster's process: the parent of a backend of our own."""
        with self.session(server, **where) as session:
            backend = process(int(session.run("select pg_backend_pid();")))
            if backend is None or backend.name != "postgres":
                raise AssertionError(f"the backend of {server} is not on this machine: {backend}")
            return process(backend.ppid)

    def backend(self, server):
        """Where PostgreSQL itself listens: {pid, data, port, socket}, from its postmaster.pid."""
        found = self.postmaster(server)
        with open(os.path.join(found.cwd, "postmaster.pid"), encoding="utf-8") as file:
            lines = file.read().splitlines()
        return {"pid": found.pid, "data": found.cwd, "port": int(lines[3]), "socket": lines[4],
                "start": found.start}

    # -- gateway -----------------------------------------------------------------------------

    def gateway_command(self, command, timeout=20):
        """One line to the gateway's admin socket; the whole answer as text."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(os.path.join(self.dir, "gateway", "gateway.sock"))
            connection.sendall(command.encode() + b"\n")
            text = b""
            while True:
                try:
                    part = connection.recv(65536)
                except socket.timeout:
                    break
                if not part:
                    break
                text += part
                try:
                    json.loads(text)
                    break
                except ValueError:
                    continue
            return text.decode()

    def stats(self):
        return json.loads(self.gateway_command("stats"))

    def server_stats(self, server):
        """The object of the statistics that is about one server."""

        def search(value):
            if isinstance(value, dict):
                texts = [v for v in value.values() if isinstance(v, str)]
                if any(t == server or t.startswith(server + ".") or t.endswith("/" + server)
                       for t in texts):
                    return value
                for key, child in value.items():
                    if isinstance(child, dict) and (key == server or key.endswith("/" + server)
                                                    or key.startswith(server + ".")):
                        return child
            children = value.values() if isinstance(value, dict) else (
                value if isinstance(value, list) else [])
            for child in children:
                found = search(child)
                if found is not None:
                    return found
            return None

        return search(self.stats().get("servers", []))

    def own_port(self, server):
        """The server's own port at the gateway, for clients without SNI."""
        found = self.server_stats(server) or {}
        for key in ("port", "own_port"):
            if found.get(key):
                return int(found[key])
        with open(os.path.join(self.dir, "gateway", "routes.json"), encoding="utf-8") as file:
            for route in json.load(file)["routes"]:
                if route["server_name"] == server:
                    return int(route["port"])
        raise AssertionError(f"{server} has no port of its own")

    def connect(self, port=None, timeout=10, source=None):
        return socket.create_connection(
            (self.endpoints.get("gateway_address") or "127.0.0.1", port or self.gateway_port),
            timeout=timeout, source_address=(source, 0) if source else None)

    def tls_answer(self, host, port=None, timeout=12, source=None):
        """What a ClientHello with this server name, from the address `source`, is answered with:
        ("alert", number), ("hello", None), or ("closed", None)."""
        with self.connect(port, timeout, source) as connection:
            connection.sendall(SSL_REQUEST)
            answer = connection.recv(1)
            if answer != b"S":
                return ("refused", answer)
            connection.sendall(client_hello(host))
            return read_tls_answer(connection)

    def set_rules(self, server, addresses, allow=True):
        """A firewall rule for each address, set or taken away by requests that are all sent at
        once. Returns the requests' answers; what they began may still go on."""
        start = threading.Barrier(len(addresses))
        self.token()

        def send(address):
            rule = f"{self.server_path(server)}/firewallRules/{address.replace('.', '-')}"
            body = {"properties": {"startIpAddress": address, "endIpAddress": address}}
            start.wait(30)
            return self.call("PUT", rule, body) if allow else self.call("DELETE", rule)

        with concurrent.futures.ThreadPoolExecutor(len(addresses)) as pool:
            return list(pool.map(send, addresses))

    def wait_for_rules(self, server, addresses, allow=True, timeout=60):
        """Until the gateway treats connections from every address so: PostgreSQL answers, or the
        gateway refuses."""
        wanted = "hello" if allow else "alert"
        for address in addresses:
            wait_until(f"{address} gets {wanted}", lambda source=address: self.tls_answer(
                f"{server}.{DOMAIN}", source=source)[0] == wanted, timeout)

    # -- failpoints --------------------------------------------------------------------------

    def arm(self, name):
        path = os.path.join(self.failpoint_folder, name)
        for old in (path, path + ".hit"):
            if os.path.exists(old):
                os.remove(old)
        with open(path, "w", encoding="utf-8"):
            pass
        os.chmod(path, 0o666)

    def disarm(self, name):
        """Takes an unhit failpoint away; whether it had been hit."""
        path = os.path.join(self.failpoint_folder, name)
        try:
            os.remove(path)
        except FileNotFoundError:
            pass
        return self.was_hit(name)

    def was_hit(self, name):
        return os.path.exists(os.path.join(self.failpoint_folder, name + ".hit"))

    # -- the store, as far as its records' contract goes --------------------------------------

    def stored_operations(self):
        """Every operation record in the embedded store, found by its fields alone. The store keeps
        its history too: of one operation the newest record counts, and ended is newer."""
        found = {}
        path = os.path.join(self.dir, "howdahd", "store.db")
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
        try:
            tables = [r[0] for r in connection.execute(
                "select name from sqlite_master where type = 'table'")]
            for table in tables:
                for row in connection.execute(f'select * from "{table}"'):
                    for cell in row:
                        text = cell.decode(errors="replace") if isinstance(cell, bytes) else cell
                        if not isinstance(text, str) or not text.startswith("{"):
                            continue
                        try:
                            value = json.loads(text)
                        except ValueError:
                            continue
                        if isinstance(value, dict) and {"kind", "status", "start_time"} <= set(
                                value):
                            known = found.get(value["id"])
                            if known is None or known["status"] == "InProgress":
                                found[value["id"]] = value
        finally:
            connection.close()
        return list(found.values())


def cgroup_folders(pid):
    """The folders of a process's own control groups (v1 and v2), without the roots."""
    folders = []
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError:
        return folders
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if path == "/":
            continue
        names = [c.removeprefix("name=") for c in controllers.split(",")] if controllers else [
            "", "unified"]
        for name in names:
            folder = os.path.join("/sys/fs/cgroup", name) + path
            if os.path.isdir(folder):
                folders.append(folder)
    return folders


def client_hello(host, alpn=None):
    """The bytes of a real ClientHello record with this server name (None: without one)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    out = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=host)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def read_tls_answer(connection):
    data = b""
    while len(data) < 7:
        try:
            part = connection.recv(4096)
        except ConnectionError:
            break
        if not part:
            break
        data += part
        if data[0] == 0x16:
            return ("hello", None)
    if len(data) >= 7 and data[0] == 0x15:
        return ("alert", data[6])
    return ("closed", None) if not data else ("other", data)


def read_to_end(connection, limit=1 << 20):
    """Everything until the other side closes; None if it does not within the socket's timeout."""
    data = b""
    while len(data) < limit:
        try:
            part = connection.recv(65536)
        except socket.timeout:
            return None
        except ConnectionError:
            break
        if not part:
            break
        data += part
    return data


def startup_packet(user, db="postgres"):
    text = b"".join(part.encode() + b"\0" for part in ("user", user, "database", db)) + b"\0"
    return struct.pack("!II", 8 + len(text), 196608) + text


def error_fields(message):
    """The fields of an ErrorResponse: {"S": "FATAL", "C": "28000", "M": "..."}; {} if not one."""
    if len(message) < 6 or message[:1] != b"E":
        return {}
    fields = {}
    for part in message[5:].split(b"\0"):
        if part:
            fields[part[:1].decode()] = part[1:].decode(errors="replace")
    return fields


def is_sanitized():
    """Whether the programs under test are a sanitizer build."""
    with open(os.path.join(bin_dir(), "howdahd"), "rb") as file:
        text = file.read()
    return b"__asan_init" in text or b"__tsan_init" in text


def is_private(path):
    """Whether only the owner may read a file, or only root and one server's own user."""
    facts = os.stat(path)
    others = stat.S_IMODE(facts.st_mode) & 0o077
    if others == 0o040 and facts.st_uid == 0:
        group = grp.getgrgid(facts.st_gid)
        return group.gr_name.startswith("howdah-") and not group.gr_mem
    return others == 0


class PidWatch:
    """Notes every postmaster that a data directory ever has, by looking at postmaster.pid often
    enough (a postmaster lives far longer than the pause between two looks)."""

    def __init__(self, data):
        self.seen = []
        self._path = os.path.join(data, "postmaster.pid")
        self._end = threading.Event()
        self._look()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _look(self):
        try:
            with open(self._path, encoding="utf-8") as file:
                lines = file.read().splitlines()
        except OSError:
            return
        if len(lines) >= 3 and (lines[0], lines[2]) not in self.seen:
            self.seen.append((lines[0], lines[2]))

    def _run(self):
        while not self._end.wait(0.005):
            self._look()

    def stop(self):
        self._end.set()
        self._thread.join()
        self._look()
        return len(self.seen)
