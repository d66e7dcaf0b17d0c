"""Microsoft Entra administrators: principals that log in to PostgreSQL with access tokens, what they
may do there, and who does not get in."""

import base64
import contextlib
import glob
import json
import os
import socket
import sqlite3
import ssl
import subprocess
import threading
import time
import unittest
import uuid

from support import Case, howdah_client, started_home, wait_until

try:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError:
    AESGCM = None

HOME = None
SERVER = "entra"
OTHER = "elsewhere"
AUDIENCE = "https://ossrdbms-aad.database.windows.net"
ALICE = "alice@contoso.example"
BOB = "Bob, the builder's program"
PEOPLE = {}
TOKENS = set()  # nothing of these may stand in any log
ENTRA = {"authConfig": {"activeDirectoryAuth": "Enabled", "passwordAuth": "Enabled"}}


class Person:
    """A service principal, and what it logs in with."""

    def __init__(self):
        def made(answer):
            if answer.status not in (200, 201):
                raise AssertionError(repr(answer))
            return answer.json

        application = made(HOME.call("POST", "/v1.0/applications", {"displayName": "someone"},
                                     version=None))
        self.client_id = application["appId"]
        self.secret = made(HOME.call(
            "POST", f"/v1.0/applications/{application['id']}/addPassword",
            {"passwordCredential": {}}, version=None))["secretText"]
        self.object_id = made(HOME.call("POST", "/v1.0/servicePrincipals",
                                        {"appId": self.client_id}, version=None))["id"]

    def token(self, resource=AUDIENCE):
        answer = HOME.token_request({
            "grant_type": "client_credentials", "client_id": self.client_id,
            "client_secret": self.secret, "scope": resource + "/.default"})
        if answer.status != 200:
            raise AssertionError(repr(answer))
        return remember(answer.json["access_token"])


def remember(token):
    TOKENS.add(token)
    return token


def setUpModule():
    global HOME
    HOME = started_home()
    try:
        HOME.create_server(SERVER, properties=ENTRA)
        HOME.create_server(OTHER, properties=ENTRA)
        for role in (ALICE, BOB):
            PEOPLE[role] = Person()
    except BaseException:
        tearDownModule()
        raise


def tearDownModule():
    if HOME:
        HOME.stop()


def path(person, server=SERVER):
    return f"{HOME.server_path(server)}/administrators/{person.object_id}"


def body(role, kind="ServicePrincipal"):
    return {"properties": {"principalType": kind, "principalName": role,
                           "tenantId": HOME.credentials["tenant_id"]}}


def add(role, server=SERVER, person=None):
    HOME.do("PUT", path(person or PEOPLE[role], server), body(role))


def encode(value):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(token, **changes):
    """The token with other claims, signed with the real key, as nobody else can."""
    folder = os.path.join(HOME.dir, "howdahd")
    with open(os.path.join(folder, "master.key"), encoding="utf-8") as file:
        master = bytes.fromhex(file.read().strip())
    name = "/secret/token-signing-key"
    with sqlite3.connect(f"file:{folder}/store.db?mode=ro", uri=True) as store:
        value = store.execute("select value from entry where key = ?", (name,)).fetchone()[0]
    sealed = base64.b64decode(value.removeprefix("v1:"))
    key = json.loads(AESGCM(master).decrypt(sealed[:12], sealed[12:], name.encode()))["keys"][0]
    private = serialization.load_pem_private_key(key["private"].encode(), None)
    part = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    text = (encode({"alg": "RS256", "typ": "JWT", "kid": key["id"]}) + "."
            + encode({**claims, **changes}))
    return remember(text + "." + encode(private.sign(text.encode(), padding.PKCS1v15(),
                                                     hashes.SHA256())))


def quoted(role):
    """For a connection string."""
    return "'" + role.replace("\\", "\\\\").replace("'", "\\'") + "'"


def psql(role, token, sql="select current_user", server=SERVER, **where):
    """With the token in a password file, as one that is longer than the arguments of some shells."""
    environment, conninfo = HOME.client(server, user=quoted(role), **where)
    del environment["PGPASSWORD"]
    file = os.path.join(HOME.folder, f"pass-{uuid.uuid4()}")
    with open(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as out:
        out.write("*:*:*:*:" + token.replace("\\", "\\\\").replace(":", "\\:") + "\n")
    environment["PGPASSFILE"] = file
    try:
        return subprocess.run(["psql", "-XqAtw", "-d", conninfo, "-c", sql], env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, check=False)
    finally:
        os.remove(file)


def agent_file(name):
    with open(os.path.join(HOME.dir, "agent", name), encoding="utf-8") as file:
        return file.read()


def postgres_logs():
    text = ""
    for file in glob.glob(os.path.join(HOME.dir, "agent", "instances", "*", "log", "*")):
        with open(file, encoding="utf-8", errors="replace") as log:
            text += log.read()
    return text


class EntraCase(Case):
    def opens(self, role, token, server=SERVER):
        result = psql(role, token, server=server)
        self.assertEqual((result.returncode, result.stdout.strip()), (0, role), result.stderr)

    def refuses(self, role, token, server=SERVER, words="authentication failed", **where):
        result = psql(role, token, server=server, **where)
        self.assertNotEqual(result.returncode, 0, "got in: " + result.stdout)
        self.assertIn(words, result.stderr)
        if len(token) >= 20:
            self.assertNotIn(token[-20:], result.stderr)


class TheApi(EntraCase):
    """What the operations take and show; az and both SDKs are tried by script/conformance."""

    def test_it_shows_what_was_made_in_azures_shape(self):
        person = Person()
        self.addCleanup(HOME.do, "DELETE", path(person))
        answer = HOME.call("PUT", path(person), body("shown"))
        self.assertEqual(answer.status, 202, repr(answer))
        HOME.finish(answer)
        for version in ("2022-12-01", "2025-08-01"):
            shown = HOME.get(path(person), version)
            self.assertEqual(shown.status, 200, repr(shown))
            self.assertEqual(shown.json["name"], person.object_id)
            self.assertEqual(shown.json["type"],
                             "Microsoft.DBforPostgreSQL/flexibleServers/administrators")
            self.assertEqual(shown.json["properties"], {
                "objectId": person.object_id, "principalName": "shown",
                "principalType": "ServicePrincipal", "tenantId": HOME.credentials["tenant_id"]})
            listed = HOME.get(HOME.server_path(SERVER) + "/administrators", version).json["value"]
            self.assertIn(shown.json, listed)
        HOME.do("PUT", path(person), body("shown"))  # once more changes nothing
        self.assertEqual(HOME.get(path(person)).json["properties"]["principalName"], "shown")

    def test_what_cannot_be_an_administrator_is_refused(self):
        good = path(Person())
        stranger = str(uuid.uuid4())
        where = HOME.server_path(SERVER) + "/administrators/"
        tenant = HOME.credentials["tenant_id"]
        for url, properties, status, code in (
                (where + "no-uuid", {"principalName": "x"}, 400, None),
                (good, {}, 400, None),
                (good, {"principalName": "x", "principalType": "Group"}, 400,
                 "FeatureNotSupported"),
                (good, {"principalName": "x", "principalType": "Unknown"}, 400, None),
                (good, {"principalName": "x", "principalType": "Robot"}, 400, None),
                (good, {"principalName": "x", "tenantId": str(uuid.uuid4())}, 400, None),
                (good, {"principalName": "x", "objectId": stranger}, 400, None),
                (good, {"principalName": "x", "colour": "red"}, 400, None),
                (where + stranger, {"principalName": "x", "principalType": "ServicePrincipal"}, 400,
                 "PrincipalNotFound"),
                (good, {"principalName": howdah_client.ADMIN}, 409, "Conflict"),
                *((good, {"principalName": name}, 400, None) for name in (
                    "howdah", "Azure_PG_admin", "pg_monitor", "howdah_token_role", "azuresu",
                    "public", "/.*", 'a"b', "a\\b", "a\nb", " a", "x" * 64))):
            with self.subTest(properties=properties):
                answer = HOME.call("PUT", url, {"properties": {"principalType": "User",
                                                               "tenantId": tenant, **properties}})
                self.assert_error(answer, status, code)
        self.assertEqual(HOME.get(good).status, 404)
        self.assertEqual(HOME.call("DELETE", good).status, 204)

    def test_a_user_may_be_of_no_directory_that_is_known_here(self):
        url = f"{HOME.server_path(SERVER)}/administrators/{uuid.uuid4()}"
        HOME.do("PUT", url, body("somebody", "User"))
        self.assertEqual(HOME.get(url).json["properties"]["principalType"], "User")
        HOME.do("DELETE", url)

    def test_a_role_of_a_customer_is_never_taken_over(self):
        HOME.psql(SERVER, "create role customer login")
        person = Person()
        operation = HOME.operation(HOME.call("PUT", path(person), body("customer")))
        self.assertEqual(operation["status"], "Failed", operation)
        self.assertIn("already exists", operation["error"]["message"])
        self.refuses("customer", person.token())
        self.assertEqual(HOME.get(path(person)).status, 404, "taken back")
        HOME.psql(SERVER, "drop role customer")
        add("customer", person=person)
        self.opens("customer", person.token())
        HOME.do("DELETE", path(person))

    def test_authentication_is_switched(self):
        name = "switched"
        HOME.create_server(name)
        person = Person()
        refused = HOME.call("PUT", path(person, name), body("someone"))
        self.assert_error(refused, 400)
        self.assertIn("not enabled", refused.error["message"])
        config = {"activeDirectoryAuth": "Enabled", "passwordAuth": "Enabled"}

        def switch(**changes):
            config.update(changes)
            HOME.do("PATCH", HOME.server_path(name), {"properties": {"authConfig": config}})
            shown = HOME.get(HOME.server_path(name)).json["properties"]["authConfig"]
            self.assertEqual({**shown, **config}, shown)
            return shown

        self.assertEqual(switch()["tenantId"], HOME.credentials["tenant_id"])
        add("someone", name, person)
        token = person.token()
        self.opens("someone", token, name)
        switch(passwordAuth="Disabled")
        self.opens("someone", token, name)
        self.assertIn("pg_hba.conf rejects", HOME.psql(name, "select 1", check=False).stderr)
        HOME.set_parameter(name, "work_mem", "8192")  # the agent itself still gets in
        switch(passwordAuth="Enabled", activeDirectoryAuth="Disabled")
        self.assertEqual(HOME.psql(name, "select 1"), "1")
        self.refuses("someone", token, name, words="pg_hba.conf rejects")
        HOME.psql(name, "alter role someone password 'Pa55-of-a-token-role'")
        self.refuses("someone", "Pa55-of-a-token-role", name, words="pg_hba.conf rejects")
        both = HOME.call("PATCH", HOME.server_path(name), {"properties": {"authConfig": {
            "activeDirectoryAuth": "Disabled", "passwordAuth": "Disabled"}}})
        self.assert_error(both, 400)
        HOME.do("DELETE", HOME.server_path(name))

    def test_a_server_may_have_no_password_administrator(self):
        name = "passwordless"
        properties = HOME.server_body(name)["properties"]
        request = HOME.server_body(name)
        request["properties"] = {k: v for k, v in properties.items()
                                 if not k.startswith("administratorLogin")}
        self.assert_error(HOME.call("PUT", HOME.server_path(name), request), 400)
        request["properties"]["authConfig"] = {"activeDirectoryAuth": "Enabled",
                                               "passwordAuth": "Disabled"}
        HOME.do("PUT", HOME.server_path(name), request)
        HOME.allow(name)
        add(ALICE, name)
        self.opens(ALICE, PEOPLE[ALICE].token(), name)
        on = {"authConfig": {"activeDirectoryAuth": "Enabled", "passwordAuth": "Enabled"}}
        self.assert_error(HOME.call("PATCH", HOME.server_path(name), {"properties": on}), 400)
        HOME.do("PATCH", HOME.server_path(name), {"properties": {
            **on, "administratorLogin": howdah_client.ADMIN,
            "administratorLoginPassword": HOME.passwords[name]}})
        self.assertEqual(HOME.psql(name, "select 1"), "1")
        HOME.do("DELETE", HOME.server_path(name))


class InTheDatabase(EntraCase):
    """An administrator with a token is what the one with a password is."""

    @classmethod
    def setUpClass(cls):
        add(ALICE)
        add(BOB)

    def test_a_token_opens_the_role_and_it_is_an_administrators(self):
        for role in (ALICE, BOB):
            self.opens(role, PEOPLE[role].token())
        rights = ("select rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, "
                  "rolbypassrls, rolinherit, rolconnlimit, "
                  "pg_has_role(rolname, 'azure_pg_admin', 'member with admin option') "
                  "from pg_roles where rolname = ")
        admin = HOME.psql(SERVER, rights + "current_user")
        self.assertTrue(admin.startswith("f|t|t|t|f|f|t"), admin)
        result = psql(ALICE, PEOPLE[ALICE].token(), rights + "current_user")
        self.assertEqual(result.stdout.strip(), admin, result.stderr)

    def test_it_administrates_and_no_more(self):
        token = PEOPLE[ALICE].token()
        result = psql(ALICE, token, "create role made_by_alice; drop role made_by_alice; "
                                    "create table of_alice(n int); drop table of_alice")
        self.assertEqual(result.returncode, 0, result.stderr)
        for sql in ("alter role current_user superuser",
                    "grant pg_execute_server_program to current_user",
                    "copy (select 1) to program 'true'",
                    "grant howdah_token_role to current_user",
                    "revoke howdah_token_role from current_user",
                    "create role x in role howdah_token_role",
                    f'alter role "{ALICE}" rename to mallory',
                    f"alter role {howdah_client.ADMIN} rename to mallory",
                    "drop role howdah_token_role", "alter role howdah_token_role login"):
            with self.subTest(sql=sql):
                self.assertNotEqual(psql(ALICE, token, sql).returncode, 0)
        for sql in (f'drop role "{ALICE}"', f'alter role "{ALICE}" rename to mallory',
                    f'grant howdah_token_role to {howdah_client.ADMIN}'):
            with self.subTest(sql=sql):
                self.assertNotEqual(HOME.psql(SERVER, sql, check=False).returncode, 0)

    def test_who_is_granted_its_role_still_logs_in_with_a_password(self):
        HOME.psql(SERVER, "create role friend login password 'Fr1end-of-alice'; "
                          f'grant "{ALICE}" to friend')
        self.addCleanup(HOME.psql, SERVER, "drop role friend")
        self.assertEqual(HOME.psql(SERVER, "select current_user", user="friend",
                                   secret="Fr1end-of-alice"), "friend")

    def test_a_password_of_its_own_does_not_open_it(self):
        password = "0wn-Pa55word-of-alice"
        result = psql(ALICE, PEOPLE[ALICE].token(), f"alter role current_user password '{password}'")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.refuses(ALICE, password)
        self.refuses(ALICE, password, sslmode="disable", words="")
        self.refuses(ALICE, PEOPLE[ALICE].token(), sslmode="disable", words="")

    def test_a_deleted_administrator_is_out_at_once(self):
        person = Person()
        add("leaver", person=person)
        token = person.token()
        self.opens("leaver", token)
        psql("leaver", token, "create table kept(n int)")
        results = []
        sleeper = threading.Thread(target=lambda: results.append(
            psql("leaver", token, "select pg_sleep(50)")))
        sleeper.start()
        wait_until("the session is there", lambda: HOME.psql(
            SERVER, "select count(*) from pg_stat_activity where usename = 'leaver'") == "1")
        HOME.do("DELETE", path(person))
        sleeper.join(20)
        self.assertFalse(sleeper.is_alive())
        self.assertNotEqual(results[0].returncode, 0)
        self.refuses("leaver", token, words="")
        self.assertEqual(HOME.psql(SERVER, "select rolcanlogin, rolcreaterole, "
                                           "pg_has_role('leaver', 'azure_pg_admin', 'member') "
                                           "from pg_roles where rolname = 'leaver'"), "f|f|f")
        add("leaver", person=person)  # with what it owns
        self.assertEqual(psql("leaver", token, "drop table kept; select 7").stdout.strip(), "7")
        HOME.do("DELETE", path(person))
        self.assertEqual(HOME.psql(SERVER, "select count(*) from pg_roles "
                                           "where rolname = 'leaver'"), "0")

    def test_the_role_of_one_goes_to_another(self):
        first, second = Person(), Person()
        add("office", person=first)
        HOME.do("DELETE", path(first))
        add("office", person=second)
        self.opens("office", second.token())
        self.refuses("office", first.token())
        HOME.do("DELETE", path(second))

    def test_the_word_of_the_command_line(self):
        config = os.path.join(HOME.folder, "entra-config")
        environment = {"PATH": os.environ["PATH"], "HOME": HOME.folder,
                       "HOWDAH_CONFIG_DIR": config, "XDG_CONFIG_HOME": config, "LANG": "C.UTF-8"}
        person = PEOPLE[ALICE]

        def howdah(*arguments, **more):
            done = subprocess.run([howdah_client.binary("howdah"), *arguments], env=environment,
                                  capture_output=True, text=True, timeout=60, check=False, **more)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout

        reader = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
        answer = HOME.call(
            "PUT", f"{HOME.subscription}/providers/Microsoft.Authorization/roleAssignments/"
            f"{uuid.uuid4()}", {"properties": {
                "principalId": person.object_id, "roleDefinitionId": f"{HOME.subscription}"
                f"/providers/Microsoft.Authorization/roleDefinitions/{reader}"}},
            version="2022-04-01")
        self.assertEqual(answer.status, 201, repr(answer))
        howdah("login", "--service-principal", "--username", person.client_id,
               "--password-stdin", "--tenant", HOME.credentials["tenant_id"], "--api-url",
               HOME.endpoints["api"], "--authority", HOME.credentials["authority"],
               "--ca-file", HOME.endpoints["ca"], input=person.secret)
        token = json.loads(howdah("account", "get-access-token", "--resource-type", "oss-rdbms",
                                  "-o", "json"))["accessToken"]
        self.opens(ALICE, remember(token))


class Refused(EntraCase):
    """Tokens that do not open a role."""

    @classmethod
    def setUpClass(cls):
        add(ALICE)
        add(BOB)

    def test_only_ones_own_token_opens_a_role(self):
        alice, bob = PEOPLE[ALICE].token(), PEOPLE[BOB].token()
        self.refuses(ALICE, bob)
        self.refuses(BOB, alice)
        self.refuses(howdah_client.ADMIN, alice)
        self.refuses("howdah", alice, words="pg_hba.conf rejects")
        self.refuses("azure_pg_admin", alice, words="pg_hba.conf rejects")
        self.refuses("howdah_token_role", alice)
        self.refuses(ALICE, alice, server=OTHER)
        for secret in ("x", "..", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "x" * 9000):
            self.refuses(ALICE, secret)
        self.assertIn("another principal", postgres_logs())

    def test_a_token_for_something_else_is_refused(self):
        for resource in (HOME.endpoints["api"], "https://management.azure.com",
                         HOME.endpoints["api"] + "/msgraph"):
            self.refuses(ALICE, PEOPLE[ALICE].token(resource))
        answer = HOME.call("GET", HOME.group_path(), token=PEOPLE[ALICE].token(),
                           version=howdah_client.RESOURCES_VERSION)
        self.assert_error(answer, 401)

    def test_an_altered_token_is_refused(self):
        token = PEOPLE[ALICE].token()
        head, claims, signature = token.split(".")
        other = PEOPLE[BOB].token().split(".")
        for forged in (f"{head}.{other[1]}.{signature}", f"{head}.{claims}.{other[2]}",
                       f"{head}.{claims}.", f"{head}.{claims}.{signature[:-8]}AAAAAAAA",
                       f"{encode({'alg': 'none'})}.{claims}.",
                       f"{encode({'alg': 'HS256', 'kid': 'x'})}.{claims}.{signature}"):
            self.refuses(ALICE, forged)

    @unittest.skipUnless(AESGCM, "SKIPPED: python3-cryptography is not installed")
    def test_a_well_signed_token_that_is_not_for_here_is_refused(self):
        token = PEOPLE[ALICE].token()
        self.opens(ALICE, signed(token))
        now = int(time.time())
        for change in ({"exp": now - 120, "nbf": now - 4000}, {"nbf": now + 600},
                       {"tid": str(uuid.uuid4())}, {"iss": "https://login.example/v2.0"},
                       {"aud": AUDIENCE + "/x"}, {"aud": [AUDIENCE]},
                       {"sub": PEOPLE[BOB].object_id}, {"exp": "9999999999"}):
            with self.subTest(change=change):
                self.refuses(ALICE, signed(token, **change))
        self.assertIn("the access token expired", postgres_logs())


class WithoutOthers(EntraCase):
    """Who is needed for a login, and who is not believed."""

    @classmethod
    def setUpClass(cls):
        add(ALICE)
        cls.token = PEOPLE[ALICE].token()

    def tearDown(self):
        HOME.ensure_howdahd()
        HOME.one("howdah-agent")
        wait_until("tokens open", lambda: psql(ALICE, self.token).returncode == 0, 30)

    def test_a_dead_control_plane_is_not_missed(self):
        HOME.kill("howdahd")
        self.opens(ALICE, self.token)
        self.refuses(ALICE, PEOPLE[BOB].client_id)
        HOME.kill("howdah-agent")  # nobody starts it again
        self.refuses(ALICE, self.token)
        self.assertEqual(HOME.psql(SERVER, "select 1"), "1")

    def test_who_takes_the_agents_port_is_not_believed_and_gets_no_token(self):
        port = int(agent_file("token-port"))
        HOME.kill("howdahd")
        HOME.kill("howdah-agent")
        seen = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pem = os.path.join(HOME.folder, "impostor.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout", pem, "-out",
                        pem + ".crt", "-days", "2", "-subj", "/CN=howdah-agent", "-addext",
                        "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        context.load_cert_chain(pem + ".crt", pem)

        def serve(listener, tls):
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                client.settimeout(5)
                try:
                    if tls:
                        client = context.wrap_socket(client, server_side=True)
                    seen.append(client.recv(65536))
                    client.sendall(bytes.fromhex("300c02010161070a010004000400"))
                except OSError:
                    seen.append(b"")
                client.close()

        for tls in (True, False):
            with socket.create_server(("127.0.0.1", port)) as listener:
                thread = threading.Thread(target=serve, args=(listener, tls), daemon=True)
                thread.start()
                self.refuses(ALICE, self.token)
                self.assertEqual(HOME.psql(SERVER, "select 1"), "1")
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
        self.assertGreaterEqual(len(seen), 2, "nobody was asked")
        for data in seen:
            self.assertNotIn(self.token.encode(), data)
            self.assertNotIn(ALICE.encode(), data)

    def test_a_port_that_is_taken_for_good_is_left_to_who_has_it(self):
        port = int(agent_file("token-port"))
        HOME.kill("howdahd")
        HOME.kill("howdah-agent")
        with contextlib.ExitStack() as takers:
            def take():
                with contextlib.suppress(OSError):
                    return takers.enter_context(socket.create_server(("127.0.0.1", port)))

            # What is left of the killed agent's sessions may hold it for a minute, and the agent of
            # a test beside this one for longer.
            wait_until("the port is taken", take, 120)
            HOME.ensure_howdahd()
            HOME.one("howdah-agent")
            wait_until("tokens open by another port",
                       lambda: psql(ALICE, self.token).returncode == 0, 30)
            self.assertNotEqual(int(agent_file("token-port")), port)

    def test_whoever_asks_the_agent_is_answered_by_its_rules(self):
        """Any process of the machine can connect; what it learns is what it knew."""
        context = ssl.create_default_context(cafile=os.path.join(HOME.dir, "agent",
                                                                 "token-authority.pem"))

        def length(content):
            return (bytes([len(content)]) if len(content) < 128
                    else b"\x82" + len(content).to_bytes(2, "big"))

        def element(tag, content):
            return bytes([tag]) + length(content) + content

        def bind(name, password, version=3):
            return element(0x30, element(2, b"\x01") + element(0x60, (
                element(2, bytes([version])) + element(4, name.encode())
                + element(0x80, password.encode()))))

        def ask(message):
            with socket.create_connection(("127.0.0.1", int(agent_file("token-port")))) as plain:
                plain.settimeout(10)
                with context.wrap_socket(plain, server_hostname="127.0.0.1") as tls:
                    try:
                        tls.sendall(message)
                        return tls.recv(4096)
                    except OSError:
                        return b""

        states = [json.loads(agent_file(os.path.join("instances", incarnation, "state.json")))
                  for incarnation in os.listdir(os.path.join(HOME.dir, "agent", "instances"))]
        here, = (each["spec"]["incarnation"] for each in states
                 if each["spec"]["server_name"] == SERVER)
        token = PEOPLE[ALICE].token()
        good = f"cn={ALICE},ou={here}"

        def code(answer):
            return answer[answer.index(b"\x0a\x01") + 2] if answer else None

        self.assertEqual(code(ask(bind(good, token))), 0)
        self.assertEqual(code(ask(bind(good, token, version=2))), 2)
        for name, password in ((good, ""), (good, "x"), ("", ""), ("", token), (ALICE, token),
                               (f"cn={ALICE},ou={uuid.uuid4()}", token), (good + " ", token),
                               (f"cn={BOB},ou={here}", token), (good.upper(), token),
                               (f"cn=x,ou={here},ou={here}", token)):
            with self.subTest(name=name):
                self.assertEqual(code(ask(bind(name, password))), 49)
        for rubbish in (b"\x00", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"GET / HTTP/1.0\r\n\r\n",
                        b"\x30\x03\x02\x01\x01", bind(good, token)[:-1] + b"\x00\x00",
                        b"\x30\x83\x01\x00\x01" + b"x" * 70000):
            with self.subTest(rubbish=rubbish[:12]):
                self.assertNotIn(b"\x0a\x01\x00", ask(rubbish))
        idle = [socket.create_connection(("127.0.0.1", int(agent_file("token-port"))))
                for _ in range(200)]
        try:
            self.opens(ALICE, token)
        finally:
            for each in idle:
                each.close()


class ZAfterwards(EntraCase):
    """The last class: what all tests before have left behind."""

    def test_no_log_and_no_file_of_the_agent_holds_a_token(self):
        self.assertGreater(len(TOKENS), 10)
        files = [HOME.log_path, *glob.glob(os.path.join(HOME.dir, "log", "*")),
                 *glob.glob(os.path.join(HOME.dir, "agent", "**", "*.log"), recursive=True),
                 *glob.glob(os.path.join(HOME.dir, "agent", "**", "*.json"), recursive=True)]
        seen = 0
        for file in {each for each in files if os.path.isfile(each)}:
            with open(file, encoding="utf-8", errors="replace") as log:
                text = log.read()
            seen += len(text)
            if not file.endswith("token-trust.json"):  # public keys may look like anything
                self.assertNotRegex(text, r"eyJ[A-Za-z0-9_-]{20,}", file)
            for token in TOKENS:
                self.assertNotIn(token.split(".")[-1], text, file)
        self.assertGreater(seen, 10000)


if __name__ == "__main__":
    unittest.main(verbosity=2)
