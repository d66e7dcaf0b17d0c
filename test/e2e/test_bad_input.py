"""Bad input of every kind, at the API and at the gateway: the right refusal, bounded memory, and
nothing else disturbed (a bystander server is asked after each test)."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import re
import resource
import select
import socket
import ssl
import struct
import subprocess
import time
import unittest
import urllib.parse
import uuid

from support import Case, howdah_client, started_home, wait_until
from howdah_client import (ADMIN, DOMAIN, GSSENC_REQUEST, OLD_API_VERSION, SSL_REQUEST,
                           client_hello, error_fields, process, read_to_end, reset_peak, rss_kb,
                           startup_packet)

HOME = None
NAME = "bystander"
BACKEND = None
PIDS = {}
DAEMONS = ("howdahd", "howdah-agent", "howdah-gateway")
MIB = 1024


def setUpModule():
    global HOME, BACKEND
    HOME = started_home()
    try:
        HOME.create_server(NAME)
        BACKEND = HOME.backend(NAME)
        PIDS.update({name: HOME.one(name) for name in DAEMONS})
    except BaseException:
        tearDownModule()
        raise


def tearDownModule():
    if HOME:
        HOME.stop()


class Undisturbed(Case):
    """After each test the same processes run and the bystander answers."""

    def tearDown(self):
        for name, pid in PIDS.items():
            if HOME.pids(name) != [pid]:
                HOME.ensure_howdahd()
                PIDS[name] = HOME.one(name)
                self.fail(f"{name} {pid} did not live through {self.id()}: now {PIDS[name]}\n"
                          + HOME.log_tail(5))
        now = process(BACKEND["pid"])
        self.assertTrue(now and now.start == BACKEND["start"], "the bystander's postmaster died")
        self.assertEqual(HOME.psql(NAME, "select 1"), "1")
        self.assertEqual(HOME.get(HOME.server_path(NAME)).status, 200)

    @contextlib.contextmanager
    def memory_of(self, name, most_kb):
        """The process's peak of resident memory may grow by this much inside the block."""
        pid = PIDS[name]
        reset_peak(pid)
        before = rss_kb(pid)
        yield
        if process(pid):
            grown = rss_kb(pid, "VmHWM") - before
            if howdah_client.is_sanitized():
                return  # it keeps freed memory on purpose
            self.assertLessEqual(grown, most_kb, f"{name} grew by {grown} KiB")


def changed(path, value):
    """A good PUT body with one value replaced (or added); path like properties.storage.x."""
    body = HOME.server_body("bad-body")
    *parents, last = path.split(".")
    at = body
    for each in parents:
        at = at.setdefault(each, {})
    at[last] = value
    return body


class Names(Undisturbed):
    def test_bad_server_names_are_refused(self):
        for name in ("ab", "a" * 64, "-abc", "abc-", "a_b_c", "a.b.c", "abc%20def", "%C3%BCber",
                     "abc%00d", "abc%0Ad", "..%2f..%2fetc", "abc'--", "%25abc", "a%2Fb"):
            with self.subTest(name):
                answer = HOME.call("PUT", HOME.server_path(name), HOME.server_body("x-name"))
                self.assert_error(answer, (400, 404))
                if "%" not in name:
                    self.assertEqual(answer.status, 400)
                    self.assert_error(answer, target="name")

    def test_upper_case_in_a_server_name_is_refused_or_folded_never_two_servers(self):
        answer = HOME.call("PUT", HOME.server_path(NAME.upper()),
                           HOME.server_body(NAME, properties={"version": "14"}))
        self.assert_error(answer, range(400, 500))

    def test_a_name_taken_in_another_group_is_refused(self):
        HOME.make_group("second")
        answer = HOME.call("PUT", HOME.server_path(NAME, "second"), HOME.server_body("x-taken"))
        self.assert_error(answer, 409, "ServerNameAlreadyExists")

    def test_bad_group_names_are_refused(self):
        for name in ("a" * 91, "ends.", "a%20%3C", "%2e%2e", "a%2Fb"):
            with self.subTest(name):
                answer = HOME.call("PUT", HOME.group_path(name), {"location": "local"},
                                   howdah_client.RESOURCES_VERSION)
                self.assert_error(answer, (400, 404))

    def test_a_server_in_a_group_that_is_not_there_is_refused(self):
        answer = HOME.call("PUT", HOME.server_path("lonely", "no-group"), HOME.server_body("x"))
        self.assert_error(answer, 404, "ResourceGroupNotFound")

    def test_unknown_paths_methods_and_versions_are_refused(self):
        self.assert_error(HOME.get(HOME.server_path(NAME) + "/nonsense"), (400, 404))
        self.assert_error(HOME.get(HOME.subscription + "/providers/Microsoft.Nope/things"),
                          (400, 404))
        self.assert_error(HOME.get("/"), (400, 404))
        self.assert_error(HOME.call("PATCH", HOME.subscription, {}), (400, 404, 405))
        self.assert_error(HOME.call("FROB", HOME.server_path(NAME)), (400, 404, 405, 501))
        self.assert_error(HOME.call("GET", HOME.server_path(NAME), version=""), 400,
                          "MissingApiVersionParameter")
        for version in ("1999-01-01", "2025-13-01", "x", "2025-08-01'", "2025-08-01-nope"):
            with self.subTest(version):
                self.assert_error(HOME.get(HOME.server_path(NAME), urllib.parse.quote(version)),
                                  400, ("InvalidApiVersionParameter", "NoRegisteredProviderFound",
                                        "InvalidResourceType"))
        self.assert_error(HOME.get(HOME.server_path("x" * 9000)), range(400, 500))

    def test_resources_that_are_not_there_answer_404_by_name(self):
        base = HOME.server_path(NAME)
        for where in (HOME.server_path("missing"), base + "/databases/missing",
                      base + "/firewallRules/missing", base + "/configurations/missing"):
            with self.subTest(where):
                answer = HOME.get(where)
                self.assert_error(answer, 404)
                self.assertIn("missing", answer.error["message"])
        operation = (f"{HOME.subscription}/providers/Microsoft.DBforPostgreSQL/locations/local/"
                     f"azureAsyncOperation/{uuid.uuid4()}")
        self.assert_error(HOME.get(operation), 404)

    def test_what_comes_later_is_refused_by_name(self):
        base = HOME.server_path(NAME)
        for method, where, body in (
                ("PUT", "/migrations/m1", {"location": "local", "properties": {}}),
                ("PUT", "/virtualendpoints/v1", {"properties": {}}),
                ("POST", "/startLtrBackup", {})):
            with self.subTest(where):
                answer = HOME.call(method, base + where, body)
                if method == "GET" and answer.status == 200:
                    self.assertEqual(answer.json["value"], [])
                    continue
                self.assert_error(answer, (400, 404, 405, 501))
        answer = HOME.call("POST", base + "/restart",
                           {"restartWithFailover": True, "failoverMode": "ForcedFailover"})
        self.assert_error(answer, 409)


class Bodies(Undisturbed):
    def refuse(self, body, target=None, status=400, version=howdah_client.API_VERSION):
        answer = HOME.call("PUT", HOME.server_path("bad-body"), body, version)
        if answer.status < 400:  # a finding: clean up so that the other cases stay meaningful
            HOME.operation(answer)
            HOME.operation(HOME.call("DELETE", HOME.server_path("bad-body")))
        self.assert_error(answer, status, target=target)
        return answer

    def test_bad_values_are_refused_with_the_field_as_target(self):
        cases = [
            ("sku.name", "Standard_Nope"), ("sku.name", ""), ("sku.name", "Standard_B1ms; drop"),
            ("sku.tier", "Huge"), ("sku", {"name": "Standard_D2ds_v5", "tier": "Burstable"}),
            ("sku", None), ("sku", {}), ("sku", {"name": "Standard_B1ms"}),
            ("location", "mars"), ("location", ""), ("location", 5),
            ("properties.version", "9.6"), ("properties.version", "99"),
            ("properties.version", ""), ("properties.version", "15; --"),
            ("properties.storage.storageSizeGB", 0), ("properties.storage.storageSizeGB", -32),
            ("properties.storage.storageSizeGB", 33),
            ("properties.storage.storageSizeGB", 1 << 40),
            ("properties.storage.storageSizeGB", 10 ** 30),
            ("properties.storage.autoGrow", "Maybe"), ("properties.storage.tier", "P999"),
            ("properties.storage.type", "Floppy"),
            ("properties.backup.backupRetentionDays", 6),
            ("properties.backup.backupRetentionDays", 36),
            ("properties.backup.geoRedundantBackup", "Perhaps"),
            ("properties.network.publicNetworkAccess", "Sometimes"),
            ("properties.highAvailability.mode", "Triple"),
            ("properties.maintenanceWindow.dayOfWeek", 7),
            ("properties.maintenanceWindow.startHour", 24),
            ("properties.maintenanceWindow.startMinute", 60),
            ("properties.maintenanceWindow.customWindow", "Yes"),
            ("properties.createMode", "Nonsense"),
            ("properties.authConfig.passwordAuth", "Later"),
            ("tags", {"k" * 513: "v"}), ("tags", {"k": "v" * 257}),
            ("tags", {f"k{i}": "v" for i in range(51)}),
        ]
        for name in ("azure_superuser", "azure_pg_admin", "admin", "administrator", "root",
                     "guest", "public", "pg_me", "PG_me", "", "a" * 64, "1abc", "a b", "a\"b",
                     "a'b", "ab\u0000c", "azuresu"):
            cases.append(("properties.administratorLogin", name))
        for secret in ("", "aB1!", "alllowercase", "12345678", "a" * 129 + "A1!"):
            cases.append(("properties.administratorLoginPassword", secret))
        for path, value in cases:
            with self.subTest(path=path, value=str(value)[:60]):
                target = path.split(".")[-1]
                self.refuse(changed(path, value), "sku" if "sku" in path else target)

    def test_wrong_types_are_refused_with_the_field_as_target(self):
        wrong = {
            "sku": "Standard_B1ms", "sku.name": 7, "sku.tier": ["Burstable"], "tags": ["a"],
            "tags.a": 5, "properties": [], "properties.version": 15,
            "properties.administratorLogin": {}, "properties.administratorLoginPassword": 12345678,
            "properties.storage": 32, "properties.storage.storageSizeGB": "32",
            "properties.backup": "7", "properties.backup.backupRetentionDays": 7.5,
            "properties.network": True, "properties.highAvailability": "Disabled",
            "properties.maintenanceWindow": 0, "properties.maintenanceWindow.dayOfWeek": "0",
            "properties.createMode": 0, "properties.availabilityZone": 1,
        }
        for path, value in wrong.items():
            with self.subTest(path):
                self.refuse(changed(path, value), path.split(".")[-1]
                            if path != "tags.a" else "tags")

    def test_missing_fields_are_named(self):
        for path in ("location", "sku", "properties.administratorLogin",
                     "properties.administratorLoginPassword"):
            body = HOME.server_body("bad-body")
            at = body
            *parents, last = path.split(".")
            for each in parents:
                at = at[each]
            del at[last]
            with self.subTest(path):
                self.refuse(body, last)

    def test_unknown_fields_are_refused_at_every_level_never_ignored(self):
        for path in ("colour", "properties.colour", "sku.colour", "properties.storage.colour",
                     "properties.backup.colour", "properties.network.colour",
                     "properties.highAvailability.colour", "properties.maintenanceWindow.colour",
                     "properties.authConfig.colour"):
            with self.subTest(path):
                self.refuse(changed(path, "blue"), "colour")

    def test_fields_of_features_that_are_not_there_yet_are_refused_not_ignored(self):
        for path, value in (
                ("properties.createMode", "Replica"),
                ("properties.createMode", "PointInTimeRestore"),
                ("properties.createMode", "GeoRestore"),
                ("properties.sourceServerResourceId", HOME.server_path(NAME)),
                ("properties.pointInTimeUTC", "2026-01-01T00:00:00Z"),
                ("properties.backup.geoRedundantBackup", "Enabled"),
                ("properties.network.delegatedSubnetResourceId",
                 HOME.group_path() + "/providers/Microsoft.Network/virtualNetworks/v/subnets/s"),
                ("properties.network.privateDnsZoneArmResourceId",
                 HOME.group_path() + "/providers/Microsoft.Network/privateDnsZones/z"),
                ("properties.dataEncryption.type", "AzureKeyVault"),
                ("properties.cluster.clusterSize", 2),
                ("properties.replicationRole", "AsyncReplica"),
                ("identity", {"type": "SystemAssigned"})):
            with self.subTest(path=path, value=value):
                answer = self.refuse(changed(path, value))
                self.assertTrue(answer.error.get("target"), repr(answer))

    def test_a_standby_needs_a_second_machine(self):
        for mode in ("ZoneRedundant", "SameZone"):
            with self.subTest(mode):
                self.refuse(changed("properties.highAvailability.mode", mode),
                            "properties.highAvailability.mode")

    def test_what_the_clients_send_for_nothing_is_accepted(self):
        """az sends empty strings for null, and az and the SDKs send what they do not use."""
        name = "az-like"
        body = HOME.server_body(name, properties={
            "authConfig": {"activeDirectoryAuth": "Disabled", "passwordAuth": "Enabled",
                           "tenantId": ""},
            "network": {"delegatedSubnetResourceId": "", "privateDnsZoneArmResourceId": "",
                        "publicNetworkAccess": "Enabled"},
            "createMode": "Create"})
        HOME.do("PUT", HOME.server_path(name), body, OLD_API_VERSION)
        HOME.do("PATCH", HOME.server_path(name), {"tags": {}, "properties": {}})
        HOME.do("DELETE", HOME.server_path(name))

    def test_bodies_that_are_no_json_object_are_refused(self):
        for body in (b"", b"{", b"[]", b"null", b"5", b'"text"', b"{} {}", b"{'a': 1}",
                     b'{"location": "local",}', b"\xff\xfe{}", b'{"location": "\xc3("}',
                     b'{"location": "local" "sku": 1}', b"\x00", b'{"a": NaN}', b'{"a": 1e999}',
                     b'{"location": "\\ud800"}',
                     json.dumps({"location": "local"}).encode("utf-16")):
            with self.subTest(body[:30]):
                self.refuse(body)

    def test_a_field_given_twice_is_refused(self):
        text = json.dumps(HOME.server_body("bad-body"))
        twice = text.replace('"location": "local"', '"location": "mars", "location": "local"', 1)
        self.refuse(twice)

    def test_json_of_depth_1000_and_more_is_refused(self):
        for depth in (1000, 100_000):
            for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
                with self.subTest(depth=depth, opening=opening):
                    inner = b"1" if opening != b"[" else b""
                    nested = opening * depth + inner + closing * depth
                    self.refuse(b'{"tags": ' + nested + b"}", status=(400, 413))
                    self.refuse(nested, status=(400, 413))
                    self.refuse(opening * depth, status=(400, 413))

    def test_after_all_that_there_is_no_such_server(self):
        self.assert_error(HOME.get(HOME.server_path("bad-body")), 404)
        listed = HOME.get(HOME.group_path()
                          + "/providers/Microsoft.DBforPostgreSQL/flexibleServers").json["value"]
        self.assertEqual([s["name"] for s in listed], [NAME])

    def test_bad_firewall_rules_are_refused(self):
        base = HOME.server_path(NAME) + "/firewallRules/"
        for start, end, target in (
                ("1.2.3", "1.2.3.4", "startIpAddress"), ("256.1.1.1", "1.2.3.4", "startIpAddress"),
                ("::1", "::1", "startIpAddress"), ("1.2.3.4/24", "1.2.3.4", "startIpAddress"),
                ("", "1.2.3.4", "startIpAddress"), ("01.2.3.4", "1.2.3.4", "startIpAddress"),
                ("1.2.3.4 ", "1.2.3.4", "startIpAddress"), (5, "1.2.3.4", "startIpAddress"),
                ("1.2.3.4", "1.2.3", "endIpAddress"), ("1.2.3.4", None, "endIpAddress"),
                ("1.2.3.4", "1.2.3.3", "IpAddress"), ("0x7f.1.1.1", "1.2.3.4", "startIpAddress")):
            with self.subTest(start=start, end=end):
                properties = {"startIpAddress": start}
                if end is not None:
                    properties["endIpAddress"] = end
                self.assert_error(HOME.call("PUT", base + "bad", {"properties": properties}), 400,
                                  target=target)
        good = {"properties": {"startIpAddress": "1.2.3.4", "endIpAddress": "1.2.3.4"}}
        for name in ("a%20b", "a" * 129, "a%22b", "..", "a.b", "a%2Fb"):
            with self.subTest(name):
                self.assert_error(HOME.call("PUT", base + name, good), (400, 404))
        self.assert_error(HOME.call("PUT", base + "x", {"properties": {
            **good["properties"], "colour": 1}}), 400, target="colour")
        names = [r["name"] for r in HOME.get(base.rstrip("/")).json["value"]]
        self.assertEqual(names, ["here"])

    def test_bad_databases_are_refused(self):
        base = HOME.server_path(NAME) + "/databases/"
        for properties, target in (({"charset": "NOPE"}, "charset"), ({"charset": 8}, "charset"),
                                   ({"collation": "xx_XX.nope"}, "collation"),
                                   ({"collation": "C'; drop"}, "collation"),
                                   ({"collation": ""}, None), ({"colour": "x"}, "colour")):
            with self.subTest(properties):
                answer = HOME.call("PUT", base + "bad", {"properties": {"charset": "UTF8",
                                                                        **properties}})
                if target is None and answer.status < 300:
                    HOME.operation(answer)
                else:
                    self.assert_error(answer, 400, target=target)
        for name in ("template0", "template1", "a" * 64, "a%00b", "a%0Ab", "azure_maintenance"):
            with self.subTest(name):
                answer = HOME.call("PUT", base + name, {"properties": {"charset": "UTF8",
                                                                       "collation": "C"}})
                self.assert_error(answer, (400, 404, 409))
        for name in ("template0", "template1", "postgres"):
            with self.subTest("drop " + name):
                self.assert_error(HOME.call("DELETE", base + name), range(400, 500))

    def test_bad_parameters_are_refused(self):
        base = HOME.server_path(NAME) + "/configurations/"
        for name, value in (("work_mem", "1"), ("work_mem", "lots"), ("work_mem", "99999999999999"),
                            ("work_mem", ""), ("autovacuum", "perhaps"), ("max_connections", "-1"),
                            ("bytea_output", "octal"), ("random_page_cost", "nan"),
                            ("max_connections", "9999999")):
            with self.subTest(name=name, value=value):
                answer = HOME.call("PATCH", base + name, {"properties": {"value": value}})
                self.assert_error(answer, 400)
                self.assertTrue(answer.error.get("target"), repr(answer))
        for body in ({}, {"properties": {}}, {"properties": {"value": 5}}, {"value": "8192"},
                     {"properties": {"value": "8192", "colour": 1}}):
            with self.subTest(body):
                self.assert_error(HOME.call("PATCH", base + "work_mem", body), 400)

    def test_parameters_that_are_howdahs_own_business_cannot_be_set(self):
        base = HOME.server_path(NAME) + "/configurations/"
        for name, value in (("listen_addresses", "*"), ("port", "5432"), ("hba_file", "/tmp/x"),
                            ("data_directory", "/tmp"), ("ssl_key_file", "/tmp/x"), ("ssl", "off"),
                            ("unix_socket_directories", "/tmp"), ("log_directory", "/tmp"),
                            ("archive_command", "id"), ("restore_command", "id"),
                            ("password_encryption", "md5"), ("dynamic_library_path", "/tmp"),
                            ("local_preload_libraries", "/tmp/x"), ("config_file", "/tmp/x"),
                            ("session_preload_libraries", "/tmp/evil"),
                            ("shared_preload_libraries", "/tmp/evil"),
                            ("shared_preload_libraries", "no_such_library"),
                            ("ssl_passphrase_command", "id"), ("jit_provider", "/tmp/x"),
                            ("archive_cleanup_command", "id"), ("recovery_end_command", "id"),
                            ("superuser_reserved_connections", "0"), ("data_checksums", "off"),
                            ("server_version", "16"), ("krb_server_keyfile", "/tmp/x")):
            with self.subTest(name):
                answer = HOME.call("PATCH", base + name, {"properties": {
                    "value": value, "source": "user-override"}})
                self.assert_error(answer, range(400, 500))

    def test_a_parameters_text_cannot_bring_in_further_lines(self):
        before = HOME.psql(NAME, "show listen_addresses")
        for name, value in (("search_path", "public'\nlisten_addresses = '*"),
                            ("search_path", "a\nfsync = off"), ("search_path", "'; fsync = off; '"),
                            ("timezone", "UTC'\nport = 1"), ("search_path", "\\'\nfsync=off"),
                            ("search_path", "a" * 100000)):
            with self.subTest(value[:40]):
                answer = HOME.call("PATCH", f"{HOME.server_path(NAME)}/configurations/{name}",
                                   {"properties": {"value": value, "source": "user-override"}})
                if answer.status < 300:
                    HOME.operation(answer)
                else:
                    self.assert_error(answer, 400)
        self.assertEqual(HOME.psql(NAME, "show fsync"), "on")
        self.assertEqual(HOME.psql(NAME, "show listen_addresses"), before)
        HOME.do("PUT", f"{HOME.server_path(NAME)}/configurations/search_path",
                {"properties": {"value": '"$user", public', "source": "user-override"}})


class Tokens(Undisturbed):
    def ask(self, token, headers=None):
        sent = {"Authorization": token} if token is not None else {}
        return HOME.raw("GET", HOME.server_path(NAME) + "?api-version=" + howdah_client.API_VERSION,
                        headers={**sent, **(headers or {})})

    def refuse(self, token):
        answer = self.ask(token)
        self.assert_error(answer, 401)
        self.assertIn("bearer", answer.headers.get("www-authenticate", "").lower())
        return answer

    @staticmethod
    def encode(value):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    @staticmethod
    def decode(part):
        return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))

    def test_no_token_or_a_broken_one_is_refused(self):
        good = HOME.token()
        for token in (None, "", "Bearer", "Bearer ", "Bearer x", "Bearer a.b.c", "Basic " + good,
                      "Bearer " + good[:-1], "Bearer " + good + "A", "Bearer " + good + ".x",
                      "Bearer ..", "Bearer " + "A" * 20000,
                      "Bearer " + good.rsplit(".", 1)[0] + ".", good):
            with self.subTest((token or "none")[:20]):
                answer = self.ask(token)
                if answer.status != 431:
                    self.refuse(token)

    def test_tokens_without_a_signature_or_with_a_forged_one_are_refused(self):
        head, body, signature = HOME.token().split(".")
        header, claims = self.decode(head), self.decode(body)
        for algorithm in ("none", "None", "NONE", ""):
            forged = self.encode({**header, "alg": algorithm}) + "." + body
            self.refuse("Bearer " + forged + ".")
            self.refuse("Bearer " + forged + "." + signature)
        for change in ({"exp": claims["exp"] + 86400}, {"sub": "root"}, {"oid": str(uuid.uuid4())}):
            self.refuse(f"Bearer {head}.{self.encode({**claims, **change})}.{signature}")
        for algorithm in ("RS384", "ES256", "PS256"):
            self.refuse("Bearer " + self.encode({**header, "alg": algorithm})
                        + f".{body}.{signature}")

    def test_a_token_signed_with_the_public_key_as_secret_is_refused(self):
        """Key confusion: HS256 with what everybody can read."""
        head, body, _ = HOME.token().split(".")
        authority = urllib.parse.urlsplit(HOME.credentials["authority"]).path.rstrip("/")
        where = f"{authority}/{HOME.credentials['tenant_id']}/v2.0/.well-known/openid-configuration"
        configuration = HOME.raw("GET", where)
        self.assertEqual(configuration.status, 200, repr(configuration))
        keys = HOME.raw("GET", urllib.parse.urlsplit(configuration.json["jwks_uri"]).path)
        self.assertEqual(keys.status, 200, repr(keys))
        secrets = [keys.body]
        for key in keys.json["keys"]:
            self.assertFalse({"d", "p", "q"} & set(key), "the key set shows a private key")
            secrets += [key["n"].encode(),
                        base64.urlsafe_b64decode(key["n"] + "=" * (-len(key["n"]) % 4))]
        for algorithm, digest in (("HS256", hashlib.sha256), ("HS512", hashlib.sha512)):
            for secret in secrets:
                text = self.encode({**self.decode(head), "alg": algorithm}) + "." + body
                mac = hmac.new(secret, text.encode(), digest).digest()
                self.refuse(f"Bearer {text}.{self.encode(mac)}")

    def test_a_token_of_another_key_is_refused(self):
        head, body, _ = HOME.token().split(".")
        key = os.path.join(HOME.folder, "forger.pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-out", key],
                       capture_output=True, check=True)
        for header in (head, self.encode({**self.decode(head), "kid": "../../dev/null"}),
                       self.encode({"alg": "RS256", "typ": "JWT"}),
                       self.encode({**self.decode(head), "jku": "http://127.0.0.1:1/keys"})):
            text = f"{header}.{body}"
            signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key],
                                       input=text.encode(), capture_output=True, check=True).stdout
            self.refuse(f"Bearer {text}.{self.encode(signature)}")

    def test_the_token_endpoint_refuses_bad_clients_in_oauths_shape(self):
        good = {"grant_type": "client_credentials", "client_id": HOME.credentials["client_id"],
                "client_secret": HOME.credentials["client_secret"],
                "scope": HOME.credentials["api_url"].rstrip("/") + "/.default"}
        for change, status, error in (
                ({"client_secret": "wrong"}, 401, "invalid_client"),
                ({"client_secret": ""}, 401, "invalid_client"),
                ({"client_id": str(uuid.uuid4())}, (400, 401), None),
                ({"grant_type": "password"}, 400, "unsupported_grant_type"),
                ({"grant_type": ""}, 400, None)):
            with self.subTest(change):
                answer = HOME.token_request({**good, **change})
                self.assertIn(answer.status, status if isinstance(status, tuple) else (status,))
                self.assertTrue(answer.json["error_description"])
                if error:
                    self.assertEqual(answer.json["error"], error)
        other = HOME.token_request(good, tenant=str(uuid.uuid4()))
        self.assertIn(other.status, (400, 401, 404), repr(other))

    def test_a_wrong_subscription_is_not_found(self):
        where = HOME.server_path(NAME).replace(HOME.credentials["subscription_id"],
                                               str(uuid.uuid4()))
        self.assert_error(HOME.get(where), (403, 404),
                          ("SubscriptionNotFound", "AuthorizationFailed"))
        self.assert_error(HOME.call("PUT", where, HOME.server_body("x")), (403, 404))
        self.assert_error(HOME.get("/subscriptions/not-a-uuid/resourceGroups/x"), (400, 403, 404))


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
static const long kAhead = 3L * 24 * 3600;
int clock_gettime(clockid_t clock, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += kAhead;
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


class ExpiredTokens(Case):
    """Needs a home of its own, whose howdahd is started again three days later."""

    def test_an_expired_token_is_refused_as_expired(self):
        home = started_home()
        try:
            token = home.token()
            shim = os.path.join(home.folder, "later")
            with open(shim + ".c", "w", encoding="utf-8") as file:
                file.write(SHIM)
            made = subprocess.run(["cc", "-shared", "-fPIC", "-o", shim + ".so", shim + ".c",
                                   "-ldl"], capture_output=True, text=True, check=False)
            if made.returncode != 0:
                self.skipTest("SKIPPED: no C compiler for the clock: " + made.stderr)
            self.assertEqual(home.get(home.group_path(), howdah_client.RESOURCES_VERSION).status,
                             200)
            home.process.terminate()
            home.process.wait(20)
            home.extra_environment["LD_PRELOAD"] = shim + ".so"
            try:
                home.start()
            except AssertionError as error:
                if "ASan runtime" in str(error) or "sanitizer" in str(error).lower():
                    self.skipTest("SKIPPED: a sanitizer build does not take LD_PRELOAD")
                raise
            # To this client the certificate of the future is not yet valid.
            no_check_time = 0x200000
            home._tls.verify_flags |= ssl.VerifyFlags(no_check_time)
            answer = home.call("GET", home.group_path(), version=howdah_client.RESOURCES_VERSION,
                               token=token)
            self.assert_error(answer, 401, "ExpiredAuthenticationToken")
            self.assertEqual(home.call("GET", home.group_path(), token=home.token(fresh=True),
                                       version=howdah_client.RESOURCES_VERSION).status, 200)
        finally:
            home.stop()


class HugeRequests(Undisturbed):
    SIZE = 200 << 20

    @staticmethod
    def is_whole(answer):
        head, _, body = answer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        return bool(length) and len(body) >= int(length[1])

    def pour(self, head, chunk, size, end_mark=b""):
        """Sends head, `size` bytes of chunks and the mark while reading; (sent, answer)."""
        sent, answer = 0, []
        with socket.create_connection(("127.0.0.1", HOME.api_port), timeout=20) as plain:
            with HOME._tls.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
                secure.sendall(head)
                secure.setblocking(False)
                waiting = memoryview(chunk)
                end = time.monotonic() + 90
                while time.monotonic() < end:
                    try:
                        part = secure.recv(65536)
                        if not part:
                            break
                        answer.append(part)
                        if self.is_whole(b"".join(answer)) and sent >= size:
                            break
                    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                        pass
                    except OSError:
                        break
                    if sent < size:
                        try:
                            count = secure.send(waiting)
                            sent += count
                            waiting = waiting[count:]
                            if not waiting and sent < size:
                                waiting = memoryview(chunk)
                            elif not waiting and end_mark:
                                waiting, end_mark = memoryview(end_mark), b""
                                size = sent + len(waiting)
                            continue
                        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                            pass
                        except OSError:
                            sent = size  # closed for writing: read what was said before
                    select.select([secure], [secure] if sent < size else [], [], 1)
        return sent, b"".join(answer)

    def check_answer(self, answer, statuses, is_shaped=True):
        """is_shaped: whether Azure's error shape is asked for. What does not fit into memory as a
        header is answered by the HTTP library itself, in HTML (docs/adr/0002)."""
        self.assertTrue(answer.startswith(b"HTTP/1.1 "), answer[:200])
        status = int(answer.split()[1])
        self.assertIn(status, statuses, answer[:500])
        if not is_shaped:
            return
        head, _, body = answer.partition(b"\r\n\r\n")
        headers = {}
        for line in head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            headers[key.decode().lower()] = value.strip().decode()
        self.assert_error(howdah_client.Response(status, headers, body))

    def test_a_200_mb_header_line_is_refused_in_bounded_memory(self):
        head = (f"GET {HOME.group_path()}?api-version=2021-04-01 HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: Bearer {HOME.token()}\r\nX-Huge: ").encode()
        with self.memory_of("howdahd", 16 * MIB):
            _, answer = self.pour(head, b"a" * 65536, self.SIZE)
        self.check_answer(answer, (400, 413, 414, 431), is_shaped=False)

    def test_200_mb_of_many_headers_are_refused_in_bounded_memory(self):
        head = f"GET {HOME.group_path()}?api-version=2021-04-01 HTTP/1.1\r\nHost: x\r\n".encode()
        line = b"".join(b"X-%d: %s\r\n" % (i, b"b" * 40) for i in range(1000))
        with self.memory_of("howdahd", 16 * MIB):
            _, answer = self.pour(head, line, self.SIZE)
        self.check_answer(answer, (400, 413, 414, 431), is_shaped=False)

    def test_a_200_mb_url_is_refused_in_bounded_memory(self):
        with self.memory_of("howdahd", 16 * MIB):
            _, answer = self.pour(b"GET /", b"a" * 65536, self.SIZE)
        self.check_answer(answer, (400, 413, 414, 431), is_shaped=False)

    def test_a_200_mb_body_is_refused_in_bounded_memory(self):
        for kind in ("length", "chunked"):
            with self.subTest(kind):
                head = (f"PUT {HOME.server_path('huge')}?api-version={howdah_client.API_VERSION} "
                        f"HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {HOME.token()}\r\n"
                        "Content-Type: application/json\r\n").encode()
                head += (b"Content-Length: %d\r\n\r\n" % self.SIZE if kind == "length"
                         else b"Transfer-Encoding: chunked\r\n\r\n")
                chunk = (b'{"tags":' * 8192 if kind == "length"
                         else b"10000\r\n" + b"a" * 65536 + b"\r\n")
                with self.memory_of("howdahd", 16 * MIB):
                    _, answer = self.pour(head, chunk, self.SIZE,
                                          b"" if kind == "length" else b"0\r\n\r\n")
                self.check_answer(answer, (400, 413))

    def test_a_200_mb_body_without_a_token_is_refused_too(self):
        head = (f"PUT {HOME.server_path('huge')}?api-version={howdah_client.API_VERSION} HTTP/1.1"
                f"\r\nHost: x\r\nContent-Length: {self.SIZE}\r\n\r\n").encode()
        with self.memory_of("howdahd", 16 * MIB):
            _, answer = self.pour(head, b"a" * 65536, self.SIZE)
        self.check_answer(answer, (400, 401, 413))

    def test_malformed_http_is_refused(self):
        for data in (b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x00" * 100,
                     b"GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                     b"GET / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
                     b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
                     b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"):
            with self.subTest(data[:40]):
                answer = self.exchange(data)
                if answer:
                    self.assertRegex(answer[:15], rb"^HTTP/1\.[01] [45]")

    def exchange(self, data):
        with socket.create_connection(("127.0.0.1", HOME.api_port), timeout=10) as plain:
            with HOME._tls.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
                secure.sendall(data)
                try:
                    return secure.recv(65536)
                except (socket.timeout, OSError):
                    return b""

    def test_plain_http_on_the_tls_port_is_no_harm(self):
        for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01", b"\x00" * 4096):
            with socket.create_connection(("127.0.0.1", HOME.api_port), timeout=10) as plain:
                plain.sendall(data)
                try:
                    plain.shutdown(socket.SHUT_WR)
                except OSError:
                    continue  # closed already
                self.assertIsNotNone(read_to_end(plain))

    def test_slow_and_silent_clients_hold_nobody_up(self):
        slow = []
        try:
            with self.memory_of("howdahd", 48 * MIB):
                for index in range(200):
                    plain = socket.create_connection(("127.0.0.1", HOME.api_port), timeout=20)
                    if index % 2:  # TLS done, then a header that never ends
                        secure = HOME._tls.wrap_socket(plain, server_hostname="127.0.0.1")
                        secure.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
                        slow.append(secure)
                    else:  # not even TLS
                        plain.sendall(b"\x16\x03\x01\x02")
                        slow.append(plain)
                for _ in range(5):
                    for each in slow[1::2]:
                        with contextlib.suppress(OSError):  # those that took too long are cut
                            each.sendall(b"a")
                    answer = self.assert_within(5, lambda: HOME.get(HOME.server_path(NAME)))
                    self.assertEqual(answer.status, 200)
        finally:
            for each in slow:
                each.close()


class ClientHellos(Undisturbed):
    HOST = f"{NAME}.{DOMAIN}"

    def hello_answered(self, pieces, pause=0.0):
        """Sends a ClientHello in pieces; what comes back."""
        with HOME.connect() as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(SSL_REQUEST)
            self.assertEqual(connection.recv(1), b"S")
            for piece in pieces:
                connection.sendall(piece)
                if pause:
                    time.sleep(pause)
            return howdah_client.read_tls_answer(connection)

    def test_a_client_hello_cut_at_every_byte_and_closed_is_no_harm(self):
        hello = client_hello(self.HOST)
        with self.memory_of("howdah-gateway", 8 * MIB):
            for size in range(len(hello)):
                with HOME.connect() as connection:
                    connection.sendall(SSL_REQUEST)
                    self.assertEqual(connection.recv(1), b"S")
                    connection.sendall(hello[:size])
                    connection.shutdown(socket.SHUT_WR)
                    self.assertIsNotNone(read_to_end(connection),
                                         f"still open {size} bytes after its end")

    def test_a_client_hello_cut_at_every_byte_and_left_open_ends_after_seconds(self):
        hello = client_hello(self.HOST)
        waiting = []
        try:
            for size in range(len(hello)):
                connection = HOME.connect()
                connection.sendall(SSL_REQUEST)
                self.assertEqual(connection.recv(1), b"S")
                connection.sendall(hello[:size])
                waiting.append(connection)
            end = time.monotonic() + 15
            for connection in waiting:
                connection.settimeout(max(0.1, end - time.monotonic()))
                self.assertIsNotNone(read_to_end(connection), "an unfinished hello is kept open")
        finally:
            for connection in waiting:
                connection.close()

    def test_a_client_hello_in_pieces_still_arrives(self):
        hello = client_hello(self.HOST)
        self.assertEqual(self.hello_answered([hello]), ("hello", None))
        for at in range(1, len(hello), 7):
            self.assertEqual(self.hello_answered([hello[:at], hello[at:]], 0.001), ("hello", None),
                             f"cut at {at}")
        self.assertEqual(self.hello_answered([hello[i:i + 1] for i in range(len(hello))]),
                         ("hello", None))

    def test_a_client_hello_in_several_records_still_arrives(self):
        hello = client_hello(self.HOST)
        handshake = hello[5:]
        for size in (1, 3, 4, 5, 50, 200):
            records = b"".join(hello[:3] + struct.pack("!H", len(handshake[i:i + size]))
                               + handshake[i:i + size] for i in range(0, len(handshake), size))
            self.assertEqual(self.hello_answered([records]), ("hello", None), f"of {size} bytes")

    def test_a_client_hello_with_any_byte_changed_is_no_harm(self):
        hello = client_hello(self.HOST)
        with self.memory_of("howdah-gateway", 8 * MIB):
            for at in range(len(hello)):
                for value in (0x00, 0xff):
                    broken = hello[:at] + bytes([value]) + hello[at + 1:]
                    with HOME.connect() as connection:
                        connection.sendall(SSL_REQUEST)
                        self.assertEqual(connection.recv(1), b"S")
                        connection.sendall(broken)
                        connection.shutdown(socket.SHUT_WR)
                        self.assertIsNotNone(read_to_end(connection), f"hangs: byte {at}={value}")

    def test_a_client_hello_of_more_than_64_kib_is_refused(self):
        body = b"\x01\x10\x00\x00" + b"\x03\x03" + b"a" * (1 << 20)
        records = b"".join(b"\x16\x03\x01" + struct.pack("!H", len(body[i:i + 16384]))
                           + body[i:i + 16384] for i in range(0, len(body), 16384))
        with self.memory_of("howdah-gateway", 8 * MIB):
            with HOME.connect() as connection:
                connection.sendall(SSL_REQUEST)
                self.assertEqual(connection.recv(1), b"S")
                try:
                    connection.sendall(records)
                except ConnectionError:
                    pass
                self.assertIsNotNone(read_to_end(connection), "the endless hello is kept open")

    def test_host_names_that_are_none_get_unrecognized_name(self):
        for name in ("x", "a" * 63 + "." + DOMAIN, NAME, f"{NAME}.{DOMAIN}.evil.example",
                     f"evil.{NAME}.{DOMAIN}"):
            self.assertEqual(self.hello_answered([client_hello(name)]),
                             ("alert", howdah_client.UNRECOGNIZED_NAME), name)
        self.assertEqual(self.hello_answered([client_hello(self.HOST.upper())]), ("hello", None),
                         "letter case of a host name does not matter")


class StartupPackets(Undisturbed):
    def send(self, data, timeout=12):
        with HOME.connect(timeout=timeout) as connection:
            connection.sendall(data)
            return read_to_end(connection)

    def test_startup_packets_with_a_wrong_length_are_refused(self):
        good = startup_packet(ADMIN)
        for length in (0, 1, 3, 4, 5, 7, 8, 9, 10001, 65536, 1 << 20, 0x7fffffff, 0x80000000,
                       0xffffffff):
            with self.subTest(length):
                answer = self.send(struct.pack("!I", length) + good[4:])
                self.assertIsNotNone(answer, "the connection is kept open")
                if answer:
                    fields = error_fields(answer)
                    self.assertEqual(fields.get("S"), "FATAL", answer)
                    self.assertRegex(fields.get("C", ""), r"^[0-9A-Z]{5}$")
                    self.assertTrue(fields.get("M"))

    def test_a_startup_packet_cut_at_every_byte_is_no_harm(self):
        good = startup_packet(ADMIN)
        for size in range(len(good)):
            with HOME.connect() as connection:
                connection.sendall(good[:size])
                connection.shutdown(socket.SHUT_WR)
                self.assertIsNotNone(read_to_end(connection), f"cut at {size}")

    def test_a_plain_startup_on_the_shared_port_gets_a_postgres_error(self):
        fields = error_fields(self.send(startup_packet(ADMIN)))
        self.assertEqual(fields.get("S"), "FATAL")
        self.assertRegex(fields.get("C", ""), r"^[0-9A-Z]{5}$")
        self.assertTrue(fields.get("M"))

    def test_unknown_protocols_get_an_error_or_are_closed(self):
        for code in (0, 1, 131072, 262144, 80877101, 80877105, 0xffffffff):
            with self.subTest(code):
                answer = self.send(struct.pack("!II", 8, code))
                self.assertIsNotNone(answer)
                if answer:
                    self.assertEqual(error_fields(answer).get("S"), "FATAL", answer)

    def test_bytes_behind_an_ssl_request_are_never_forwarded(self):
        for behind in (startup_packet(ADMIN), client_hello(f"{NAME}.{DOMAIN}")):
            answer = self.send(SSL_REQUEST + behind)
            if answer not in (b"", b"S"):
                self.assertEqual(error_fields(answer).get("C"), "08P01", answer)

    def test_a_gssenc_request_gets_no_once(self):
        with HOME.connect() as connection:
            connection.sendall(GSSENC_REQUEST)
            self.assertEqual(connection.recv(1), b"N")
            connection.sendall(SSL_REQUEST)
            self.assertEqual(connection.recv(1), b"S")
            connection.sendall(client_hello(f"{NAME}.{DOMAIN}"))
            self.assertEqual(howdah_client.read_tls_answer(connection), ("hello", None))
        with HOME.connect() as connection:
            connection.sendall(GSSENC_REQUEST)
            self.assertEqual(connection.recv(1), b"N")
            connection.sendall(GSSENC_REQUEST)
            self.assertIn(b"N" in (read_to_end(connection) or b""), (False,))

    def test_ssl_requests_over_and_over_are_refused(self):
        with HOME.connect() as connection:
            connection.sendall(SSL_REQUEST)
            self.assertEqual(connection.recv(1), b"S")
            connection.sendall(SSL_REQUEST)
            answer = read_to_end(connection)
            self.assertIsNotNone(answer, "kept open")
            self.assertNotIn(b"S", answer[:1])

    def test_cancel_requests_of_wrong_length_or_unknown_key_are_closed(self):
        for data in (struct.pack("!IIII", 16, 80877102, 1, 1),
                     struct.pack("!IIII", 16, 80877102, 0xffffffff, 0),
                     struct.pack("!IIII", 16, 80877102, os.getpid(), 0),
                     struct.pack("!II", 8, 80877102), struct.pack("!III", 12, 80877102, 1),
                     struct.pack("!III", 300, 80877102, 1) + b"k" * 288,
                     struct.pack("!III", 2000, 80877102, 1) + b"k" * 1988):
            with self.subTest(data[:16]):
                answer = self.assert_within(8, lambda: self.send(data))
                self.assertIsNotNone(answer, "kept open")
                self.assertTrue(answer == b"" or error_fields(answer), answer)

    def test_other_protocols_are_no_harm(self):
        for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 1000, b"\xff" * 1000,
                     b"SSH-2.0-x\r\n", b"\x16\x03\x01\xff\xff" + b"a" * 100):
            with self.subTest(data[:10]):
                self.assertIsNotNone(self.send(data), "kept open")

    def test_a_flood_of_cancel_requests_is_bounded(self):
        for _ in range(500):
            with HOME.connect() as connection:
                connection.sendall(struct.pack("!IIII", 16, 80877102, BACKEND["pid"], 0))
        self.assertEqual(HOME.psql(NAME, "select 1"), "1")


class IdleConnections(Undisturbed):
    COUNT = 10_000

    def setUp(self):
        self.connections = []
        self.limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = self.COUNT + 500
        hard = self.limit[1]
        if hard != resource.RLIM_INFINITY and hard < wanted:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            except (ValueError, OSError):
                self.skipTest(f"SKIPPED: {wanted} open files are not allowed here (hard {hard})")
        else:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, self.limit[0]), hard))

    def close_all(self):
        for connection in self.connections:
            connection.close()
        self.connections = []

    def tearDown(self):
        self.close_all()
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, self.limit)
        except (ValueError, OSError):
            pass
        super().tearDown()

    def open_many(self, each=None, busy=None):
        """Opens COUNT connections, with a query of somebody else now and then."""
        for index in range(self.COUNT):
            try:
                connection = HOME.connect(timeout=10)
                if each:
                    each(connection)
            except OSError:
                continue  # turned away: that is a bound too
            self.connections.append(connection)
            if index % 1000 == 999:
                self.assertEqual(self.assert_within(
                    10, lambda: HOME.psql(NAME, "select 1")), "1",
                    f"with {index + 1} idle connections")

    def test_10000_idle_connections_are_bounded_and_hold_nobody_up(self):
        with self.memory_of("howdah-gateway", 64 * MIB):
            self.open_many()
            self.assertGreater(len(self.connections), 0)
            self.assertEqual(HOME.psql(NAME, "select count(*) from generate_series(1, 1000)"),
                             "1000")
            self.close_all()
            wait_until("the gateway has let them go", lambda: len(os.listdir(
                f"/proc/{PIDS['howdah-gateway']}/fd")) < 300, 30)

    def test_10000_connections_that_stop_in_the_middle_of_tls_are_bounded(self):
        hello = client_hello(f"{NAME}.{DOMAIN}")

        def half(connection):
            connection.sendall(SSL_REQUEST)
            connection.recv(1)
            connection.sendall(hello[:len(hello) // 2])

        with self.memory_of("howdah-gateway", 96 * MIB):
            self.open_many(half)
            self.close_all()
            wait_until("the gateway has let them go", lambda: len(os.listdir(
                f"/proc/{PIDS['howdah-gateway']}/fd")) < 300, 30)

    def test_the_api_lives_through_thousands_of_idle_connections(self):
        with self.memory_of("howdahd", 128 * MIB):
            for _ in range(3000):
                try:
                    self.connections.append(socket.create_connection(
                        ("127.0.0.1", HOME.api_port), timeout=5))
                except OSError:
                    break
            wait_until("the API answers beside them", self.api_answers, 20)
            self.close_all()
            wait_until("the API answers", self.api_answers, 20)

    @staticmethod
    def api_answers():
        try:
            return HOME.get(HOME.server_path(NAME)).status == 200
        except OSError:
            return False


if __name__ == "__main__":
    unittest.main(verbosity=2)
