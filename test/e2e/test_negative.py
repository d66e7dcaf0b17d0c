"""What every operation of the API refuses, with Azure's codes and in its shape, and that nothing has
changed afterwards: no token, a role that only reads, no role, locks, wrong types, api-versions that do
not exist, things that are not there. The operations come from the table in docs/reference/api.md, which
a unit test compares with the routes: Negative has those of the flexible servers' provider, Others all
that stands around it."""

import os
import re
import unittest
import uuid

from support import Case, howdah_client, started_home, wait_until

PAGE = os.path.join(howdah_client.ROOT, "docs", "reference", "api.md")
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
SERVER = "negative"
PROVIDER = "Microsoft.DBforPostgreSQL"
OF_SDK = 66  # operations of the SDK of 2025-08-01
LOCKS_VERSION = "2020-05-01"
VERSIONS = ("2022-12-01", "2024-08-01", "2025-08-01")
# Whoever is logged in may ask these, and whoever has any role those.
FOR_ALL = {"operations.list", "privateDnsZoneSuffix.get", "tenants.list", "subscriptions.list",
           "eventCategories.list", "deployments.calculateTemplateHash", "users.me"}
FOR_ANY_ROLE = {"nameAvailability.checkGlobally", "nameAvailability.checkWithLocation",
                "capabilitiesByLocation.list", "quotaUsages.list", "servers.listByResourceGroup",
                "servers.listBySubscription", "asyncOperations.get", "asyncOperations.getResult",
                "virtualNetworkSubnetUsage.list", "subscriptions.get",
                "subscriptions.listLocations", "providers.list", "providers.get",
                "providers.register", "resourceGroups.list", "resourceGroups.getDeletionResult",
                "resources.list", "resources.listByResourceGroup", "tags.list",
                "roleDefinitions.list", "roleDefinitions.get", "permissions.listForScope",
                "activityLogs.list", "directoryObjects.getByIds"}
# What a server without a standby, or without backups, has none of.
NEVER_HAPPENED = {"howdahFailovers.get", "howdahDrills.get", "howdahDrillSchedules.get",
                  "backupsAutomaticAndOnDemand.get", "howdahProofs.get"}
KNOWN = {"locationName": "local", "serverName": SERVER, "firewallRuleName": "here",
         "databaseName": "app", "configurationName": "work_mem", "scheduleName": "default",
         "objectId": "11111111-2222-4333-8444-555555555555"}


class Operation:
    def __init__(self, group, name, method, path, answers):
        self.name = f"{group}.{name}"
        self.method = method
        self.pattern = path
        self.is_built = answers == "built"
        self.is_nothing_yet = answers == "nothing yet"
        self.is_write = method not in ("GET", "HEAD") and self.name not in FOR_ALL | FOR_ANY_ROLE

    def path(self, home, **changed):
        names = {**KNOWN, "subscriptionId": home.credentials["subscription_id"],
                 "resourceGroupName": home.group, **changed}
        return re.sub(r"\{(\w+)\}", lambda found: names.get(found[1], "some-name"), self.pattern)

    def __repr__(self):
        return f"{self.name}: {self.method} {self.pattern}"


def operations():
    """All of them, out of the reference."""
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
            found.append(Operation(cells[0], cells[1], cells[2], path, cells[4]))
    return found


def is_of_provider(operation):
    return PROVIDER in operation.pattern and not operation.name.startswith("asyncOperations.")


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
    "howdahDrills.failover": {"kind": "Planned"},
    "howdahDrillSchedules.createOrUpdate": {
        "properties": {"recurrence": "Weekly", "kind": "Planned"}},
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
    "properties.createMode": NO_TEXT, "properties.sourceServerResourceId": NO_TEXT,
    "properties.pointInTimeUTC": NO_TEXT, "properties.availabilityZone": NO_TEXT,
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
    "howdahDrills.failover": {"kind": NO_TEXT},
    "howdahDrillSchedules.createOrUpdate": {
        "properties": NO_OBJECT, "properties.recurrence": NO_TEXT, "properties.kind": NO_TEXT},
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


class Matrix(Case):
    """What is the same for all operations."""

    @classmethod
    def setUpClass(cls):
        cls.home = home = started_home()
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
                "PUT", f"{cls.reader_scope()}/providers/Microsoft.Authorization/roleAssignments/"
                f"{uuid.uuid4()}", {"properties": {
                    "roleDefinitionId": f"{home.subscription}/providers/Microsoft.Authorization/"
                    f"roleDefinitions/{role}", "principalId": principal["id"]}},
                version="2022-04-01"))
        return made(home.token_request({
            "grant_type": "client_credentials", "client_id": application["appId"],
            "client_secret": secret,
            "scope": home.credentials["api_url"].rstrip("/") + "/.default"}))["access_token"]

    @classmethod
    def reader_scope(cls):
        return cls.home.group_path()

    def setUp(self):
        self.before = self.state()

    def tearDown(self):
        self.assertEqual(self.state(), self.before, "something has changed")
        self.assertEqual(self.home.psql(SERVER, "select 1"), "1")

    def each(self, check, chosen=lambda operation: True):
        """Does `check` with every chosen operation; one that fails does not end the others."""
        found = [operation for operation in self.all if chosen(operation)]
        self.assertTrue(found)
        for operation in found:
            with self.subTest(operation=operation):
                check(operation)


class Negative(Matrix):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.all = [operation for operation in operations() if is_of_provider(operation)]

    def state(self):
        """All that a client could see of the server."""
        path = self.home.server_path(SERVER)
        return [self.home.get(path + child).json for child in (
            "", "/firewallRules", "/databases", "/administrators", "/configurations/work_mem")]

    def ask(self, operation, token=None, body=None, version=howdah_client.API_VERSION, **names):
        if body is None and operation.method in ("PUT", "PATCH", "POST"):
            body = self.good_body(operation)
        return self.home.call(operation.method, operation.path(self.home, **names), body,
                              version=version, token=token)

    def good_body(self, operation):
        body = BODIES.get(operation.name, {})
        return self.home.server_body(SERVER) if body is None else body

    def assert_answered(self, operation, answer):
        """As by somebody who may: the answer is 200, or says what is not built."""
        if operation.name in NEVER_HAPPENED:
            self.assert_error(answer, 404, "ResourceNotFound")
        elif operation.is_built:
            self.assertEqual(answer.status, 200, repr(answer))
        elif operation.is_nothing_yet and answer.status != 200:
            self.assert_error(answer, 404, "ResourceNotFound")
        elif operation.is_nothing_yet:
            self.assertIn([], answer.json.values(), repr(answer))
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
                  lambda operation: (operation.is_built or operation.is_nothing_yet)
                  and "{resourceGroupName}" in operation.pattern)

    def test_servers_that_are_not_there_are_not_found(self):
        def check(operation):
            answer = self.ask(operation, serverName="never-made")
            if operation.name == "servers.delete":
                self.assertEqual(answer.status, 204, repr(answer))
            else:
                self.assert_error(answer, 404, "ResourceNotFound")

        self.each(check, lambda operation: (operation.is_built or operation.is_nothing_yet)
                  and of_server(operation) and operation.name != "servers.createOrUpdate")

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


# The api-versions of what is not the provider's, by the group of the operation.
RESOURCES, AUTHORIZATION, INSIGHTS = howdah_client.RESOURCES_VERSION, "2022-04-01", "2015-04-01"
VERSION_OF = {"roleDefinitions": AUTHORIZATION, "roleAssignments": AUTHORIZATION,
              "permissions": AUTHORIZATION, "managementLocks": AUTHORIZATION,
              "denyAssignments": AUTHORIZATION, "activityLogs": INSIGHTS,
              "tenantActivityLogs": INSIGHTS, "eventCategories": INSIGHTS, "applications": None,
              "servicePrincipals": None, "directoryObjects": None, "hosts": "2026-11-01",
              "asyncOperations": howdah_client.API_VERSION}
TEMPLATE = {"$schema": "https://schema.management.azure.com/schemas/2019-04-01/"
                       "deploymentTemplate.json#", "contentVersion": "1.0.0.0", "resources": []}
LISTS = ("x", 5, True, {})
OF_TAGS = {"properties": NO_OBJECT, "properties.tags": NO_OBJECT, "properties.tags.a": (5, [], {})}
OF_DEPLOYMENT = {"properties": NO_OBJECT, "properties.mode": NO_TEXT, "tags": NO_OBJECT,
                 "properties.debugSetting": NO_OBJECT, "location": (5, True, [], {})}
DEPLOYING = ("createOrUpdate", "validate", "whatIf")
WRONG_OF_OTHERS = {
    "resourceGroups.createOrUpdate": {"location": NO_TEXT, "tags": NO_OBJECT, "managedBy": (5, []),
                                      "properties": NO_OBJECT, "tags.a": (5, [], {})},
    "resourceGroups.update": {"tags": NO_OBJECT, "tags.a": (5, [], {})},
    "tags.createOrUpdateAtScope": OF_TAGS,
    "tags.updateAtScope": {**OF_TAGS, "operation": NO_TEXT},
    "roleDefinitions.createOrUpdate": {
        "properties": NO_OBJECT, "properties.roleName": NO_TEXT, "properties.description": (5, []),
        "properties.permissions": LISTS, "properties.assignableScopes": LISTS,
        "properties.type": NO_TEXT},
    "roleAssignments.create": {
        "properties": NO_OBJECT, "properties.roleDefinitionId": NO_TEXT,
        "properties.principalId": NO_TEXT, "properties.principalType": NO_TEXT,
        "properties.description": (5, [])},
    "managementLocks.createOrUpdateByScope": {
        "properties": NO_OBJECT, "properties.level": NO_TEXT, "properties.notes": (5, []),
        "properties.owners": LISTS},
    "applications.create": {"displayName": (5, True, [], {}), "signInAudience": NO_TEXT},
    "applications.update": {"displayName": (5, True, [], {}), "signInAudience": NO_TEXT},
    "applications.addPassword": {"passwordCredential": NO_OBJECT,
                                 "passwordCredential.displayName": (5, []),
                                 "passwordCredential.endDateTime": (5, [])},
    "applications.removePassword": {"keyId": (5, True, [], {})},
    "servicePrincipals.create": {"appId": (5, True, [], {}), "accountEnabled": ("x", 5, [])},
    "servicePrincipals.addPassword": {"passwordCredential": NO_OBJECT},
    "servicePrincipals.removePassword": {"keyId": (5, True, [], {})},
    "directoryObjects.getByIds": {"ids": LISTS, "types": LISTS},
    "hosts.invite": {"properties": NO_OBJECT, "properties.availabilityZone": NO_TEXT},
    **{f"deployments.{name}{scope}": OF_DEPLOYMENT
       for name in DEPLOYING for scope in ("", "AtSubscriptionScope")},
}


class Others(Matrix):
    """Subscriptions, providers, groups, tags, deployments, roles, locks, the activity log, the directory
    and the addresses of long-running operations: everything but the provider's own operations."""

    @classmethod
    def reader_scope(cls):
        return cls.home.subscription

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        home = cls.home
        cls.all = [operation for operation in operations() if not is_of_provider(operation)]

        def made(answer):
            if answer.status not in (200, 201, 202):
                raise AssertionError(repr(answer))
            return answer

        application = made(home.call("POST", "/v1.0/applications", {"displayName": "named"},
                                     version=None)).json
        principal = made(home.call("POST", "/v1.0/servicePrincipals",
                                   {"appId": application["appId"]}, version=None)).json
        cls.principal, cls.application = principal["id"], application["appId"]
        cls.names = {"scope": home.server_path(SERVER).lstrip("/"), "lockName": "kept",
                     "roleDefinitionId": str(uuid.uuid4()),
                     "roleAssignmentName": str(uuid.uuid4()), "deploymentName": "done",
                     "resourceProviderNamespace": PROVIDER, "objectId": principal["id"]}
        # A lock where it is in nobody's way.
        home.make_group("locked")
        cls.locked = home.group_path("locked").lstrip("/")
        for name in ("managementLocks.createOrUpdateByScope", "roleDefinitions.createOrUpdate",
                     "roleAssignments.create"):
            operation = next(each for each in cls.all if each.name == name)
            made(home.call("PUT", cls.path_of(operation), cls.body_of(operation),
                           version=AUTHORIZATION))
        cls.operation_ids = {}
        for scope in ("", "AtSubscriptionScope"):
            operation = next(each for each in cls.all
                             if each.name == "deployments.createOrUpdate" + scope)
            answer = made(home.call("PUT", cls.path_of(operation), cls.body_of(operation),
                                    version=RESOURCES))
            home.finish(answer)
            cls.operation_ids["deployments.getStatus" + scope] = answer.headers[
                "azure-asyncoperation"].split("?")[0].rsplit("/", 1)[1]
        home.make_group("gone")
        gone = made(home.call("DELETE", home.group_path("gone"), version=RESOURCES))
        changed = home.call("PATCH", home.server_path(SERVER), {"tags": {}})
        home.finish(changed)
        for names, address in (
                (("resourceGroups.getDeletionResult",), gone.headers["location"]),
                (("asyncOperations.get", "asyncOperations.getResult"),
                 changed.headers["azure-asyncoperation"])):
            for name in names:
                cls.operation_ids[name] = address.split("?")[0].rsplit("/", 1)[1]
        wait_until("the group is gone", lambda: home.get(
            home.group_path("gone"), RESOURCES).status == 404, 60)

    def state(self):
        home, auth = self.home, "/providers/Microsoft.Authorization/"
        return [home.get(path, version).json for path, version in (
            (home.server_path(SERVER), howdah_client.API_VERSION),
            (f"{home.subscription}/resourceGroups", RESOURCES),
            (f"{home.group_path()}/providers/Microsoft.Resources/deployments", RESOURCES),
            (f"{home.subscription}/providers/Microsoft.Resources/deployments", RESOURCES),
            (f"{home.subscription}{auth}roleAssignments", AUTHORIZATION),
            (f"{home.subscription}{auth}roleDefinitions", AUTHORIZATION),
            (f"{home.subscription}{auth}locks", AUTHORIZATION),
            ("/v1.0/applications", None))]

    @classmethod
    def path_of(cls, operation, **changed):
        names = {**cls.names}
        if operation.name.startswith("managementLocks."):
            names["scope"] = cls.locked
        names["operationId"] = getattr(cls, "operation_ids", {}).get(operation.name, "some-name")
        return operation.path(cls.home, **{**names, **changed})

    @classmethod
    def body_of(cls, operation):
        """A good one; None where the operation takes none."""
        home = cls.home
        location = {"location": howdah_client.LOCATION}
        deployment = {"properties": {"mode": "Incremental", "template": TEMPLATE}}
        if operation.name.endswith("AtSubscriptionScope"):
            deployment.update(location)
        role = f"{home.subscription}/providers/Microsoft.Authorization/roleDefinitions/{READER}"
        bodies = {
            "resourceGroups.createOrUpdate": location,
            "resourceGroups.update": {},
            "tags.createOrUpdateAtScope": {"properties": {"tags": {}}},
            "tags.updateAtScope": {"operation": "Merge", "properties": {"tags": {}}},
            "roleDefinitions.createOrUpdate": {"properties": {
                "roleName": "only looks", "type": "CustomRole", "description": "x",
                "permissions": [{"actions": ["*/read"]}],
                "assignableScopes": [home.group_path()]}},
            "roleAssignments.create": {"properties": {"roleDefinitionId": role,
                                                      "principalId": cls.principal}},
            "managementLocks.createOrUpdateByScope": {"properties": {"level": "CanNotDelete"}},
            "applications.create": {"displayName": "another"},
            "applications.update": {"displayName": "another"},
            "applications.addPassword": {"passwordCredential": {}},
            "applications.removePassword": {"keyId": str(uuid.uuid4())},
            "servicePrincipals.create": {"appId": cls.application},
            "servicePrincipals.addPassword": {"passwordCredential": {}},
            "servicePrincipals.removePassword": {"keyId": str(uuid.uuid4())},
            "directoryObjects.getByIds": {"ids": [cls.principal]},
            "hosts.invite": {"properties": {"availabilityZone": "1"}},
            "deployments.calculateTemplateHash": TEMPLATE,
            **{f"deployments.{name}{scope}": deployment for name in DEPLOYING
               for scope in ("", "AtSubscriptionScope")},
        }
        return bodies.get(operation.name)

    def ask(self, operation, token=None, body=None, version="its own", **names):
        if body is None:
            body = self.body_of(operation)
        if version == "its own":
            version = VERSION_OF.get(operation.name.split(".")[0], RESOURCES)
        return self.home.call(operation.method, self.path_of(operation, **names), body,
                              version=version, token=token)

    def assert_refused(self, operation, answer, status, code=None, target=None):
        """assert_error; a HEAD has no body, and Graph's codes have a form of their own."""
        allowed = status if isinstance(status, tuple) else (status,)
        self.assertIn(answer.status, allowed, repr(answer))
        if operation.method == "HEAD":
            return
        self.assertTrue(answer.error.get("code") and answer.error.get("message"), repr(answer))
        if code is not None:
            self.assertEqual(answer.error["code"], code, repr(answer))
        if target is not None:
            self.assertIn(target, answer.error.get("target") or "", repr(answer))

    @staticmethod
    def is_above(operation):
        """Its scope is above every subscription, or it asks for a role there."""
        return (operation.pattern.startswith("/v1.0/") or operation.name.startswith(
            ("tenantActivityLogs.", "hosts."))) and operation.name not in FOR_ANY_ROLE | FOR_ALL

    @staticmethod
    def needs_parent(operation):
        """A step of a deployment that has none."""
        return operation.name.startswith("deploymentOperations.get")

    def test_the_table_has_all_operations(self):
        names = {operation.name for operation in self.all}
        self.assertGreater(len(names), 60)
        self.assertLessEqual(set(WRONG_OF_OTHERS), names)
        self.assertLessEqual({name for name in VERSION_OF},
                             {operation.name.split(".")[0] for operation in self.all})

    def test_nobody_is_answered_without_a_token(self):
        def check(operation):
            version = VERSION_OF.get(operation.name.split(".")[0], RESOURCES)
            path = self.path_of(operation) + (f"?api-version={version}" if version else "")
            body = b"{}" if operation.method in ("PUT", "PATCH", "POST") else None
            for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer a.b.c"}):
                answer = self.home.raw(operation.method, path, body,
                                       {"Content-Type": "application/json", **headers})
                self.assert_refused(operation, answer, 401)
                self.assertTrue(answer.headers["www-authenticate"].startswith("Bearer "))

        self.each(check)

    def test_a_reader_reads_and_changes_nothing(self):
        def check(operation):
            answer = self.ask(operation, token=self.reader)
            if operation.is_write or self.is_above(operation):
                self.assert_refused(operation, answer, 403, "AuthorizationFailed")
            elif self.needs_parent(operation):
                self.assert_refused(operation, answer, 404)
            else:
                self.assertIn(answer.status, (200, 204), repr(answer))

        self.each(check)

    def test_who_has_no_role_sees_nothing(self):
        self.each(lambda operation: self.assert_refused(
            operation, self.ask(operation, token=self.stranger), 403, "AuthorizationFailed"),
                  lambda operation: operation.name not in FOR_ALL)

    def lock(self, level):
        path = f"{self.home.group_path()}/providers/Microsoft.Authorization/locks/all-of-it"
        self.addCleanup(self.home.call, "DELETE", path, version=LOCKS_VERSION)
        answer = self.home.call("PUT", path, {"properties": {"level": level}},
                                version=LOCKS_VERSION)
        self.assertEqual(answer.status, 201, repr(answer))
        self.before = self.state()

    def is_in_group(self, operation):
        return self.path_of(operation).lower().startswith(self.home.group_path().lower())

    def test_a_lock_for_reading_lets_nothing_change(self):
        def check(operation):
            answer = self.ask(operation)
            if operation.is_write:
                self.assert_refused(operation, answer, 409, "ScopeLocked")
            elif not self.needs_parent(operation):
                self.assertIn(answer.status, (200, 204), repr(answer))

        self.lock("ReadOnly")
        self.each(check, self.is_in_group)

    def test_a_lock_against_deleting_lets_nothing_go(self):
        self.lock("CanNotDelete")
        self.each(lambda operation: self.assert_refused(
            operation, self.ask(operation), 409, "ScopeLocked"),
                  lambda operation: self.is_in_group(operation) and operation.method == "DELETE")

    def test_fields_of_a_wrong_type_are_named(self):
        def check(operation):
            for field, values in WRONG_OF_OTHERS[operation.name].items():
                for value in values:
                    with self.subTest(field=field, value=value):
                        body = with_field(self.body_of(operation), field, value)
                        self.assert_refused(operation, self.ask(operation, body=body), 400,
                                            target=field)
            for body in (b"[]", b"5", b'"x"', b"{", b'{"properties":{}', b"\xff"):
                with self.subTest(body=body):
                    self.assert_refused(operation, self.ask(operation, body=body), 400)

        self.each(check, lambda operation: operation.name in WRONG_OF_OTHERS)

    def test_fields_that_nobody_knows_are_named(self):
        self.each(lambda operation: self.assert_refused(operation, self.ask(
            operation, body=with_field(self.body_of(operation), "unheard", 1)), 400,
                                                        target="unheard"),
                  lambda operation: operation.name in WRONG_OF_OTHERS)

    def test_versions_that_do_not_exist_are_refused_with_those_that_do(self):
        def check(operation):
            of_provider = operation.name.startswith("asyncOperations.")
            for version, code in (
                    ("2010-01-01", "NoRegisteredProviderFound" if of_provider
                     else "InvalidApiVersionParameter"),
                    ("newest", "InvalidApiVersionParameter"),
                    (None, "MissingApiVersionParameter")):
                answer = self.ask(operation, version=version)
                self.assert_refused(operation, answer, 400, code)
                if operation.method != "HEAD":
                    self.assertIn(VERSION_OF.get(operation.name.split(".")[0], RESOURCES),
                                  answer.error["message"])

        self.each(check, lambda operation: not operation.pattern.startswith("/v1.0/"))

    def test_subscriptions_that_are_not_there_are_not_found(self):
        def check(operation):
            missing = str(uuid.uuid4())
            if "{scope}" in operation.pattern:
                answer = self.ask(operation, scope=f"subscriptions/{missing}")
            else:
                answer = self.ask(operation, subscriptionId=missing)
                self.assert_refused(operation, self.ask(operation, subscriptionId="mine"), 400,
                                    "InvalidSubscriptionId")
            self.assert_refused(operation, answer, 404, "SubscriptionNotFound")

        self.each(check, lambda operation: "{subscriptionId}" in operation.pattern
                  or "{scope}" in operation.pattern)

    def test_groups_that_are_not_there_are_not_found(self):
        def check(operation):
            answer = self.ask(operation, resourceGroupName="never-made")
            if operation.method == "DELETE" and answer.status == 204:
                return
            self.assert_refused(operation, answer, 404)

        self.each(check, lambda operation: "{resourceGroupName}" in operation.pattern
                  and operation.name != "resourceGroups.createOrUpdate")

    def test_what_is_not_there_is_not_found(self):
        names = {"deploymentName": "never-made", "roleDefinitionId": str(uuid.uuid4()),
                 "roleAssignmentName": str(uuid.uuid4()), "lockName": "never-made",
                 "objectId": str(uuid.uuid4()), "operationId": str(uuid.uuid4()),
                 "hostName": "never-joined"}

        def check(operation):
            answer = self.ask(operation, **names)
            if operation.method == "DELETE" and answer.status == 204:
                return
            self.assert_refused(operation, answer, 404)

        self.each(check, lambda operation: operation.method in ("GET", "HEAD", "DELETE") and any(
            "{" + name + "}" in operation.pattern for name in names))


if __name__ == "__main__":
    unittest.main()
