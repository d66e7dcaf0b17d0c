/*
 * howdah_guard: keeps a customer's administrator inside the database.
 *
 * An administrator has CREATEROLE. Up to PostgreSQL 15 that is enough to grant oneself
 * pg_execute_server_program, a shell as the server's operating-system user. This module, loaded by
 * shared_preload_libraries, refuses such statements to everyone but superusers:
 *
 *   - handing out the built-in roles that reach the host, by any of the statements that can;
 *   - changing Howdah's own roles, databases and the administrator's existence;
 *   - writing and locking the system catalogs, also through their views;
 *   - creating extensions that are not on azure.extensions, dependencies included;
 *   - connecting to unix sockets (dblink, postgres_fdw): behind them are other servers;
 *   - reading and writing the server's files, running programs, loading libraries, also for code
 *     of a customer that runs as a superuser by mistake: functions of extensions lose SECURITY
 *     DEFINER.
 *
 * It only ever refuses. What a customer may do as a superuser (creating allowed extensions) is done
 * by pgextwlist, which has to be loaded before this module, so that this one sees a statement
 * first.
 *
 * A session is exempt only if both its login role and its current role are superusers. So code of
 * a customer that runs with a superuser's rights by mistake (a badly written extension script) is
 * refused as well, and so is a customer's function that runs in a superuser's session.
 */
/* postgres.h comes first. */
/* clang-format off */
#include "postgres.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_auth_members.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/varlena.h"
/* clang-format on */

PG_MODULE_MAGIC;

#define ADMINISTRATORS "azure_pg_admin"
#define SUPERUSER "howdah"
#define TOKEN_ROLES "howdah_token_role"

#if PG_VERSION_NUM >= 140000
#define UTILITY_PARAMETERS                                                                     \
    PlannedStmt *pstmt, const char *query, bool read_only_tree, ProcessUtilityContext context, \
        ParamListInfo params, QueryEnvironment *environment, DestReceiver *destination,        \
        QueryCompletion *completion
#define UTILITY_ARGUMENTS \
    pstmt, query, read_only_tree, context, params, environment, destination, completion
#else
#define UTILITY_PARAMETERS                                                                      \
    PlannedStmt *pstmt, const char *query, ProcessUtilityContext context, ParamListInfo params, \
        QueryEnvironment *environment, DestReceiver *destination, QueryCompletion *completion
#define UTILITY_ARGUMENTS pstmt, query, context, params, environment, destination, completion
#endif

#if PG_VERSION_NUM >= 160000
#define owns_database(database) object_ownercheck(DatabaseRelationId, (database), GetUserId())
#else
#define owns_database(database) pg_database_ownercheck((database), GetUserId())
#endif

/* As libpq/auth.h has it, which cannot be included without the headers of Kerberos. */
typedef void (*ClientAuthentication_hook_type)(struct Port* port, int status);
extern PGDLLIMPORT ClientAuthentication_hook_type ClientAuthentication_hook;

void _PG_init(void);

static char* allowed_extensions = NULL;
static char* administrator = NULL;
static ProcessUtility_hook_type next_utility = NULL;
static object_access_hook_type next_object_access = NULL;
static ExecutorCheckPerms_hook_type next_permissions = NULL;
static ClientAuthentication_hook_type next_authentication = NULL;

/* Built-in roles an administrator may hand on: they stay inside the database. */
static const char* const grantable_roles[] = {
    ADMINISTRATORS,      "pg_checkpoint",        "pg_maintain",       "pg_monitor",
    "pg_read_all_data",  "pg_read_all_settings", "pg_read_all_stats", "pg_signal_autovacuum_worker",
    "pg_signal_backend", "pg_stat_scan_tables",  "pg_write_all_data",
};

static const char* const system_databases[] = {
    "azure_maintenance", "azure_sys", "postgres", "template0", "template1",
};

/* Parameters that load code or widen what this module allows. */
static const char* const dangerous_parameters[] = {
    "dynamic_library_path",    "extension_control_path",    "jit_provider",
    "local_preload_libraries", "session_preload_libraries", "shared_preload_libraries",
};

static bool is_one_of(const char* name, const char* const* list, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (strcmp(name, list[i]) == 0) return true;
    return false;
}

#define IS_ONE_OF(name, list) is_one_of((name), (list), lengthof(list))

static bool has_prefix(const char* name, const char* prefix) {
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* PostgreSQL's and Howdah's roles, and names they may need later. */
static bool is_reserved_role(const char* name) {
    return has_prefix(name, "pg_") || has_prefix(name, "azure_") || has_prefix(name, "howdah_") ||
           strcmp(name, SUPERUSER) == 0 || strcmp(name, "azuresu") == 0;
}

static bool is_administrator(const char* name) {
    return administrator != NULL && administrator[0] != '\0' && strcmp(name, administrator) == 0;
}

static bool is_exempt(void) { return superuser() && superuser_arg(GetSessionUserId()); }

/* Scripts of allowed extensions run as a superuser in a customer's session. */
static bool in_extension_script(void) { return creating_extension && superuser(); }

/* In a schema of PostgreSQL's own. */
static bool is_system_relation(Oid relation) {
    Oid schema = OidIsValid(relation) ? get_rel_namespace(relation) : InvalidOid;

    return OidIsValid(schema) && (schema == PG_CATALOG_NAMESPACE ||
                                  schema == get_namespace_oid("information_schema", true));
}

static bool is_member_of_administrators(void) {
    Oid role = get_role_oid(ADMINISTRATORS, true);

    return OidIsValid(role) && has_privs_of_role(GetUserId(), role);
}

static void refuse(const char* message, const char* object, const char* hint) {
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg(message, object),
                    hint ? errhint("%s", hint) : 0));
}

static void refuse_role_change(const char* role) {
    refuse("role \"%s\" is reserved and cannot be changed", role, NULL);
}

/* ---- names in statements ---- */

static const char* role_name(const RoleSpec* spec) {
    switch (spec->roletype) {
        case ROLESPEC_CSTRING:
            return spec->rolename;
#if PG_VERSION_NUM >= 140000
        case ROLESPEC_CURRENT_ROLE:
#endif
        case ROLESPEC_CURRENT_USER:
            return GetUserNameFromId(GetUserId(), false);
        case ROLESPEC_SESSION_USER:
            return GetUserNameFromId(GetSessionUserId(), false);
        case ROLESPEC_PUBLIC:
            break;
    }
    return "public";
}

/* ---- roles ---- */

/* Becoming a member of `role`. */
static void check_granted_role(const char* role) {
    if (is_reserved_role(role) && !IS_ONE_OF(role, grantable_roles))
        refuse("membership in role \"%s\" cannot be granted or revoked", role,
               "The role reaches the host of the server; no customer can have it.");
}

/* Giving members more than they have now: not to PostgreSQL's and Howdah's roles. */
static void check_member(const RoleSpec* spec) {
    const char* member = role_name(spec);

    if (is_reserved_role(member) && strcmp(member, ADMINISTRATORS) != 0) refuse_role_change(member);
}

static void check_members(List* specs) {
    ListCell* cell;

    foreach (cell, specs) check_member(lfirst_node(RoleSpec, cell));
}

/* What azure_pg_admin and PostgreSQL's own roles are and have stays as it is. */
static void check_unreserved(List* specs) {
    ListCell* cell;

    foreach (cell, specs) {
        const char* role = role_name(lfirst_node(RoleSpec, cell));

        if (is_reserved_role(role)) refuse_role_change(role);
    }
}

static void check_grant_role(GrantRoleStmt* stmt) {
    ListCell* cell;
    bool reserved = false;

    foreach (cell, stmt->granted_roles) {
        const char* role = lfirst_node(AccessPriv, cell)->priv_name;

        /* NULL is "ALL", which PostgreSQL refuses. */
        if (role == NULL) continue;
        check_granted_role(role);
        reserved = reserved || is_reserved_role(role);
    }
    check_members(stmt->grantee_roles);
    if (!stmt->is_grant && reserved) check_unreserved(stmt->grantee_roles);
}

static void check_role_options(List* options) {
    ListCell* cell;

    foreach (cell, options) {
        DefElem* option = lfirst_node(DefElem, cell);

        if (strcmp(option->defname, "addroleto") == 0) {
            ListCell* each;

            foreach (each, (List*)option->arg)
                check_granted_role(role_name(lfirst_node(RoleSpec, each)));
        } else if (strcmp(option->defname, "rolemembers") == 0 ||
                   strcmp(option->defname, "adminmembers") == 0)
            check_members((List*)option->arg);
        else if ((strcmp(option->defname, "superuser") == 0 ||
                  strcmp(option->defname, "isreplication") == 0 ||
                  strcmp(option->defname, "bypassrls") == 0) &&
                 option->arg != NULL && defGetBoolean(option))
            refuse("a role cannot be given the attribute %s",
                   strcmp(option->defname, "superuser") == 0       ? "SUPERUSER"
                   : strcmp(option->defname, "isreplication") == 0 ? "REPLICATION"
                                                                   : "BYPASSRLS",
                   NULL);
    }
}

static void check_new_role_name(const char* name) {
    if (is_reserved_role(name))
        refuse("the role name \"%s\" is reserved", name,
               "Choose a name that does not begin with pg_, azure_ or howdah.");
}

static void check_alter_role(AlterRoleStmt* stmt) {
    const char* role = role_name(stmt->role);
    DefElem* first = stmt->options == NIL ? NULL : linitial_node(DefElem, stmt->options);

    if (first != NULL && strcmp(first->defname, "rolemembers") == 0) {
        /* ALTER GROUP role ADD USER, DROP USER. */
        check_granted_role(role);
        if (stmt->action < 0 && is_reserved_role(role)) check_unreserved((List*)first->arg);
    } else if (is_reserved_role(role))
        refuse_role_change(role);
    check_role_options(stmt->options);
}

/* A role that Howdah made for a Microsoft Entra administrator, and that is one still. */
static bool is_token_administrator(const char* name) {
    Oid mark = get_role_oid(TOKEN_ROLES, true);
    HeapTuple tuple = SearchSysCache1(AUTHNAME, CStringGetDatum(name));
    bool is_one = false;

    if (!HeapTupleIsValid(tuple)) return false;
    if (OidIsValid(mark) && ((Form_pg_authid)GETSTRUCT(tuple))->rolcanlogin) {
        /* By member and role in all versions; since 16 with the grantor behind. */
        CatCList* memberships = SearchSysCacheList1(
            AUTHMEMMEMROLE, ObjectIdGetDatum(((Form_pg_authid)GETSTRUCT(tuple))->oid));

        for (int i = 0; i < memberships->n_members; i++) {
            HeapTuple each = &memberships->members[i]->tuple;

            if (((Form_pg_auth_members)GETSTRUCT(each))->roleid == mark) is_one = true;
        }
        ReleaseSysCacheList(memberships);
    }
    ReleaseSysCache(tuple);
    return is_one;
}

static void check_gone_role(const char* role) {
    if (is_reserved_role(role)) refuse_role_change(role);
    if (is_administrator(role) || is_token_administrator(role))
        refuse("role \"%s\" is the server's administrator and cannot be dropped or renamed", role,
               NULL);
}

/* ALTER ROLE ... SET and ALTER DATABASE ... SET. */
static void check_setting(VariableSetStmt* stmt) {
    if (stmt == NULL || stmt->name == NULL) return;
    for (size_t i = 0; i < lengthof(dangerous_parameters); i++)
        if (pg_strcasecmp(stmt->name, dangerous_parameters[i]) == 0)
            refuse("parameter \"%s\" cannot be set", stmt->name, NULL);
    if (pg_strncasecmp(stmt->name, "howdah.", 7) == 0 ||
        pg_strncasecmp(stmt->name, "extwlist.", 9) == 0 ||
        pg_strncasecmp(stmt->name, "azure.", 6) == 0)
        refuse("parameter \"%s\" cannot be set", stmt->name,
               "Set it as a parameter of the server.");
}

/* ---- databases ---- */

static void check_database(const char* name) {
    if (name != NULL && IS_ONE_OF(name, system_databases))
        refuse("database \"%s\" belongs to the server and cannot be changed", name, NULL);
}

/* ---- extensions ---- */

static bool is_allowed_extension(const char* name) {
    char* names = pstrdup(allowed_extensions ? allowed_extensions : "");
    List* list = NIL;
    ListCell* cell;
    bool allowed = false;

    /* A text that is no list allows nothing. */
    if (SplitIdentifierString(names, ',', &list))
        foreach (cell, list)
            if (strcmp(name, (const char*)lfirst(cell)) == 0) allowed = true;
    list_free(list);
    pfree(names);
    return allowed;
}

static void check_extension_allowed(const char* name) {
    if (!is_allowed_extension(name))
        refuse("extension \"%s\" is not allowed on this server", name,
               "Add it to the server parameter azure.extensions first.");
}

/* pgextwlist lets whoever asks act as superuser on an extension, so who may ask is decided here. */
static void check_extension_right(const char* name) {
    if (!owns_database(MyDatabaseId) && !is_member_of_administrators())
        refuse("permission denied for extension \"%s\"", name,
               "Only the owner of the database and members of azure_pg_admin may do this.");
}

/* pgextwlist makes a file's name of the version before PostgreSQL has checked it. */
static void check_extension_options(List* options) {
    ListCell* cell;

    foreach (cell, options) {
        DefElem* option = lfirst_node(DefElem, cell);

        if (strcmp(option->defname, "new_version") == 0 && option->arg != NULL &&
            strchr(strVal(option->arg), '/') != NULL)
            refuse("invalid extension version \"%s\"", strVal(option->arg), NULL);
    }
}

static void check_create_extension(CreateExtensionStmt* stmt) {
    /* Every dump of an older server has CREATE EXTENSION IF NOT EXISTS plpgsql. */
    if (stmt->if_not_exists && OidIsValid(get_extension_oid(stmt->extname, true))) return;
    check_extension_allowed(stmt->extname);
    check_extension_right(stmt->extname);
    check_extension_options(stmt->options);
}

static void check_drop(DropStmt* stmt) {
    ListCell* cell;

    if (stmt->removeType != OBJECT_EXTENSION) return;
    foreach (cell, stmt->objects) check_extension_right(strVal(lfirst(cell)));
}

static void check_call(Oid function);

/* ---- unix sockets ---- */

/* A system call's arguments are of 64 bits; the kernel looks at the lower half of a domain. */
#ifdef WORDS_BIGENDIAN
#define FIRST_ARGUMENT (offsetof(struct seccomp_data, args) + 4)
#else
#define FIRST_ARGUMENT offsetof(struct seccomp_data, args)
#endif

/*
 * From here on this process makes no unix socket, as the kernel sees to it. Its folder keeps others
 * from the socket of a server only where each server has an operating-system user of its own; and
 * pg_hba.conf cannot tell a pooler, which comes through that socket, from dblink, which would get
 * past firewall rules and TLS there.
 *
 * Not for the postmaster, which makes such sockets, and not before a client has logged in: the name
 * of an operating-system user may have to be asked for by one. Whatever else can run a customer's
 * code (parallel workers, autovacuum) comes here by a hook before it does.
 */
static void close_unix_sockets(void) {
    static bool are_closed = false;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIRST_ARGUMENT),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {lengthof(filter), filter};

    if (are_closed) return;
    are_closed = true;
    /* The flag: without it old kernels make the whole process slower. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) !=
             0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0))
        ereport(LOG, (errmsg("this kernel does not keep sessions from unix sockets: %m")));
}

static void guard_authentication(struct Port* port, int status) {
    if (next_authentication) next_authentication(port, status);
    close_unix_sockets();
}

/*
 * Sees every call of a function, and every extension that is created, also those that CASCADE
 * brings, whatever role creates it at this moment.
 */
static void guard_object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id,
                                void* argument) {
    if (next_object_access) next_object_access(access, class_id, object_id, sub_id, argument);
    if (access == OAT_FUNCTION_EXECUTE) {
        close_unix_sockets();
        check_call(object_id);
    }
    if (access == OAT_POST_CREATE && class_id == ExtensionRelationId && !is_exempt()) {
        /* The row is not visible to the catalog caches yet. */
        Relation relation = table_open(ExtensionRelationId, AccessShareLock);
        ScanKeyData key;
        SysScanDesc scan;
        HeapTuple tuple;

        ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
                    ObjectIdGetDatum(object_id));
        scan = systable_beginscan(relation, ExtensionOidIndexId, true, SnapshotSelf, 1, &key);
        tuple = systable_getnext(scan);
        if (!HeapTupleIsValid(tuple)) elog(ERROR, "extension %u has no row", object_id);
        check_extension_allowed(NameStr(((Form_pg_extension)GETSTRUCT(tuple))->extname));
        systable_endscan(scan);
        table_close(relation, AccessShareLock);
    }
}

/* ---- code that runs as a superuser by mistake ---- */

/* Built-in functions that reach files and settings of the server; superusers may call them. */
static const char* const server_functions[] = {
    "be_lo_export",        "be_lo_import",      "be_lo_import_with_oid",
    "lo_export",           "lo_import",         "pg_file_rename",
    "pg_file_sync",        "pg_file_unlink",    "pg_file_write",
    "pg_logdir_ls",        "pg_ls_dir",         "pg_promote",
    "pg_read_binary_file", "pg_read_file",      "pg_read_file_off_len",
    "pg_reload_conf",      "pg_rotate_logfile", "pg_stat_file",
};

/* Only code written in C can do what it likes. */
static void check_function(CreateFunctionStmt* stmt) {
    ListCell* cell;

    if (in_extension_script()) return;
    foreach (cell, stmt->options) {
        DefElem* option = lfirst_node(DefElem, cell);

        if (strcmp(option->defname, "language") == 0 &&
            (pg_strcasecmp(strVal(option->arg), "c") == 0 ||
             pg_strcasecmp(strVal(option->arg), "internal") == 0))
            refuse("permission denied for language %s", strVal(option->arg), NULL);
    }
}

/* A SECURITY DEFINER function of an extension may run a customer's code as the superuser. */
static void check_call(Oid function) {
    const char* name;

    if (!superuser() || function >= FirstNormalObjectId || is_exempt()) return;
    name = get_func_name(function);
    if (name != NULL && IS_ONE_OF(name, server_functions))
        refuse("permission denied for function %s", name, NULL);
}

/*
 * Extensions belong to the superuser, and few of their authors think of a customer who is not one
 * but may write triggers, types and operators that a SECURITY DEFINER function comes across. What
 * such functions are for, the administrator has the rights to do by itself.
 */
static const char* const take_rights_of_definers =
    "DO $$DECLARE f regprocedure; BEGIN "
    "FOR f IN SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_depend d "
    "ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid "
    "AND d.deptype = 'e' WHERE p.prosecdef LOOP "
    "EXECUTE pg_catalog.format('ALTER ROUTINE %s SECURITY INVOKER', f); END LOOP; END$$";

static void take_rights_of_extensions(void) {
    Oid user;
    int context;
    int level = NewGUCNestLevel();

    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
                           context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
    (void)set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
                            GUC_ACTION_SAVE, true, 0, false);
    if (SPI_connect() != SPI_OK_CONNECT || SPI_execute(take_rights_of_definers, false, 0) < 0)
        elog(ERROR, "the functions of an extension cannot be made safe");
    SPI_finish();
    AtEOXact_GUC(true, level);
    SetUserIdAndSecContext(user, context);
}

/* ---- statements ---- */

static void check_copy(CopyStmt* stmt) {
    if (stmt->is_program)
        refuse("COPY %s is not possible on this server", "PROGRAM",
               "Use psql's \\copy, which runs the program on the client.");
    if (stmt->filename != NULL)
        refuse("COPY %s is not possible on this server", "with a file of the server",
               "Use psql's \\copy or COPY FROM STDIN and COPY TO STDOUT.");
}

/*
 * To lock a view locks what is below it with the rights of its owner: through pg_roles a member of
 * pg_write_all_data would keep everybody from logging in, in a prepared transaction for ever. So
 * views and system catalogs are not locked, and as a name may come to mean another relation while
 * LOCK waits, this module locks by itself what it has looked at.
 */
static void check_lockable(const RangeVar* name, Oid relation, Oid before, void* argument) {
    LOCKMODE mode = *(LOCKMODE*)argument;
    AclMode right = ACL_UPDATE | ACL_DELETE | ACL_TRUNCATE;
    AclResult result;
    char kind;

    if (!OidIsValid(relation)) return;
    kind = get_rel_relkind(relation);
    if (is_system_relation(relation) || kind == RELKIND_VIEW)
        refuse("\"%s\" cannot be locked", name->relname,
               "Lock the tables that the view reads; system catalogs cannot be locked.");
    if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
        ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                        errmsg("\"%s\" is not a table", name->relname)));
    if (mode <= RowExclusiveLock) right |= ACL_INSERT;
    if (mode == AccessShareLock) right |= ACL_SELECT;
    result = pg_class_aclcheck(relation, GetUserId(), right);
    if (result != ACLCHECK_OK) aclcheck_error(result, OBJECT_TABLE, name->relname);
}

/* With pg_maintain (17) REINDEX and CLUSTER would lock a catalog until the transaction ends. */
static void check_rebuilt(const RangeVar* name) {
    if (name != NULL && is_system_relation(RangeVarGetRelid(name, NoLock, true)))
        refuse("\"%s\" cannot be rebuilt", name->relname, NULL);
}

/* Partitions and children, as LOCK does: without a look at their own rights. */
static void lock_children(Oid parent, const LockStmt* stmt) {
    List* children = find_all_inheritors(parent, NoLock, NULL);
    ListCell* cell;

    foreach (cell, children) {
        Oid child = lfirst_oid(cell);

        if (child == parent) continue;
        if (!stmt->nowait)
            LockRelationOid(child, stmt->mode);
        else if (!ConditionalLockRelationOid(child, stmt->mode))
            ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
                            errmsg("could not obtain lock on relation %u", child)));
        if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(child)))
            UnlockRelationOid(child, stmt->mode);
    }
}

static void lock_tables(LockStmt* stmt, ProcessUtilityContext context) {
    ListCell* cell;
    LOCKMODE mode = stmt->mode;

    RequireTransactionBlock(context == PROCESS_UTILITY_TOPLEVEL, "LOCK TABLE");
    if (RecoveryInProgress() && mode > RowExclusiveLock) PreventCommandDuringRecovery("LOCK TABLE");
    foreach (cell, stmt->relations) {
        RangeVar* name = lfirst_node(RangeVar, cell);
        Oid relation = RangeVarGetRelidExtended(name, mode, stmt->nowait ? RVR_NOWAIT : 0,
                                                check_lockable, &mode);

        if (name->inh) lock_children(relation, stmt);
    }
}

static void check_rename(RenameStmt* stmt) {
    if (stmt->renameType == OBJECT_ROLE) {
        check_gone_role(stmt->subname);
        check_new_role_name(stmt->newname);
    } else if (stmt->renameType == OBJECT_DATABASE) {
        check_database(stmt->subname);
        check_database(stmt->newname);
    }
}

static void check_comment(ObjectType type, Node* object) {
    if (type == OBJECT_ROLE && is_reserved_role(strVal(object))) refuse_role_change(strVal(object));
    /* pgextwlist makes whoever comments on an allowed extension its owner. */
    if (type == OBJECT_EXTENSION) check_extension_right(strVal(object));
}

static void check_reassign(ReassignOwnedStmt* stmt) {
    const char* new_owner = role_name(stmt->newrole);

    check_unreserved(stmt->roles);
    if (is_reserved_role(new_owner) && strcmp(new_owner, ADMINISTRATORS) != 0)
        refuse_role_change(new_owner);
}

static void check_drop_roles(DropRoleStmt* stmt) {
    ListCell* cell;

    foreach (cell, stmt->roles) check_gone_role(role_name(lfirst_node(RoleSpec, cell)));
}

static void check_statement_on_roles(Node* node) {
    switch (nodeTag(node)) {
        case T_GrantRoleStmt:
            check_grant_role((GrantRoleStmt*)node);
            break;
        case T_CreateRoleStmt:
            check_new_role_name(((CreateRoleStmt*)node)->role);
            check_role_options(((CreateRoleStmt*)node)->options);
            break;
        case T_AlterRoleStmt:
            check_alter_role((AlterRoleStmt*)node);
            break;
        case T_AlterRoleSetStmt: {
            AlterRoleSetStmt* stmt = (AlterRoleSetStmt*)node;

            if (stmt->role != NULL && is_reserved_role(role_name(stmt->role)))
                refuse_role_change(role_name(stmt->role));
            check_setting(stmt->setstmt);
            break;
        }
        case T_DropRoleStmt:
            check_drop_roles((DropRoleStmt*)node);
            break;
        case T_DropOwnedStmt:
            check_unreserved(((DropOwnedStmt*)node)->roles);
            break;
        case T_ReassignOwnedStmt:
            check_reassign((ReassignOwnedStmt*)node);
            break;
        default:
            break;
    }
}

static void check_statement_on_databases(Node* node) {
    switch (nodeTag(node)) {
        case T_CreatedbStmt:
            check_database(((CreatedbStmt*)node)->dbname);
            break;
        case T_DropdbStmt:
            check_database(((DropdbStmt*)node)->dbname);
            break;
        case T_AlterDatabaseStmt:
            check_database(((AlterDatabaseStmt*)node)->dbname);
            break;
        case T_AlterDatabaseSetStmt:
            check_setting(((AlterDatabaseSetStmt*)node)->setstmt);
            break;
        case T_AlterOwnerStmt:
            if (((AlterOwnerStmt*)node)->objectType == OBJECT_DATABASE)
                check_database(strVal(((AlterOwnerStmt*)node)->object));
            break;
        default:
            break;
    }
}

static void check_statement(Node* node) {
    check_statement_on_roles(node);
    check_statement_on_databases(node);
    switch (nodeTag(node)) {
        case T_CopyStmt:
            check_copy((CopyStmt*)node);
            break;
        case T_ReindexStmt:
            check_rebuilt(((ReindexStmt*)node)->relation);
            break;
        case T_ClusterStmt:
            check_rebuilt(((ClusterStmt*)node)->relation);
            break;
        case T_CreateFunctionStmt:
            check_function((CreateFunctionStmt*)node);
            break;
        case T_LoadStmt:
            refuse("LOAD \"%s\" is not possible on this server", ((LoadStmt*)node)->filename,
                   "Add the library to the server parameter shared_preload_libraries.");
            break;
        case T_AlterSystemStmt:
            refuse("%s is not possible on this server", "ALTER SYSTEM",
                   "Set the parameter as a parameter of the server.");
            break;
        case T_RenameStmt:
            check_rename((RenameStmt*)node);
            break;
        case T_CommentStmt:
            check_comment(((CommentStmt*)node)->objtype, ((CommentStmt*)node)->object);
            break;
        case T_SecLabelStmt:
            check_comment(((SecLabelStmt*)node)->objtype, ((SecLabelStmt*)node)->object);
            break;
        case T_CreateExtensionStmt:
            check_create_extension((CreateExtensionStmt*)node);
            break;
        case T_AlterExtensionStmt:
            check_extension_allowed(((AlterExtensionStmt*)node)->extname);
            check_extension_right(((AlterExtensionStmt*)node)->extname);
            check_extension_options(((AlterExtensionStmt*)node)->options);
            break;
        case T_AlterExtensionContentsStmt:
            /* Update scripts of extensions do this, as superusers. */
            if (in_extension_script()) break;
            refuse("the contents of extension \"%s\" cannot be changed",
                   ((AlterExtensionContentsStmt*)node)->extname, NULL);
            break;
        case T_DropStmt:
            check_drop((DropStmt*)node);
            break;
        default:
            break;
    }
}

static void guard_utility(UTILITY_PARAMETERS) {
    Node* node = pstmt->utilityStmt;
    /* The statements of every transaction first: nothing is looked up for them. */
    bool guarded = !IsA(node, TransactionStmt) && !is_exempt();

    close_unix_sockets();
    if (guarded) check_statement(node);
    if (guarded && IsA(node, LockStmt))
        lock_tables((LockStmt*)node, context);
    else if (next_utility)
        next_utility(UTILITY_ARGUMENTS);
    else
        standard_ProcessUtility(UTILITY_ARGUMENTS);
    if (guarded && (IsA(node, CreateExtensionStmt) || IsA(node, AlterExtensionStmt)))
        take_rights_of_extensions();
}

/* ---- tables ---- */

#if PG_VERSION_NUM >= 160000
#define PERMISSION_PARAMETERS List *range_table, List *permissions, bool report
#define PERMISSION_ARGUMENTS range_table, permissions, report
#define PERMISSION_LIST permissions
typedef RTEPermissionInfo Permission;
#else
#define PERMISSION_PARAMETERS List *range_table, bool report
#define PERMISSION_ARGUMENTS range_table, report
#define PERMISSION_LIST range_table
typedef RangeTblEntry Permission;
#endif

/*
 * Called for what every statement is going to read and write, views resolved. PostgreSQL keeps all
 * but superusers from writing a catalog, but not from writing one through a view of a superuser:
 * pg_group is such a view of pg_authid, and members of pg_write_all_data may write it. A view by
 * itself (pg_settings and its rules) changes nothing.
 */
static bool guard_permissions(PERMISSION_PARAMETERS) {
    ListCell* cell;

    close_unix_sockets();
    foreach (cell, PERMISSION_LIST) {
        Permission* each = (Permission*)lfirst(cell);

        if ((each->requiredPerms & (ACL_INSERT | ACL_UPDATE | ACL_DELETE)) != 0 &&
            is_system_relation(each->relid) && get_rel_relkind(each->relid) == RELKIND_RELATION &&
            !is_exempt() && !in_extension_script()) {
            if (!report) return false;
            refuse("permission denied for table %s", get_rel_name(each->relid),
                   "The system catalogs change by statements such as ALTER ROLE only.");
        }
    }
    return next_permissions == NULL || next_permissions(PERMISSION_ARGUMENTS);
}

void _PG_init(void) {
    if (!process_shared_preload_libraries_in_progress)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("howdah_guard must be in shared_preload_libraries")));

    DefineCustomStringVariable(
        "azure.extensions", "Extensions that may be created in the databases of this server.", NULL,
        &allowed_extensions, "", PGC_SIGHUP, GUC_LIST_INPUT, NULL, NULL, NULL);
    DefineCustomStringVariable("howdah.administrator", "The server's administrator.", NULL,
                               &administrator, "", PGC_SIGHUP, 0, NULL, NULL, NULL);
#if PG_VERSION_NUM >= 150000
    MarkGUCPrefixReserved("howdah");
#else
    EmitWarningsOnPlaceholders("howdah");
#endif

    next_utility = ProcessUtility_hook;
    ProcessUtility_hook = guard_utility;
    next_object_access = object_access_hook;
    object_access_hook = guard_object_access;
    next_permissions = ExecutorCheckPerms_hook;
    ExecutorCheckPerms_hook = guard_permissions;
    next_authentication = ClientAuthentication_hook;
    ClientAuthentication_hook = guard_authentication;
}
