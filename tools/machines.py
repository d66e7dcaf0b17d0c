"""Several machines on this one, for tests and benchmarks: network namespaces on one bridge, an etcd
with a member on each, and a Howdah whose howdahd runs on the first. Needs root. Networks can be cut.

A thread is on one machine at a time (Machine.inside); what it starts or connects to is there too.
Nothing of it is reachable from elsewhere, so addresses and ports are always the same.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading

import howdah_client
from howdah_client import wait_until
from howdah_pair import Pair

CLONE_NEWNET = 0x40000000
ETCD = "/usr/bin/etcd"
_libc = ctypes.CDLL(None, use_errno=True)
_where = threading.local()
_begin = os.open("/proc/thread-self/ns/net", os.O_RDONLY)  # of the thread that imports this: where all tests begin


def why_not():
    """Why machines cannot be made here; "" if they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "ip (iproute2) is not installed"
    if not os.access(ETCD, os.X_OK):
        return "etcd-server is not installed"
    name = f"hdtry{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return "no network namespace can be made: " + made.stderr.strip()
    subprocess.run(["ip", "netns", "del", name], check=False)
    return ""


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def here():
    """The machine that this thread is on; None: where the tests began."""
    return getattr(_where, "machine", None)


def _enter(machine):
    file = _begin if machine is None else os.open(f"/run/netns/{machine.namespace}", os.O_RDONLY)
    try:
        if _libc.setns(file, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        if machine is not None:
            os.close(file)


class Machine:
    """One namespace with an address, and a second one for its gateway."""

    def __init__(self, network, number):
        self.network = network
        self.number = number
        self.name = "abcdefgh"[number]
        self.namespace = f"{network.name}{self.name}"
        self.address = f"10.77.0.{number + 1}"
        self.gateway_source = f"10.77.0.{number + 101}"
        self.port = f"{network.name}p{self.name}"

    @contextlib.contextmanager
    def inside(self):
        before = here()
        _enter(self)
        _where.machine = self
        try:
            yield self
        finally:
            _enter(before)
            _where.machine = before

    def make(self):
        switch = self.network.switch
        run("ip", "netns", "add", self.namespace)
        run("ip", "link", "add", self.port, "netns", switch, "type", "veth", "peer", "name",
            "eth0", "netns", self.namespace)
        run("ip", "-n", switch, "link", "set", self.port, "master", "br0", "up")
        for each in (self.address, self.gateway_source):
            run("ip", "-n", self.namespace, "address", "add", f"{each}/24", "dev", "eth0")
        for link in ("lo", "eth0"):
            run("ip", "-n", self.namespace, "link", "set", link, "up")

    def cut(self):
        """Nothing goes in or out any more, and nobody is told."""
        run("ip", "-n", self.network.switch, "link", "set", self.port, "nomaster")

    def mend(self):
        run("ip", "-n", self.network.switch, "link", "set", self.port, "master", "br0")

    def cut_from(self, other):
        """The two do not reach each other; both reach everybody else."""
        for one, two in ((self, other), (other, self)):
            for address in (two.address, two.gateway_source):
                run("ip", "-n", one.namespace, "route", "replace", "blackhole", f"{address}/32")

    def mend_to(self, other):
        for one, two in ((self, other), (other, self)):
            for address in (two.address, two.gateway_source):
                run("ip", "-n", one.namespace, "route", "del", "blackhole", f"{address}/32")


class Network:
    def __init__(self, count=3):
        self.name = f"hd{os.getpid() % 100000}"
        self.switch = f"{self.name}sw"
        self.machines = [Machine(self, number) for number in range(count)]

    def __enter__(self):
        try:
            run("ip", "netns", "add", self.switch)
            run("ip", "-n", self.switch, "link", "add", "br0", "type", "bridge")
            run("ip", "-n", self.switch, "link", "set", "br0", "up")
            for machine in self.machines:
                machine.make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in (self.switch, *(m.namespace for m in self.machines)):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


class Etcd:
    """A member on each machine, with TLS and certificates for whoever may ask."""

    def __init__(self, machines):
        self.machines = machines
        self.folder = tempfile.mkdtemp(prefix="howdah-e2e-etcd-", dir="/tmp")
        self.members = {}
        self.urls = ",".join(f"https://{m.address}:2379" for m in machines)

    def file(self, name):
        return os.path.join(self.folder, name)

    def arguments(self):
        """For howdahd."""
        return ["--etcd", self.urls, "--etcd-ca", self.file("ca.pem"), "--etcd-certificate",
                self.file("any.pem"), "--etcd-key", self.file("any.key")]

    def _make_certificates(self):
        addresses = ",".join(["IP:127.0.0.1"] + [f"IP:{m.address}" for m in self.machines])
        with open(self.file("names"), "w", encoding="utf-8") as file:
            file.write(f"subjectAltName={addresses}\nextendedKeyUsage=serverAuth,clientAuth\n")
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-subj", "/CN=etcd of a test", "-days", "2", "-keyout",
            self.file("ca.key"), "-out", self.file("ca.pem"))
        run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", "/CN=any", "-keyout", self.file("any.key"), "-out", self.file("any.csr"))
        run("openssl", "x509", "-req", "-in", self.file("any.csr"), "-CA", self.file("ca.pem"),
            "-CAkey", self.file("ca.key"), "-CAcreateserial", "-days", "2", "-extfile",
            self.file("names"), "-out", self.file("any.pem"))

    def start(self, machine):
        client, peer = f"https://{machine.address}:2379", f"https://{machine.address}:2380"
        cluster = ",".join(f"{m.name}=https://{m.address}:2380" for m in self.machines)
        tls = []
        for side in ("", "peer-"):
            tls += [f"--{side}cert-file", self.file("any.pem"), f"--{side}key-file",
                    self.file("any.key"), f"--{side}trusted-ca-file", self.file("ca.pem"),
                    f"--{side}client-cert-auth"]
        with machine.inside(), open(self.file(f"{machine.name}.log"), "ab") as log:
            self.members[machine.name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", ETCD, "--name", machine.name, "--data-dir",
                 self.file(machine.name), "--listen-client-urls", client,
                 "--advertise-client-urls", client, "--listen-peer-urls", peer,
                 "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster,
                 "--heartbeat-interval", "50", "--election-timeout", "500", "--log-level", "warn",
                 *tls], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def signal(self, machine, number):
        self.members[machine.name].send_signal(number)

    def ensure(self, machine):
        if self.members[machine.name].poll() is not None:
            self.start(machine)

    def __enter__(self):
        try:
            self._make_certificates()
            for machine in self.machines:
                self.start(machine)
            wait_until("etcd answers", self._answers, 60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _answers(self):
        with self.machines[0].inside():
            return subprocess.run(
                ["etcdctl", "--endpoints", self.urls, "--cacert", self.file("ca.pem"), "--cert",
                 self.file("any.pem"), "--key", self.file("any.key"), "endpoint", "health"],
                env={**os.environ, "ETCDCTL_API": "3"}, capture_output=True,
                check=False).returncode == 0

    def __exit__(self, *_):
        for each in self.members.values():
            each.kill()
            each.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class FirstHome(howdah_client.Home):
    """howdahd --all-in-one on the first machine."""

    def __init__(self, machine, etcd, **options):
        self.machine = machine
        arguments = ["--api-address", machine.address, "--address", machine.address,
                     "--gateway-source", machine.gateway_source, "--gateway-address",
                     machine.address, *etcd.arguments(), *options.pop("arguments", ())]
        super().__init__(arguments=arguments, **options)
        self.api_host = machine.address
        self.gateway_port = 5432

    def start(self, timeout=120):
        with self.machine.inside():
            return super().start(timeout)

    def allow(self, server, rule="here", start="10.77.0.1", end="10.77.0.99"):
        super().allow(server, rule, start, end)


class OtherHome:
    """howdah-host on another machine. Its home is inside the first one's, so that everything is
    found, and ended, there."""

    def __init__(self, machine, first, zone):
        self.machine = machine
        self.zone = zone
        self.dir = os.path.join(first.dir, "hosts", machine.name)
        self.log_path = os.path.join(first.dir, "log", f"howdah-host-{machine.name}.log")
        self.process = None
        os.makedirs(self.dir, mode=0o711, exist_ok=True)

    def start(self, ticket=None):
        """Joins with a ticket; without one it goes on. Waits until its gateway listens."""
        arguments = ["--address", self.machine.address, "--gateway-source",
                     self.machine.gateway_source, "--ticket", "-"] if ticket else []
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                       "HOME": self.dir, "LANG": "C.UTF-8"}
        environment |= {n: v for n, v in os.environ.items() if n.endswith("SAN_OPTIONS")}
        with self.machine.inside(), open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [howdah_client.binary("howdah-host"), "--home", self.dir, "--gateway-address",
                 self.machine.address, "--pool-size", "1", *arguments],
                env=environment, cwd="/", stdin=subprocess.PIPE, stdout=log, stderr=log,
                start_new_session=True)
        self.process.stdin.write((ticket or "").encode() + b"\n")
        self.process.stdin.close()
        path = os.path.join(self.dir, "run", "endpoints.json")

        def ready():
            if self.process.poll() is not None:
                with open(self.log_path, encoding="utf-8") as file:
                    raise AssertionError("howdah-host ended:\n" + file.read()[-2000:])
            try:
                with open(path, encoding="utf-8") as file:
                    found = json.load(file)
            except (OSError, ValueError):
                return None
            return found if found["pid"] == self.process.pid else None

        self.endpoints = wait_until(f"{path} names the new howdah-host", ready, 60)
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


class SeveralMachines:
    """Three machines with etcd and one Howdah: `first` is a Home; `homes` by machine name."""

    def __init__(self, count=3, **options):
        self.network = Network(count)
        self.options = options
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.network)
            self.machines = self.network.machines
            self.etcd = stack.enter_context(Etcd(self.machines))
            self.first = FirstHome(self.machines[0], self.etcd, **self.options)
            stack.callback(self._stop_first)
            self.first.start()
            with self.machines[0].inside():
                self.first.make_group()
            self.others = {}
            for number, machine in enumerate(self.machines[1:], start=2):
                other = OtherHome(machine, self.first, str(number))
                stack.callback(other.stop)
                other.start(self.ticket(machine.name, str(number)))
                self.others[machine.name] = other
            wait_until("all machines are ready", self._all_ready, 60)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def _stop_first(self):
        with self.machines[0].inside():
            self.first.stop()

    def ticket(self, name, zone):
        with self.machines[0].inside():
            answer = self.first.call("POST", f"/providers/Howdah.Platform/hosts/{name}/invite",
                                     {"properties": {"availabilityZone": zone}},
                                     version="2026-11-01")
        if answer.status != 200:
            raise AssertionError(f"no ticket: {answer!r}")
        return answer.json["properties"]["ticket"]

    def hosts(self):
        with self.machines[0].inside():
            return self.first.get("/providers/Howdah.Platform/hosts", "2026-11-01").json["value"]

    def _all_ready(self):
        hosts = self.hosts()
        ready = [h for h in hosts if h["properties"]["state"] == "Ready"
                 and h["properties"]["engines"]]
        return len(ready) == len(self.machines)

    def machine_in(self, zone):
        return self.machines[int(zone) - 1]

    def kill_node(self, zone):
        """Everything of a machine but its gateway, as when its power is gone; what would start it
        again is ended first."""
        machine = self.machine_in(zone)
        top = ("howdahd", "howdah-host")
        folder = self.folder(zone)
        ended = [p for p in self.first.processes() if p.name in (
            *top, "howdah-agent", "howdah-fence", "postgres") and self._is_of(p, folder)]
        for each in sorted(ended, key=lambda p: p.name not in top):
            with contextlib.suppress(OSError):
                os.kill(each.pid, signal.SIGKILL)
        process = self.others[machine.name].process if zone != "1" else self.first.process
        process.wait()

    def restart_node(self, zone):
        if zone == "1":
            self.first.start()
        else:
            self.others[self.machine_in(zone).name].start()

    def bring_back(self):
        """Whatever of etcd, howdahd and howdah-host has ended."""
        for machine in self.machines:
            self.etcd.ensure(machine)
        if self.first.process.poll() is not None:
            self.first.start()
        for other in self.others.values():
            if other.process.poll() is not None:
                other.start()

    def folder(self, zone):
        """The home of the machine of a zone."""
        machine = self.machine_in(zone)
        return self.first.dir if zone == "1" else self.others[machine.name].dir

    def _is_of(self, process, folder):
        words = [process.cwd, *process.argv]
        inside = any(w == folder or w.startswith(folder + "/") for w in words)
        hosts = os.path.join(self.first.dir, "hosts") + "/"
        return inside and (folder != self.first.dir
                           or not any(w.startswith(hosts) for w in words))


class SpreadPair(Pair):
    """A highly available server of several machines."""

    def __init__(self, machines, name):
        super().__init__(machines.first, name)
        self.machines = machines

    def folder(self, zone):
        return os.path.join(self.machines.folder(zone), "agent")

    def folders(self):
        return [self.folder(str(zone)) for zone in range(1, len(self.machines.machines) + 1)]

    def conninfo(self):
        """Through the gateway of the machine that this thread is on."""
        return super().conninfo().replace(f"hostaddr={self.machines.machines[0].address}",
                                          f"hostaddr={here().address}")
