"""Every `az postgres flexible-server` command of an unmodified az, with a cloud registered from
what `howdah cloud export` wrote. A command whose feature is not built must say so by its name."""

import functools
import json
import os
import subprocess
import time

from rows import Rows, nothing_yet, seen, seen_soon

NAME = "az-server"
GROUP = "az-group"
MISSING = "FeatureNotSupported"
# Commands that never ask a server, or that ask another one than ours.
ELSEWHERE = {
    "identity show": "fails in az itself where a server has no identity",
    "connect": "talks to the database itself and wants an extension from the internet",
    "execute": "talks to the database itself and wants an extension from the internet",
    "deploy run": "talks to GitHub",
    "deploy setup": "talks to GitHub",
    "migration check-name-availability": "is wired to the host of the public cloud in 2.45",
    "migration create": "is wired to the host of the public cloud in 2.45",
    "migration list": "is wired to the host of the public cloud in 2.45",
    "migration show": "is wired to the host of the public cloud in 2.45",
    "migration update": "is wired to the host of the public cloud in 2.45",
}


# What az refuses by itself, because of what the server or its location is said to be, or because the
# server has no such configuration.
REFUSED_BY_AZ = {
    "replica create": ("multi-availability zone", "not supported for the Burstable"),
    "replica stop-replication": "is not a replica server",
    "upgrade": "must be greater than the current version",  # it knows 14 as the newest
    "autonomous-tuning set-settings": "/index_tuning.",
    "autonomous-tuning show": "/index_tuning.",
    "autonomous-tuning show-settings": "/index_tuning.",
    "autonomous-tuning update": "Autonomous tuning is not supported for the server",
    "fabric-mirroring stop": "/azure.fabric_mirror_enabled",
    "fabric-mirroring update-databases": "/azure.mirror_databases",
}


MIGRATION = {"properties": {
    "sourceDbServerResourceId": "db.example.org:5432@admin", "sourceType": "OnPremises",
    "sslMode": "Prefer", "dbsToMigrate": ["app"], "overwriteDbsInTarget": "true",
    "secretParameters": {"adminCredentials": {"sourceServerPassword": "x",
                                              "targetServerPassword": "x"}}}}


class AzFailed(Exception):
    pass


class RefusedByAz(Exception):
    pass


def refusal_of(error):
    if isinstance(error, RefusedByAz):
        return "refused by what the server, its configurations and the capabilities say"
    return MISSING if isinstance(error, AzFailed) and MISSING in str(error) else None


class Az:
    """One az with a configuration of its own, and the cloud registered in it."""

    def __init__(self, home, howdah, az="az", folder="az-config"):
        self.home = home
        self.howdah = howdah
        self.az = az
        folder = os.path.join(home.folder, folder)
        os.makedirs(folder, exist_ok=True)
        self.folder = folder  # its home, and where it downloads to
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": folder, "LANG": "C.UTF-8",
            "AZURE_CONFIG_DIR": folder, "REQUESTS_CA_BUNDLE": home.credentials["ca_path"],
            "SSL_CERT_FILE": home.credentials["ca_path"],  # for what it downloads
            "AZURE_CORE_COLLECT_TELEMETRY": "no", "AZURE_CORE_ONLY_SHOW_ERRORS": "yes"}
        cloud = os.path.join(folder, "cloud.json")
        credentials = os.path.join(home.dir, "howdahd", "bootstrap-credentials.json")
        subprocess.run([howdah, "login", "--credentials", credentials, "--output", "none"],
                       env=self.environment, check=True, timeout=60)
        subprocess.run([howdah, "cloud", "export", "--file", cloud, "--ca-file",
                        os.path.join(folder, "ca.pem"), "--output", "none",
                        "--only-show-errors"], env=self.environment,
                       check=True, timeout=60)
        self("cloud", "register", "-n", "Howdah", "--cloud-config", "@" + cloud)
        self("cloud", "set", "-n", "Howdah")

    def __call__(self, *arguments):
        """The command's JSON."""
        done = subprocess.run([self.az, *arguments, "-o", "json"], env=self.environment, text=True,
                              cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=180,
                              check=False)
        if done.returncode != 0:
            raise AzFailed(done.stderr.strip()[-600:])
        return json.loads(done.stdout) if done.stdout.strip() else None

    def version(self):
        return self("version")["azure-cli"]

    def login(self, credentials):
        return self("login", "--service-principal", "-u", credentials["client_id"], "-p",
                    credentials["client_secret"], "--tenant", credentials["tenant_id"])

    def has(self, group):
        """Whether this az has the group of commands below `az postgres flexible-server`."""
        return any(each.startswith(group + " ") for each in self.commands())

    def server(self, *arguments):
        return self("postgres", "flexible-server", *arguments)

    @functools.cached_property
    def _commands(self):
        found, groups = [], [()]
        while groups:
            group = groups.pop()
            text = subprocess.run([self.az, "postgres", "flexible-server", *group, "--help"],
                                  env=self.environment, text=True, capture_output=True,
                                  timeout=60, check=True).stdout
            section = None
            for line in text.splitlines():
                if line.startswith(("Commands:", "Subgroups:")):
                    section = line.split(":")[0]
                elif line and not line.startswith(" "):
                    section = None
                elif section and line.startswith("    ") and line[4:5].strip():
                    word = line.split()[0]
                    if section == "Subgroups":
                        groups.append((*group, word))
                    else:
                        found.append(" ".join((*group, word)))
        return sorted(found)

    def commands(self):
        """All commands below `az postgres flexible-server`, as this az lists them."""
        return self._commands


def steps_of(az, home):
    where = ("-g", GROUP, "-n", NAME)
    child = ("-g", GROUP, "-s", NAME)

    def psql(sql):
        return home.psql(NAME, sql)

    def get():
        return home.get(home.server_path(NAME, GROUP)).json

    def create():
        home.passwords[NAME] = "Correct-Horse-42"
        made = az.server("create", *where, "-l", "local", "-u", "dba", "-p", "Correct-Horse-42",
                         "--sku-name", "Standard_B1ms", "--tier", "Burstable", "--storage-size",
                         "32", "--version", "15", "--public-access", "127.0.0.1", "--yes")
        seen("its host", made["host"].startswith(NAME + "."))
        return seen_soon("psql answers", lambda: home.psql(
            NAME, "select 1", check=False).returncode == 0)

    def update():
        az.server("update", *where, "--tags", "x=y")
        seen("tags", get()["tags"] == {"x": "y"})
        home.passwords[NAME] = "Correct-Horse-43"
        az.server("update", *where, "--admin-password", "Correct-Horse-43")
        seen("new password", psql("select 1") == "1")
        az.server("update", *where, "--sku-name", "Standard_D2ds_v5", "--tier", "GeneralPurpose",
                  *(("--yes",) if is_new else ()))
        return seen("psql: new password, other shared_buffers", int(psql(
            "select setting from pg_settings where name = 'shared_buffers'")) > 100000)

    def restart():
        before = psql("select pg_postmaster_start_time()")
        az.server("restart", *where)
        return seen("psql: another postmaster",
                    psql("select pg_postmaster_start_time()") != before)

    def stop():
        az.server("stop", *where)
        return seen("GET tells it", get()["properties"]["state"] == "Stopped")

    def start():
        az.server("start", *where)
        return seen("psql answers", psql("select 1") == "1")

    # Newer ones name the child where older ones name the server.
    is_new = az.has("microsoft-entra-admin")
    rule_of = (*child, "-n", "office") if is_new else (*where, "-r", "office")
    database = (*child, "-n" if is_new else "-d", "app")

    def rule(*arguments):
        return az.server("firewall-rule", arguments[0], *rule_of, *arguments[1:])

    def end_of_rule():
        return home.get(home.server_path(NAME, GROUP) + "/firewallRules/office").json[
            "properties"]["endIpAddress"]

    def create_rule():
        rule("create", "--start-ip-address", "10.0.0.1", "--end-ip-address", "10.0.0.9")
        return seen("GET shows it", end_of_rule() == "10.0.0.9")

    def update_rule():
        rule("update", "--end-ip-address", "10.0.0.19")
        return seen("GET shows it", end_of_rule() == "10.0.0.19")

    def delete_rule():
        rule("delete", "--yes")
        return seen("GET answers 404", home.get(
            home.server_path(NAME, GROUP) + "/firewallRules/office").status == 404)

    def create_database():
        az.server("db", "create", *database)
        return seen("psql: it is there", psql(
            "select datcollate from pg_database where datname = 'app'") == "en_US.utf8")

    def delete_database():
        az.server("db", "delete", *database, "--yes")
        return seen("psql: it is gone", psql(
            "select count(*) from pg_database where datname = 'app'") == "0")

    def set_parameter():
        az.server("parameter", "set", *child, "-n", "work_mem", "-v", "7001")
        return seen_soon("psql: SHOW tells it", lambda: psql("show work_mem") == "7001kB")

    def log_files():
        return names(az.server("server-logs", "list", *child))

    def list_logs():
        az.server("parameter", "set", *child, "-n", "logfiles.download_enable", "-v", "on")
        home.psql(NAME, "do $$ begin raise exception 'seen by az'; end $$", check=False)
        return seen_soon("the server's log files, once downloads are on", log_files)

    def download_logs():
        def found():
            az.server("server-logs", "download", *child, "-n", *log_files())
            for name in log_files():
                path = os.path.join(az.folder, os.path.basename(name))
                if os.path.exists(path):
                    with open(path, encoding="utf-8") as file:
                        if "seen by az" in file.read():
                            return True
            return False

        return seen_soon("an error of psql in a downloaded file", found)

    def remove_identity():
        az.server("identity", "remove", *child, "-n", "someone", "--yes")
        return seen("GET shows none", not (get().get("identity") or {}).get(
            "userAssignedIdentities"))

    entra = "microsoft-entra-admin" if is_new else "ad-admin"

    def administrator():
        """A program with a secret, which az makes, and its token as psql's password."""
        made = az("ad", "sp", "create-for-rbac", "-n", "az-administrator")
        return {**made, "id": az("ad", "sp", "show", "--id", made["appId"])["id"]}

    def token_of(program):
        other = Az(home, az.howdah, az.az, "az-config-" + os.urandom(8).hex())
        other("login", "--service-principal", "-u", program["appId"], "-p", program["password"],
              "--tenant", program["tenant"], "--allow-no-subscriptions")
        return other("account", "get-access-token", "--resource-type", "oss-rdbms")["accessToken"]

    program = {}

    def as_program():
        return home.psql(NAME, "select current_user || pg_has_role('azure_pg_admin', 'member')",
                         check=False, user="az-administrator", secret=program["token"])

    def create_administrator():
        switch = "--microsoft-entra-auth" if is_new else "--active-directory-auth"
        az.server("update", *where, switch, "Enabled")
        program.update(administrator())
        az.server(entra, "create", *child, "-u", "az-administrator", "-i", program["id"], "-t",
                  "ServicePrincipal")
        program["token"] = token_of(program)
        return seen("psql: az's token opens the role of an administrator",
                    as_program().stdout.strip() == "az-administratortrue")

    def delete_administrator():
        az.server(entra, "delete", *child, "-i", program["id"], "--yes")
        return seen("psql: az's token opens it no more", as_program().returncode != 0)

    administrators = {
        f"{entra} create": create_administrator,
        f"{entra} list": lambda: seen("it is listed", program["id"] in names(
            az.server(entra, "list", *child))),
        f"{entra} show": lambda: seen("its role", az.server(
            entra, "show", *child, "-i", program["id"])["principalName"] == "az-administrator"),
        f"{entra} wait": lambda: seen("it returns", az.server(
            entra, "wait", *child, "-i", program["id"], "--exists", "--timeout", "30") is None),
        f"{entra} delete": delete_administrator,
    }

    backup_of = child if is_new else where

    def list_backups():
        return seen_soon("the first backup, which came by itself, and its time", lambda: any(
            each["completedTime"] for each in az.server("backup", "list", *backup_of)), 180)

    def show_backup():
        listed = az.server("backup", "list", *backup_of)[0]
        found = az.server("backup", "show", *backup_of, "-n" if is_new else "-b", listed["name"])
        return seen("its time", found["completedTime"] == listed["completedTime"])

    def allow(server):
        here = ("-s", server, "-n", "here") if is_new else ("-n", server, "-r", "here")
        az.server("firewall-rule", "create", "-g", GROUP, *here, "--start-ip-address", "127.0.0.1",
                  "--end-ip-address", "127.0.0.1")

    def restore():
        copy = "az-copy"
        psql("create table restored (n int); insert into restored values (1)")
        time.sleep(2.1)
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        time.sleep(1.1)
        psql("insert into restored values (2)")
        az.server("restore", "-g", GROUP, "-n", copy, "--source-server", NAME, "--restore-time",
                  moment, *(("--yes",) if is_new else ()))
        home.passwords[copy] = home.passwords[NAME]
        allow(copy)
        return seen("psql: the new server has the rows of that second, and no later ones",
                    home.psql(copy, "select string_agg(n::text, ',') from restored") == "1")

    def revive():
        seen_soon("a backup of it", lambda: az.server("backup", "list", "-g", GROUP, "-s" if is_new
                                                      else "-n", "az-copy"), 180)
        home.psql("az-copy", "insert into restored values (3)")
        source = az.server("show", "-g", GROUP, "-n", "az-copy")["id"]
        az.server("delete", "-g", GROUP, "-n", "az-copy", "--yes")
        az.server("revive-dropped", "-g", GROUP, "-n", "az-revived", "-l", "local",
                  "--source-server", source)
        home.passwords["az-revived"] = home.passwords[NAME]
        allow("az-revived")
        found = home.psql("az-revived", "select string_agg(n::text, ',' order by n) from restored")
        az.server("delete", "-g", GROUP, "-n", "az-revived", "--yes")
        return seen("psql: all that was committed before it was deleted", found == "1,3")

    def make_backup():
        az.server("backup", "create", *child, "-n", "by-hand")
        return seen("the list has it", "by-hand" in names(az.server("backup", "list", *child)))

    def drop_backup():
        az.server("backup", "delete", *child, "-n", "by-hand", "--yes")
        return seen("the list lacks it", "by-hand" not in names(
            az.server("backup", "list", *child)))

    reader = "az-replica"

    def create_replica():
        psql("create table followed as select generate_series(1, 5) n")
        az.server("replica", "create", "-g", GROUP, "-n", reader, "--source-server", NAME)
        home.passwords[reader] = home.passwords[NAME]
        allow(reader)
        psql("insert into followed values (6)")
        return seen_soon("psql: it has what the source commits", lambda: home.psql(
            reader, "select count(*) from followed", check=False).stdout.strip() == "6")

    def promote_replica():
        psql("insert into followed values (7)")
        az.server("replica", "promote", "-g", GROUP, "-n", reader, "--promote-mode", "standalone",
                  "--promote-option", "planned", "--yes")
        home.psql(reader, "insert into followed values (8)")
        found = home.psql(reader, "select max(n) || ',' || count(*) from followed")
        az.server("delete", "-g", GROUP, "-n", reader, "--yes")
        return seen("psql: it has all, and takes writes", found == "8,8")

    def list_replicas():
        found = az.server("replica", "list", *where)
        if not is_new:
            nothing_yet(found)
        return seen("it is listed", names(found) == [reader])

    replicas = {"replica list": list_replicas}
    if is_new:
        replicas = {"replica create": create_replica, **replicas,
                    "replica promote": promote_replica}
    revival = {"revive-dropped": revive} if "revive-dropped" in az.commands() else {}
    backups_by_hand = {"backup create": make_backup,
                       "backup delete": drop_backup} if is_new else {}

    def delete():
        az.server("delete", *where, "--yes")
        return seen("GET answers 404",
                    home.get(home.server_path(NAME, GROUP)).status == 404)

    def names(found):
        return [each["name"] for each in found]

    tuning = {"autonomous-tuning list-settings": lambda: seen(
        "none, as there is no such tuning",
        az.server("autonomous-tuning", "list-settings", *child) == [])} if is_new else {}
    logs = {"server-logs list": list_logs, "server-logs download": download_logs} if is_new else {}
    return {
        "list-skus": lambda: seen("the editions of the machine", "Burstable" in json.dumps(
            az.server("list-skus", "-l", "local"))),
        "create": create,
        "show": lambda: seen("its state", az.server("show", *where)["state"] == "Ready"),
        "list": lambda: seen("it is listed", NAME in names(az.server("list"))
                             and NAME in names(az.server("list", "-g", GROUP))),
        "wait": lambda: seen("it returns", az.server("wait", *where, "--exists") is None),
        "show-connection-string": lambda: seen(
            "a string for every language", "psql_cmd" in az.server(
                "show-connection-string", "-s", NAME)["connectionStrings"]),
        "update": update,
        "parameter list": lambda: seen("more than a hundred", len(
            az.server("parameter", "list", *child)) > 100),
        "parameter show": lambda: seen("range and value", az.server(
            "parameter", "show", *child, "-n", "work_mem")["allowedValues"]),
        "parameter set": set_parameter,
        "firewall-rule create": create_rule,
        "firewall-rule show": lambda: seen(
            "its addresses", rule("show")["startIpAddress"] == "10.0.0.1"),
        "firewall-rule list": lambda: seen("it is listed", "office" in names(
            az.server("firewall-rule", "list", *(child if is_new else where)))),
        "firewall-rule update": update_rule,
        "firewall-rule delete": delete_rule,
        "db create": create_database,
        "db show": lambda: seen("its charset", az.server(
            "db", "show", *database)["charset"] == "UTF8"),
        "db list": lambda: seen("it is listed", "app" in names(az.server("db", "list", *child))),
        "db delete": delete_database,
        "identity list": lambda: seen("no identity", not (
            az.server("identity", "list", *child) or {}).get("userAssignedIdentities")),
        "identity remove": remove_identity,
        **replicas,
        "backup list": list_backups,
        "backup show": show_backup,
        **backups_by_hand,
        "restore": restore,
        **revival,
        **tuning,
        **logs,
        **administrators,
        "restart": restart,
        "stop": stop,
        "start": start,
    }, {"delete": delete}


def other_commands(az):
    """What is not built: arguments that bring the command to the server. Those of all versions."""
    where, child = ("-g", GROUP, "-n", NAME), ("-g", GROUP, "-s", NAME)
    source = NAME
    is_new = az.has("microsoft-entra-admin")
    migration = os.path.join(az.home.folder, "migration.json")
    with open(migration, "w", encoding="utf-8") as file:
        json.dump(MIGRATION, file)
    tuning = "autonomous-tuning"
    endpoint = "private-endpoint-connection"
    new = {
        "advanced-threat-protection-setting show": child,
        "advanced-threat-protection-setting update": (*child, "--state", "Enabled"),
        f"{tuning} list-index-recommendations": child,
        f"{tuning} list-table-recommendations": child,
        f"{tuning} set-settings": (*child, "-n", "analysis_interval", "-v", "700"),
        f"{tuning} show": child,
        f"{tuning} show-settings": (*child, "-n", "analysis_interval"),
        f"{tuning} update": (*child, "--enabled", "True"),
        "fabric-mirroring start": (*child, "-d", "postgres", "--yes"),
        "fabric-mirroring stop": (*child, "--yes"),
        "fabric-mirroring update-databases": (*child, "-d", "postgres", "--yes"),
        "identity update": (*child, "--system-assigned", "Enabled"),
        "maintenance-event apply-now": (*child, "--maintenance-event-id", "x"),
        "maintenance-event list": child,
        "maintenance-event reschedule": (*child, "--maintenance-event-id", "x", "--start-time",
                                         "2030-01-31T00:00:00Z"),
        "maintenance-event show": (*child, "--maintenance-event-id", "x"),
        "migrate-network": where,
        "migration check-name-availability": (*child, "-n", "x"),
        "migration create": (*child, "-n", "x", "--properties", migration),
        "migration list": child,
        "migration update": (*child, "-n", "x", "--cancel"),
        "migration show": (*child, "-n", "x"),
        f"{endpoint} approve": (*child, "-n", "x", "--description", "why"),
        f"{endpoint} delete": (*child, "-n", "x"),
        f"{endpoint} list": child,
        f"{endpoint} reject": (*child, "-n", "x", "--description", "why"),
        f"{endpoint} show": (*child, "-n", "x"),
        "private-link-resource list": child,
        "private-link-resource show": child,
        "virtual-endpoint create": (*child, "-n", "x", "-t", "ReadWrite", "-m", "x"),
        "virtual-endpoint delete": (*child, "-n", "x", "--yes"),
        "virtual-endpoint list": child,
        "virtual-endpoint show": (*child, "-n", "x"),
        "virtual-endpoint update": (*child, "-n", "x", "-t", "ReadWrite", "-m", "x"),
    }
    found = {name: (*name.split(), *arguments) for name, arguments in new.items()} if is_new else {}
    return {
        "geo-restore": ("geo-restore", "-g", GROUP, "-n", "az-geo", "-l", "local",
                        "--source-server", source),
        "identity assign": ("identity", "assign", *child, "-n", "someone"),
        "replica create": ("replica", "create", "-g", GROUP, "--replica-name", "az-replica",
                           "--source-server", source),
        "replica stop-replication": ("replica", "stop-replication", *where, "--yes"),
        "upgrade": ("upgrade", *where, "--version", "14", "--yes"),
        **found,
    }


def run(az):
    home = az.home
    rows = Rows("az " + az.version())

    def login():
        found = az.login(home.credentials)
        return seen("its subscription", found[0]["id"] == home.credentials["subscription_id"])

    def make_group():
        az("group", "create", "-n", GROUP, "-l", "local")
        return seen("the list has it", GROUP in [g["name"] for g in az("group", "list")])

    def delete_group():
        az("group", "delete", "-n", GROUP, "--yes")
        return seen("the list lacks it", GROUP not in [g["name"] for g in az("group", "list")])

    prefix = "postgres flexible-server "
    rows.attempt("login", login, refusal_of)
    rows.attempt("group create, list", make_group, refusal_of)
    steps, last = steps_of(az, home)
    for name, step in steps.items():
        rows.attempt(prefix + name, step, refusal_of)
    others = other_commands(az)
    for name in az.commands():
        if name in steps or name in last:
            continue
        if name in ELSEWHERE and name not in others:
            rows.add(prefix + name, "not for us", ELSEWHERE[name])
            continue

        def refused(each=name):
            if each not in others:
                raise AssertionError("nobody has written down how to try it")
            try:
                found = az.server(*others[each])
            except AzFailed as error:
                texts = REFUSED_BY_AZ.get(each, ())
                if any(text in str(error) for text in
                       ((texts,) if isinstance(texts, str) else texts)):
                    raise RefusedByAz from None
                raise
            nothing_yet(found if isinstance(found, list) else [found])

        rows.attempt(prefix + name, refused, refusal_of)
    for name, step in last.items():
        rows.attempt(prefix + name, step, refusal_of)
    rows.attempt("group delete", delete_group, refusal_of)
    return rows.rows
