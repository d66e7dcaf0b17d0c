"""S3 and Azure Blob Storage on this machine, over TLS: npm's s3rver and azurite, unmodified."""

import base64
import datetime
import fcntl
import hashlib
import hmac
import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess

from howdah_client import wait_until

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "object-stores")
MODULES = os.path.join(os.path.dirname(os.path.dirname(TOOLS)), "build", "object-stores")
BUCKET = "vault"
BLOB_VERSION = "2021-08-06"


def modules():
    """Where npm's packages are; None: they cannot be had."""
    if not shutil.which("npm"):
        return None
    os.makedirs(MODULES, exist_ok=True)
    wanted = os.path.join(TOOLS, "package.json")
    with open(os.path.join(MODULES, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = os.path.join(MODULES, "package.json")
        is_same = os.path.exists(done) and read(done) == read(wanted)
        if not is_same or not os.path.isdir(os.path.join(MODULES, "node_modules", "azurite")):
            shutil.copy(wanted, done)
            subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=MODULES,
                           stdin=subprocess.DEVNULL, timeout=600, check=False)
    found = os.path.join(MODULES, "node_modules")
    return found if all(os.path.isdir(os.path.join(found, each))
                        for each in ("azurite", "s3rver")) else None


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Store:
    """One of them, with an empty bucket or container, in a folder that somebody else removes."""

    def __init__(self, folder):
        self.folder = folder
        self.data = os.path.join(folder, "objects")
        os.makedirs(self.data)
        self.port = free_port()
        self.certificate = os.path.join(folder, "store.pem")
        self.key = os.path.join(folder, "store.key")
        self.process = None
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.key, "-out",
                        self.certificate, "-days", "2", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost"],
                       check=True, capture_output=True, timeout=30)

    def start(self):
        log = os.path.join(self.folder, "store.log")
        with open(log, "a", encoding="utf-8") as out:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env={**os.environ, **self.environment()}, start_new_session=True)
        wait_until("the object store answers", self.answers, timeout=60)
        return self

    def stop(self):
        """Cleanly: azurite writes down what it has acknowledged only every few seconds."""
        if not self.process:
            return
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(read(os.path.join(self.folder, "store.log"))[-2000:])
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5):
                return True
        except OSError:
            return False

    def environment(self):
        return {}

    def repository_file(self):
        """For howdahd --repository."""
        path = os.path.join(self.folder, "repository.toml")
        lines = {**self.settings(), "endpoint": f"localhost:{self.port}", "uri-style": "path",
                 "ca-file": self.certificate}
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w",
                  encoding="utf-8") as file:
            file.write("".join(f'{name} = "{value}"\n' for name, value in lines.items()))
        return path

    def objects(self):
        """The bytes of all that is kept."""
        for folder, _, files in os.walk(self.data):
            for each in files:
                with open(os.path.join(folder, each), "rb") as file:
                    yield file.read()


class S3(Store):
    secret = "S3RVER"  # the only one that s3rver takes

    def command(self):
        return ["node", os.path.join(TOOLS, "s3.js"), modules(), self.data, str(self.port),
                self.certificate, self.key, BUCKET]

    def settings(self):
        return {"type": "s3", "bucket": BUCKET, "region": "us-east-1", "access-key": "S3RVER",
                "secret-key": self.secret}


class AzureBlob(Store):
    account = "howdah"
    secret = base64.b64encode(hashlib.sha512(b"of tests alone").digest()).decode()

    def command(self):
        # Without its telemetry: nobody but this machine is contacted.
        return ["node", os.path.join(modules(), "azurite", "dist", "src", "blob", "main.js"),
                "--silent", "--disableTelemetry", "--skipApiVersionCheck", "--blobHost",
                "127.0.0.1", "--blobPort", str(self.port), "--location", self.data, "--cert",
                self.certificate, "--key", self.key]

    def environment(self):
        return {"AZURITE_ACCOUNTS": f"{self.account}:{self.secret}"}

    def settings(self):
        return {"type": "azure", "container": BUCKET, "account": self.account,
                "account-key": self.secret}

    def start(self):
        super().start()
        self.make_container()
        return self

    def make_container(self):
        date = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
        signed = ("PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:{BLOB_VERSION}\n"
                  f"/{self.account}/{self.account}/{BUCKET}\nrestype:container")
        mac = hmac.new(base64.b64decode(self.secret), signed.encode(), hashlib.sha256).digest()
        connection = http.client.HTTPSConnection(
            "localhost", self.port, timeout=30,
            context=ssl.create_default_context(cafile=self.certificate))
        connection.request("PUT", f"/{self.account}/{BUCKET}?restype=container", headers={
            "x-ms-date": date, "x-ms-version": BLOB_VERSION, "Content-Length": "0",
            "Authorization": f"SharedKey {self.account}:{base64.b64encode(mac).decode()}"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status not in (201, 409):  # it may be there already
            raise AssertionError(f"no container: {answer.status} {text[:500]!r}")
