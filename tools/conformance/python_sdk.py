"""Every operation of the unmodified Python SDK azure-mgmt-postgresqlflexibleservers. Runs inside
the virtual environment that has it. `host` is a howdah_client.Home that runs."""

import datetime
import inspect
import ssl
import time
import urllib.request

from rows import Rows, nothing_yet, seen, seen_soon

NAME = "py-sdk"
COPY = "py-sdk-back"
READER = "py-sdk-reader"
MISSING = "FeatureNotSupported"


def refusal_of(error):
    code = getattr(getattr(error, "error", None), "code", None)
    return MISSING if code == MISSING else None


class Client:
    def __init__(self, home):
        from azure.identity import ClientSecretCredential
        from azure.mgmt.postgresqlflexibleservers import PostgreSQLManagementClient, models
        credentials = home.credentials
        base = credentials["api_url"].rstrip("/")
        self.credential = ClientSecretCredential(
            credentials["tenant_id"], credentials["client_id"], credentials["client_secret"],
            authority=credentials["authority"].rstrip("/"), disable_instance_discovery=True,
            connection_verify=credentials["ca_path"])
        self.sdk = PostgreSQLManagementClient(
            self.credential, credentials["subscription_id"], base_url=base,
            credential_scopes=[base + "/.default"], polling_interval=1,
            connection_verify=credentials["ca_path"])
        self.models = models
        self.home = home
        self.group = home.group

    def server(self, **changes):
        m = self.models
        self.home.passwords[NAME] = "Correct-Horse-42"
        return m.Server(**{
            "location": "local", "sku": m.Sku(name="Standard_B1ms", tier="Burstable"),
            "administrator_login": "dba", "administrator_login_password": "Correct-Horse-42",
            "version": "15", "storage": m.Storage(storage_size_gb=32), "create_mode": "Default",
            "tags": {"made-by": "sdk"}, **changes})

    # Each returns how the effect was seen.
    def steps(self):
        c, m, g, home = self.sdk, self.models, self.group, self.home

        def psql(sql, **where):
            return home.psql(NAME, sql, **where)

        def create():
            made = c.servers.begin_create_or_update(g, NAME, self.server()).result()
            seen("state", made.state == "Ready" and made.tags == {"made-by": "sdk"})
            home.allow(NAME)
            return seen("psql answers", psql("select 1") == "1")

        def update():
            c.servers.begin_update(g, NAME, m.ServerForPatch(tags={"x": "y"})).result()
            seen("tags", c.servers.get(g, NAME).tags == {"x": "y"})
            home.passwords[NAME] = "Correct-Horse-43"
            c.servers.begin_update(g, NAME, m.ServerForPatch(
                administrator_login_password="Correct-Horse-43")).result()
            seen("new password", psql("select 1") == "1")
            c.servers.begin_update(g, NAME, m.ServerForPatch(sku=m.SkuForPatch(
                name="Standard_D2ds_v5", tier="GeneralPurpose"))).result()
            return seen("psql: new password, other shared_buffers",
                        int(psql("select setting from pg_settings where name = 'shared_buffers'"))
                        > 100000)

        def restart():
            before = psql("select pg_postmaster_start_time()")
            c.servers.begin_restart(g, NAME).result()
            return seen("psql: another postmaster",
                        psql("select pg_postmaster_start_time()") != before)

        def stop():
            c.servers.begin_stop(g, NAME).result()
            seen("state", c.servers.get(g, NAME).state == "Stopped")
            return seen("psql is refused", home.psql(NAME, "select 1", check=False).returncode != 0)

        def start():
            c.servers.begin_start(g, NAME).result()
            return seen("psql answers", psql("select 1") == "1")

        def put_rule():
            c.firewall_rules.begin_create_or_update(g, NAME, "office", m.FirewallRule(
                start_ip_address="10.0.0.1", end_ip_address="10.0.0.9")).result()
            return seen("GET shows it",
                        c.firewall_rules.get(g, NAME, "office").end_ip_address == "10.0.0.9")

        def delete_rule():
            c.firewall_rules.begin_delete(g, NAME, "office").result()
            names = [r.name for r in c.firewall_rules.list_by_server(g, NAME)]
            return seen("the list lacks it", "office" not in names)

        def create_database():
            c.databases.begin_create(g, NAME, "app", m.Database(
                charset="UTF8", collation="en_US.utf8")).result()
            return seen("psql: it is there with its collation", psql(
                "select datcollate from pg_database where datname = 'app'") == "en_US.utf8")

        def delete_database():
            c.databases.begin_delete(g, NAME, "app").result()
            return seen("psql: it is gone", psql(
                "select count(*) from pg_database where datname = 'app'") == "0")

        def setting(value):
            return seen_soon("psql: SHOW tells it", lambda: psql("show work_mem") == value)

        def put_parameter():
            c.configurations.begin_put(g, NAME, "work_mem", m.ConfigurationForUpdate(
                value="7001", source="user-override")).result()
            return setting("7001kB")

        def patch_parameter():
            c.configurations.begin_update(g, NAME, "work_mem", m.ConfigurationForUpdate(
                value="7002", source="user-override")).result()
            return setting("7002kB")

        def list_parameters():
            found = {p.name: p.value for p in c.configurations.list_by_server(g, NAME)}
            return seen("all of pg_settings that is a customer's, with their values",
                        len(found) > 100 and found["max_connections"] == psql(
                            "show max_connections"))

        def download_logs():
            c.configurations.begin_put(g, NAME, "logfiles.download_enable",
                                       m.ConfigurationForUpdate(
                                           value="on", source="user-override")).result()
            home.psql(NAME, "do $$ begin raise exception 'seen by py'; end $$", check=False)
            trust = ssl.create_default_context(cafile=home.credentials["ca_path"])
            trust.check_hostname = False

            def text(file):
                with urllib.request.urlopen(file.url, context=trust, timeout=60) as answer:
                    return answer.read().decode()

            return seen_soon("an error of psql in a downloaded file", lambda: any(
                "seen by py" in text(file) for file in c.captured_logs.list_by_server(g, NAME)))

        def capabilities(found):
            editions = {e.name for f in found for e in f.supported_server_editions}
            return seen("the editions of the machine", "Burstable" in editions)

        def name_check(check):
            request = m.CheckNameAvailabilityRequest(
                name=NAME, type="Microsoft.DBforPostgreSQL/flexibleServers")
            seen("a taken name", check(request).name_available is False)
            request.name = "never-used"
            return seen("a taken and a free name are told apart",
                        check(request).name_available is True)

        someone = "11111111-2222-4333-8444-555555555555"
        can_log_in = "select rolcanlogin from pg_roles where rolname = 'ada@example.org'"

        def put_administrator():
            c.servers.begin_update(g, NAME, m.ServerForPatch(auth_config=m.AuthConfigForPatch(
                active_directory_auth="Enabled", password_auth="Enabled"))).result()
            c.administrators_microsoft_entra.begin_create_or_update(
                g, NAME, someone, m.AdministratorMicrosoftEntraAdd(
                    principal_name="ada@example.org", principal_type="User",
                    tenant_id=home.credentials["tenant_id"])).result()
            return seen("psql: the role is an administrator", psql(
                "select pg_has_role('ada@example.org', 'azure_pg_admin', 'member')") == "t"
                        and psql(can_log_in) == "t")

        def delete_administrator():
            c.administrators_microsoft_entra.begin_delete(g, NAME, someone).result()
            return seen("psql: the role is gone", psql(can_log_in) == "")

        backups = c.backups_automatic_and_on_demand

        def list_backups():
            return seen_soon("the first backup, which came by itself, and its time", lambda: any(
                b.completed_time for b in backups.list_by_server(g, NAME)), 180)

        def get_backup():
            listed = next(iter(backups.list_by_server(g, NAME)))
            return seen("its time", backups.get(g, NAME, listed.name).completed_time
                        == listed.completed_time)

        def make_backup():
            backups.begin_create(g, NAME, "by-hand").result()
            made = backups.get(g, NAME, "by-hand")
            return seen("GET shows it, apart from the schedule's",
                        made.backup_type == "Customer On-Demand" and made.completed_time)

        def drop_backup():
            backups.begin_delete(g, NAME, "by-hand").result()
            return seen("the list lacks it", "by-hand" not in [
                b.name for b in backups.list_by_server(g, NAME)])

        def rows_of_copy():
            home.passwords[COPY] = home.passwords[NAME]
            home.allow(COPY)
            return home.psql(COPY, "select string_agg(n::text, ',' order by n) from restored")

        def revive():
            home.psql(COPY, "insert into restored values (3)")
            before = c.servers.get(g, COPY)
            c.servers.begin_delete(g, COPY).result()
            c.servers.begin_create_or_update(g, COPY, m.Server(
                location="local", create_mode="ReviveDropped",
                source_server_resource_id=before.id)).result()
            found = rows_of_copy()
            c.servers.begin_delete(g, COPY).result()
            return seen("psql: all that was committed before it was deleted", found == "1,3")

        def restore():
            psql("create table restored (n int); insert into restored values (1)")
            time.sleep(1.1)
            moment = datetime.datetime.now(datetime.timezone.utc)
            time.sleep(1.1)
            psql("insert into restored values (2)")
            c.servers.begin_create_or_update(g, COPY, m.Server(
                location="local", create_mode="PointInTimeRestore", point_in_time_utc=moment,
                source_server_resource_id=c.servers.get(g, NAME).id)).result()
            seen("its first backup", seen_soon("a backup of the new server", lambda: list(
                backups.list_by_server(g, COPY)), 180))
            return seen("psql: the new server has the rows of that second, and no later ones",
                        rows_of_copy() == "1")

        def follow():
            psql("create table followed as select generate_series(1, 5) n")
            c.servers.begin_create_or_update(g, READER, m.Server(
                location="local", create_mode="Replica",
                source_server_resource_id=c.servers.get(g, NAME).id)).result()
            home.passwords[READER] = home.passwords[NAME]
            home.allow(READER)
            psql("insert into followed values (6)")
            return seen_soon("psql: it has what the source commits", lambda: home.psql(
                READER, "select count(*) from followed", check=False).stdout.strip() == "6")

        def promote():
            psql("insert into followed values (7)")
            c.servers.begin_update(g, READER, m.ServerForPatch(replica=m.Replica(
                role="None", promote_mode="Standalone", promote_option="Planned"))).result()
            home.psql(READER, "insert into followed values (8)")
            found = home.psql(READER, "select max(n) || ',' || count(*) from followed")
            c.servers.begin_delete(g, READER).result()
            return seen("psql: it has all, and takes writes", found == "8,8")

        def delete():
            c.servers.begin_delete(g, NAME).result()
            return seen("GET answers 404", home.get(home.server_path(NAME)).status == 404)

        return {
            "operations.list": lambda: seen(
                "the operations by name", any("flexibleServers/read" in o.name
                                              for o in c.operations.list())),
            "capabilities_by_location.list":
                lambda: capabilities(list(c.capabilities_by_location.list("local"))),
            "servers.begin_create_or_update": create,
            "name_availability.check_globally":
                lambda: name_check(c.name_availability.check_globally),
            "name_availability.check_with_location":
                lambda: name_check(
                    lambda r: c.name_availability.check_with_location("local", r)),
            "servers.get": lambda: seen("the host name", c.servers.get(
                g, NAME).fully_qualified_domain_name.startswith(NAME + ".")),
            "servers.list_by_resource_group": lambda: seen(
                "it is listed", NAME in [s.name for s in c.servers.list_by_resource_group(g)]),
            "servers.list_by_subscription": lambda: seen(
                "it is listed", NAME in [s.name for s in c.servers.list_by_subscription()]),
            "servers.begin_update": update,
            "capabilities_by_server.list":
                lambda: capabilities(list(c.capabilities_by_server.list(g, NAME))),
            "firewall_rules.begin_create_or_update": put_rule,
            "firewall_rules.get": lambda: seen("its addresses", c.firewall_rules.get(
                g, NAME, "office").start_ip_address == "10.0.0.1"),
            "firewall_rules.list_by_server": lambda: seen("it is listed", "office" in [
                r.name for r in c.firewall_rules.list_by_server(g, NAME)]),
            "firewall_rules.begin_delete": delete_rule,
            "databases.begin_create": create_database,
            "databases.get": lambda: seen(
                "its charset", c.databases.get(g, NAME, "app").charset == "UTF8"),
            "databases.list_by_server": lambda: seen("it is listed", "app" in [
                d.name for d in c.databases.list_by_server(g, NAME)]),
            "databases.begin_delete": delete_database,
            "configurations.begin_put": put_parameter,
            "configurations.begin_update": patch_parameter,
            "configurations.get": lambda: seen("value and range", (
                lambda p: p.value == "7002" and p.allowed_values)(
                    c.configurations.get(g, NAME, "work_mem"))),
            "configurations.list_by_server": list_parameters,
            "captured_logs.list_by_server": download_logs,
            "administrators_microsoft_entra.begin_create_or_update": put_administrator,
            "administrators_microsoft_entra.get": lambda: seen(
                "its role", c.administrators_microsoft_entra.get(
                    g, NAME, someone).principal_name == "ada@example.org"),
            "administrators_microsoft_entra.list_by_server": lambda: seen("it is listed", [
                someone] == [a.object_id for a in
                             c.administrators_microsoft_entra.list_by_server(g, NAME)]),
            "administrators_microsoft_entra.begin_delete": delete_administrator,
            "quota_usages.list": lambda: seen("names, limits and what is used", all(
                q.limit >= q.current_value for q in c.quota_usages.list("local"))),
            "private_dns_zone_suffix.get": lambda: seen(
                "the suffix", c.private_dns_zone_suffix.get().startswith("private.")),
            "backups_automatic_and_on_demand.list_by_server": list_backups,
            "backups_automatic_and_on_demand.get": get_backup,
            "backups_automatic_and_on_demand.begin_create": make_backup,
            "backups_automatic_and_on_demand.begin_delete": drop_backup,
            "servers.begin_create_or_update: PointInTimeRestore": restore,
            "servers.begin_create_or_update: ReviveDropped": revive,
            "servers.begin_create_or_update: Replica": follow,
            "replicas.list_by_server": lambda: seen("it is listed", [READER] == [
                r.name for r in c.replicas.list_by_server(g, NAME)]),
            "servers.begin_update: Standalone promotion": promote,
            "servers.begin_restart": restart,
            "servers.begin_stop": stop,
            "servers.begin_start": start,
        }, {"servers.begin_delete": delete}

    def all_operations(self):
        for group, operations in sorted(vars(self.sdk).items()):
            if group.startswith("_"):
                continue
            for name in dir(operations):
                if not name.startswith("_") and callable(getattr(operations, name)):
                    yield f"{group}.{name}", getattr(operations, name)

    def blind_call(self, operation):
        """Calls what has no step, with arguments of the right form."""
        known = {"resource_group_name": self.group, "server_name": NAME, "location_name": "local",
                 "threat_protection_name": "Default"}
        arguments = []
        for name in inspect.signature(operation).parameters:
            if name in ("kwargs", "args"):
                continue
            bodies = ("parameters", "migration_name_availability")
            arguments.append({} if name in bodies else known.get(name, "some-name"))
        answer = operation(*arguments)
        if hasattr(answer, "result"):
            answer.result()
        elif hasattr(answer, "by_page"):
            nothing_yet(answer)
        elif hasattr(answer, "delegated_subnets_usage"):
            nothing_yet(answer.delegated_subnets_usage)
        raise AssertionError("it answers, but nothing here proves its effect")


def run(client):
    rows = Rows("Python SDK 2.0.0")
    steps, last = client.steps()
    for name, step in steps.items():
        rows.attempt(name, step, refusal_of)
    for name, operation in client.all_operations():
        if name not in steps and name not in last:
            rows.attempt(name, lambda each=operation: client.blind_call(each), refusal_of)
    for name, step in last.items():
        rows.attempt(name, step, refusal_of)
    return rows.rows
