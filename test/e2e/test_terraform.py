"""Terraform with the azurerm provider as it is published, against test/terraform.

Needs `terraform` and, in $HOWDAH_TEST_AZURERM, the provider's program; without them the tests are
skipped, and test_terraform_replay.py stands in with what the provider said in an earlier run. With
HOWDAH_TEST_TERRAFORM_RECORD=1 that run is this one: it writes test/terraform/recorded anew.
"""

import os
import re
import subprocess
import unittest

import terraform_support
from support import Case, howdah_client, started_home
from terraform_support import Terraform, changed_attributes

HOME = None
GROUP = "terraform"
SERVER = "terraform-server"
MAIN = "azurerm_postgresql_flexible_server.main"
PARAMETER = "azurerm_postgresql_flexible_server_configuration.main"
RULE = "azurerm_postgresql_flexible_server_firewall_rule.main"


def setUpModule():
    global HOME
    missing = terraform_support.missing()
    if missing:
        raise unittest.SkipTest(f"SKIPPED: {missing}")
    HOME = started_home()


def tearDownModule():
    if HOME:
        HOME.stop()


def path(server=SERVER):
    return HOME.server_path(server, GROUP)


class Life(Case):
    """One server from its creation to its end; the steps build on one another."""

    def setUp(self):
        self.recorder = None
        if os.environ.get(terraform_support.RECORD_VARIABLE):
            self.recorder = terraform_support.Recorder(HOME)
            self.addCleanup(self.recorder.stop)
        self.passwords = [howdah_client.password(), howdah_client.password()]
        if self.recorder:
            for number, each in enumerate(self.passwords, 1):
                self.recorder.names.add(f"password-{number}", each)

    def keep(self, name):
        if self.recorder:
            self.recorder.write(name)

    def psql(self, sql, secret, check=True, **where):
        return HOME.psql(SERVER, sql, secret=secret, check=check, **where)

    def test_a_server_is_made_changed_imported_and_destroyed(self):
        tf = Terraform(HOME, "life", recorder=self.recorder)
        tf.init()
        self.create(tf)
        self.change(tf)
        self.take_away(tf)
        self.import_all(tf)
        tf.destroy()
        self.keep("6-destroy")
        self.assertEqual(tf.state(), {})
        self.assertEqual(HOME.get(path()).status, 404)
        self.assertEqual(
            HOME.call("GET", HOME.group_path(GROUP), version="2021-04-01").status, 404)

    def create(self, tf):
        tf.variables = {"administrator_password": self.passwords[0],
                        "configurations": {"work_mem": "8192", "max_connections": "60",
                                           "azure.extensions": "PG_TRGM,HSTORE"}}
        done = tf.apply()
        self.assertEqual(set(map(tuple, done.values())), {("create",)})
        self.assertEqual(len(done), 7, done)
        self.keep("1-create")
        self.assertEqual(tf.changes(), {}, "a second plan changes nothing")
        self.keep("2-plan")
        self.assertEqual(tf.state()[MAIN]["fqdn"], f"{SERVER}.{howdah_client.DOMAIN}")
        self.assertEqual(self.psql("create table kept as select 42 as n; select n from kept",
                                   self.passwords[0], db="app"), "42")
        self.assertEqual(self.psql("show work_mem", self.passwords[0]), "8MB")
        self.assertEqual(self.psql("show max_connections", self.passwords[0]), "60")
        self.psql("create extension hstore", self.passwords[0], db="app")

    def change(self, tf):
        tf.variables = {
            "administrator_password": self.passwords[1], "tags": {"team": "green", "stage": "test"},
            "sku_name": "GP_Standard_D2ds_v5", "storage_mb": 65536, "backup_retention_days": 14,
            "maintenance_day": 3,
            "configurations": {"work_mem": "16384", "max_connections": "70",
                               "azure.extensions": "PG_TRGM,HSTORE,CITEXT"},
            "firewall_rules": {"here": {"start": "127.0.0.1", "end": "127.0.0.9"},
                               "office": {"start": "10.0.0.1", "end": "10.0.0.9"}}}
        done = tf.apply()
        self.assertEqual(done.pop(f'{RULE}["office"]'), ["create"])
        self.assertEqual(set(map(tuple, done.values())), {("update",)}, done)
        self.assertEqual(len(done), 6, done)
        self.keep("3-change")
        self.assertEqual(tf.changes(), {}, "a second plan changes nothing")
        server = HOME.get(path()).json
        self.assertEqual(server["tags"], {"team": "green", "stage": "test"})
        self.assertEqual(server["sku"], {"name": "Standard_D2ds_v5", "tier": "GeneralPurpose"})
        self.assertEqual(server["properties"]["storage"]["storageSizeGB"], 64)
        self.assertEqual(server["properties"]["backup"]["backupRetentionDays"], 14)
        self.assertEqual(server["properties"]["maintenanceWindow"],
                         {"customWindow": "Enabled", "dayOfWeek": 3, "startHour": 3,
                          "startMinute": 30})
        self.assertEqual(self.psql("select n from kept", self.passwords[1], db="app"), "42")
        self.assertEqual(self.psql("show work_mem", self.passwords[1]), "16MB")
        self.assertEqual(self.psql("show max_connections", self.passwords[1]), "70")
        old = self.psql("select 1", self.passwords[0], check=False)
        self.assertIn("password authentication failed", old.stderr)

    def take_away(self, tf):
        """What is taken out of the configuration is gone, or has its default again."""
        tf.variables = {**tf.variables,
                        "configurations": {"work_mem": "16384",
                                           "azure.extensions": "PG_TRGM,HSTORE,CITEXT"},
                        "firewall_rules": {"here": {"start": "127.0.0.1", "end": "127.0.0.9"}}}
        done = tf.apply()
        self.assertEqual(done, {f'{PARAMETER}["max_connections"]': ["delete"],
                                f'{RULE}["office"]': ["delete"]})
        self.keep("4-take-away")
        self.assertEqual(tf.changes(), {})
        self.assertEqual(HOME.get(f"{path()}/firewallRules/office").status, 404)
        parameter = HOME.get(f"{path()}/configurations/max_connections").json["properties"]
        self.assertEqual(parameter["value"], parameter["defaultValue"])
        self.assertEqual(self.psql("show max_connections", self.passwords[1]), parameter["value"])

    def import_all(self, tf):
        """Into a state that knows nothing. A password cannot be read, so it alone is set again."""
        before = tf.state()
        other = Terraform(HOME, "imported", recorder=self.recorder)
        other.init()
        other.variables = tf.variables
        for address, attributes in before.items():
            other.run("import", "-no-color", address, attributes["id"])
        changes = other.changes()
        self.assertEqual(set(changes), {MAIN}, changes)
        self.assertEqual(changes[MAIN]["actions"], ["update"])
        self.assertEqual(changed_attributes(changes[MAIN]), {"administrator_password"})
        other.apply()
        self.assertEqual(other.changes(), {})
        self.keep("5-import")
        after = other.state()
        self.assertEqual(set(after), set(before))
        for address, attributes in before.items():
            self.assertEqual({k: v for k, v in after[address].items() if k != "timeouts"},
                             {k: v for k, v in attributes.items() if k != "timeouts"})
        self.assertEqual(self.psql("select n from kept", self.passwords[1], db="app"), "42")


class Guide(Case):
    def test_the_commands_of_the_guide_do_what_it_says(self):
        page = os.path.join(howdah_client.ROOT, "docs", "guide", "terraform.md")
        with open(page, encoding="utf-8") as file:
            blocks = re.findall(r"^```(sh|hcl)\n(.*?)^```", file.read(), re.S | re.M)
        self.assertEqual([kind for kind, _ in blocks], ["sh", "hcl", "sh", "sh"])
        tf = Terraform(HOME, "guide", source=None)
        with open(os.path.join(tf.folder, "main.tf"), "w", encoding="utf-8") as file:
            file.write(blocks[1][1])
        environment = {k: v for k, v in tf.environment.items()
                       if not k.startswith(("ARM_", "SSL_"))}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", blocks[0][1] + blocks[2][1]], cwd=tf.folder,
            env={**environment, "HOWDAH_HOME": HOME.dir, "TF_CLI_ARGS": "-no-color",
                 "TF_CLI_ARGS_apply": "-auto-approve", "TF_CLI_ARGS_destroy": "-auto-approve",
                 "TF_VAR_administrator_password": howdah_client.password()},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=terraform_support.SECONDS_MAX)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for seen in ("5 added, 0 changed", "No changes.", "5 destroyed"):
            self.assertIn(seen, done.stdout)


class Neighbours(Case):
    """What is not the life of one server. Nothing of this is recorded."""

    def test_every_set_of_provider_registrations_is_satisfied(self):
        tf = Terraform(HOME, "registrations")
        tf.init()
        for each in ("core", "extended", "all", "none"):
            tf.variables = {"administrator_password": "Never-Sent-1", "registrations": each,
                            "group": "never-made", "server": "never-made"}
            changes = tf.changes()
            self.assertEqual(len(changes), 5, (each, changes))

    def test_a_wrong_secret_is_told_as_such(self):
        tf = Terraform(HOME, "secret")
        tf.init()
        tf.environment["ARM_CLIENT_SECRET"] = "not-the-secret"
        tf.variables = {"administrator_password": "Never-Sent-1"}
        with self.assertRaisesRegex(terraform_support.Failed, "AADSTS7000215"):
            tf.changes()

    def test_changes_behind_terraforms_back_are_seen_and_undone(self):
        tf = Terraform(HOME, "drift")
        tf.init()
        tf.variables = {"administrator_password": howdah_client.password(), "group": "drift",
                        "server": "drift-server"}
        tf.apply()
        where = HOME.server_path("drift-server", "drift")
        HOME.do("PATCH", where, {"tags": {"team": "red"}})
        HOME.do("PUT", f"{where}/configurations/work_mem",
                {"properties": {"value": "65536", "source": "user-override"}})
        HOME.do("DELETE", f"{where}/firewallRules/here")
        changes = tf.changes()
        self.assertEqual({k: v["actions"] for k, v in changes.items()},
                         {MAIN: ["update"], f'{PARAMETER}["work_mem"]': ["update"],
                          f'{RULE}["here"]': ["create"]})
        self.assertEqual(changed_attributes(changes[MAIN]), {"tags"})
        tf.apply()
        self.assertEqual(tf.changes(), {})
        self.assertEqual(HOME.get(where).json["tags"], {"team": "blue"})
        HOME.do("DELETE", where)
        self.assertEqual({tuple(v["actions"]) for k, v in tf.changes().items()}, {("create",)})
        tf.destroy()

    def test_an_entra_administrator_comes_and_goes(self):
        HOME.create_server("administrated", properties={
            "authConfig": {"activeDirectoryAuth": "Enabled", "passwordAuth": "Enabled"}})
        tf = Terraform(HOME, "administrator",
                       source=os.path.join(terraform_support.FOLDER, "administrator"))
        tf.init()
        tf.variables = {"group": HOME.group, "server": "administrated",
                        "tenant_id": HOME.credentials["tenant_id"],
                        "object_id": "11111111-2222-4333-8444-555555555555"}
        can_log_in = ("select rolcanlogin and pg_has_role(rolname, 'azure_pg_admin', 'member') "
                      "from pg_roles where rolname = 'ada@example.org'")
        tf.apply()
        self.assertEqual(HOME.psql("administrated", can_log_in), "t")
        self.assertEqual(tf.changes(), {})
        tf.destroy()
        self.assertEqual(HOME.psql("administrated", can_log_in), "")


if __name__ == "__main__":
    unittest.main(verbosity=2)
