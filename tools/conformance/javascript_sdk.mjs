// Every operation of the unmodified JavaScript SDK @azure/arm-postgresql-flexible. Reads
// {api_url, authority, tenant_id, ...} from the file that is its argument, and prints one JSON line
// for each operation: {what, outcome, proof}. Run where the packages are installed.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { execFileSync } from "node:child_process";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "package.json"));
const { ClientSecretCredential } = require("@azure/identity");
const { PostgreSQLManagementFlexibleServerClient } = require("@azure/arm-postgresql-flexible");

const home = JSON.parse(readFileSync(process.argv[2], "utf8"));
const NAME = "js-sdk";
const COPY = "js-sdk-back";
const READER = "js-sdk-reader";
const MISSING = "FeatureNotSupported";
const UNSUPPORTED = "not supported by this version of Howdah";

/// A list of what cannot be made yet is empty: the truth, and no proof that something works.
class NothingYet extends Error {}

function nothingYet(found) {
  if (found.length > 0) throw new Error("it answers, but nothing here proves its effect");
  throw new NothingYet("an empty list, as none can be made");
}
const group = home.group;
const base = home.api_url.replace(/\/$/, "");
const credential = new ClientSecretCredential(home.tenant_id, home.client_id, home.client_secret, {
  authorityHost: home.authority.replace(/\/$/, ""),
  disableInstanceDiscovery: true,
});
const client = new PostgreSQLManagementFlexibleServerClient(credential, home.subscription_id, {
  endpoint: base,
  credentialScopes: [`${base}/.default`],
});
const poll = { updateIntervalInMs: 500 };

function seen(what, condition) {
  if (!condition) throw new Error(`not seen: ${what}`);
  return what;
}

function psql(sql, server = NAME) {
  const where = home.conninfo.replaceAll("SERVER", server);
  return execFileSync("psql", ["-XqAt", "-d", where, "-c", sql], {
    env: { PATH: process.env.PATH, PGPASSWORD: home.password },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  }).trim();
}

async function all(iterator) {
  const found = [];
  for await (const each of iterator) found.push(each);
  return found;
}
const names = async (iterator) => (await all(iterator)).map((each) => each.name);

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

const allow = (server) => client.firewallRules.beginCreateOrUpdateAndWait(group, server, "here",
  { startIpAddress: "127.0.0.1", endIpAddress: "127.0.0.1" }, poll);

async function firstBackup(server = NAME) {
  let found = [];
  for (let i = 0; i < 360 && !found.length; i++) {
    found = await all(client.backupsAutomaticAndOnDemand.listByServer(group, server));
    if (!found.length) await pause(500);
  }
  return found[0];
}

async function nameCheck(check) {
  const type = "Microsoft.DBforPostgreSQL/flexibleServers";
  seen("a taken name", (await check({ name: NAME, type })).nameAvailable === false);
  return seen("a taken and a free name are told apart",
    (await check({ name: "never-used", type })).nameAvailable === true);
}

const editions = async (iterator) => seen("the editions of the machine",
  JSON.stringify(await all(iterator)).includes("Burstable"));

const someone = "11111111-2222-4333-8444-555555555555";
const canLogIn = "select rolcanlogin from pg_roles where rolname = 'ada@example.org'";

const steps = {
  "operations.list": async () => seen("the operations by name",
    (await names(client.operations.list())).some((each) => each.includes("flexibleServers/read"))),
  "capabilitiesByLocation.list": () => editions(client.capabilitiesByLocation.list("local")),
  "servers.beginCreateOrUpdate": async () => {
    const made = await client.servers.beginCreateOrUpdateAndWait(group, NAME, {
      location: "local", sku: { name: "Standard_B1ms", tier: "Burstable" },
      administratorLogin: "dba", administratorLoginPassword: home.password, version: "15",
      storage: { storageSizeGB: 32 }, createMode: "Default", tags: { "made-by": "sdk" },
    }, poll);
    seen("state", made.state === "Ready");
    await allow(NAME);
    return seen("psql answers", psql("select 1") === "1");
  },
  "nameAvailability.checkGlobally": () =>
    nameCheck((body) => client.nameAvailability.checkGlobally(body)),
  "nameAvailability.checkWithLocation": () =>
    nameCheck((body) => client.nameAvailability.checkWithLocation("local", body)),
  "servers.get": async () => seen("the host name",
    (await client.servers.get(group, NAME)).fullyQualifiedDomainName.startsWith(`${NAME}.`)),
  "servers.listByResourceGroup": async () => seen("it is listed",
    (await names(client.servers.listByResourceGroup(group))).includes(NAME)),
  "servers.listBySubscription": async () => seen("it is listed",
    (await names(client.servers.listBySubscription())).includes(NAME)),
  "servers.beginUpdate": async () => {
    await client.servers.beginUpdateAndWait(group, NAME, { tags: { x: "y" } }, poll);
    seen("tags", (await client.servers.get(group, NAME)).tags.x === "y");
    home.password += "3";
    await client.servers.beginUpdateAndWait(group, NAME,
      { administratorLoginPassword: home.password }, poll);
    return seen("psql: new password", psql("select 1") === "1");
  },
  "capabilitiesByServer.list": () => editions(client.capabilitiesByServer.list(group, NAME)),
  "firewallRules.beginCreateOrUpdate": async () => {
    await client.firewallRules.beginCreateOrUpdateAndWait(group, NAME, "office",
      { startIpAddress: "10.0.0.1", endIpAddress: "10.0.0.9" }, poll);
    return seen("GET shows it",
      (await client.firewallRules.get(group, NAME, "office")).endIpAddress === "10.0.0.9");
  },
  "firewallRules.get": async () => seen("its addresses",
    (await client.firewallRules.get(group, NAME, "office")).startIpAddress === "10.0.0.1"),
  "firewallRules.listByServer": async () => seen("it is listed",
    (await names(client.firewallRules.listByServer(group, NAME))).includes("office")),
  "firewallRules.beginDelete": async () => {
    await client.firewallRules.beginDeleteAndWait(group, NAME, "office", poll);
    return seen("the list lacks it",
      !(await names(client.firewallRules.listByServer(group, NAME))).includes("office"));
  },
  "databases.beginCreate": async () => {
    await client.databases.beginCreateAndWait(group, NAME, "app",
      { charset: "UTF8", collation: "en_US.utf8" }, poll);
    return seen("psql: it is there with its collation",
      psql("select datcollate from pg_database where datname = 'app'") === "en_US.utf8");
  },
  "databases.get": async () => seen("its charset",
    (await client.databases.get(group, NAME, "app")).charset === "UTF8"),
  "databases.listByServer": async () => seen("it is listed",
    (await names(client.databases.listByServer(group, NAME))).includes("app")),
  "databases.beginDelete": async () => {
    await client.databases.beginDeleteAndWait(group, NAME, "app", poll);
    return seen("psql: it is gone",
      psql("select count(*) from pg_database where datname = 'app'") === "0");
  },
  "configurations.beginPut": async () => {
    await client.configurations.beginPutAndWait(group, NAME, "work_mem",
      { value: "7001", source: "user-override" }, poll);
    return seen("psql: SHOW tells it", psql("show work_mem") === "7001kB");
  },
  "configurations.beginUpdate": async () => {
    await client.configurations.beginUpdateAndWait(group, NAME, "work_mem",
      { value: "7002", source: "user-override" }, poll);
    return seen("psql: SHOW tells it", psql("show work_mem") === "7002kB");
  },
  "configurations.get": async () => {
    const found = await client.configurations.get(group, NAME, "work_mem");
    return seen("value and range", found.value === "7002" && found.allowedValues);
  },
  "configurations.listByServer": async () => seen("more than a hundred",
    (await all(client.configurations.listByServer(group, NAME))).length > 100),
  "capturedLogs.listByServer": async () => {
    await client.configurations.beginPutAndWait(group, NAME, "logfiles.download_enable",
      { value: "on", source: "user-override" }, poll);
    let files = [];
    for (let i = 0; i < 40 && !files.length; i++) {
      files = await all(client.capturedLogs.listByServer(group, NAME));
      if (!files.length) await pause(500);
    }
    let text = "";
    for (const each of files) text += await (await fetch(each.url)).text();
    return seen("PostgreSQL's own lines in a downloaded file", text.includes("listening on"));
  },
  "administratorsMicrosoftEntra.beginCreateOrUpdate": async () => {
    await client.servers.beginUpdateAndWait(group, NAME,
      { authConfig: { activeDirectoryAuth: "Enabled", passwordAuth: "Enabled" } }, poll);
    await client.administratorsMicrosoftEntra.beginCreateOrUpdateAndWait(group, NAME, someone,
      { principalName: "ada@example.org", principalType: "User", tenantId: home.tenant_id }, poll);
    return seen("psql: the role can log in", psql(canLogIn) === "t");
  },
  "administratorsMicrosoftEntra.get": async () => seen("its role",
    (await client.administratorsMicrosoftEntra.get(group, NAME, someone)).principalName
      === "ada@example.org"),
  "administratorsMicrosoftEntra.listByServer": async () => seen("it is listed",
    (await names(client.administratorsMicrosoftEntra.listByServer(group, NAME))).includes(someone)),
  "administratorsMicrosoftEntra.beginDelete": async () => {
    await client.administratorsMicrosoftEntra.beginDeleteAndWait(group, NAME, someone, poll);
    return seen("psql: the role is gone", psql(canLogIn) === "");
  },
  "quotaUsages.list": async () => seen("names, limits and what is used",
    (await all(client.quotaUsages.list("local"))).every((q) => q.limit >= q.currentValue)),
  "privateDnsZoneSuffix.get": async () => seen("the suffix",
    (await client.privateDnsZoneSuffix.get()).body.startsWith("private.")),
  "backupsAutomaticAndOnDemand.listByServer": async () => seen(
    "the first backup, which came by itself, and its time", (await firstBackup())?.completedTime),
  "backupsAutomaticAndOnDemand.get": async () => {
    const listed = await firstBackup();
    const one = await client.backupsAutomaticAndOnDemand.get(group, NAME, listed.name);
    return seen("its time", one.completedTime.getTime() === listed.completedTime.getTime());
  },
  "backupsAutomaticAndOnDemand.beginCreate": async () => {
    await client.backupsAutomaticAndOnDemand.beginCreateAndWait(group, NAME, "by-hand", poll);
    const made = await client.backupsAutomaticAndOnDemand.get(group, NAME, "by-hand");
    return seen("GET shows it, apart from the schedule's",
      made.backupType === "Customer On-Demand" && made.completedTime);
  },
  "backupsAutomaticAndOnDemand.beginDelete": async () => {
    await client.backupsAutomaticAndOnDemand.beginDeleteAndWait(group, NAME, "by-hand", poll);
    return seen("the list lacks it", !(await names(
      client.backupsAutomaticAndOnDemand.listByServer(group, NAME))).includes("by-hand"));
  },
  "servers.beginCreateOrUpdate: PointInTimeRestore": async () => {
    psql("create table restored (n int); insert into restored values (1)");
    await pause(1100);
    const moment = new Date();
    await pause(1100);
    psql("insert into restored values (2)");
    await client.servers.beginCreateOrUpdateAndWait(group, COPY, {
      location: "local", createMode: "PointInTimeRestore", pointInTimeUTC: moment,
      sourceServerResourceId: (await client.servers.get(group, NAME)).id,
    }, poll);
    await allow(COPY);
    return seen("psql: the new server has the rows of that second, and no later ones",
      psql("select string_agg(n::text, ',') from restored", COPY) === "1");
  },
  "servers.beginCreateOrUpdate: ReviveDropped": async () => {
    await firstBackup(COPY);
    psql("insert into restored values (3)", COPY);
    const { id } = await client.servers.get(group, COPY);
    await client.servers.beginDeleteAndWait(group, COPY, poll);
    await client.servers.beginCreateOrUpdateAndWait(group, COPY, {
      location: "local", createMode: "ReviveDropped", sourceServerResourceId: id }, poll);
    await allow(COPY);
    const found = psql("select string_agg(n::text, ',' order by n) from restored", COPY);
    await client.servers.beginDeleteAndWait(group, COPY, poll);
    return seen("psql: all that was committed before it was deleted", found === "1,3");
  },
  "servers.beginCreateOrUpdate: Replica": async () => {
    psql("create table followed as select generate_series(1, 5) n");
    await client.servers.beginCreateOrUpdateAndWait(group, READER, {
      location: "local", createMode: "Replica",
      sourceServerResourceId: (await client.servers.get(group, NAME)).id,
    }, poll);
    await allow(READER);
    psql("insert into followed values (6)");
    const count = () => psql("select count(*) from followed", READER);
    for (let i = 0; i < 60 && count() !== "6"; i++) await pause(500);
    return seen("psql: it has what the source commits", count() === "6");
  },
  "replicas.listByServer": async () => seen("it is listed",
    (await names(client.replicas.listByServer(group, NAME))).join() === READER),
  "servers.beginUpdate: Standalone promotion": async () => {
    psql("insert into followed values (7)");
    await client.servers.beginUpdateAndWait(group, READER, {
      replica: { role: "None", promoteMode: "Standalone", promoteOption: "Planned" } }, poll);
    psql("insert into followed values (8)", READER);
    const found = psql("select max(n) || ',' || count(*) from followed", READER);
    await client.servers.beginDeleteAndWait(group, READER, poll);
    return seen("psql: it has all, and takes writes", found === "8,8");
  },
  "servers.beginRestart": async () => {
    const before = psql("select pg_postmaster_start_time()");
    await client.servers.beginRestartAndWait(group, NAME, poll);
    return seen("psql: another postmaster",
      psql("select pg_postmaster_start_time()") !== before);
  },
  "servers.beginStop": async () => {
    await client.servers.beginStopAndWait(group, NAME, poll);
    return seen("GET tells it", (await client.servers.get(group, NAME)).state === "Stopped");
  },
  "servers.beginStart": async () => {
    await client.servers.beginStartAndWait(group, NAME, poll);
    return seen("psql answers", psql("select 1") === "1");
  },
};
const last = {
  "servers.beginDelete": async () => {
    await client.servers.beginDeleteAndWait(group, NAME, poll);
    const gone = await client.servers.get(group, NAME).then(() => 200, (e) => e.statusCode);
    return seen("GET answers 404", gone === 404);
  },
};

/// Every operation of the SDK once: begin...AndWait is begin... with the waiting.
function* operations() {
  for (const [name, operationGroup] of Object.entries(client)) {
    if (name.startsWith("_") || name === "pipeline" || typeof operationGroup !== "object") continue;
    if (Array.isArray(operationGroup) || operationGroup === null) continue;
    for (const method of Object.getOwnPropertyNames(Object.getPrototypeOf(operationGroup))) {
      if (method === "constructor" || method.startsWith("_") || method.endsWith("AndWait")) continue;
      if (method.endsWith("Next") || method.endsWith("PagingPage") || method.endsWith("PagingAll"))
        continue;
      yield [`${name}.${method}`, operationGroup[method].bind(operationGroup),
             operationGroup[method].toString()];
    }
  }
}

/// Calls what has no step, with arguments of the right form.
async function blindCall(operation, text) {
  const known = { resourceGroupName: group, serverName: NAME, locationName: "local",
                  threatProtectionName: "Default" };
  const parameters = text.match(/\(([^)]*)\)/)[1].split(",")
    .map((each) => each.trim().split("=")[0].trim());
  const bodies = ["parameters", "body", "migrationNameAvailability"];
  const body = { location: "local", name: "some-name", type: "some-type" };
  const answer = operation(...parameters.filter((each) => each && each !== "options")
    .map((each) => (bodies.includes(each) ? body : known[each] ?? "some-name")));
  if (answer?.[Symbol.asyncIterator]) nothingYet(await all(answer));
  const one = await answer;
  if (one?.delegatedSubnetsUsage) nothingYet(one.delegatedSubnetsUsage);
  await one?.pollUntilDone?.();
  throw new Error("it answers, but nothing here proves its effect");
}

async function attempt(what, action) {
  let outcome = "works";
  let proof;
  try {
    proof = await action();
  } catch (error) {
    const code = error.code ?? error.details?.error?.code;
    outcome = code === MISSING ? "not built yet" : "broken";
    proof = code === MISSING ? MISSING : String(error.message).replace(/\s+/g, " ").slice(0, 300);
    if (error instanceof NothingYet) outcome = "nothing yet";
    if (code === "ResourceNotFound" && proof.includes(UNSUPPORTED)) {
      outcome = "nothing yet";
      proof = "ResourceNotFound, as none can be made";
    }
  }
  console.log(JSON.stringify({ what, outcome, proof }));
}

for (const [what, step] of Object.entries(steps)) await attempt(what, step);
for (const [what, operation, text] of operations()) {
  if (!(what in steps) && !(what in last)) await attempt(what, () => blindCall(operation, text));
}
for (const [what, step] of Object.entries(last)) await attempt(what, step);
