"""Who gets in and who does not: logins by device code with unmodified clients, keys of tokens that
rotate under a running howdahd, forged and foreign tokens; and that no log holds a secret."""

import base64
import glob
import hashlib
import hmac
import html.parser
import json
import mmap
import os
import queue
import re
import shutil
import sqlite3
import ssl
import struct
import subprocess
import threading
import time
import unittest
import urllib.parse
import uuid

from support import Case, howdah_client, started_home, wait_until

try:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError:
    AESGCM = None

HOME = None
AZ = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SECRETS = set()  # nothing of this may stand in any log


def setUpModule():
    global HOME
    HOME = started_home()
    SECRETS.add(HOME.credentials["client_secret"])


def tearDownModule():
    if HOME:
        HOME.stop()


def keep_secret(value):
    """Remembers a token or secret: the tests look for it in all logs at their end."""
    SECRETS.add(value)
    if value.count(".") == 2:  # the part that alone makes a token one
        SECRETS.add(value.split(".")[2])
    return value


def post(path, form, headers=None, home=None):
    return (home or HOME).raw("POST", path, urllib.parse.urlencode(form), {
        "Content-Type": "application/x-www-form-urlencoded", **(headers or {})})


def encode(value):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class FormReader(html.parser.HTMLParser):
    """The hidden fields of a page, and what it would load."""

    def __init__(self, text):
        super().__init__()
        self.hidden, self.loads = {}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "input" and attrs.get("type") == "hidden":
            self.hidden[attrs["name"]] = attrs["value"]
        if tag in ("script", "link", "img", "iframe") or "src" in attrs:
            self.loads.append(tag)


class Browser:
    """A person at the page /devicelogin."""

    def __init__(self, home):
        self.home, self.cookie = home, ""
        self.last = home.raw("GET", "/devicelogin")
        self._look()

    def _look(self):
        self.form = FormReader(self.last.body.decode())
        if "set-cookie" in self.last.headers:
            self.cookie = self.last.headers["set-cookie"].split(";")[0]

    def send(self, **fields):
        self.last = post("/devicelogin", {**self.form.hidden, **fields}, {
            "Cookie": self.cookie, "Sec-Fetch-Site": "same-origin",
            "Origin": self.home.endpoints["api"]}, self.home)
        self._look()
        return self.last.status

    def log_in(self, code, client_id=None, secret=None):
        credentials = self.home.credentials
        if self.send(step="code", user_code=code) != 200:
            return self.last.status
        return self.send(step="login", client_id=client_id or credentials["client_id"],
                         client_secret=secret or credentials["client_secret"])


class Client:
    """An unmodified program that logs in by device code: shows a code on standard error."""

    def __init__(self, arguments, environment):
        self.process = subprocess.Popen(arguments, env=environment, text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.lines = queue.Queue()
        self.err, self.out = "", ""
        self.readers = [threading.Thread(target=self._read_err, daemon=True),
                        threading.Thread(target=self._read_out, daemon=True)]
        for each in self.readers:
            each.start()

    def _read_err(self):
        for line in self.process.stderr:
            self.err += line
            self.lines.put(line)

    def _read_out(self):
        self.out = self.process.stdout.read()

    def code(self):
        def look():
            found = re.search(r"enter the code ([A-Z]{4}-[A-Z]{4})", self.err)
            if not found and self.process.poll() is not None:
                raise AssertionError("it ended without a code:\n" + self.err)
            return found and found[1]
        code = wait_until("a code is shown", look, 60)
        keep_secret(code)
        keep_secret(code.replace("-", ""))
        return code

    def end(self):
        code = self.process.wait(60)
        for each in self.readers:
            each.join(10)
        self.process.stdout.close()
        self.process.stderr.close()
        return code


class DeviceLogin(Case):
    def setUp(self):
        self.folder = os.path.join(HOME.folder, "login-" + self._testMethodName)
        os.mkdir(self.folder)
        self.environment = {
            "PATH": howdah_client.bin_dir() + ":" + os.environ["PATH"], "HOME": self.folder,
            "LANG": "C.UTF-8", "AZURE_CONFIG_DIR": os.path.join(self.folder, "azure"),
            "AZURE_CORE_COLLECT_TELEMETRY": "no"}

    def run_one(self, *arguments, check=True):
        done = subprocess.run(arguments, env=self.environment, cwd=self.folder, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=120,
                              check=False)
        if check:
            self.assertEqual(done.returncode, 0, f"{arguments}\n{done.stdout}{done.stderr}")
        return done

    def test_az_logs_a_person_in_and_stays_logged_in_over_a_crash(self):
        if not shutil.which("az"):
            self.skipTest("SKIPPED: az is not installed (Debian: azure-cli)")
        self.run_one("howdah", "login", "--credentials",
                     os.path.join(HOME.dir, "howdahd", "bootstrap-credentials.json"), "-o", "none")
        self.run_one("howdah", "cloud", "export", "--file", "cloud.json", "--ca-file", "ca.pem")
        self.environment["REQUESTS_CA_BUNDLE"] = os.path.join(self.folder, "ca.pem")
        self.run_one("az", "cloud", "register", "-n", "Howdah", "--cloud-config", "@cloud.json")
        self.run_one("az", "cloud", "set", "-n", "Howdah")
        az = Client(["az", "login", "--use-device-code"], self.environment)
        self.assertEqual(Browser(HOME).log_in(az.code()), 200)
        self.assertEqual(az.end(), 0, az.err)
        accounts = json.loads(az.out)
        self.assertEqual([a["id"] for a in accounts], [HOME.credentials["subscription_id"]])
        self.assertEqual(accounts[0]["user"], {"name": HOME.credentials["client_id"],
                                               "type": "user"})
        names = json.loads(self.run_one("az", "group", "list").stdout)
        self.assertEqual([g["name"] for g in names], [HOME.group])
        with open(os.path.join(self.folder, "azure", "msal_token_cache.json"),
                  encoding="utf-8") as file:
            cache = json.load(file)
        for kind in ("AccessToken", "RefreshToken", "IdToken"):
            self.assertEqual(len(cache[kind]), 1, kind)
            for each in cache[kind].values():
                keep_secret(each["secret"])
        # The refresh token outlives howdahd; az needs it for a token of another audience.
        HOME.kill("howdahd")
        HOME.process.wait(20)
        HOME.ensure_howdahd()
        other = json.loads(self.run_one("az", "account", "get-access-token", "--resource",
                                        HOME.endpoints["api"] + "/msgraph").stdout)
        keep_secret(other["accessToken"])
        claims = json.loads(decode(other["accessToken"].split(".")[1]))
        self.assertEqual(claims["aud"], HOME.endpoints["api"] + "/msgraph")
        self.assertEqual(claims["idtyp"], "user")
        with open(os.path.join(self.folder, "azure", "msal_token_cache.json"),
                  encoding="utf-8") as file:
            now = json.load(file)
        changed = [each["secret"] for each in now["RefreshToken"].values()]
        self.assertEqual(len(changed), 1)
        self.assertNotIn(changed[0], SECRETS)
        keep_secret(changed[0])

    def test_howdah_logs_a_person_in_and_a_removed_principal_out(self):
        app = HOME.call("POST", "/v1.0/applications", {"displayName": "a person"}, version="")
        self.assertEqual(app.status, 201, repr(app))
        prefix = "/v1.0"
        client_id = app.json["appId"]
        HOME.call("POST", prefix + "/servicePrincipals", {"appId": client_id}, version="")
        secret = HOME.call("POST", f"{prefix}/applications/{client_id}/addPassword", {},
                           version="").json["secretText"]
        keep_secret(secret)
        object_id = HOME.call("GET", f"{prefix}/servicePrincipals?$filter=" + urllib.parse.quote(
            f"appId eq '{client_id}'"), version="").json["value"][0]["id"]
        reader = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
        granted = HOME.call("PUT", f"{HOME.subscription}/providers/Microsoft.Authorization/"
                            f"roleAssignments/{uuid.uuid4()}", {"properties": {
                                "principalId": object_id, "roleDefinitionId":
                                f"{HOME.subscription}/providers/Microsoft.Authorization/"
                                f"roleDefinitions/{reader}"}}, version="2022-04-01")
        self.assertEqual(granted.status, 201, repr(granted))
        howdah = Client(["howdah", "login", "--api-url", HOME.endpoints["api"], "--ca-file",
                         HOME.endpoints["ca"], "-o", "json"], self.environment)
        code = howdah.code()
        self.assertEqual(Browser(HOME).log_in(code, client_id, "wrong-" + secret), 401)
        self.assertEqual(Browser(HOME).log_in(code, client_id, secret), 200)
        self.assertEqual(howdah.end(), 0, howdah.err)
        self.assertEqual(json.loads(howdah.out)[0]["user"], {"name": client_id, "type": "user"})
        self.assertIn(HOME.group, self.run_one("howdah", "group", "list").stdout)
        with open(os.path.join(self.folder, ".config", "howdah", "profile.json"),
                  encoding="utf-8") as file:
            refresh_token = keep_secret(json.load(file)["refresh_token"])
        HOME.do("DELETE", f"{prefix}/applications/{client_id}", version="")
        answer = HOME.token_request({"grant_type": "refresh_token", "client_id": AZ,
                                     "refresh_token": refresh_token})
        self.assertEqual((answer.status, answer.json["error"]), (400, "invalid_grant"))
        self.assertNotEqual(self.run_one("howdah", "group", "list", check=False).returncode, 0)

    def test_the_page_in_a_browser(self):
        browser = Browser(HOME)
        headers = browser.last.headers
        self.assertEqual(browser.form.loads, [])
        self.assertIn("default-src 'none'", headers["content-security-policy"])
        self.assertIn("frame-ancestors 'none'", headers["content-security-policy"])
        self.assertEqual(headers["x-frame-options"], "DENY")
        begun = post("/adfs/oauth2/devicecode", {"client_id": AZ, "scope": "openid"}).json
        keep_secret(begun["device_code"])
        code = keep_secret(begun["user_code"])
        self.assertEqual(browser.send(step="code", user_code=code), 200)
        self.assertIn(code, browser.last.body.decode())
        self.assertIn("Azure CLI", browser.last.body.decode())
        self.assertEqual(browser.send(step="decline"), 200)
        answer = post("/adfs/oauth2/token", {"grant_type": GRANT, "client_id": AZ,
                                             "device_code": begun["device_code"]})
        self.assertEqual(answer.json["error"], "authorization_declined")
        for change in ({"Cookie": ""}, {"Origin": "https://evil.example"},
                       {"Sec-Fetch-Site": "cross-site"}):
            with self.subTest(change):
                refused = post("/devicelogin", {**browser.form.hidden, "step": "code",
                                                "user_code": code},
                               {"Cookie": browser.cookie, **change})
                self.assertEqual(refused.status, 403)
        huge = post("/devicelogin", {"guard": "x" * 100_000})
        self.assertEqual(huge.status, 413)


class BadTokens(Case):
    """Forged tokens, and tokens that are well signed and yet not for here."""

    @classmethod
    def setUpClass(cls):
        cls.good = keep_secret(HOME.token(fresh=True))
        cls.keys = HOME.raw("GET", "/common/discovery/v2.0/keys")
        head, body, _ = cls.good.split(".")
        cls.header, cls.claims = json.loads(decode(head)), json.loads(decode(body))

    def ask(self, token):
        return HOME.raw("GET", HOME.group_path() + "?api-version="
                        + howdah_client.RESOURCES_VERSION,
                        headers={"Authorization": "Bearer " + token})

    def refuse(self, token, code="InvalidAuthenticationToken"):
        keep_secret(token)
        answer = self.ask(token)
        self.assert_error(answer, 401, code)
        self.assertIn("bearer", answer.headers.get("www-authenticate", "").lower())
        self.assertNotIn(token, answer.body.decode())
        return answer.error["message"]

    @staticmethod
    def real_key():
        """The key that signs, as only somebody with the store and its master key can have it."""
        folder = os.path.join(HOME.dir, "howdahd")
        with open(os.path.join(folder, "master.key"), encoding="utf-8") as file:
            master = bytes.fromhex(file.read().strip())
        name = "/secret/token-signing-key"
        with sqlite3.connect(f"file:{folder}/store.db?mode=ro", uri=True) as store:
            value = store.execute("select value from entry where key = ?", (name,)).fetchone()[0]
        sealed = base64.b64decode(value.removeprefix("v1:"))
        text = AESGCM(master).decrypt(sealed[:12], sealed[12:], name.encode())
        key = json.loads(text)["keys"][0]
        SECRETS.update(line for line in key["private"].splitlines() if len(line) > 40)
        return key["id"], serialization.load_pem_private_key(key["private"].encode(), None)

    def test_forged_tokens_are_refused_in_the_same_words(self):
        head, body, signature = self.good.split(".")
        words = set()
        for algorithm in ("none", "NONE", "", "HS256", "ES256", "RS384"):
            forged = encode({**self.header, "alg": algorithm}) + "." + body
            words.add(self.refuse(forged + "."))
            words.add(self.refuse(forged + "." + signature))
        for key in self.keys.json["keys"]:
            pem = b""
            if AESGCM:
                pem = self.real_key()[1].public_key().public_bytes(
                    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            for secret in (self.keys.body, key["n"].encode(), decode(key["n"]), pem, pem.strip()):
                text = encode({**self.header, "alg": "HS256"}) + "." + body
                mac = hmac.new(secret, text.encode(), hashlib.sha256).digest()
                words.add(self.refuse(f"{text}.{encode(mac)}"))
        for kid in (str(uuid.uuid4()), "../../../../dev/null", "/etc/hostname", "' or '1'='1",
                    "x'; drop table entry; --", "", None, 7, ["a"], "a" * 5000, "\u0000"):
            words.add(self.refuse(f"{encode({**self.header, 'kid': kid})}.{body}.{signature}"))
        for header in ({"crit": ["exp"]}, {"jwk": self.keys.json["keys"][0]},
                       {"jku": "http://127.0.0.1:1/"}, {"x5u": "http://127.0.0.1:1/"}, {"b64": False}):
            words.add(self.refuse(f"{encode({**self.header, **header})}.{body}.{signature}"))
        words.add(self.refuse(f"{head}.{body}.{signature}.{signature}"))
        words.add(self.refuse(f"{head}.{body}.{signature}{signature}"))
        both = {"payload": body, "signatures": [{"protected": head, "signature": signature}] * 2}
        words.add(self.refuse(json.dumps(both)))
        words.add(self.refuse(encode(both)))
        self.assertEqual(len(words), 1, words)
        self.assertEqual(self.ask(self.good).status, 200)

    def test_well_signed_tokens_that_are_not_for_here_are_refused(self):
        if not AESGCM:
            self.skipTest("SKIPPED: python3-cryptography is not installed")
        kid, key = self.real_key()
        now = int(time.time())

        def sign(**changes):
            claims = {k: v for k, v in {**self.claims, **changes}.items() if v is not None}
            text = encode({"alg": "RS256", "typ": "JWT", "kid": kid}) + "." + encode(claims)
            return text + "." + encode(key.sign(text.encode(), padding.PKCS1v15(),
                                                hashes.SHA256()))

        self.assertEqual(self.ask(keep_secret(sign())).status, 200, "the test can sign")
        api = HOME.endpoints["api"]
        words = {self.refuse(sign(**change)) for change in (
            {"aud": api + "/msgraph"}, {"aud": "https://elsewhere.example"}, {"aud": AZ},
            {"aud": [api]}, {"aud": None}, {"iss": "https://login.example/v2.0"}, {"iss": None},
            {"iss": self.claims["iss"] + "/"}, {"appid": str(uuid.uuid4())}, {"appid": None},
            {"oid": None, "sub": str(uuid.uuid4())}, {"appid": "../" + self.claims["appid"]},
            {"nbf": now + 600}, {"exp": None}, {"exp": "9999999999"}, {"exp": -1}, {"iat": "x"})}
        self.assertEqual(len(words), 1, words)
        self.refuse(sign(tid=str(uuid.uuid4())), "InvalidAuthenticationTokenTenant")
        self.refuse(sign(exp=now - 600, nbf=now - 4200), "ExpiredAuthenticationToken")

    def test_guessing_a_secret_is_stopped_without_a_hint(self):
        client = str(uuid.uuid4())
        bodies = set()
        for i in range(12):
            secret = keep_secret(f"guess-{uuid.uuid4()}")
            answer = HOME.token_request({"grant_type": "client_credentials", "client_id": client,
                                         "client_secret": secret})
            self.assertEqual(answer.status, 401 if i < 10 else 429, repr(answer))
            if i < 10:
                bodies.add(answer.json["error_description"].split(" Trace")[0])
            else:
                self.assertGreater(int(answer.headers["retry-after"]), 0)
        self.assertEqual(len(bodies), 1)
        known = HOME.token_request({"grant_type": "client_credentials", "client_secret": "wrong",
                                    "client_id": HOME.credentials["client_id"]})
        self.assertIn(known.json["error_description"].split(" Trace")[0], bodies)


    def test_a_secret_in_the_field_of_the_client_is_no_line_in_the_log(self):
        credentials, refused = HOME.credentials, []
        secret = keep_secret(f"Swapped-{uuid.uuid4()}")
        keep_secret(secret.lower())
        for client in (secret, credentials["client_secret"]):
            refused.append(HOME.token_request({
                "grant_type": "client_credentials", "client_id": client,
                "client_secret": credentials["client_id"]}))
            for grant in (GRANT, "refresh_token"):
                refused.append(HOME.token_request({
                    "grant_type": grant, "client_id": client, "device_code": client,
                    "refresh_token": client}))
            refused.append(post(f"/{credentials['tenant_id']}/oauth2/v2.0/devicecode",
                                {"client_id": client, "scope": "openid"}))
        self.assertEqual({each.status for each in refused} - {400, 401}, set(), refused)
        begun = post(f"/{credentials['tenant_id']}/oauth2/v2.0/devicecode",
                     {"client_id": AZ, "scope": "openid"})
        self.assertEqual(begun.status, 200, repr(begun))
        keep_secret(begun.json["device_code"])
        browser = Browser(HOME)
        self.assertNotEqual(browser.log_in(begun.json["user_code"], secret,
                                           credentials["client_id"]), 200)
        SECRETS.add(credentials["client_secret"].lower())


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
static volatile long *ahead;
__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("CLOCK_AHEAD"), O_RDONLY | O_CLOEXEC);
    void *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) ahead = page;
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (ahead && result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += *ahead;
    return result;
}
time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
int gettimeofday(struct timeval *out, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""


class Rotation(Case):
    """Needs a home of its own, whose clock can be put forward while it runs."""

    DAY = 86400

    def test_keys_rotate_in_a_running_howdahd_and_no_token_breaks(self):
        folder = os.path.join(HOME.folder, "clock")
        os.mkdir(folder)
        source, shim, ahead = (os.path.join(folder, n) for n in ("c.c", "c.so", "ahead"))
        with open(source, "w", encoding="utf-8") as file:
            file.write(SHIM)
        made = subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, source, "-ldl"],
                              capture_output=True, text=True, check=False)
        if made.returncode != 0:
            self.skipTest("SKIPPED: no C compiler for the clock: " + made.stderr)
        if howdah_client.is_sanitized():
            self.skipTest("SKIPPED: a sanitizer build does not take LD_PRELOAD")
        with open(ahead, "wb") as file:
            file.write(bytes(4096))
        with open(ahead, "r+b") as file, mmap.mmap(file.fileno(), 4096) as page:
            home = started_home(environment={"LD_PRELOAD": shim, "CLOCK_AHEAD": ahead})
            no_check_time = 0x200000  # to this client the certificates may be of the future
            home._tls.verify_flags |= ssl.VerifyFlags(no_check_time)

            def go_to(seconds):
                struct.pack_into("l", page, 0, int(seconds))

            def shown():
                return [k["kid"] for k in home.raw("GET", "/adfs/discovery/keys").json["keys"]]

            def kid_of(token):
                return json.loads(decode(token.split(".")[0]))["kid"]

            def works(token):
                return home.call("GET", home.group_path(), token=token,
                                 version=howdah_client.RESOURCES_VERSION).status == 200

            try:
                first = shown()
                self.assertEqual(len(first), 1)
                go_to(28 * self.DAY + 60)
                wait_until("a second key is shown", lambda: len(shown()) == 2, 60)
                both = shown()
                self.assertEqual(both[0], first[0])
                go_to(30 * self.DAY - 600)
                before = home.token(fresh=True)
                self.assertEqual(kid_of(before), first[0], "the new one does not sign yet")
                go_to(30 * self.DAY + 600)
                after = home.token(fresh=True)
                self.assertEqual(kid_of(after), both[1])
                self.assertTrue(works(before))
                home.kill("howdahd")
                home.process.wait(20)
                home.ensure_howdahd()
                home._tls.verify_flags |= ssl.VerifyFlags(no_check_time)
                self.assertEqual(shown(), both)
                self.assertTrue(works(before) and works(after), "also after a crash")
                go_to(30 * self.DAY + 3 * 3600)
                wait_until("the old key is gone", lambda: shown() == both[1:], 60)
                last = home.token(fresh=True)
                self.assertTrue(works(last))
                home.kill("howdahd")
                home.process.wait(20)
                command = home.command()
                home.command = lambda: [*command, "--replace-token-keys"]
                home.ensure_howdahd()
                home._tls.verify_flags |= ssl.VerifyFlags(no_check_time)
                self.assertEqual(len(shown()), 1)
                self.assertNotEqual(shown(), both[1:])
                self.assertFalse(works(last), "a key that was replaced verifies nothing")
                self.assertTrue(works(home.token(fresh=True)))
            finally:
                home.stop()


class Recovery(Case):
    """Needs a home of its own, which is started again with another option."""

    def test_who_is_locked_out_comes_back_from_the_machine_itself(self):
        home = started_home()
        try:
            old = {**home.credentials}
            SECRETS.add(old["client_secret"])
            path = os.path.join(home.dir, "howdahd", "bootstrap-credentials.json")
            os.unlink(path)
            home.kill("howdahd")
            home.process.wait(20)
            plain, command = home.command, home.command()
            home.command = lambda: [*command, "--reset-administrator"]
            home.ensure_howdahd()
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            new = {**home.credentials}
            SECRETS.add(new["client_secret"])
            self.assertEqual(new["client_id"], old["client_id"])
            self.assertNotEqual(new["client_secret"], old["client_secret"])
            home.token(fresh=True)
            self.assertEqual(home.call("GET", home.group_path(),
                                       version=howdah_client.RESOURCES_VERSION).status, 200)
            refused = home.token_request({"grant_type": "client_credentials",
                                          "client_id": old["client_id"],
                                          "client_secret": old["client_secret"]})
            self.assertEqual(refused.status, 401, repr(refused))
            home.kill("howdahd")
            home.process.wait(20)
            home.command = plain
            home.ensure_howdahd()
            self.assertEqual(home.credentials["client_secret"], new["client_secret"])
            home.token(fresh=True)
            with open(home.log_path, encoding="utf-8", errors="replace") as file:
                self.assertNotIn(new["client_secret"], file.read())
        finally:
            home.stop()


class TheLogs(Case):
    """The last class: what all tests before left in the logs."""

    @staticmethod
    def logs():
        found = [HOME.log_path] + glob.glob(os.path.join(HOME.dir, "log", "*"))
        found += glob.glob(os.path.join(HOME.dir, "**", "*.log"), recursive=True)
        return sorted({path for path in found if os.path.isfile(path)})

    def test_z_refusals_are_logged_and_no_log_holds_a_secret_or_a_token(self):
        self.assertGreater(len(SECRETS), 3)
        text = ""
        for path in self.logs():
            with open(path, encoding="utf-8", errors="replace") as file:
                content = file.read()
            for secret in SECRETS:
                if len(secret) >= 8:
                    self.assertNotIn(secret, content, f"{path} holds a secret")
            text += content
        for pattern in (r"eyJ[A-Za-z0-9_-]{20,}", "PRIVATE KEY", "client_secret=", "refresh_token="):
            self.assertNotRegex(text, pattern)
        with open(HOME.log_path, encoding="utf-8", errors="replace") as file:
            events = [json.loads(line) for line in file if line.startswith("{")]
        seen = {each["event"] for each in events}
        for event in ("token refused", "login refused", "login by device code begins",
                      "login by device code approved", "logged in", "refresh token refused"):
            self.assertIn(event, seen)
        clients = {e["client"] for e in events if e["event"] == "login refused"}
        self.assertIn("(no UUID)", clients, "the swap of id and secret was seen")
        refused = [e for e in events if e["event"] == "token refused"]
        self.assertTrue(all(e["address"] == "127.0.0.1" for e in refused))


if __name__ == "__main__":
    unittest.main(verbosity=2)
