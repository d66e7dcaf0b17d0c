"""Tokens of other issuers: of a real one that nobody here wrote (npm's oidc-provider), and of one that
lies, hangs, floods, redirects and changes its keys."""

import base64
import hashlib
import http.client
import http.server
import json
import os
import re
import secrets
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request
import uuid

from support import Case, Home, howdah_client, started_home, wait_until

try:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
except ImportError:
    rsa = None

READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
NAMESPACE = uuid.UUID("8f0c6d0e-6a5b-4e0f-9d57-1f0b7a3c52e4")
ROLES_VERSION = "2022-04-01"
AUDIENCE = "api://howdah"
FOLDER = os.path.join(howdah_client.ROOT, "build", "oidc-provider")
SOURCES = os.path.join(howdah_client.ROOT, "tools", "oidc-provider")
# kUnknownKeyPause of src/api/auth/foreign_issuers.h, and time to do it.
PAUSE = 30
REFRESH = PAUSE + 15

HOME = None
WORK = None
LIAR = None
PROVIDER = None
WHY_NO_PROVIDER = ""
TOKENS = set()  # nothing of this may stand in any log


def encode(data):
    if not isinstance(data, bytes):
        data = json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, size=None):
    return encode(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def object_id(issuer, subject):
    return str(uuid.uuid5(NAMESPACE, f"{issuer}\n{subject}"))


class Key:
    """An RSA key of an issuer."""

    def __init__(self, name):
        self.name = name
        self.key = rsa.generate_private_key(65537, 2048)

    def jwk(self, private=False):
        numbers = self.key.private_numbers()
        jwk = {"kty": "RSA", "kid": self.name, "use": "sig", "alg": "RS256",
               "n": number(numbers.public_numbers.n), "e": number(numbers.public_numbers.e)}
        if private:
            del jwk["alg"]  # PS256 as well
            jwk.update(d=number(numbers.d), p=number(numbers.p), q=number(numbers.q),
                       dp=number(numbers.dmp1), dq=number(numbers.dmq1), qi=number(numbers.iqmp))
        return jwk

    def token(self, issuer, name=None, **changes):
        claims = {"iss": issuer, "aud": ["account", AUDIENCE], "sub": "alice-1", "azp": "shop",
                  "preferred_username": "alice@example.org", "exp": int(time.time()) + 600,
                  **changes}
        text = f"{encode({'alg': 'RS256', 'kid': name or self.name})}.{encode(claims)}"
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        TOKENS.add(encode(signature))
        return f"{text}.{encode(signature)}"


class Liar(http.server.ThreadingHTTPServer):
    """Many issuers at one address; the first part of the path says which, and how it behaves."""

    daemon_threads = True

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), Answers)
        self.asked = []  # paths
        self.keys = {"good": [Key("key-1")], "other": [Key("key-1")]}
        self.ending = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, name):
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def count(self, name):
        return sum(each.startswith(f"/{name}/") for each in self.asked)

    def key_set(self, name):
        return {"keys": [key.jwk() for key in self.keys[name]]}

    def end(self):
        self.ending.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        pass  # who has given up waiting closes the connection


class Answers(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, body, status=200, **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        server = self.server
        server.asked.append(self.path)
        _, name, rest = self.path.split("/", 2)
        here = server.url(name)
        discovery = {"issuer": here, "jwks_uri": here + "/keys"}
        is_keys = rest == "keys"
        if name in server.keys:
            self.answer(server.key_set(name) if is_keys else discovery)
        elif name == "wrong":  # claims to be another one
            self.answer(server.key_set("good") if is_keys else
                        {**discovery, "issuer": server.url("good")})
        elif name == "elsewhere":  # sends the keys' reader to an address inside
            self.answer({**discovery, "jwks_uri": "http://10.0.0.1/keys"})
        elif name == "redirect":
            self.answer(b"", 302, Location=server.url("target") + "/keys")
        elif name == "garbage":
            self.answer(os.urandom(1000) if is_keys else discovery)
        elif name == "many":
            self.answer({"keys": server.key_set("good")["keys"] * 500} if is_keys else discovery)
        elif name == "huge":
            self.flood() if is_keys else self.answer(discovery)
        elif name == "slow":
            self.drip() if is_keys else self.answer(discovery)
        else:
            self.answer({}, 404)

    def flood(self):
        """Without an end, as long as anybody reads."""
        self.send_response(200)
        self.end_headers()
        while not self.server.ending.is_set():
            self.wfile.write(b" " * 65536)

    def drip(self):
        """A byte a second: never silent, never done."""
        self.send_response(200)
        self.end_headers()
        while not self.server.ending.wait(1):
            self.wfile.write(b" ")
            self.wfile.flush()


class Provider:
    """npm's oidc-provider with HTTPS of an authority of its own."""

    CLIENTS = [
        {"client_id": "ci", "client_secret": "a-secret-of-ci", "redirect_uris": [],
         "response_types": [], "grant_types": ["client_credentials"]},
        {"client_id": "shop", "client_secret": "a-secret-of-shop", "response_types": ["code"],
         "grant_types": ["authorization_code"], "redirect_uris": ["https://shop.example/back"]}]
    RESOURCES = {
        "urn:howdah": {"audience": AUDIENCE, "alg": "RS256"},
        "urn:howdah:es": {"audience": AUDIENCE, "alg": "ES256"},
        "urn:howdah:ps": {"audience": AUDIENCE, "alg": "PS256"},
        "urn:other": {"audience": "api://other", "alg": "RS256"}}

    def __init__(self, folder):
        self.folder = folder
        self.port = 0
        self.process = None
        self.ca = os.path.join(folder, "issuer.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{folder}/issuer.key",
                        "-out", self.ca, "-days", "2", "-subj", "/CN=issuer", "-addext",
                        "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        os.chmod(self.ca, 0o644)
        numbers = ec.generate_private_key(ec.SECP256R1()).private_numbers()
        self.jwks = [Key("rsa-1").jwk(private=True), {
            "kty": "EC", "kid": "ec-1", "use": "sig", "crv": "P-256",
            "x": number(numbers.public_numbers.x, 32), "y": number(numbers.public_numbers.y, 32),
            "d": number(numbers.private_value, 32)}]
        self.start()

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def start(self):
        with open(f"{self.folder}/issuer.key", encoding="utf-8") as key, open(
                self.ca, encoding="utf-8") as cert:
            settings = {"issuer": "https://127.0.0.1:PORT", "port": self.port, "key": key.read(),
                        "cert": cert.read(), "jwks": {"keys": self.jwks},
                        "clients": self.CLIENTS, "resources": self.RESOURCES}
        with open(f"{self.folder}/issuer.log", "ab") as log:
            self.process = subprocess.Popen(
                ["node", "issuer.mjs"], cwd=FOLDER, text=True, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=log)
        self.process.stdin.write(json.dumps(settings) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline().strip()
        if not line:
            with open(f"{self.folder}/issuer.log", encoding="utf-8") as log:
                raise RuntimeError("it does not start: " + log.read()[-500:])
        self.port = int(line)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdin.close()
        self.process.stdout.close()

    def ask(self, method, path, form=None, cookies=None):
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=20, context=ssl.create_default_context(cafile=self.ca))
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        if cookies:
            headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in cookies.items())
        try:
            connection.request(method, path, urllib.parse.urlencode(form) if form else None,
                               headers)
            answer = connection.getresponse()
            body = answer.read()
            for each in answer.headers.get_all("Set-Cookie") or []:
                key, value = each.split(";")[0].split("=", 1)
                if cookies is not None:
                    cookies[key] = value
            return answer.status, answer.headers.get("Location", ""), body
        finally:
            connection.close()

    def token(self, form):
        status, _, body = self.ask("POST", "/token", form)
        if status != 200:
            raise AssertionError(body)
        token = json.loads(body)["access_token"]
        TOKENS.add(token.split(".")[2])
        return token

    def program(self, resource="urn:howdah"):
        """A token of the program `ci`."""
        return self.token({"grant_type": "client_credentials", "client_id": "ci",
                           "client_secret": "a-secret-of-ci", "scope": "manage",
                           "resource": resource})

    def person(self, name):
        """Logs a person in on the provider's own pages, by the authorization code flow."""
        verifier, cookies = secrets.token_urlsafe(32), {}
        challenge = encode(hashlib.sha256(verifier.encode()).digest())
        where = "/auth?" + urllib.parse.urlencode({
            "client_id": "shop", "response_type": "code", "scope": "openid manage",
            "redirect_uri": "https://shop.example/back", "resource": "urn:howdah",
            "code_challenge": challenge, "code_challenge_method": "S256"})
        for _ in range(10):
            status, to, body = self.ask("GET", where, cookies=cookies)
            if to.startswith("https://shop.example/back"):
                code = urllib.parse.parse_qs(urllib.parse.urlsplit(to).query)["code"][0]
                return self.token({
                    "grant_type": "authorization_code", "code": code, "code_verifier": verifier,
                    "client_id": "shop", "client_secret": "a-secret-of-shop",
                    "redirect_uri": "https://shop.example/back", "resource": "urn:howdah"})
            if status == 200:
                prompt = re.search(rb'name="prompt" value="(\w+)"', body)[1].decode()
                status, to, body = self.ask(
                    "POST", where, {"prompt": prompt, "login": name, "password": "any"}, cookies)
            where = to[len(self.url):] if to.startswith(self.url) else to
        raise AssertionError(f"nobody was logged in: {status} {to} {body[:500]!r}")


def make_provider(folder):
    """The provider, and why there is none."""
    for program in ("node", "npm", "openssl"):
        if not shutil.which(program):
            return None, f"{program} is not installed"
    os.makedirs(FOLDER, exist_ok=True)
    for name in ("package.json", "issuer.mjs"):
        shutil.copy(os.path.join(SOURCES, name), FOLDER)
    if not os.path.isdir(os.path.join(FOLDER, "node_modules", "oidc-provider")):
        done = subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"],
                              cwd=FOLDER, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            return None, "npm cannot install oidc-provider: " + (done.stderr + done.stdout)[-300:]
    try:
        return Provider(folder), ""
    except RuntimeError as problem:  # for instance a node that is too old
        return None, f"oidc-provider: {problem}"


HOSTILE = ("wrong", "elsewhere", "redirect", "garbage", "many", "huge", "slow", "absent")


def write_issuers(without=(), path=None):
    lines = []
    for name in ("good", "other", *HOSTILE):
        lines += [f"[{name}]", f'issuer = "{LIAR.url(name)}"', f'audiences = ["{AUDIENCE}"]']
    if PROVIDER:
        lines += ["[provider]  # a comment", f'issuer = "{PROVIDER.url}"',
                  f'audiences = ["api://unused",  # two lines\n    "{AUDIENCE}",]', f'ca-file = "{PROVIDER.ca}"']
    sections = re.split(r"(?m)^(?=\[)", "\n".join(lines) + "\n")
    path = path or os.path.join(WORK, "issuers.toml")
    with open(path, "w", encoding="utf-8") as file:
        file.write("".join(each for each in sections
                           if not each.startswith(tuple(f"[{name}]" for name in without))))
    os.chmod(path, 0o644)
    return path


def setUpModule():
    global HOME, WORK, LIAR, PROVIDER, WHY_NO_PROVIDER
    if rsa is None:
        raise unittest.SkipTest("SKIPPED: Python's cryptography is not installed")
    WORK = tempfile.mkdtemp(prefix="howdah-issuers-")
    os.chmod(WORK, 0o755)
    LIAR = Liar()
    PROVIDER, WHY_NO_PROVIDER = make_provider(WORK)
    HOME = started_home(pool_size=0, arguments=("--trusted-issuers", write_issuers()))


def tearDownModule():
    if HOME:
        HOME.stop()
    if PROVIDER:
        PROVIDER.stop()
    if LIAR:
        LIAR.end()
    if WORK:
        shutil.rmtree(WORK, ignore_errors=True)


def me(token):
    return HOME.call("GET", "/v1.0/me", token=token)


def assign(principal, role, scope):
    return HOME.call(
        "PUT", f"{scope}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}",
        {"properties": {"principalId": principal, "roleDefinitionId":
                        f"/providers/Microsoft.Authorization/roleDefinitions/{role}"}},
        ROLES_VERSION)


def subscription():
    return "/subscriptions/" + HOME.credentials["subscription_id"]


def log_lines(event):
    with open(HOME.log_path, encoding="utf-8", errors="replace") as file:
        return [line for line in file if f'"{event}"' in line]


class Cli:
    """`howdah` of one person."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(dir=WORK)

    def run(self, *arguments, stdin=None):
        return subprocess.run(
            [howdah_client.binary("howdah"), *arguments], text=True, capture_output=True,
            input=stdin, timeout=60, check=False,
            env={"PATH": os.environ["PATH"], "HOME": self.folder, "LANG": "C.UTF-8"})


class RealIssuer(Case):
    def setUp(self):
        if not PROVIDER:
            self.skipTest(f"SKIPPED: {WHY_NO_PROVIDER}")
        wait_until("the provider's keys are there",
                   lambda: me(PROVIDER.program()).status == 200, 60)

    def test_every_algorithm_of_its_tokens_is_taken(self):
        for resource in ("urn:howdah", "urn:howdah:es", "urn:howdah:ps"):
            answer = me(PROVIDER.program(resource))
            self.assertEqual(answer.status, 200, repr(answer))
            self.assertEqual(answer.json["id"], object_id(PROVIDER.url, "ci"))
            self.assertEqual(answer.json["displayName"], "ci")

    def test_a_token_for_another_audience_is_refused(self):
        self.assert_error(me(PROVIDER.program("urn:other")), 401, "InvalidAuthenticationToken")

    def test_a_person_gets_in_once_there_is_a_role(self):
        token = PROVIDER.person("alice")
        identity = object_id(PROVIDER.url, "alice")
        path = f"{subscription()}/resourceGroups/of-alice"
        body = {"location": "local"}
        refused = HOME.call("PUT", path, body, "2021-04-01", token=token)
        self.assert_error(refused, 403, "AuthorizationFailed")
        self.assertIn(identity, refused.error["message"])
        self.assertEqual(assign(identity, CONTRIBUTOR, subscription()).status, 201)
        self.assertEqual(HOME.call("PUT", path, body, "2021-04-01", token=token).status, 201)
        answer = HOME.call(
            "GET", f"{subscription()}/providers/microsoft.insights/eventtypes/management/values"
            "?$filter=" + urllib.parse.quote("resourceGroupName eq 'of-alice'"),
            version="2015-04-01")
        callers = {each["caller"] for each in answer.json["value"]}
        self.assertEqual(callers, {f"{PROVIDER.url} alice@example.org"})
        # Another person of the same issuer has no part in it.
        self.assert_error(HOME.call("GET", path, version="2021-04-01",
                                    token=PROVIDER.person("bob")), 403)

    def test_the_words_of_the_command_line(self):
        admin, person = Cli(), Cli()
        credentials = os.path.join(HOME.dir, "howdahd", "bootstrap-credentials.json")
        done = admin.run("login", "--credentials", credentials)
        self.assertEqual(done.returncode, 0, done.stderr)
        done = person.run("ad", "issuer-object-id", "--issuer", PROVIDER.url, "--subject", "carol",
                          "--output", "tsv")
        identity = done.stdout.split("\t")[0]
        self.assertEqual(identity, object_id(PROVIDER.url, "carol"), done.stderr)
        done = admin.run("role", "assignment", "create", "--assignee-object-id", identity,
                         "--assignee-principal-type", "User", "--role", "Reader", "--scope",
                         f"{subscription()}/resourceGroups/{HOME.group}")
        self.assertEqual(done.returncode, 0, done.stderr)
        token = PROVIDER.person("carol")
        done = person.run("login", "--access-token-stdin", "--api-url", HOME.endpoints["api"],
                          "--ca-file", HOME.endpoints["ca"], stdin=token + "\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        done = person.run("ad", "signed-in-user", "show", "--output", "json")
        shown = json.loads(done.stdout)
        self.assertEqual((shown["id"], shown["issuer"], shown["userPrincipalName"]),
                         (identity, PROVIDER.url, "carol@example.org"))
        done = person.run("group", "show", "--name", HOME.group)
        self.assertEqual(done.returncode, 0, done.stderr)
        done = person.run("group", "create", "--name", "of-carol", "--location", "local")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("carol@example.org", done.stderr)
        done = person.run("login", "--access-token-stdin", "--api-url", HOME.endpoints["api"],
                          "--ca-file", HOME.endpoints["ca"], stdin=token[:-10] + "AAAAAAAAAA\n")
        self.assertNotEqual(done.returncode, 0)
        done = person.run("ad", "issuer-object-id", "--issuer", "http://a.example", "--subject",
                          "x")
        self.assertEqual(done.returncode, 2, done.stderr)

    def test_its_outage_and_a_restart_keep_people_in(self):
        token = PROVIDER.person("dora")
        PROVIDER.stop()
        try:
            self.assertEqual(me(token).status, 200)
            HOME.kill("howdahd")
            HOME.start()
            self.assertEqual(me(token).status, 200)
        finally:
            PROVIDER.start()


class Hostile(Case):
    """Each of them was asked when howdahd started; none of them ever gives a good key."""

    @classmethod
    def setUpClass(cls):
        wait_until("the good issuer's keys are there", lambda: me(
            LIAR.keys["good"][0].token(LIAR.url("good"))).status == 200, 60)

    def test_no_liar_lets_anybody_in_nor_keeps_others_out(self):
        def reasons():
            return "".join(log_lines("the keys of an issuer cannot be fetched"))
        wait_until("every one of them has failed", lambda: all(
            LIAR.url(each) in reasons() for each in HOSTILE), 60)
        key = LIAR.keys["good"][0]
        for each in HOSTILE:
            self.assertEqual(me(key.token(LIAR.url(each))).status, 401, each)
        self.assertEqual(LIAR.count("target"), 0, "a redirect was followed")
        for name, reason in (("wrong", "is of the issuer"), ("elsewhere", "this machine"),
                             ("redirect", "302; redirects are not followed"),
                             ("garbage", "is not a JSON object"), ("many", "500 keys"),
                             ("huge", "longer than 262144 bytes"), ("slow", "timed out"),
                             ("absent", "404")):
            lines = [line for line in reasons().splitlines() if LIAR.url(name) + '"' in line]
            self.assertTrue(any(reason in line for line in lines), (name, reason, lines))
        memory = howdah_client.rss_kb(HOME.process.pid, "VmHWM")
        self.assertLess(memory, 200_000, "of kilobytes")

    def test_the_api_waits_for_no_issuer(self):
        for _ in range(20):
            self.assert_within(2, lambda: me(LIAR.keys["good"][0].token(LIAR.url("slow"))))
            self.assert_within(2, lambda: HOME.call("GET", "/subscriptions",
                                                    version="2021-04-01"))

    def test_the_keys_of_one_issuer_open_nothing_for_another(self):
        good, other = LIAR.keys["good"][0], LIAR.keys["other"][0]
        self.assertEqual(me(other.token(LIAR.url("other"))).status, 200)
        self.assertEqual(me(good.token(LIAR.url("other"))).status, 401)
        self.assertEqual(me(other.token(LIAR.url("good"))).status, 401)

    def test_nobody_becomes_a_principal_of_howdahs_own(self):
        credentials = HOME.credentials
        own = HOME.call("GET", "/v1.0/me").json["id"]
        key = LIAR.keys["good"][0]
        token = key.token(LIAR.url("good"), oid=own, sub=own, appid=credentials["client_id"],
                          azp=credentials["client_id"], tid=credentials["tenant_id"],
                          preferred_username=credentials["client_id"])
        answer = me(token)
        self.assertEqual(answer.json["id"], object_id(LIAR.url("good"), own))
        self.assert_error(HOME.call("GET", HOME.group_path(), version="2021-04-01", token=token),
                          403)
        issuer = f"{HOME.endpoints['api']}/{credentials['tenant_id']}/v2.0"
        for url in (issuer, issuer.lower(), issuer + "/", ""):
            token = key.token(url, aud=HOME.endpoints["api"], oid=own, sub=own, iat=1, nbf=1,
                              appid=credentials["client_id"], tid=credentials["tenant_id"])
            self.assertEqual(me(token).status, 401)

    def test_a_token_is_refused_for_each_thing_that_is_wrong_with_it(self):
        key, url = LIAR.keys["good"][0], LIAR.url("good")
        now = int(time.time())
        self.assert_error(me(key.token(url, exp=now - 120)), 401, "ExpiredAuthenticationToken")
        for changes in ({"aud": "api://other"}, {"aud": []}, {"aud": ["account"]},
                        {"nbf": now + 300}, {"iat": now + 300}, {"exp": str(now + 300)},
                        {"exp": None}, {"sub": ""}, {"sub": 7}, {"oid": ["x"]},
                        {"cnf": {"jkt": "x"}}, {"iss": [url]}):
            self.assert_error(me(key.token(url, **changes)), 401, "InvalidAuthenticationToken")
        header, payload, signature = key.token(url).split(".")
        for alg in ("none", "HS256", "RS512", "ES256"):
            changed = encode({"alg": alg, "kid": "key-1"})
            for each in (signature, "", encode(b"x" * 64)):
                self.assertEqual(me(f"{changed}.{payload}.{each}").status, 401, alg)

    def test_keys_that_change_and_keys_that_nobody_knows(self):
        url = LIAR.url("other")
        old, new = LIAR.keys["other"][0], Key("key-2")
        TOKENS.add(new.token(url).split(".")[2])
        self.assertEqual(me(old.token(url)).status, 200)
        LIAR.keys["other"] = [new]
        begin, asked = time.monotonic(), LIAR.count("other")
        self.assertEqual(me(new.token(url)).status, 401)
        while me(new.token(url)).status != 200:
            self.assertLess(time.monotonic() - begin, REFRESH)
            for _ in range(20):
                self.assertEqual(me(new.token(url, name=uuid.uuid4().hex)).status, 401)
        self.assertEqual(me(old.token(url)).status, 401, "its key was withdrawn")
        rounds = 1 + (time.monotonic() - begin) // PAUSE
        self.assertLessEqual(LIAR.count("other") - asked, 2 * rounds)


class Removed(Case):
    """Runs last, as the names are sorted within a class only: it changes the configuration."""

    def test_an_issuer_that_is_removed_is_refused_after_the_restart(self):
        key, url = LIAR.keys["good"][0], LIAR.url("good")
        token = key.token(url)
        wait_until("the keys are there", lambda: me(token).status == 200, 30)
        write_issuers(without=("good",))
        HOME.kill("howdahd")
        HOME.start()
        wait_until("the other issuer goes on", lambda: me(
            LIAR.keys["other"][0].token(LIAR.url("other"))).status == 200, 30)
        self.assertEqual(me(token).status, 401)
        self.assertTrue(log_lines("an issuer of tokens is not trusted any more"))
        write_issuers()
        HOME.kill("howdahd")
        HOME.start()
        wait_until("it is trusted again", lambda: me(token).status == 200, 30)

    def test_no_log_holds_a_token(self):
        with open(HOME.log_path, encoding="utf-8", errors="replace") as file:
            text = file.read()
        self.assertGreater(len(TOKENS), 10)
        for each in TOKENS:
            self.assertNotIn(each, text)


class Configuration(Case):
    """howdahd does not start with a file that is wrong, and says what is wrong, why, what to do."""

    def refusal(self, text):
        path = os.path.join(WORK, "bad.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return self.refusal_of(path)

    def refusal_of(self, path):
        home = Home(pool_size=0, arguments=("--trusted-issuers", path))
        try:
            done = subprocess.run(home.command(), capture_output=True, text=True, timeout=60,
                                  check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            last = json.loads(done.stderr.splitlines()[-1])
            self.assertEqual(last["event"], "howdahd cannot go on")
            return last["reason"]
        finally:
            home.stop()

    def test_every_mistake_is_named(self):
        url = 'issuer = "https://a.example"\n'
        audiences = 'audiences = ["x"]\n'
        for text, reason in (
                ("[a]\n" + audiences, "issuer is not given"),
                ("[a]\n" + url, "audiences is not given"),
                ("[a]\nissuer = \"http://a.example\"\n" + audiences, "begins with http://"),
                ("[a]\n" + url + audiences + "audience = \"x\"\n", "audience is not known"),
                ("[a]\n" + url + audiences + "[b]\n" + url + audiences, "stands there twice"),
                ("[a]\n" + url + url + audiences, "twice"),
                ("[a]\n" + url + audiences + "[b]\n" + audiences + "[a]\n" + url, "twice"),
                ("[a]\n" + url + 'audiences = ["x y"]\n', "special letter"),
                ("[a]\n" + url + 'audiences = ["x"\n[b]\n', "line 4"),
                ("[a]\nissuer https://a.example\n" + audiences, "line 2"),
                (url + audiences, "stands in no section"),
                ("[a.b]\n" + url + audiences, "a section's name"),
                ("[a]\n" + url + audiences + 'ca-file = "/not/there"\n', "ca-file"),
                ("[a]\n" + url + audiences + 'ca-file = "/etc/hostname"\n', "no certificate")):
            with self.subTest(reason):
                said = self.refusal(text)
                self.assertIn(reason, said)
                self.assertRegex(said, r"\(.+\)$", "what to do stands in brackets")
        self.assertIn("/not/there", self.refusal_of("/not/there.toml"))


def load_tests(loader, _, __):
    """The restarts come last."""
    suite = unittest.TestSuite()
    for each in (Configuration, Hostile, RealIssuer, Removed):
        suite.addTests(loader.loadTestsFromTestCase(each))
    return suite


if __name__ == "__main__":
    unittest.main(verbosity=2)
