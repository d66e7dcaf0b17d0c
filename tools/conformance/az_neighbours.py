"""What an unmodified az does around flexible servers: identities of programs, roles, locks, the
activity log, groups, resources, providers, accounts. Every effect is seen by another command or by
a GET, by what a new identity may do, or by what a lock forbids."""

import json
import os
import uuid

from az_cli import Az, AzFailed
from rows import NotForUs, Rows, seen, seen_soon

READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
NAME = "az-neighbour"
SPARE = "az-spare"
GROUP = "az-others"
TYPE = "Microsoft.DBforPostgreSQL/flexibleServers"
# Azure's answers for what this Howdah does not have.
NOT_HERE = ("FeatureNotSupported", "InvalidResourceNamespace", "InvalidResourceType",
            "ResourceTypeNotFound", "MissingSubscriptionRegistration")


# In Debian's az some modules do not fit the packages beside them, so these fail before they ask.
NEVER_ASKED = ("object has no attribute 'config'", "object has no attribute 'standard_medium'",
               "does not have operation group")


def refusal_of(error):
    return next((code for code in NOT_HERE if isinstance(error, AzFailed) and code in str(error)),
                None)


def refused_with(code, action):
    """Whether the command fails with Azure's code."""
    try:
        action()
    except AzFailed as error:
        if code in str(error):
            return True
        raise
    return False


def tried(step):
    """What a step tells; NotForUs if this az cannot do it with any cloud."""
    try:
        return step()
    except AzFailed as error:
        if any(text in str(error) for text in NEVER_ASKED):
            raise NotForUs("fails in this az itself, whose packages do not fit each other") from None
        raise


def ids(found):
    return [each["id"].lower() for each in found]


class Neighbours:
    def __init__(self, az):
        self.az = az
        self.home = home = az.home
        self.group_id = home.group_path(GROUP)
        self.server_id = home.server_path(NAME, GROUP)
        self.identity = {}  # what create-for-rbac printed
        self.assignment = {}

    def can_log_in(self, secret):
        return self.home.token_request({
            "grant_type": "client_credentials", "client_id": self.identity["appId"],
            "client_secret": secret, "scope": self.home.credentials["api_url"].rstrip("/")
            + "/.default"}).status == 200

    def knows_roles(self):
        try:
            return bool(tried(lambda: self.az("role", "definition", "list", "-n", "Reader")))
        except NotForUs:
            return False

    def assignments(self):
        return self.home.get(f"{self.group_id}/providers/Microsoft.Authorization/roleAssignments"
                             "?$filter=atScope()", version="2022-04-01").json["value"]

    def make_reader(self):
        principal = self.az("ad", "sp", "show", "--id", self.identity["appId"])["id"]
        made = self.home.call(
            "PUT", f"{self.group_id}/providers/Microsoft.Authorization/roleAssignments/"
            "11111111-1111-1111-1111-111111111111",
            {"properties": {"principalId": principal, "roleDefinitionId": self.home.subscription
                            + "/providers/Microsoft.Authorization/roleDefinitions/" + READER}},
            version="2022-04-01")
        seen("the role is assigned", made.status == 201)

    def make_server(self, name):
        body = self.home.server_body(name, tags={"made-by": "e2e"})
        self.home.do("PUT", self.home.server_path(name, GROUP), body)

    def server(self):
        return self.home.get(self.server_id)

    # -- accounts, groups, providers

    def accounts(self):
        az, subscription = self.az, self.home.credentials["subscription_id"]
        return {
            "account show": lambda: seen("the subscription",
                                         az("account", "show")["id"] == subscription),
            "account list": lambda: seen("the subscription", subscription in [
                a["id"] for a in az("account", "list", "--refresh")]),
            "account list-locations": lambda: seen("the location", "local" in [
                each["name"] for each in az("account", "list-locations")]),
            "account get-access-token": lambda: seen(
                "a request with it is answered", self.home.call(
                    "GET", self.home.subscription, version="2021-04-01",
                    token=az("account", "get-access-token")["accessToken"]).status == 200),
            "provider list": lambda: seen("those that are served", {
                "Microsoft.DBforPostgreSQL", "Microsoft.Resources", "Microsoft.Authorization",
                "Microsoft.Insights"} <= {p["namespace"] for p in az("provider", "list")}),
            "provider show": lambda: seen("its types", "flexibleServers" in [
                t["resourceType"] for t in az("provider", "show", "-n",
                                              TYPE.split("/", 1)[0])["resourceTypes"]]),
            "provider register": self.register,
        }

    def register(self):
        name = TYPE.split("/", 1)[0]
        self.az("provider", "register", "-n", name)
        return seen("it is registered", self.az(
            "provider", "show", "-n", name)["registrationState"] == "Registered")

    def groups(self):
        az = self.az

        def create():
            az("group", "create", "-n", GROUP, "-l", "local", "--tags", "a=b")
            return seen("GET shows it", self.home.get(
                self.group_id, version="2021-04-01").json["tags"] == {"a": "b"})

        def update():
            az("group", "update", "-n", GROUP, "--tags", "c=d")
            return seen("GET shows it", self.home.get(
                self.group_id, version="2021-04-01").json["tags"] == {"c": "d"})

        return {
            "group create": create,
            "group show": lambda: seen("its location",
                                       az("group", "show", "-n", GROUP)["location"] == "local"),
            "group exists": lambda: seen("one is there, another is not", az(
                "group", "exists", "-n", GROUP) is True and az(
                    "group", "exists", "-n", "never-made") is False),
            "group list": lambda: seen("it is listed, also by its tag", GROUP in [
                g["name"] for g in az("group", "list")] and [GROUP] == [
                    g["name"] for g in az("group", "list", "--tag", "a=b")]),
            "group update": update,
            "group wait": lambda: seen("it returns",
                                       az("group", "wait", "-n", GROUP, "--exists") is None),
        }

    # -- resources

    def resources(self):
        az = self.az

        def listed():
            self.make_server(NAME)
            self.make_server(SPARE)
            every = ids(az("resource", "list"))
            seen("it is in the list", self.server_id.lower() in every)
            return seen("it is listed by group, type, name and tag", all(
                self.server_id.lower() in ids(az("resource", "list", *how)) for how in (
                    ("-g", GROUP), ("--resource-type", TYPE), ("-n", NAME),
                    ("--tag", "made-by=e2e"))))

        def show():
            by_id = az("resource", "show", "--ids", self.server_id)
            by_name = az("resource", "show", "-g", GROUP, "-n", NAME, "--resource-type", TYPE)
            return seen("its state", by_id["properties"]["state"] == "Ready"
                        and by_name["id"] == by_id["id"])

        def tag():
            def settings(properties):
                # The first backup, which comes meanwhile, tells since when can be restored.
                backup = {name: value for name, value in properties["backup"].items()
                          if name != "earliestRestoreDate"}
                return backup, [properties[name] for name in (
                    "storage", "version", "network", "administratorLogin")]

            before = self.server().json["properties"]
            az("resource", "tag", "--ids", self.server_id, "--tags", "x=y")
            after = self.server().json
            seen("GET shows it", after["tags"] == {"x": "y"})
            return seen("GET shows the tags, and nothing else changed",
                        settings(after["properties"]) == settings(before))

        def delete():
            az("resource", "delete", "--ids", self.home.server_path(SPARE, GROUP))
            return seen_soon("GET answers 404", lambda: self.home.get(
                self.home.server_path(SPARE, GROUP)).status == 404)

        def of_resource(*words):
            return az("tag", *words, "--resource-id", self.server_id)["properties"]["tags"]

        def tags():
            of_resource("create", "--tags", "made-by=e2e", "a=1")
            seen("GET shows it", self.server().json["tags"] == {"made-by": "e2e", "a": "1"})
            of_resource("update", "--operation", "Merge", "--tags", "b=2")
            of_resource("update", "--operation", "Delete", "--tags", "a=1")
            seen("GET shows it", self.server().json["tags"] == {"made-by": "e2e", "b": "2"})
            seen("it is listed", of_resource("list") == {"made-by": "e2e", "b": "2"})
            names = {each["tagName"]: each["count"]["value"] for each in az("tag", "list")}
            seen("names are counted", names["b"] == 1)
            az("tag", "delete", "--resource-id", self.server_id, "--yes")
            seen("GET shows none", self.server().json["tags"] == {})
            of_resource("create", "--tags", "x=y")
            return seen("GET shows each change", self.server().json["tags"] == {"x": "y"})

        return {"resource list": listed, "resource show": show, "resource tag": tag,
                "tag create, update, list, delete": tags,
                "resource wait": lambda: seen("it returns", az(
                    "resource", "wait", "--ids", self.server_id, "--exists") is None),
                "resource delete": delete}

    # -- templates

    def deployments(self):
        az = self.az
        path = os.path.join(az.folder, "template.json")
        rule = self.server_id + "/firewallRules/deployed"
        with open(path, "w", encoding="utf-8") as file:
            json.dump({
                "$schema": "https://schema.management.azure.com/schemas/2019-04-01/"
                           "deploymentTemplate.json#",
                "contentVersion": "1.0.0.0",
                "parameters": {"address": {"type": "string"}},
                "resources": [{
                    "type": TYPE + "/firewallRules", "apiVersion": "2025-08-01",
                    "name": NAME + "/deployed",
                    "properties": {"startIpAddress": "[parameters('address')]",
                                   "endIpAddress": "[parameters('address')]"}}],
                "outputs": {"address": {"type": "string", "value": "[parameters('address')]"}},
            }, file)
        given = ("-g", GROUP, "-f", path, "-p", "address=192.0.2.7")
        one = ("-g", GROUP, "-n", "d1")

        def what_if():
            found = az("deployment", "group", "what-if", "--no-pretty-print", *given)
            return seen("it would create the rule, and has not", [
                c["changeType"] for c in found["changes"]
                if c["resourceId"].lower() == rule.lower()] == ["Create"]
                and self.home.get(rule).status == 404)

        def create():
            made = az("deployment", "group", "create", *given, "-n", "d1")
            return seen("the output, and GET shows the rule",
                        made["properties"]["outputs"]["address"]["value"] == "192.0.2.7"
                        and self.home.get(rule).json["properties"]["endIpAddress"] == "192.0.2.7")

        def delete():
            az("deployment", "group", "delete", *one)
            return seen("it is no longer listed, and the rule is still there", "d1" not in [
                d["name"] for d in az("deployment", "group", "list", "-g", GROUP)]
                and self.home.get(rule).status == 200)

        return {
            "deployment group validate": lambda: seen("it is valid", az(
                "deployment", "group", "validate", *given)["properties"][
                    "provisioningState"] == "Succeeded" and self.home.get(rule).status == 404),
            "deployment group what-if": what_if,
            "deployment group create": create,
            "deployment group show": lambda: seen("it has succeeded", az(
                "deployment", "group", "show", *one)["properties"][
                    "provisioningState"] == "Succeeded"),
            "deployment group list": lambda: seen("it is listed", "d1" in [
                d["name"] for d in az("deployment", "group", "list", "-g", GROUP)]),
            "deployment operation group list": lambda: seen("the rule's", rule.lower() in [
                o["properties"]["targetResource"]["id"].lower()
                for o in az("deployment", "operation", "group", "list", *one)
                if o["properties"].get("targetResource")]),
            "deployment group export": lambda: seen("the template", az(
                "deployment", "group", "export", *one)["contentVersion"] == "1.0.0.0"),
            "deployment group delete": delete,
        }

    # -- identities of programs

    def identities(self):
        az = self.az

        def create():
            if self.knows_roles():
                self.identity = az("ad", "sp", "create-for-rbac", "-n", "neighbour", "--role",
                                   "Reader", "--scopes", self.group_id)
            else:
                self.identity = az("ad", "sp", "create-for-rbac", "-n", "neighbour")
                self.make_reader()
            other = Az(self.home, self.az.howdah, self.az.az, "az-" + uuid.uuid4().hex)
            other.login({"client_id": self.identity["appId"],
                         "client_secret": self.identity["password"],
                         "tenant_id": self.identity["tenant"]})
            seen("it sees its group", ids(other("group", "list")) == [self.group_id.lower()])
            return seen("it logs in, sees its group alone, and may not change it", refused_with(
                "AuthorizationFailed",
                lambda: other("group", "update", "-n", GROUP, "--tags", "no=no")))

        def reset():
            old = self.identity["password"]
            self.identity["password"] = az("ad", "sp", "credential", "reset", "--id",
                                           self.identity["appId"])["password"]
            return seen("the new secret logs in, the old one does not",
                        self.can_log_in(self.identity["password"]) and not self.can_log_in(old))

        def append():
            added = az("ad", "sp", "credential", "reset", "--append", "--id",
                       self.identity["appId"], "--display-name", "second")
            return seen("both secrets log in", self.can_log_in(added["password"])
                        and self.can_log_in(self.identity["password"]))

        def credentials():
            found = az("ad", "sp", "credential", "list", "--id", self.identity["appId"])
            return seen("both, without their secrets", "second" in [
                each["displayName"] for each in found] and len(found) == 2
                and self.identity["password"] not in json.dumps(found))

        def drop_credential():
            found = az("ad", "sp", "credential", "list", "--id", self.identity["appId"])
            for each in found:
                if each["displayName"] != "second":
                    az("ad", "sp", "credential", "delete", "--id", self.identity["appId"],
                       "--key-id", each["keyId"])
            return seen("its secret does not log in", not self.can_log_in(
                self.identity["password"]))

        return {
            "ad sp create-for-rbac": create,
            "ad sp list": lambda: seen("by name, and among all", all(
                self.identity["appId"] in [s["appId"] for s in az("ad", "sp", "list", *how)]
                for how in (("--display-name", "neighbour"), ("--all",)))),
            "ad sp show": lambda: seen("its name", az(
                "ad", "sp", "show", "--id", self.identity["appId"])["displayName"] == "neighbour"),
            "ad sp credential reset": reset,
            "ad sp credential reset --append": append,
            "ad sp credential list": credentials,
            "ad sp credential delete": drop_credential,
            "ad app list": lambda: seen("it is listed", self.identity["appId"] in [
                a["appId"] for a in az("ad", "app", "list", "--display-name", "neighbour")]),
            "ad app show": lambda: seen("its name", az(
                "ad", "app", "show", "--id", self.identity["appId"])["displayName"] == "neighbour"),
        }

    def delete_identity(self):
        principal = self.az("ad", "sp", "show", "--id", self.identity["appId"])["id"]
        seen("it had roles", principal in json.dumps(self.assignments()))
        self.az("ad", "sp", "delete", "--id", self.identity["appId"])
        return seen("it is gone, with its roles", self.identity["appId"] not in json.dumps(
            self.az("ad", "sp", "list", "--all")) and principal not in json.dumps(
                self.assignments()))

    # -- roles

    def roles(self):
        az = self.az
        scope = ("--scope", self.group_id)
        # An az that cannot list roles may have made this one nevertheless.
        name = f"Restarter {uuid.uuid4()}"
        custom = {"Name": name, "Description": "Restarts servers", "Actions": [
            TYPE + "/read", TYPE + "/restart/action"], "AssignableScopes": [
                self.home.subscription]}

        def make_definition():
            az("role", "definition", "create", "--role-definition", json.dumps(custom))
            found = az("role", "definition", "list", "--custom-role-only", "-n", name)
            return seen("the list has its actions",
                        found[0]["permissions"][0]["actions"] == custom["Actions"])

        def assign():
            self.assignment = az("role", "assignment", "create", "--assignee",
                                 self.identity["appId"], "--role", name, *scope)
            return seen("the list has it", name in [
                each["roleDefinitionName"] for each in az("role", "assignment", "list", *scope)])

        def update_definition():
            az("role", "definition", "update", "--role-definition", json.dumps(
                {**custom, "Actions": [TYPE + "/read"]}))
            found = az("role", "definition", "list", "-n", name)
            return seen("the list has its actions",
                        found[0]["permissions"][0]["actions"] == [TYPE + "/read"])

        def unassign():
            seen("it was there", self.assignment or az("role", "assignment", "list", *scope))
            az("role", "assignment", "delete", "--ids", self.assignment["id"])
            return seen("the list lacks it", self.assignment["id"].lower() not in ids(
                az("role", "assignment", "list", "--all")))

        def delete_definition():
            az("role", "definition", "delete", "-n", name)
            return seen("the list lacks it", not az("role", "definition", "list", "-n", name))

        return {
            "role definition list": lambda: seen(
                "Azure's built-in names", {"Owner", "Contributor", "Reader"} <= {
                    r["roleName"] for r in az("role", "definition", "list")}),
            "role definition create": make_definition,
            "role assignment create": assign,
            "role assignment list": lambda: seen("of one identity, with its name", {
                "Reader", name} == {a["roleDefinitionName"] for a in az(
                    "role", "assignment", "list", "--assignee", self.identity["appId"], "--all")
                    if a["principalName"] == self.identity["appId"]}),
            "role definition update": update_definition,
            "role assignment delete": unassign,
            "role definition delete": delete_definition,
            "role assignment list-changelogs": lambda: seen(
                "the assignment", self.identity["appId"] and az(
                    "role", "assignment", "list-changelogs")),
        }

    # -- locks

    def locks(self):
        az = self.az
        of_server = ("-g", GROUP, "--resource-name", NAME, "--resource-type", TYPE)
        server = ("-g", GROUP, "-n", NAME)

        def locked(*command):
            return refused_with("ScopeLocked", lambda: az.server(*command))

        def create():
            az("lock", "create", "-n", "keep", "-t", "CanNotDelete", "--notes", "why",
               *of_server)
            seen("deleting is refused", locked("delete", *server, "--yes"))
            return seen("the server cannot be deleted, and is still there",
                        self.server().status == 200)

        def update():
            az("lock", "update", "-n", "keep", "-t", "ReadOnly", *of_server)
            seen("changing is refused", locked("update", *server, "--tags", "no=no"))
            return seen("the server cannot be changed, and was not",
                        self.server().json["tags"] == {"x": "y"})

        def create_of_group():
            az("lock", "create", "-n", "of-group", "-t", "CanNotDelete", "-g", GROUP)
            return seen("the group cannot be deleted", refused_with(
                "ScopeLocked", lambda: az("group", "delete", "-n", GROUP, "--yes")))

        def listed():
            names = [each["name"] for each in az("lock", "list", "-g", GROUP)]
            return seen("those of the group and of what is in it",
                        {"keep", "of-group"} <= set(names))

        def delete():
            az("lock", "delete", "-n", "keep", *of_server)
            az("lock", "delete", "-n", "of-group", "-g", GROUP)
            seen("no lock is left", az("lock", "list", "-g", GROUP) == [])
            az.server("update", *server, "--tags", "free=again")
            return seen("the server can be changed again",
                        self.server().json["tags"] == {"free": "again"})

        return {
            "lock create": create,
            "lock show": lambda: seen("its level and notes", (lambda lock: (
                lock["level"], lock["notes"]))(az("lock", "show", "-n", "keep", *of_server)) == (
                    "CanNotDelete", "why")),
            "lock update": update,
            "lock create of a group": create_of_group,
            "lock list": listed,
            "lock delete": delete,
        }

    # -- the activity log

    def activity(self):
        az, client = self.az, self.home.credentials["client_id"]

        def of_resource():
            found = az("monitor", "activity-log", "list", "--resource-id", self.server_id,
                       "--offset", "1h", "--max-events", "1000")
            done = {(e["operationName"]["value"], e["status"]["value"]) for e in found
                    if e["caller"] == client}
            seen("the creation", (TYPE + "/write", "Succeeded") in done)
            return seen("who created the server, and what a lock refused",
                        (TYPE + "/delete", "Failed") in done)

        def of_group():
            found = az("monitor", "activity-log", "list", "-g", GROUP, "--status", "Failed")
            return found and all(e["resourceGroupName"].lower() == GROUP for e in found)

        return {
            "monitor activity-log list": lambda: of_group() and of_resource(),
            "monitor activity-log list-categories": lambda: seen(
                "the category", az("monitor", "activity-log", "list-categories")[0][
                    "value"] == "Administrative"),
        }

    # -- what Howdah does not have: Azure's error, not a hang

    def elsewhere(self):
        az = self.az
        commands = {
            "network vnet list": ("network", "vnet", "list", "-g", GROUP),
            "network vnet create": ("network", "vnet", "create", "-g", GROUP, "-n", "v"),
            "network private-endpoint list": ("network", "private-endpoint", "list", "-g", GROUP),
            "network private-dns zone list": ("network", "private-dns", "zone", "list", "-g",
                                              GROUP),
            "advisor recommendation list": ("advisor", "recommendation", "list"),
            "monitor metrics list": ("monitor", "metrics", "list", "--resource", self.server_id,
                                     "--metric", "cpu_percent"),
            "monitor diagnostic-settings list": ("monitor", "diagnostic-settings", "list",
                                                 "--resource", self.server_id),
            "policy assignment list": ("policy", "assignment", "list"),
            "vm list": ("vm", "list", "-g", GROUP),
        }

        def refused(command):
            az(*command)
            raise AssertionError("it answers, but nothing here proves its effect")

        return {name: lambda each=command: refused(each) for name, command in commands.items()}

    def last(self):
        def delete_group():
            self.az("group", "delete", "-n", GROUP, "--yes")
            return seen("the group and its server are gone", self.server().status == 404
                        and self.az("group", "exists", "-n", GROUP) is False)

        return {"ad sp delete": self.delete_identity, "group delete": delete_group}


def run(az):
    """`az` has logged in."""
    rows = Rows(f"az {az.version()}, neighbours")
    neighbours = Neighbours(az)
    for steps in (neighbours.accounts(), neighbours.groups(), neighbours.resources(),
                  neighbours.deployments(),
                  neighbours.identities(), neighbours.roles(), neighbours.locks(),
                  neighbours.activity(), neighbours.elsewhere(), neighbours.last()):
        for name, step in steps.items():
            rows.attempt(name, lambda each=step: tried(each), refusal_of)
    return rows.rows
