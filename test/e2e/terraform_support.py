"""Runs Terraform with the azurerm provider against a Home, and keeps what the provider says to it.

The provider is not part of this project: $HOWDAH_TEST_AZURERM names its program (a release as it is
published, or one built from its source). It is laid out as a mirror in a folder, so that `terraform
init` downloads nothing.
"""

import http.server
import json
import os
import re
import shutil
import ssl
import subprocess
import threading
import urllib.parse

from support import howdah_client

FOLDER = os.path.join(howdah_client.ROOT, "test", "terraform")
RECORDED = os.path.join(FOLDER, "recorded")
PROVIDER_VARIABLE = "HOWDAH_TEST_AZURERM"
RECORD_VARIABLE = "HOWDAH_TEST_TERRAFORM_RECORD"
SECONDS_MAX = 600  # that one run of terraform may take
BODY_BYTES_MAX = 1 << 20


def missing():
    """What is not here that a real run needs; "" if nothing is."""
    if not shutil.which("terraform"):
        return "terraform is not installed"
    path = os.environ.get(PROVIDER_VARIABLE, "")
    if not path:
        return (f"{PROVIDER_VARIABLE} does not name the program of the azurerm provider "
                "(docs/guide/terraform.md)")
    if not os.access(path, os.X_OK):
        return f"{PROVIDER_VARIABLE} is '{path}', which is not a program"
    return ""


class Failed(AssertionError):
    pass


class Terraform:
    """One configuration in a folder of its own, with its state."""

    def __init__(self, home, name, source=FOLDER, recorder=None):
        self.folder = os.path.join(home.folder, name)
        os.mkdir(self.folder, 0o700)
        for each in os.listdir(source) if source else ():
            if each.endswith(".tf"):
                shutil.copy(os.path.join(source, each), self.folder)
        credentials = home.credentials
        address = urllib.parse.urlsplit(recorder.api_url if recorder else credentials["api_url"])
        # One after the other, so that a recording is in the same order each time.
        self._order = ["-parallelism=1"] if recorder else []
        self.variables = {}
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": self.folder,
            "TF_CLI_CONFIG_FILE": self._mirror(home),
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            "CHECKPOINT_DISABLE": "1",
            "SSL_CERT_FILE": recorder.certificate if recorder else credentials["ca_path"],
            "ARM_METADATA_HOSTNAME": address.netloc,
            "ARM_TENANT_ID": credentials["tenant_id"],
            "ARM_SUBSCRIPTION_ID": credentials["subscription_id"],
            "ARM_CLIENT_ID": credentials["client_id"],
            "ARM_CLIENT_SECRET": credentials["client_secret"],
            "ARM_USE_CLI": "false",
        }

    def _mirror(self, home):
        """A command line configuration that finds the provider in a folder and nowhere else."""
        mirror = os.path.join(home.folder, "terraform-mirror")
        program = os.environ[PROVIDER_VARIABLE]
        version = re.search(r"_v(\d+\.\d+\.\d+)", os.path.basename(program))
        version = version[1] if version else "1.0.0"
        place = os.path.join(mirror, "registry.terraform.io", "hashicorp", "azurerm", version,
                             f"linux_{self._machine()}")
        os.makedirs(place, exist_ok=True)
        link = os.path.join(place, f"terraform-provider-azurerm_v{version}")
        if not os.path.exists(link):
            os.symlink(os.path.abspath(program), link)
        path = os.path.join(home.folder, "terraform.rc")
        with open(path, "w", encoding="utf-8") as file:
            file.write('disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n'
                       f'    path = "{mirror}"\n  }}\n}}\n')
        return path

    @staticmethod
    def _machine():
        return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)

    def run(self, *arguments, expect=(0,)):
        environment = dict(self.environment)
        for name, value in self.variables.items():
            environment["TF_VAR_" + name] = value if isinstance(value, str) else json.dumps(value)
        done = subprocess.run(["terraform", *arguments], cwd=self.folder, env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=SECONDS_MAX, check=False)
        if done.returncode not in expect:
            raise Failed(f"terraform {' '.join(arguments)} ended with {done.returncode}:\n"
                         f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}")
        return done

    def init(self):
        self.run("init", "-no-color")

    def apply(self):
        """What it did to each address: {"azurerm_resource_group.main": ["create"], ...}."""
        changes = self.changes()
        self.run("apply", "-no-color", "-auto-approve", *self._order, "plan.out")
        return {address: change["actions"] for address, change in changes.items()}

    def changes(self, *arguments):
        """What a plan would change, by address: Terraform's own description of each change."""
        done = self.run("plan", "-no-color", *self._order, "-detailed-exitcode",
                        "-out=plan.out", *arguments, expect=(0, 2))
        plan = json.loads(self.run("show", "-json", "plan.out").stdout)
        found = {each["address"]: each["change"] for each in plan.get("resource_changes", [])
                 if each["change"]["actions"] not in (["no-op"], ["read"])}
        if bool(found) != (done.returncode == 2) and not plan.get("output_changes"):
            raise Failed(f"the plan ended with {done.returncode}, but changes {found}")
        return found

    def destroy(self):
        self.run("destroy", "-no-color", "-auto-approve", *self._order)

    def state(self):
        """The attributes of every resource by address."""
        text = self.run("show", "-json").stdout
        root = json.loads(text).get("values", {}).get("root_module", {})
        return {each["address"]: each["values"] for each in root.get("resources", [])}


def changed_attributes(change):
    """The names of the attributes that differ between the two sides of a change."""
    before, after = change["before"] or {}, change["after"] or {}
    unknown = change.get("after_unknown") or {}
    return {name for name in {*before, *after}
            if before.get(name) != after.get(name) and unknown.get(name) is not True}


# -- recording ---------------------------------------------------------------------------------

# What the provider reads of each kind of answer (as its source has it): nothing else of an answer
# is kept, and nothing else is compared by the replay.
SERVER_FIELDS = (
    "id", "name", "location", "tags", "sku.name", "sku.tier", "identity", "properties.version",
    "properties.administratorLogin", "properties.availabilityZone",
    "properties.fullyQualifiedDomainName", "properties.sourceServerResourceId",
    "properties.network.publicNetworkAccess", "properties.network.delegatedSubnetResourceId",
    "properties.network.privateDnsZoneArmResourceId", "properties.maintenanceWindow",
    "properties.storage.autoGrow", "properties.storage.storageSizeGB", "properties.storage.tier",
    "properties.backup.backupRetentionDays", "properties.backup.geoRedundantBackup",
    "properties.highAvailability.mode", "properties.highAvailability.standbyAvailabilityZone",
    "properties.cluster", "properties.authConfig", "properties.dataEncryption.type")
READ_FIELDS = (
    (r"/metadata/endpoints$", ("name", "resourceManager", "microsoftGraphResourceId",
                               "authentication.loginEndpoint", "authentication.audiences",
                               "authentication.identityProvider", "authentication.tenant",
                               "suffixes.postgresqlServerEndpoint")),
    (r"/oauth2/v2.0/token$", ("token_type", "access_token")),
    (r"/(azureAsyncOperation|operationResults)/[^/]+$", ("status", "properties.provisioningState")),
    (r"/flexibleServers/[^/]+$", SERVER_FIELDS),
    (r"/databases/[^/]+$", ("id", "name", "properties.charset", "properties.collation")),
    (r"/firewallRules/[^/]+$", ("id", "name", "properties.startIpAddress",
                                "properties.endIpAddress")),
    (r"/configurations/[^/]+$", ("id", "name", "properties.value", "properties.defaultValue",
                                 "properties.isDynamicConfig", "properties.isReadOnly")),
    (r"/resourceGroups/[^/]+$", ("id", "name", "location", "tags", "managedBy",
                                 "properties.provisioningState")),
    (r"/resourceGroups/[^/]+/resources$", ("value", "nextLink")),
    (r"/providers$", ("value", "nextLink")),
)
REQUEST_HEADERS = ("accept", "content-type")
ANSWER_HEADERS = ("content-type", "azure-asyncoperation", "location", "retry-after")


def pick(value, names):
    """The named parts ("a.b") of a JSON object, as an object of the same shape."""
    out = {}
    for name in names:
        source, target = value, out
        *parents, last = name.split(".")
        for parent in parents:
            source = source.get(parent) if isinstance(source, dict) else None
        if not isinstance(source, dict) or source.get(last) is None:
            continue
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = source[last]
    return out


def read_part(method, path, body):
    """What the provider reads of an answer's JSON body; None if it reads nothing of it."""
    if method != "GET" and not path.endswith("/token"):
        return None
    for pattern, names in READ_FIELDS:
        if re.search(pattern, path, re.IGNORECASE) and isinstance(body, dict):
            if "error" in body and "status" not in body:
                return pick(body, ("error.code",))
            part = pick(body, names)
            if "access_token" in part:
                part["access_token"] = True  # that there is one
            if path.endswith("/providers"):
                part["value"] = [{"namespace": each["namespace"],
                                  "registrationState": each["registrationState"]}
                                 for each in part.get("value", [])]
            return part
    return None


class Placeholders:
    """Exchanges what differs from run to run, or is secret, with names: {password-1}."""

    def __init__(self):
        self._values = {}  # name -> value

    def add(self, name, value):
        self._values[name] = value

    def __contains__(self, name):
        return name in self._values

    def known(self, value):
        return value in self._values.values()

    def count(self, kind):
        return sum(name.startswith(kind + "-") for name in self._values)

    def _pairs(self):
        """Longest values first: one may be a part of another."""
        for name, value in sorted(self._values.items(), key=lambda pair: -len(pair[1])):
            yield "{" + name + "}", value
            quoted = urllib.parse.quote(value, safe="")
            if quoted != value:
                yield "{" + name + "|url}", quoted

    def hide(self, text):
        for name, value in self._pairs():
            text = text.replace(value, name)
        return text

    def show(self, text):
        for name, value in self._pairs():
            text = text.replace(name, value)
        left = re.search(r"\{[a-z]+(-\w+)?(\|url)?\}", text)
        if left:
            raise AssertionError(f"the recorded text names {left[0]}, which is not known: {text}")
        return text

    def hide_json(self, value):
        return json.loads(self.hide(json.dumps(value)))

    def show_json(self, value):
        return json.loads(self.show(json.dumps(value)))


def common_placeholders(home, base_url):
    names = Placeholders()
    names.add("api", base_url)
    for each in ("tenant", "subscription", "client"):
        names.add(each, home.credentials[each + "_id"])
    names.add("secret", home.credentials["client_secret"])
    return names


def learn(names, answer_headers, answer_json):
    """Keeps what a later request will refer to: the token and the ids of operations."""
    token = answer_json.get("access_token") if isinstance(answer_json, dict) else None
    if token:  # also one that is known: those of one second are the same
        names.add(f"token-{names.count('token') + 1}", token)
    for header in ("azure-asyncoperation", "location"):
        found = re.search(r"/(?:azureAsyncOperation|operationResults)/([0-9a-f-]{36})",
                          answer_headers.get(header) or "", re.IGNORECASE)
        if found and not names.known(found[1]):
            names.add(f"operation-{names.count('operation') + 1}", found[1])


class Recorder:
    """A proxy on loopback between the provider and howdahd that keeps every exchange. howdahd names
    itself in its answers and in the audience of its tokens, so both addresses are exchanged in
    whatever passes through."""

    def __init__(self, home):
        self.home = home
        self._lock = threading.Lock()
        self._steps = []
        self.key = os.path.join(home.folder, "recorder.key")
        self.certificate = os.path.join(home.folder, "recorder.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=recorder", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", self.key, "-out", self.certificate],
                       check=True, capture_output=True)
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def _pass_on(self):
                recorder.exchange(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _pass_on

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True,
                                                  do_handshake_on_connect=False)
        self.api_url = f"https://127.0.0.1:{self._server.server_port}"
        self.names = common_placeholders(home, home.credentials["api_url"].rstrip("/"))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _swap(self, text, source, target):
        text = text.replace(source, target)
        return text.replace(urllib.parse.quote(source, safe=""),
                            urllib.parse.quote(target, safe=""))

    def exchange(self, handler):
        real = self.home.credentials["api_url"].rstrip("/")
        length = min(int(handler.headers.get("Content-Length") or 0), BODY_BYTES_MAX)
        body = self._swap(handler.rfile.read(length).decode(), self.api_url, real)
        headers = {k: v for k, v in handler.headers.items()
                   if k.lower() not in ("host", "content-length", "accept-encoding", "connection")}
        answer = self.home.raw(handler.command, handler.path, body.encode() or None, headers)
        self._keep(handler, headers, body, answer)
        text = self._swap(answer.body.decode(), real, self.api_url).encode()
        handler.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name not in ("content-length", "connection", "transfer-encoding"):
                handler.send_header(name, self._swap(value, real, self.api_url))
        if answer.status not in (204, 304):
            handler.send_header("content-length", str(len(text)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(text)

    def _keep(self, handler, headers, body, answer):
        lower = {k.lower(): v for k, v in headers.items()}
        try:
            answer_json = answer.json
        except ValueError:
            answer_json = None
        with self._lock:
            learn(self.names, answer.headers, answer_json)
            path = urllib.parse.urlsplit(handler.path).path
            step = {"method": handler.command, "path": self.names.hide(handler.path),
                    "headers": {k: lower[k] for k in REQUEST_HEADERS if k in lower}}
            if "authorization" in lower:
                step["headers"]["authorization"] = self.names.hide(lower["authorization"])
            if body and "json" in lower.get("content-type", ""):
                step["body"] = self.names.hide_json(json.loads(body))
            elif body:
                step["body"] = self.names.hide(body)
            step["status"] = answer.status
            step["answer_headers"] = {k: self.names.hide(answer.headers[k])
                                      for k in ANSWER_HEADERS if k in answer.headers}
            part = read_part(handler.command, path, answer_json)
            if part is not None:
                step["reads"] = self.names.hide_json(part)
            self._steps.append(step)

    def take(self):
        """What was recorded since the last time, with repeated polls as one step."""
        with self._lock:
            steps, self._steps = self._steps, []
        return merge_polls(steps)

    def write(self, name):
        """Keeps what was recorded since the last time as a file of RECORDED."""
        text = json.dumps(self.take(), indent=1, ensure_ascii=False) + "\n"
        for secret in (self.home.credentials["client_secret"], "-----BEGIN"):
            if secret in text:
                raise AssertionError(f"a secret would be in the recording '{name}'")
        os.makedirs(RECORDED, exist_ok=True)
        with open(os.path.join(RECORDED, name + ".json"), "w", encoding="utf-8") as file:
            file.write(text)


def is_poll(step, deleted):
    path = step["path"].split("?")[0].lower()
    return step["method"] == "GET" and (
        "/azureasyncoperation/" in path or "/operationresults/" in path or path in deleted)


def merge_polls(steps):
    """The provider polls as often as it takes; of each poll the last answer counts. A GET of
    something that was deleted is a poll too: the provider waits until it is gone."""
    merged, deleted, last = [], set(), {}
    for step in steps:
        path = step["path"].split("?")[0].lower()
        if step["method"] == "DELETE":
            deleted.add(path)
        if step["method"] == "PUT":
            deleted.discard(path)
        if is_poll(step, deleted):
            step["poll"] = True
            if path in last:
                merged.remove(last[path])
            last[path] = step
        merged.append(step)
    return merged
