"""What every operation of the flexible servers' API refuses, with Azure's codes and in its shape, and
that nothing has changed afterwards: no token, a role that only reads, no role, locks, wrong types,
api-versions that do not exist, things that are not there. The operations come from the table in
docs/reference/api.md, which a unit test compares with the routes."""

import os
import re
import unittest
import uuid

from support import Case, howdah_client, started_home

PAGE = os.path.join(howdah_client.ROOT, "docs", "reference", "api.md")
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
SERVER = "negative"
PROVIDER = "Microsoft.DBforPostgreSQL"
OF_SDK = 66  # operations of the SDK of 2025-08-01
LOCKS_VERSION = "2020-05-01"
VERSIONS = ("2022-12-01", "2024-08-01", "2025-08-01")
# Whoever is logged in may ask these, and whoever has any role those.
FOR_ALL = {"operations.list", "privateDnsZoneSuffix.get"}
FOR_ANY_ROLE = {"nameAvailability.checkGlobally", "nameAvailability.checkWithLocation",
                "capabilitiesByLocation.list", "quotaUsages.list", "servers.listByResourceGroup",
                "servers.listBySubscription"}
KNOWN = {"locationName": "local", "serverName": SERVER, "firewallRuleName": "here",
         "databaseName": "app", "configurationName": "work_mem",
         "objectId": "11111111-2222-4333-8444-555555555555"}


class Operation:
    def __init__(self, group, name, method, path, answers):
        self.name = f"{group}.{name}"
        self.method = method
        self.pattern = path
        self.is_built = answers == "built"
        self.is_write = method != "GET" and self.name not in FOR_ALL | FOR_ANY_ROLE

    def path(self, home, **changed):
        names = {**KNOWN, "subscriptionId": home.credentials["subscription_id"],
                 "resourceGroupName": home.group, **changed}
        return re.sub(r"\{(\w+)\}", lambda found: names.get(found[1], "some-name"), self.pattern)

    def __repr__(self):
        return f"{self.name}: {self.method} {self.pattern}"


def operations():
    """All of the provider, out of the reference."""
    short = {"{S}": "/subscriptions/{subscriptionId}"}
    short["{G}"] = short["{S}"] + "/resourceGroups/{resourceGroupName}"
    short["{F}"] = f"{short['{G}']}/providers/{PROVIDER}/flexibleServers/{{serverName}}"
    found = []
    with open(PAGE, encoding="utf-8") as page:
        for line in page:
            cells = [cell.strip().strip("`") for cell in line.split("|")[1:-1]]
            if len(cells) != 5 or not cells[3].startswith(("/", "{")):
                continue
            path = re.sub(r"^\{[SGF]\}", lambda key: short[key[0]], cells[3])
            if PROVIDER in path and cells[0] != "asyncOperations":
                found.append(Operation(cells[0], cells[1], cells[2], path, cells[4]))
    return found


# Good bodies of the operations that are built and take one; a server's is made by the client.
BODIES = {
    "servers.createOrUpdate": None,
    "servers.update": {},
    "servers.restart": {},
    "firewallRules.createOrUpdate": {
        "properties": {"startIpAddress": "10.0.0.1", "endIpAddress": "10.0.0.2"}},
    "databases.create": {"properties": {"charset": "UTF8", "collation": "en_US.utf8"}},
    "administratorsMicrosoftEntra.createOrUpdate": {
        "properties": {"principalName": "ada@example.org", "principalType": "User"}},
    "configurations.put": {"properties": {"value": "8192", "source": "user-override"}},
    "configurations.update": {"properties": {"value": "8192", "source": "user-override"}},
    "nameAvailability.checkGlobally": {"name": "free", "type": f"{PROVIDER}/flexibleServers"},
    "nameAvailability.checkWithLocation": {"name": "free", "type": f"{PROVIDER}/flexibleServers"},
}
# Values of a wrong type for their fields.
NO_TEXT, NO_NUMBER, NO_OBJECT = (5, True, [], ["x"], {}), ("32", 1.5, [], {}, True), ("x", 5, [], True)
OF_SERVER = {
    "tags": NO_OBJECT, "tags.a": (5, [], {}), "sku": NO_OBJECT, "sku.name": NO_TEXT,
    "sku.tier": NO_TEXT, "properties": NO_OBJECT,
    "properties.administratorLoginPassword": NO_TEXT, "properties.storage": NO_OBJECT,
    "properties.storage.storageSizeGB": NO_NUMBER, "properties.storage.autoGrow": NO_TEXT,
    "properties.backup": NO_OBJECT, "properties.backup.backupRetentionDays": NO_NUMBER,
    "properties.backup.geoRedundantBackup": NO_TEXT, "properties.network": NO_OBJECT,
    "properties.network.publicNetworkAccess": NO_TEXT, "properties.highAvailability": NO_OBJECT,
    "properties.highAvailability.mode": NO_TEXT, "properties.maintenanceWindow": NO_OBJECT,
    "properties.maintenanceWindow.dayOfWeek": NO_NUMBER,
    "properties.maintenanceWindow.startHour": NO_NUMBER, "properties.authConfig": NO_OBJECT,
    "properties.authConfig.passwordAuth": NO_TEXT, "properties.version": NO_TEXT,
    "properties.createMode": NO_TEXT, "properties.availabilityZone": NO_TEXT,
}
OF_NAME = {"name": NO_TEXT, "type": NO_TEXT}
OF_CONFIGURATION = {"properties": NO_OBJECT, "properties.value": NO_TEXT,
                    "properties.source": NO_TEXT}
WRONG = {
    "servers.createOrUpdate": {**OF_SERVER, "location": NO_TEXT, "identity": NO_OBJECT,
                               "properties.administratorLogin": NO_TEXT},
    "servers.update": OF_SERVER,
    "servers.restart": {"restartWithFailover": ("yes", 1, []), "failoverMode": NO_TEXT},
    "firewallRules.createOrUpdate": {"properties": NO_OBJECT, "properties.startIpAddress": NO_TEXT,
                                     "properties.endIpAddress": NO_TEXT},
    "administratorsMicrosoftEntra.createOrUpdate": {
        "properties": NO_OBJECT, "properties.principalName": NO_TEXT,
        "properties.principalType": NO_TEXT, "properties.tenantId": NO_TEXT},
    "databases.create": {"properties": NO_OBJECT, "properties.charset": NO_TEXT,
                         "properties.collation": NO_TEXT},
    "configurations.put": OF_CONFIGURATION,
    "configurations.update": OF_CONFIGURATION,
    "nameAvailability.checkGlobally": OF_NAME,
    "nameAvailability.checkWithLocation": OF_NAME,
}


def of_server(operation):
    return "{serverName}" in operation.pattern


def takes_body(operation):
    return operation.name in BODIES


def with_field(body, path, value):
    """A copy of the body in which the field of this path is another."""
    copy = dict(body)
    first, _, rest = path.partition(".")
    if rest:
        inside = copy.get(first)
        value = with_field(inside if isinstance(inside, dict) else {}, rest, value)
    copy[first] = value
    return copy


class Negative(Case):
    @classmethod
    def setUpClass(cls):
        cls.home = home = started_home()
        cls.all = operations()
        home.create_server(SERVER, properties={"authConfig": {"activeDirectoryAuth": "Enabled"}})
        of_administrator = "administratorsMicrosoftEntra.createOrUpdate"
        home.do("PUT", f"{home.server_path(SERVER)}/administrators/{KNOWN['objectId']}",
                BODIES[of_administrator])
        home.do("PUT", home.server_path(SERVER) + "/databases/app", BODIES["databases.create"])
        cls.reader = cls.identity(READER)
        cls.stranger = cls.identity(None)

    @classmethod
    def tearDownClass(cls):
        cls.home.stop()

    @classmethod
    def identity(cls, role):
        """A token of a new identity with a role at the group, or with none."""
        home = cls.home

        def made(answer):
            if answer.status not in (200, 201):
                raise AssertionError(repr(answer))
            return answer.json

        application = made(home.call("POST", "/v1.0/applications", {"displayName": "someone"},
                                     version=None))
        secret = made(home.call("POST", f"/v1.0/applications/{application['id']}/addPassword",
                                {"passwordCredential": {}}, version=None))["secretText"]
        principal = made(home.call("POST", "/v1.0/servicePrincipals",
                                   {"appId": application["appId"]}, version=None))
        if role:
            made(home.call(
                "PUT", f"{home.group_path()}/providers/Microsoft.Authorization/roleAssignments/"
                f"{uuid.uuid4()}", {"properties": {
                    "roleDefinitionId": f"{home.subscription}/providers/Microsoft.Authorization/"
                    f"roleDefinitions/{role}", "principalId": principal["id"]}},
                version="2022-04-01"))
        return made(home.token_request({
            "grant_type": "client_credentials", "client_id": application["appId"],
            "client_secret": secret,
            "scope": home.credentials["api_url"].rstrip("/") + "/.default"}))["access_token"]

    def state(self):
        """All that a client could see of the server."""
        path = self.home.server_path(SERVER)
        return [self.home.get(path + child).json for child in (
            "", "/firewallRules", "/databases", "/administrators", "/configurations/work_mem")]

    def setUp(self):
        self.before = self.state()

    def tearDown(self):
        self.assertEqual(self.state(), self.before, "something has changed")
        self.assertEqual(self.home.psql(SERVER, "select 1"), "1")

    def ask(self, operation, token=None, body=None, version=howdah_client.API_VERSION, **names):
        if body is None and operation.method in ("PUT", "PATCH", "POST"):
            body = self.good_body(operation)
        return self.home.call(operation.method, operation.path(self.home, **names), body,
                              version=version, token=token)

    def good_body(self, operation):
        body = BODIES.get(operation.name, {})
        return self.home.server_body(SERVER) if body is None else body

    def each(self, check, chosen=lambda operation: True):
        """Does `check` with every chosen operation; one that fails does not end the others."""
        found = [operation for operation in self.all if chosen(operation)]
        self.assertTrue(found)
        for operation in found:
            with self.subTest(operation=operation):
                check(operation)

    def assert_answered(self, operation, answer):
        """As by somebody who may: the answer is 200, or says what is not built."""
        if operation.is_built:
            self.assertEqual(answer.status, 200, repr(answer))
        else:
            self.assert_error(answer, 400, "FeatureNotSupported")

    def test_the_table_has_all_operations(self):
        self.assertGreaterEqual(len(self.all), OF_SDK)
        built = {operation.name for operation in self.all if operation.is_built}
        self.assertLessEqual(set(BODIES), built)

    def test_nobody_is_answered_without_a_token(self):
        def check(operation):
            path = operation.path(self.home) + "?api-version=" + howdah_client.API_VERSION
            body = b"{}" if operation.method in ("PUT", "PATCH", "POST") else None
            for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Basic eDp5"},
                            {"Authorization": "Bearer a.b.c"}):
                answer = self.home.raw(operation.method, path, body,
                                       {"Content-Type": "application/json", **headers})
                self.assert_error(answer, 401)
                self.assertTrue(answer.headers["www-authenticate"].startswith("Bearer "))

        self.each(check)

    def test_a_reader_reads_and_changes_nothing(self):
        def check(operation):
            answer = self.ask(operation, token=self.reader)
            if operation.is_write:
                self.assert_error(answer, 403, "AuthorizationFailed")
            else:
                self.assert_answered(operation, answer)

        self.each(check)

    def test_who_has_no_role_sees_nothing(self):
        self.each(lambda operation: self.assert_error(
            self.ask(operation, token=self.stranger), 403, "AuthorizationFailed"),
                  lambda operation: operation.name not in FOR_ALL)

    def lock(self, level):
        path = f"{self.home.server_path(SERVER)}/providers/Microsoft.Authorization/locks/keep"
        self.addCleanup(self.home.call, "DELETE", path, version=LOCKS_VERSION)
        answer = self.home.call("PUT", path, {"properties": {"level": level}},
                                version=LOCKS_VERSION)
        self.assertEqual(answer.status, 201, repr(answer))

    def test_a_lock_for_reading_lets_nothing_change(self):
        def check(operation):
            answer = self.ask(operation)
            if operation.is_write:
                self.assert_error(answer, 409, "ScopeLocked")
            else:
                self.assert_answered(operation, answer)

        self.lock("ReadOnly")
        self.each(check, of_server)

    def test_a_lock_against_deleting_lets_nothing_go(self):
        self.lock("CanNotDelete")
        self.each(lambda operation: self.assert_error(self.ask(operation), 409, "ScopeLocked"),
                  lambda operation: of_server(operation) and operation.method == "DELETE")
        group = self.home.call("DELETE", self.home.group_path(),
                               version=howdah_client.RESOURCES_VERSION)
        self.assert_error(group, 409, "ScopeLocked")
        self.home.allow(SERVER)
        self.before = self.state()

    def test_fields_of_a_wrong_type_are_named(self):
        def check(operation):
            for field, values in WRONG[operation.name].items():
                for value in values:
                    with self.subTest(field=field, value=value):
                        body = with_field(self.good_body(operation), field, value)
                        self.assert_error(self.ask(operation, body=body), 400, target=field)
            for body in (b"[]", b"5", b'"x"', b"{", b'{"properties":{}', b"\xff"):
                with self.subTest(body=body):
                    self.assert_error(self.ask(operation, body=body), 400)

        self.each(check, takes_body)

    def test_fields_that_nobody_knows_are_named(self):
        self.each(lambda operation: self.assert_error(self.ask(
            operation, body=with_field(self.good_body(operation), "unheard", 1)), 400,
                                                      target="unheard"), takes_body)

    def test_versions_that_do_not_exist_are_refused_with_those_that_do(self):
        def check(operation):
            for version, code in (("2019-01-01", "NoRegisteredProviderFound"),
                                  ("2025-08-02-preview", "NoRegisteredProviderFound"),
                                  ("newest", "InvalidApiVersionParameter"),
                                  (None, "MissingApiVersionParameter")):
                answer = self.ask(operation, version=version)
                self.assert_error(answer, 400, code)
                for known in VERSIONS:
                    self.assertIn(known, answer.error["message"])

        self.each(check)

    def test_subscriptions_that_are_not_there_are_not_found(self):
        def check(operation):
            self.assert_error(self.ask(operation, subscriptionId=str(uuid.uuid4())), 404,
                              "SubscriptionNotFound")
            self.assert_error(self.ask(operation, subscriptionId="mine"), 400,
                              "InvalidSubscriptionId")

        self.each(check, lambda operation: "{subscriptionId}" in operation.pattern)

    def test_groups_that_are_not_there_are_not_found(self):
        self.each(lambda operation: self.assert_error(self.ask(
            operation, resourceGroupName="never-made"), 404, "ResourceGroupNotFound"),
                  lambda operation: operation.is_built
                  and "{resourceGroupName}" in operation.pattern)

    def test_servers_that_are_not_there_are_not_found(self):
        def check(operation):
            answer = self.ask(operation, serverName="never-made")
            if operation.name == "servers.delete":
                self.assertEqual(answer.status, 204, repr(answer))
            else:
                self.assert_error(answer, 404, "ResourceNotFound")

        self.each(check, lambda operation: operation.is_built and of_server(operation)
                  and operation.name != "servers.createOrUpdate")

    def test_children_that_are_not_there_are_not_found(self):
        names = {"firewallRuleName": "never-made", "databaseName": "never-made",
                 "configurationName": "never_made", "objectId": str(uuid.uuid4())}

        def check(operation):
            answer = self.ask(operation, **names)
            if operation.method == "DELETE":
                self.assertEqual(answer.status, 204, repr(answer))
            else:
                self.assert_error(answer, 404)

        self.each(check, lambda operation: operation.is_built and operation.method in (
            "GET", "DELETE") and any("{" + name + "}" in operation.pattern for name in names))


if __name__ == "__main__":
    unittest.main()
