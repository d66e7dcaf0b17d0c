"""As a new user would: Pagila is loaded through the gateway by the server's administrator, queried,
survives restart, resize and a kill -9 of every process, and the server is deleted without a trace.
"""

import os
import pwd
import re
import signal
import subprocess
import threading
import time
import unittest

from support import Case, howdah_client, started_home, wait_until
from howdah_client import ADMIN, DOMAIN, UNRECOGNIZED_NAME, PsqlError, process

DATASETS = os.environ.get("HOWDAH_DATASETS",
                          os.path.join(howdah_client.ROOT, "..", "shared", "datasets"))
SCHEMA = os.path.join(DATASETS, "pagila-schema.sql")
DATA = os.path.join(DATASETS, "pagila-data.sql")
NAME = "rental"
GROUP = "shop"

HOME = None
CREATED_BY_CLI = None  # None: not tried; "": worked; else why it did not
COUNTS = {}
LEFT_BEFORE = {}


def copied_rows():
    """Rows of each COPY in the data file: what must be in the tables afterwards."""
    counts, table = {}, None
    with open(DATA, encoding="utf-8") as file:
        for line in file:
            if table is None:
                match = re.match(r"COPY public\.(\w+) .*FROM stdin;", line)
                if match:
                    table = match.group(1)
                    counts[table] = 0
            elif line == "\\.\n":
                table = None
            else:
                counts[table] += 1
    return counts


def cli(*arguments, timeout=120):
    return subprocess.run([howdah_client.binary("howdah"), *arguments],
                          env={"PATH": os.environ["PATH"], "HOME": HOME.user_folder,
                               "LANG": "C.UTF-8"},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout, check=False)


def create_by_cli():
    """The README's way; "" or why it failed."""
    secret = HOME.passwords.setdefault(NAME, howdah_client.password())
    for arguments in (
            ("login", "--credentials",
             os.path.join(HOME.dir, "howdahd", "bootstrap-credentials.json")),
            ("group", "create", "--name", GROUP, "--location", "local"),
            ("server", "create", "-g", GROUP, "-n", NAME, "--sku-name", "Standard_B1ms", "--tier",
             "Burstable", "--version", "15", "--storage-size", "32", "--admin-user", ADMIN,
             "--admin-password", secret, "--public-access", "127.0.0.1"),
            ("db", "create", "-g", GROUP, "--server-name", NAME, "--database-name", "pagila",
             "--collation", "C.utf8")):
        result = cli(*arguments)
        if result.returncode != 0:
            shown = " ".join(arguments).replace(secret, "***")
            return f"howdah {shown}: {result.returncode}: {result.stderr}{result.stdout}"
    return ""


def create_by_rest():
    HOME.make_group(GROUP)
    HOME.create_server(NAME)
    HOME.do("PUT", HOME.server_path(NAME) + "/databases/pagila",
            {"properties": {"charset": "UTF8", "collation": "C.utf8"}})


def owned(path, owner):
    """The dump names its owner: the file with the administrator in place of `postgres`."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    mine = os.path.join(HOME.folder, os.path.basename(path))
    with open(mine, "w", encoding="utf-8") as file:
        file.write(re.sub(r"OWNER TO postgres;", f"OWNER TO {owner};", text))
    return mine


def setUpModule():
    global HOME, CREATED_BY_CLI, COUNTS
    if not (os.path.exists(SCHEMA) and os.path.exists(DATA)):
        raise unittest.SkipTest(f"SKIPPED: Pagila is not in {DATASETS} (set HOWDAH_DATASETS)")
    HOME = started_home()
    HOME.group = GROUP
    try:
        COUNTS = copied_rows()
        LEFT_BEFORE["users"] = {u.pw_name for u in pwd.getpwall()}
        CREATED_BY_CLI = create_by_cli()
        if CREATED_BY_CLI:
            create_by_rest()
        for path in (SCHEMA, DATA):
            result = HOME.psql_file(NAME, owned(path, ADMIN), db="pagila")
            if result.returncode != 0:
                raise AssertionError(f"{path} cannot be loaded: {result.stderr}")
    except BaseException:
        tearDownModule()
        raise


def tearDownModule():
    if HOME:
        HOME.stop()


def query(sql, **where):
    return HOME.psql(NAME, sql, db="pagila", **where)


class Pagila(Case):
    """The tests run in the order of their numbers on one server; the last one deletes it."""

    def check_data(self):
        counts = dict(line.split("|") for line in query("; ".join(
            f"select '{t}', count(*) from public.{t}" for t in COUNTS)).splitlines())
        self.assertEqual({t: int(n) for t, n in counts.items()}, COUNTS)

    def test_1_the_server_was_created_by_the_command_line(self):
        self.assertEqual(CREATED_BY_CLI, "")

    def test_2_queries_answer_what_the_dump_holds(self):
        self.check_data()
        self.assertEqual(query("select count(*) from film"), "1000")
        self.assertEqual(query("select count(*) from actor"), "200")
        self.assertEqual(query("select count(*) from rental"), "16044")
        self.assertEqual(query("select sum(amount) from payment"), "67416.51")
        self.assertEqual(query("select title from film where fulltext @@ "
                               "to_tsquery('english', 'astronaut & monkey') order by 1 limit 1"),
                         query("select title from film where description ilike '%astronaut%' and "
                               "description ilike '%monkey%' order by 1 limit 1"))
        self.assertEqual(query("select count(*) from sales_by_store"), "2")
        self.assertEqual(query("select count(*) > 0 from customer_list"), "t")
        query("begin; insert into actor (first_name, last_name) values ('A', 'B'); rollback")

    def test_3_it_survives_a_restart(self):
        before = query("select pg_postmaster_start_time()")
        HOME.do("POST", HOME.server_path(NAME) + "/restart", {})
        self.assertNotEqual(query("select pg_postmaster_start_time()"), before)
        self.check_data()

    def test_4_it_survives_a_resize(self):
        HOME.do("PATCH", HOME.server_path(NAME),
                {"sku": {"name": "Standard_D2ds_v5", "tier": "GeneralPurpose"}})
        self.assertEqual(HOME.get(HOME.server_path(NAME)).json["sku"]["name"], "Standard_D2ds_v5")
        self.check_data()

    def writer(self, stop, written, errors):
        """Commits one row after another; notes each number whose commit was acknowledged."""
        number = 0
        while not stop.is_set():
            number += 1
            try:
                query(f"insert into kept values ({number})")
                written.append(number)
            except (PsqlError, AssertionError, subprocess.TimeoutExpired) as error:
                errors.append(str(error))
                time.sleep(0.05)

    def test_5_it_survives_kill_9_of_every_process_and_loses_no_committed_row(self):
        query("create table if not exists kept (n int)")
        stop, written, errors = threading.Event(), [], []
        thread = threading.Thread(target=self.writer, args=(stop, written, errors))
        thread.start()
        try:
            wait_until("rows are written", lambda: len(written) > 3)
            first = HOME.backend(NAME)
            for name in ("howdahd", "howdah-agent", "howdah-gateway"):
                HOME.kill(name)
                if name == "howdahd":
                    HOME.start()
                HOME.one(name)
                count = len(written)
                wait_until(f"rows are written after {name} died", lambda: len(written) > count + 3)
            now = process(first["pid"])
            self.assertTrue(now and now.start == first["start"], "the postmaster did not survive")
            os.kill(first["pid"], signal.SIGKILL)
            count = len(written)
            wait_until("rows are written after the postmaster died",
                       lambda: len(written) > count + 3, 60)
            self.assertNotEqual(HOME.backend(NAME)["pid"], first["pid"])
        finally:
            stop.set()
            thread.join()
        kept = {int(n) for n in query("select n from kept").split()}
        self.assertEqual(set(written) - kept, set(), "committed rows are lost")
        self.check_data()
        wait_until("the server is Ready", lambda: HOME.get(
            HOME.server_path(NAME)).json["properties"]["state"] == "Ready", 30)

    def test_6_all_at_once_killed_and_started_again(self):
        before = HOME.backend(NAME)
        for name in ("howdahd", "howdah-agent", "howdah-gateway"):
            os.kill(HOME.one(name), signal.SIGKILL)
        os.kill(before["pid"], signal.SIGKILL)
        HOME.process.wait(20)
        HOME.start()
        wait_until("the server answers", lambda: HOME.psql(
            NAME, "select 1", check=False, db="pagila").returncode == 0, 60)
        self.check_data()

    def test_7_the_dump_as_it_is_loads_for_an_administrator_named_postgres(self):
        """The files say OWNER TO postgres: unchanged, they suit an administrator of that name."""
        answer = HOME.call("PUT", HOME.server_path("plain"), HOME.server_body(
            "plain", properties={"administratorLogin": "postgres"}))
        if answer.status == 400:
            self.assert_error(answer, target="administratorLogin")
            self.skipTest("SKIPPED: an administrator named postgres is refused: "
                          + answer.error["message"])
        HOME.finish(answer)
        HOME.allow("plain")
        who = {"user": "postgres", "db": "pagila"}
        HOME.psql("plain", "create database pagila", user="postgres")
        for path in (SCHEMA, DATA):
            result = HOME.psql_file("plain", path, **who)
            self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(HOME.psql("plain", "select count(*) from film", **who), "1000")
        HOME.do("DELETE", HOME.server_path("plain"))

    def test_8_the_server_is_deleted_without_a_trace(self):
        backend = HOME.backend(NAME)
        postmaster = process(backend["pid"])
        instance = self.instance_folder(backend["data"])
        groups = [f for f in howdah_client.cgroup_folders(backend["pid"])
                  if f not in howdah_client.cgroup_folders(os.getpid())]
        user = pwd.getpwuid(postmaster.uid).pw_name
        port = HOME.own_port(NAME)
        memory = self.shared_memory(postmaster.uid)
        HOME.do("DELETE", HOME.server_path(NAME))

        answer = HOME.get(HOME.server_path(NAME))
        self.assert_error(answer, 404, "ResourceNotFound")
        self.assertEqual(HOME.get(HOME.server_path(NAME) + "/databases").status, 404)
        self.assertEqual(HOME.tls_answer(f"{NAME}.{DOMAIN}"), ("alert", UNRECOGNIZED_NAME))
        wait_until("its own port is closed", lambda: self.refused(port), 10)
        left = [p for p in HOME.processes() if p.name == "postgres"
                and p.cwd.startswith(instance)]
        self.assertEqual(left, [], "processes are left")
        self.assertFalse(os.path.exists(instance), f"{instance} is left")
        self.assertFalse(os.path.exists(os.path.join(backend["socket"],
                                                     f".s.PGSQL.{backend['port']}")))
        named = []
        incarnation = os.path.basename(instance)
        for base, folders, names in os.walk(HOME.dir):
            named += [os.path.join(base, n) for n in folders + names
                      if incarnation in n or n == NAME or n.startswith(NAME + ".")]
        self.assertEqual(named, [], "files of the server are left")
        for each in groups:
            self.assertFalse(os.path.exists(each), f"control group {each} is left")
        if user not in LEFT_BEFORE["users"]:
            self.assertNotIn(user, {u.pw_name for u in pwd.getpwall()},
                             "its operating-system user is left")
            self.assertEqual(self.shared_memory(postmaster.uid), [], "shared memory is left")
        else:
            self.assertLessEqual(len(self.shared_memory(postmaster.uid)), len(memory))
        with open(os.path.join(HOME.dir, "gateway", "routes.json"), encoding="utf-8") as file:
            self.assertNotIn(f"{NAME}.{DOMAIN}", file.read())

    @staticmethod
    def instance_folder(data):
        """The folder under instances/ that holds a data directory."""
        root = os.path.join(HOME.dir, "agent", "instances")
        if not data.startswith(root + "/"):
            raise AssertionError(f"{data} is not under {root}")
        return os.path.join(root, data.removeprefix(root + "/").split("/")[0])

    @staticmethod
    def refused(port):
        try:
            HOME.connect(port, timeout=2).close()
        except OSError:
            return True
        return False

    @staticmethod
    def shared_memory(uid):
        """SysV segments and POSIX shared memory files of a user."""
        found = []
        with open("/proc/sysvipc/shm", encoding="utf-8") as file:
            header, *lines = [l.split() for l in file]
        column = header.index("uid")
        found += [l[1] for l in lines if int(l[column]) == uid]
        for name in os.listdir("/dev/shm"):
            try:
                if os.stat(os.path.join("/dev/shm", name)).st_uid == uid:
                    found.append(name)
            except OSError:
                pass
        return found


if __name__ == "__main__":
    unittest.main(verbosity=2)
