"""The command line against a real Howdah: words and options as in `az postgres flexible-server`,
tables for people and JSON for programs, errors that say what, why and what to do."""

import json
import os
import subprocess
import unittest

from support import Case, howdah_client, started_home, wait_until
from howdah_client import ADMIN, DOMAIN

HOME = None
GROUP = "team"
NAME = "orders"


def setUpModule():
    global HOME
    HOME = started_home()
    HOME.group = GROUP
    try:
        HOME.passwords[NAME] = howdah_client.password()
        login()
        checked("group", "create", "--name", GROUP, "--location", "local", "--tags", "a=b")
        checked("server", "create", "-g", GROUP, "-n", NAME, "--location", "local", "--sku-name",
                "Standard_B1ms", "--tier", "Burstable", "--version", "15", "--storage-size", "32",
                "--admin-user", ADMIN, "--admin-password", HOME.passwords[NAME],
                "--public-access", "127.0.0.1", "--tags", "team=blue")
    except BaseException:
        tearDownModule()
        raise


def tearDownModule():
    if HOME:
        HOME.stop()


def login(folder=None):
    return checked("login", "--credentials",
                   os.path.join(HOME.dir, "howdahd", "bootstrap-credentials.json"), folder=folder)


def run(*arguments, folder=None, stdin=None, timeout=120, extra=None):
    return subprocess.run([howdah_client.binary("howdah"), *arguments],
                          env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8",
                               "HOME": folder or HOME.user_folder, **(extra or {})},
                          **({"input": stdin} if stdin is not None
                             else {"stdin": subprocess.DEVNULL}),
                          capture_output=True, text=True, timeout=timeout, check=False)


def checked(*arguments, **options):
    result = run(*arguments, **options)
    if result.returncode != 0:
        raise AssertionError(f"howdah {' '.join(arguments)}: {result.returncode}\n"
                             f"{result.stderr}{result.stdout}")
    return result.stdout


def value(*arguments):
    return json.loads(checked(*arguments, "--output", "json"))


class CommandLine(Case):
    def test_login_keeps_no_secret_that_others_may_read(self):
        folder = os.path.join(HOME.folder, "somebody")
        os.makedirs(folder, exist_ok=True)
        login(folder)
        for base, _, names in os.walk(folder):
            for name in names:
                self.assertTrue(howdah_client.is_private(os.path.join(base, name)),
                                os.path.join(base, name))
        self.assertIn(NAME, checked("server", "list", "-o", "table", folder=folder))

    def test_without_a_login_the_error_says_what_to_do(self):
        folder = os.path.join(HOME.folder, "stranger")
        os.makedirs(folder, exist_ok=True)
        result = run("server", "list", folder=folder)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("howdah login", result.stderr)
        self.assertEqual(result.stdout, "")

    def test_groups_are_created_listed_and_deleted(self):
        self.assertEqual(value("group", "create", "--name", "short", "-l", "local")["name"],
                         "short")
        self.assertIn("short", [g["name"] for g in value("group", "list")])
        self.assertIn("short", checked("group", "list", "-o", "table"))
        checked("group", "delete", "--name", "short", "--yes")
        wait_until("the group is gone",
                   lambda: "short" not in [g["name"] for g in value("group", "list")])

    def test_a_server_is_shown_and_listed_as_json_and_as_a_table(self):
        shown = value("server", "show", "-g", GROUP, "-n", NAME)
        self.assertEqual(shown["name"], NAME)
        text = json.dumps(shown)
        for part in (f"{NAME}.{DOMAIN}", "Standard_B1ms", "Ready"):
            self.assertIn(part, text)
        self.assertNotIn(HOME.passwords[NAME], text)
        self.assertEqual([s["name"] for s in value("server", "list", "-g", GROUP)], [NAME])
        self.assertEqual([s["name"] for s in value("server", "list")], [NAME])
        table = checked("server", "list", "-o", "table")
        header, *rows = [l for l in table.splitlines() if l.strip()]
        self.assertRegex(header, r"(?i)name")
        self.assertTrue(any(NAME in r and "Ready" in r for r in rows), table)
        self.assertIn(NAME, checked("server", "show", "-g", GROUP, "-n", NAME, "-o", "table"))

    def test_the_json_of_the_command_line_is_the_apis(self):
        shown = value("server", "show", "-g", GROUP, "-n", NAME)
        self.assertEqual(shown, HOME.get(HOME.server_path(NAME)).json)

    def test_a_server_is_updated(self):
        checked("server", "update", "-g", GROUP, "-n", NAME, "--tags", "team=red", "cost=7")
        self.assertEqual(HOME.get(HOME.server_path(NAME)).json["tags"],
                         {"team": "red", "cost": "7"})
        checked("server", "update", "-g", GROUP, "-n", NAME, "--sku-name", "Standard_B2s", "--tier",
                "Burstable")
        self.assertEqual(HOME.get(HOME.server_path(NAME)).json["sku"]["name"], "Standard_B2s")
        new = howdah_client.password()
        checked("server", "update", "-g", GROUP, "-n", NAME, "--admin-password", new)
        HOME.passwords[NAME] = new
        self.assertEqual(HOME.psql(NAME, "select 1"), "1")

    def test_a_server_is_restarted_stopped_and_started(self):
        before = HOME.psql(NAME, "select pg_postmaster_start_time()")
        result = run("server", "restart", "-g", GROUP, "-n", NAME)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotEqual(HOME.psql(NAME, "select pg_postmaster_start_time()"), before)
        checked("server", "stop", "-g", GROUP, "-n", NAME)
        self.assertEqual(HOME.get(HOME.server_path(NAME)).json["properties"]["state"], "Stopped")
        checked("server", "start", "-g", GROUP, "-n", NAME)
        self.assertEqual(HOME.psql(NAME, "select 1"), "1")

    def test_connect_runs_a_query_over_verified_tls(self):
        result = run("server", "connect", "-g", GROUP, "-n", NAME, "--admin-user", ADMIN,
                     "--database-name", "postgres", "--querytext", "select 6 * 7 as answer",
                     extra={"PGPASSWORD": HOME.passwords[NAME]})
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("42", result.stdout)

    def test_connect_is_psql_with_standard_input(self):
        result = run("server", "connect", "-g", GROUP, "-n", NAME,
                     extra={"PGPASSWORD": HOME.passwords[NAME]},
                     stdin="select ssl from pg_stat_ssl where pid = pg_backend_pid();\n")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"(?m)^\s*t\s*$")

    def test_databases_are_created_shown_listed_and_deleted(self):
        checked("db", "create", "-g", GROUP, "--server-name", NAME, "--database-name", "app",
                "--charset", "UTF8", "--collation", "C.utf8")
        self.assertEqual(HOME.psql(
            NAME, "select datcollate from pg_database where datname = 'app'"), "C.utf8")
        self.assertIn("app", [d["name"] for d in value("db", "list", "-g", GROUP, "-s", NAME)])
        self.assertEqual(value("db", "show", "-g", GROUP, "-s", NAME, "-d", "app")["name"], "app")
        checked("db", "delete", "-g", GROUP, "-s", NAME, "-d", "app", "--yes")
        self.assertEqual(HOME.psql(
            NAME, "select count(*) from pg_database where datname = 'app'"), "0")

    def test_firewall_rules_are_created_shown_updated_listed_and_deleted(self):
        checked("firewall-rule", "create", "-g", GROUP, "-n", NAME, "--rule-name", "office",
                "--start-ip-address", "10.0.0.1", "--end-ip-address", "10.0.0.9")
        shown = value("firewall-rule", "show", "-g", GROUP, "-n", NAME, "-r", "office")
        self.assertIn("10.0.0.9", json.dumps(shown))
        checked("firewall-rule", "update", "-g", GROUP, "-n", NAME, "-r", "office",
                "--end-ip-address", "10.0.0.8")
        rules = HOME.get(HOME.server_path(NAME) + "/firewallRules").json["value"]
        office = [r["properties"] for r in rules if r["name"] == "office"]
        self.assertEqual(office, [{"startIpAddress": "10.0.0.1", "endIpAddress": "10.0.0.8"}])
        self.assertIn("office", checked("firewall-rule", "list", "-g", GROUP, "-n", NAME, "-o",
                                        "table"))
        checked("firewall-rule", "delete", "-g", GROUP, "-n", NAME, "-r", "office", "--yes")
        rules = HOME.get(HOME.server_path(NAME) + "/firewallRules").json["value"]
        self.assertNotIn("office", [r["name"] for r in rules])

    def test_parameters_are_shown_set_and_listed(self):
        checked("parameter", "set", "-g", GROUP, "--server-name", NAME, "--name", "work_mem",
                "--value", "8192")
        self.assertEqual(HOME.psql(NAME, "show work_mem"), "8MB")
        shown = value("parameter", "show", "-g", GROUP, "-s", NAME, "-n", "work_mem")
        self.assertIn("8192", json.dumps(shown))
        self.assertGreater(len(value("parameter", "list", "-g", GROUP, "-s", NAME)), 100)
        self.assertIn("work_mem", checked("parameter", "list", "-g", GROUP, "-s", NAME, "-o",
                                          "table"))

    def test_log_files_are_listed_and_downloaded(self):
        checked("parameter", "set", "-g", GROUP, "-s", NAME, "-n", "logfiles.download_enable",
                "--value", "on")
        HOME.psql(NAME, "do $$ begin raise exception 'recognisable 4711'; end $$", check=False)
        wait_until("log files are listed",
                   lambda: value("server", "logs", "list", "-g", GROUP, "-s", NAME), timeout=40)
        names = [each["name"] for each in value("postgres", "flexible-server", "server-logs",
                                                "list", "-g", GROUP, "-s", NAME)]
        self.assertIn(names[0], checked("server", "logs", "list", "-g", GROUP, "-s", NAME, "-o",
                                        "table"))
        folder = os.path.join(HOME.folder, "downloads")
        os.makedirs(folder, exist_ok=True)
        result = subprocess.run(
            [howdah_client.binary("howdah"), "server", "logs", "download", "-g", GROUP, "-s", NAME,
             "-n", *names], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            env={"PATH": os.environ["PATH"], "HOME": HOME.user_folder}, timeout=120, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        texts = []
        for name in names:
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                texts.append(file.read())
        self.assertTrue(any("recognisable 4711" in text for text in texts))

    def test_a_service_principal_lives_its_life(self):
        scope = HOME.group_path()
        made = value("ad", "sp", "create-for-rbac", "-n", "ci-life", "--role", "Reader",
                     "--scopes", scope)
        self.assertEqual(set(made), {"appId", "displayName", "password", "tenant"})
        folder = os.path.join(HOME.folder, "ci-life")
        os.makedirs(folder, exist_ok=True)

        def log_in(secret):
            ca = os.path.join(HOME.dir, "ca.pem")
            return run("login", "--service-principal", "-u", made["appId"], "--password-stdin",
                       "--tenant", made["tenant"], "--api-url", HOME.endpoints["api"],
                       "--ca-file", ca, "--subscription", HOME.credentials["subscription_id"],
                       folder=folder, stdin=secret)

        def reads():
            return run("server", "show", "-g", GROUP, "-n", NAME, folder=folder).returncode == 0

        result = log_in(made["password"])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(reads())
        refused = run("server", "restart", "-g", GROUP, "-n", NAME, folder=folder)
        self.assertIn("AuthorizationFailed", refused.stderr)
        shown = value("ad", "sp", "show", "--id", made["appId"])
        self.assertEqual(shown["displayName"], "ci-life")
        self.assertNotIn(made["password"], json.dumps(value("ad", "sp", "list")))
        self.assertIn("ci-life", checked("ad", "sp", "list", "-o", "table"))

        rows = value("role", "assignment", "list", "--assignee", "ci-life", "-g", GROUP)
        self.assertEqual([(r["principalName"], r["roleDefinitionName"]) for r in rows],
                         [("ci-life", "Reader")])
        checked("role", "assignment", "delete", "--assignee", made["appId"], "--role", "Reader",
                "-g", GROUP)
        self.assertFalse(reads())
        checked("role", "assignment", "create", "--assignee", "ci-life", "--role", "Reader",
                "--scope", scope)
        self.assertTrue(reads())

        again = value("ad", "sp", "credential", "reset", "--id", made["appId"])
        self.assertNotEqual(again["password"], made["password"])
        self.assertNotEqual(log_in(made["password"]).returncode, 0)
        self.assertEqual(log_in(again["password"]).returncode, 0)
        checked("ad", "sp", "delete", "--id", made["appId"])
        self.assertEqual(run("ad", "sp", "show", "--id", made["appId"]).returncode, 3)
        self.assertNotEqual(log_in(again["password"]).returncode, 0)

    def test_a_role_of_our_own_lives_its_life(self):
        scope = f"/subscriptions/{HOME.credentials['subscription_id']}"
        role = {"Name": "Restarter", "Description": "Restarts servers.",
                "Actions": ["Microsoft.DBforPostgreSQL/flexibleServers/restart/action"],
                "AssignableScopes": [scope]}
        made = value("role", "definition", "create", "--role-definition", json.dumps(role))
        self.assertEqual((made["roleName"], made["roleType"]), ("Restarter", "CustomRole"))
        role["Actions"].append("*/read")
        changed = value("role", "definition", "update", "--role-definition", json.dumps(role))
        self.assertEqual(changed["name"], made["name"])
        self.assertEqual(changed["permissions"][0]["actions"], role["Actions"])
        self.assertIn("Restarter", checked("role", "definition", "list", "--custom-role-only",
                                           "-o", "table"))
        self.assertEqual(len(value("role", "definition", "list", "-n", "Owner")), 1)
        checked("role", "definition", "delete", "-n", "Restarter")
        self.assertEqual(value("role", "definition", "list", "--custom-role-only"), [])

    def test_a_lock_keeps_a_group_and_the_activity_log_knows_it(self):
        checked("group", "create", "--name", "locked", "--location", "local")
        lock = value("lock", "create", "-g", "locked", "-n", "keep", "--lock-type", "CanNotDelete",
                     "--notes", "why")
        self.assertEqual((lock["name"], lock["level"], lock["notes"]),
                         ("keep", "CanNotDelete", "why"))
        refused = run("group", "delete", "-n", "locked", "--yes")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("ScopeLocked", refused.stderr)
        self.assertEqual([each["name"] for each in value("lock", "list", "-g", "locked")],
                         ["keep"])
        self.assertIn("CanNotDelete", checked("lock", "show", "-g", "locked", "-n", "keep", "-o",
                                              "table"))
        checked("lock", "delete", "-g", "locked", "-n", "keep")
        self.assertEqual(run("lock", "show", "-g", "locked", "-n", "keep").returncode, 3)
        checked("group", "delete", "-n", "locked", "--yes")
        events = value("activity-log", "list", "-g", "locked", "--max-events", "100")
        names = {(e["operationName"]["value"].lower(), e["status"]["value"]) for e in events}
        self.assertIn(("microsoft.authorization/locks/write", "Succeeded"), names)
        self.assertTrue(any(status == "Failed" for _, status in names), names)
        self.assertIn("locks/write", checked("monitor", "activity-log", "list", "-g", "locked",
                                             "-o", "table"))

    def test_an_operation_is_shown(self):
        answer = HOME.call("POST", HOME.server_path(NAME) + "/restart", {})
        HOME.finish(answer)
        number = answer.headers["azure-asyncoperation"].split("?")[0].rsplit("/", 1)[1]
        attempts = [run("operation", "show", *arguments, "-o", "json") for arguments in (
            ("--id", number), (number,), ("--name", number), ("-n", number))]
        good = [a for a in attempts if a.returncode == 0]
        self.assertTrue(good, attempts[0].stderr)
        self.assertEqual(json.loads(good[0].stdout)["status"], "Succeeded")

    def test_what_is_not_there_ends_with_3_and_an_error_in_three_parts(self):
        for arguments in (("server", "show", "-g", GROUP, "-n", "missing"),
                          ("server", "show", "-g", "missing", "-n", NAME),
                          ("db", "show", "-g", GROUP, "-s", NAME, "-d", "missing"),
                          ("firewall-rule", "show", "-g", GROUP, "-n", NAME, "-r", "missing"),
                          ("parameter", "show", "-g", GROUP, "-s", NAME, "-n", "missing"),
                          ("server", "restart", "-g", GROUP, "-n", "missing")):
            with self.subTest(arguments):
                result = run(*arguments)
                self.assertEqual(result.returncode, 3, result.stderr)
                self.assertIn("missing", result.stderr)
                self.assertEqual(result.stdout.strip(), "")
                self.assertGreaterEqual(len(result.stderr.strip().splitlines()), 2, result.stderr)

    def test_wrong_usage_ends_with_2(self):
        for arguments in (("server",), ("server", "frobnicate"), ("server", "show"),
                          ("server", "show", "-g", GROUP, "-n", NAME, "--nonsense"),
                          ("server", "list", "-o", "papyrus"), ("nonsense",)):
            with self.subTest(arguments):
                result = run(*arguments)
                self.assertEqual(result.returncode, 2, f"{result.stderr}{result.stdout}")
                self.assertTrue(result.stderr.strip())

    def test_what_the_api_refuses_is_explained(self):
        result = run("parameter", "set", "-g", GROUP, "-s", NAME, "-n", "work_mem", "-v", "lots")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("work_mem", result.stderr)
        self.assertIn("lots", result.stderr)

    def test_deleting_without_yes_and_without_a_terminal_deletes_nothing(self):
        result = run("server", "delete", "-g", GROUP, "-n", NAME)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("--yes", result.stderr)
        self.assertEqual(HOME.psql(NAME, "select 1"), "1")

    def test_long_work_shows_a_progress_line_and_leaves_stdout_to_the_value(self):
        result = run("server", "create", "-g", GROUP, "-n", "brief", "--sku-name", "Standard_B1ms",
                     "--tier", "Burstable", "--admin-user", ADMIN, "--admin-password",
                     howdah_client.password(), "--public-access", "none", "--output", "json")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("brief", json.dumps(json.loads(result.stdout)))
        self.assertTrue(result.stderr.strip(), "no progress was shown")
        self.assertEqual(HOME.get(HOME.server_path("brief") + "/firewallRules").json["value"], [])
        deleted = run("server", "delete", "-g", GROUP, "-n", "brief", "--yes")
        self.assertEqual(deleted.returncode, 0, deleted.stderr)
        self.assertEqual(HOME.get(HOME.server_path("brief")).status, 404)

    def test_a_server_created_without_password_gets_one_that_works(self):
        made = value("server", "create", "-g", GROUP, "-n", "generated", "--sku-name",
                     "Standard_B1ms", "--tier", "Burstable", "--public-access", "127.0.0.1")
        text = json.dumps(made)
        self.assertRegex(text, r"(?i)password")
        secret = made.get("password") or made.get("administratorLoginPassword")
        user = made.get("username") or made.get("administratorLogin") or (
            HOME.get(HOME.server_path("generated")).json["properties"]["administratorLogin"])
        self.assertTrue(secret, text)
        self.assertEqual(HOME.psql("generated", "select 1", user=user, secret=secret), "1")
        checked("server", "delete", "-g", GROUP, "-n", "generated", "--yes")

    def test_help_and_completion_exist(self):
        for arguments in (("--help",), ("server", "--help"), ("server", "create", "--help"),
                          ("parameter", "set", "--help")):
            self.assertTrue(checked(*arguments).strip(), arguments)
        script = checked("completion", "bash")
        self.assertIn("complete", script)
        result = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True,
                                check=False)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_a_howdahd_that_is_away_is_said_so(self):
        folder = os.path.join(HOME.folder, "away")
        os.makedirs(folder, exist_ok=True)
        login(folder)
        HOME.kill("howdahd")
        try:
            result = run("server", "list", folder=folder)
            self.assertNotIn(result.returncode, (0, 3))
            self.assertTrue(result.stderr.strip())
        finally:
            HOME.start()

    def test_a_stale_or_wrong_ca_is_refused(self):
        folder = os.path.join(HOME.folder, "misled")
        os.makedirs(folder, exist_ok=True)
        other = os.path.join(folder, "other.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=x", "-days", "2",
                        "-keyout", other + ".key", "-out", other], capture_output=True, check=True)
        changed = os.path.join(folder, "credentials.json")
        with open(changed, "w", encoding="utf-8") as file:
            json.dump({**HOME.credentials, "ca_path": other, "api_ca_path": other}, file)
        os.chmod(changed, 0o600)
        result = run("login", "--credentials", changed, folder=folder)
        self.assertNotEqual(result.returncode, 0, "the command line did not verify the certificate")


if __name__ == "__main__":
    unittest.main(verbosity=2)
