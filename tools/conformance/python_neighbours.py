"""The Python packages that people use beside the one of flexible servers: authorization, locks,
resources, the activity log; and network and advisor, of which Howdah has nothing. Runs inside the
virtual environment that has them."""

import datetime
import uuid

from rows import Rows, nothing_yet, seen

NAME = "py-neighbour"
GROUP = "py-others"
VERSION = "2025-08-01"
TYPE = "Microsoft.DBforPostgreSQL/flexibleServers"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
# Azure's answers for what this Howdah does not have.
NOT_HERE = ("FeatureNotSupported", "InvalidResourceNamespace", "InvalidResourceType")


def code_of(error):
    return getattr(getattr(error, "error", None), "code", None)


def refusal_of(error):
    return code_of(error) if code_of(error) in NOT_HERE else None


def refused_with(code, action):
    from azure.core.exceptions import HttpResponseError
    try:
        action()
    except HttpResponseError as error:
        if code_of(error) == code:
            return True
        raise
    return False


class Neighbours:
    def __init__(self, home, credential):
        from azure.mgmt.advisor import AdvisorManagementClient
        from azure.mgmt.authorization import AuthorizationManagementClient
        from azure.mgmt.monitor import MonitorManagementClient
        from azure.mgmt.network import NetworkManagementClient
        from azure.mgmt.resource.locks import ManagementLockClient
        from azure.mgmt.resource.resources import ResourceManagementClient
        base = home.credentials["api_url"].rstrip("/")

        def client(kind):
            return kind(credential, home.credentials["subscription_id"], base_url=base,
                        credential_scopes=[base + "/.default"], polling_interval=1,
                        connection_verify=home.credentials["ca_path"])

        self.home = home
        self.authorization = client(AuthorizationManagementClient)
        self.locks = client(ManagementLockClient)
        self.resources = client(ResourceManagementClient)
        self.monitor = client(MonitorManagementClient)
        self.network = client(NetworkManagementClient)
        self.advisor = client(AdvisorManagementClient)
        self.group_id = home.group_path(GROUP)
        self.server_id = home.server_path(NAME, GROUP)
        self.role = f"{home.subscription}/providers/Microsoft.Authorization/roleDefinitions/{READER}"
        self.principal = None

    def group(self):
        return self.home.get(self.group_id, version="2021-04-01")

    def of_resources(self):
        groups, resources, home = self.resources.resource_groups, self.resources.resources, self.home

        def create():
            groups.create_or_update(GROUP, {"location": "local", "tags": {"a": "b"}})
            return seen("GET shows it", self.group().json["tags"] == {"a": "b"})

        def update():
            groups.update(GROUP, {"tags": {"c": "d"}})
            return seen("GET shows it", self.group().json["tags"] == {"c": "d"})

        def make():
            resources.begin_create_or_update_by_id(
                self.server_id, home.server_body(NAME, tags={"x": "y"}),
                api_version=VERSION).result()
            return seen("GET shows it", home.get(self.server_id).json["properties"][
                "state"] == "Ready")

        def patch():
            resources.begin_update_by_id(self.server_id, {"tags": {"x": "z"}},
                                         api_version=VERSION).result()
            return seen("GET shows it", home.get(self.server_id).json["tags"] == {"x": "z"})

        def exists():
            missing = self.server_id + "-never-made"
            return seen("one is there, another is not", resources.check_existence_by_id(
                self.server_id, api_version=VERSION) and not resources.check_existence_by_id(
                    missing, api_version=VERSION))

        def tags():
            of_scope = self.resources.tags
            before = home.get(self.server_id).json["tags"]

            def change(operation, changed):
                done = of_scope.begin_update_at_scope if hasattr(
                    of_scope, "begin_update_at_scope") else of_scope.update_at_scope
                answer = done(self.server_id, {"operation": operation,
                                               "properties": {"tags": changed}})
                if hasattr(answer, "result"):
                    answer.result()

            change("Merge", {"merged": "1"})
            seen("GET shows it", home.get(self.server_id).json["tags"] == {**before, "merged": "1"})
            seen("its tags", of_scope.get_at_scope(self.server_id).properties.tags == {
                **before, "merged": "1"})
            seen("names are counted", "merged" in [t.tag_name for t in of_scope.list()])
            change("Replace", before)
            return seen("GET shows each change", home.get(self.server_id).json["tags"] == before)

        return {
            "resource: resource_groups.create_or_update": create,
            "resource: resource_groups.update": update,
            "resource: resource_groups.get": lambda: seen(
                "its location", groups.get(GROUP).location == "local"),
            "resource: resource_groups.check_existence": lambda: seen(
                "one is there, another is not", groups.check_existence(GROUP)
                and not groups.check_existence("never-made")),
            "resource: resource_groups.list": lambda: seen("it is listed by its tag", [GROUP] == [
                g.name for g in groups.list(filter="tagName eq 'c' and tagValue eq 'd'")]),
            "resource: resources.begin_create_or_update_by_id": make,
            "resource: resources.get_by_id": lambda: seen("its place", resources.get_by_id(
                self.server_id, api_version=VERSION).location == "local"),
            "resource: resources.begin_update_by_id": patch,
            "resource: resources.check_existence_by_id": exists,
            "resource: tags.update_at_scope, get_at_scope, list": tags,
            "resource: resources.list": lambda: seen("it is listed", NAME in [
                r.name for r in resources.list(filter=f"resourceType eq '{TYPE}'")]),
            "resource: resources.list_by_resource_group": lambda: seen("it is listed", [NAME] == [
                r.name for r in resources.list_by_resource_group(GROUP)]),
            "resource: providers.list": lambda: seen("that of the servers", TYPE.split(
                "/", maxsplit=1)[0] in [p.namespace for p in self.resources.providers.list()]),
            "resource: providers.get": lambda: seen("its types", "flexibleServers" in [
                t.resource_type for t in self.resources.providers.get(
                    TYPE.split("/", maxsplit=1)[0]).resource_types]),
        }

    def of_authorization(self):
        roles, assignments = self.authorization.role_definitions, self.authorization.role_assignments
        name, own = str(uuid.uuid4()), str(uuid.uuid4())
        scope = self.group_id
        self.principal = self.make_identity()

        def assign():
            assignments.create(scope, name, {"properties": {
                "roleDefinitionId": self.role, "principalId": self.principal,
                "principalType": "ServicePrincipal"}})
            return seen("the list has it", name in [
                a.name for a in assignments.list_for_scope(scope, filter="atScope()")])

        def unassign():
            assignments.delete(scope, name)
            return seen("the list lacks it", name not in [
                a.name for a in assignments.list_for_scope(scope)])

        def define():
            roles.create_or_update(scope, own, {"properties": {
                "roleName": "Starter", "type": "CustomRole", "assignableScopes": [scope],
                "permissions": [{"actions": [TYPE + "/start/action"], "notActions": []}]}})
            return seen("GET shows its actions", roles.get(scope, own).permissions[0].actions
                        == [TYPE + "/start/action"])

        def undefine():
            roles.delete(scope, own)
            return seen("the list lacks it", own not in [
                r.name for r in roles.list(scope, filter="type eq 'CustomRole'")])

        return {
            "authorization: role_definitions.list": lambda: seen("by its name", [READER] == [
                r.name for r in roles.list(scope, filter="roleName eq 'Reader'")]),
            "authorization: role_definitions.create_or_update": define,
            "authorization: role_definitions.delete": undefine,
            "authorization: role_assignments.create": assign,
            "authorization: role_assignments.get": lambda: seen("whose it is", assignments.get(
                scope, name).principal_id == self.principal),
            "authorization: role_assignments.list_for_resource_group": lambda: seen(
                "it is listed", name in [
                    a.name for a in assignments.list_for_resource_group(GROUP)]),
            "authorization: role_assignments.delete": unassign,
            "authorization: permissions.list_for_resource_group": lambda: seen(
                "all of an owner", ["*"] in [
                    p.actions for p in self.authorization.permissions.list_for_resource_group(
                        GROUP)]),
        }

    def make_identity(self):
        application = self.home.call("POST", "/v1.0/applications", {"displayName": NAME},
                                     version=None).json
        return self.home.call("POST", "/v1.0/servicePrincipals", {"appId": application["appId"]},
                              version=None).json["id"]

    def of_locks(self):
        locks, home = self.locks.management_locks, self.home
        provider, kind = TYPE.split("/")
        where = (GROUP, provider, "", kind, NAME)

        def create():
            locks.create_or_update_at_resource_level(*where, "keep", {"properties": {
                "level": "ReadOnly", "notes": "why"}})
            return seen("the server cannot be changed", refused_with(
                "ScopeLocked", lambda: self.resources.resources.begin_update_by_id(
                    self.server_id, {"tags": {}}, api_version=VERSION).result())
                        and home.get(self.server_id).json["tags"] == {"x": "z"})

        def of_group():
            locks.create_or_update_at_resource_group_level(GROUP, "of-group", {"properties": {
                "level": "CanNotDelete"}})
            return seen("the group cannot be deleted", refused_with(
                "ScopeLocked", lambda: self.resources.resource_groups.begin_delete(GROUP).result()))

        def delete():
            locks.delete_by_scope(self.server_id, "keep")
            locks.delete_at_resource_group_level(GROUP, "of-group")
            seen("no lock is left", list(locks.list_by_scope(self.group_id)) == [])
            self.resources.resources.begin_update_by_id(self.server_id, {"tags": {}},
                                                        api_version=VERSION).result()
            return seen("the server can be changed again",
                        home.get(self.server_id).json["tags"] == {})

        return {
            "locks: create_or_update_at_resource_level": create,
            "locks: create_or_update_at_resource_group_level": of_group,
            "locks: get_at_resource_level": lambda: seen("its notes", locks.get_at_resource_level(
                *where, "keep").notes == "why"),
            "locks: list_at_resource_group_level": lambda: seen("both are listed", {
                "keep", "of-group"} <= {lock.name for lock in locks.list_at_resource_group_level(
                    GROUP)}),
            "locks: delete_by_scope, delete_at_resource_group_level": delete,
        }

    def of_monitor(self):
        def listed():
            since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
            found = list(self.monitor.activity_logs.list(
                f"eventTimestamp ge '{since.isoformat()}' and resourceGroupName eq '{GROUP}'"))
            seen("who", all(e.caller == self.home.credentials["client_id"] for e in found))
            done = {(e.operation_name.value, e.status.value) for e in found}
            return seen("the creation, and what a lock refused", {
                (TYPE + "/write", "Succeeded"), (TYPE + "/write", "Failed")} <= done)

        return {
            "monitor: activity_logs.list": listed,
            "monitor: event_categories.list": lambda: seen(
                "the category", ["Administrative"] == [
                    c.value for c in self.monitor.event_categories.list()]),
        }

    def of_others(self):
        def refused(action):
            list(action())
            raise AssertionError("it answers, but nothing here proves its effect")

        calls = {
            "monitor: metrics.list": lambda: self.monitor.metrics.list(self.server_id).value,
            "monitor: metric_definitions.list": lambda: self.monitor.metric_definitions.list(
                self.server_id),
            "network: virtual_networks.list": lambda: self.network.virtual_networks.list(GROUP),
            "network: private_endpoints.list": lambda: self.network.private_endpoints.list(GROUP),
            "network: subnets.get": lambda: [self.network.subnets.get(GROUP, "v", "s")],
            "advisor: recommendations.list": lambda: self.advisor.recommendations.list(),
        }
        return {**{name: lambda each=call: refused(each) for name, call in calls.items()},
                "authorization: deny_assignments.list": lambda: nothing_yet(
                    self.authorization.deny_assignments.list_for_scope(self.group_id))}

    def last(self):
        def delete():
            self.resources.resource_groups.begin_delete(GROUP).result()
            return seen("GET answers 404, for its server too", self.group().status == 404
                        and self.home.get(self.server_id).status == 404)

        return {"resource: resource_groups.begin_delete": delete}


def run(home, credential):
    rows = Rows("Python SDK, neighbours")
    neighbours = Neighbours(home, credential)
    for steps in (neighbours.of_resources(), neighbours.of_authorization(), neighbours.of_locks(),
                  neighbours.of_monitor(), neighbours.of_others(), neighbours.last()):
        for name, step in steps.items():
            rows.attempt(name, step, refusal_of)
    return rows.rows
