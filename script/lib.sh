# What script/up and script/down share: messages, the folder of an installation (its home), its
# processes, and calls of its REST API. Sourced; `root` is the repository.
# shellcheck shell=bash disable=SC2034,SC2154

bin=${HOWDAH_BIN_DIR:-$root/build/release/bin}
api_version=2025-08-01
resources_version=2021-04-01
quickstart_group=quickstart
quickstart_server=pg1
quickstart_admin=dba

# -- messages ------------------------------------------------------------------------------------

# step TEXT: what is done now.
step() { printf '==> %s\n' "$*" >&2; }

# progress TEXT: one line that is written over, on a terminal; elsewhere nothing.
progress() { if [ -t 2 ]; then printf '\r\033[K    %s' "$*" >&2; fi; }
progress_end() { if [ -t 2 ]; then printf '\r\033[K' >&2; fi; }

# die WHAT [WHAT TO DO]: ends the script.
die() {
    progress_end
    printf 'error: %s\n' "$1" >&2
    if [ -n "${2:-}" ]; then printf '  what to do: %s\n' "$2" >&2; fi
    exit 1
}

# usage_of SCRIPT: the comment at its head.
usage_of() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$1"; }

# -- the home ------------------------------------------------------------------------------------

default_home() {
    if [ "$(id -u)" -eq 0 ]; then
        echo /var/lib/howdah
    else
        echo "${HOME:?HOME is not set}/.local/share/howdah"
    fi
}

# absolute PATH: without a slash at its end; it need not exist.
absolute() { realpath -m -- "$1"; }

# endpoint NAME: a field of run/endpoints.json of $home; fails if it is not there.
endpoint() { jq -er --arg name "$1" '.[$name]' "$home/run/endpoints.json" 2>/dev/null; }

# -- processes -----------------------------------------------------------------------------------

# program_of PID: the file name of what it runs, also after a rebuild has replaced the file.
program_of() {
    local path
    path=$(readlink "/proc/$1/exe" 2>/dev/null) || return 1
    path=${path% (deleted)}
    printf '%s\n' "${path##*/}"
}

# runs_here PID PROGRAM: whether that process is that program and works for $home. A pid from a file
# may long belong to somebody else, so nothing is signalled without this.
runs_here() {
    local pid=$1 program=$2 folder argument
    [[ $pid =~ ^[0-9]+$ ]] || return 1
    [ "$(program_of "$pid")" = "$program" ] || return 1
    folder=$(readlink "/proc/$pid/cwd" 2>/dev/null) || return 1
    case "$folder" in "$home" | "$home"/*) return 0 ;; esac
    while IFS= read -r -d '' argument; do
        case "$argument" in "$home" | "$home"/* | *="$home" | *="$home"/*) return 0 ;; esac
    done 2>/dev/null <"/proc/$pid/cmdline"
    return 1
}

# pid_in FILE: the number at its beginning.
pid_in() {
    local pid
    [ -r "$1" ] && read -r pid _ <"$1" && [[ $pid =~ ^[0-9]+$ ]] && printf '%s\n' "$pid"
}

# howdahd_pid, gateway_pid: of $home, if it runs. A home may have several agents and fences.
howdahd_pid() { locked_pid howdahd.lock howdahd; }
agent_pids() { locked_pids agent howdah-agent; }
fence_pids() { locked_pids fence howdah-fence; }
locked_pids() {
    local lock
    for lock in "$home/run/$1.lock" "$home/run/$1"-[0-9]*.lock; do
        locked_pid "${lock##*/}" "$2" || true
    done
}
gateway_pid() { locked_pid gateway.lock howdah-gateway; }
pooler_pid() { locked_pid pooler.lock howdah-pooler; }
pooled_gateway_pid() { locked_pid gateway-pooled.lock howdah-gateway; }
# The PgBouncer of each pooled server.
pgbouncer_pids() {
    local lock pid
    for lock in "$home"/pooler/*/lock; do
        pid=$(pid_in "$lock") || continue
        if runs_here "$pid" pgbouncer; then printf '%s\n' "$pid"; fi
    done
}
locked_pid() {
    local pid
    pid=$(pid_in "$home/run/$1") || return 1
    runs_here "$pid" "$2" || return 1
    printf '%s\n' "$pid"
}

# postmaster_pids: the PostgreSQL servers of $home. A data directory's postmaster works in it.
postmaster_pids() {
    local file pid
    while IFS= read -r -d '' file; do
        pid=$(pid_in "$file") || continue
        if [ "$(program_of "$pid")" = postgres ] &&
            [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "${file%/*}" ]; then
            printf '%s\n' "$pid"
        fi
    done < <(find "$home"/agent* -name postmaster.pid -print0 2>/dev/null)
}

# stray_pids: every other process of $home: an initdb, a backend whose postmaster is gone.
stray_pids() {
    local folder pid program
    for folder in /proc/[0-9]*; do
        pid=${folder#/proc/}
        program=$(program_of "$pid") || continue
        case "$program" in
            howdahd | howdah-agent | howdah-fence | howdah-gateway | howdah-pooler | pgbouncer | \
                postgres | initdb | pg_ctl | \
                pg_basebackup)
                if runs_here "$pid" "$program"; then printf '%s\n' "$pid"; fi
                ;;
        esac
    done
}

# is_alive PID: a zombie is not.
is_alive() {
    local state
    state=$(sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null) || return 1
    [ -n "$state" ] && [ "${state%% *}" != Z ]
}

# wait_end SECONDS PID...: true once all have ended.
wait_end() {
    local seconds=$1 deadline pid
    shift
    deadline=$((SECONDS + seconds))
    for pid in "$@"; do
        while is_alive "$pid"; do
            [ "$SECONDS" -lt "$deadline" ] || return 1
            sleep 0.1
        done
    done
}

# -- the REST API --------------------------------------------------------------------------------

# call METHOD PATH-OR-URL [BODY]: one request to the API of $home with $token. The answer's status is
# in $status, its body and header in $work/body and $work/header. Neither token nor body is ever an
# argument of a program, where everybody could read them.
call() {
    local method=$1 url=$2 body=${3:-}
    case "$url" in https://*) ;; *) url=$api$url ;; esac
    local options=(--silent --show-error --noproxy '*' --cacert "$ca" --max-time 60
        --request "$method" --output "$work/body" --dump-header "$work/header"
        --write-out '%{http_code}')
    : >"$work/body"
    if [ -n "$body" ]; then
        options+=(--header 'Content-Type: application/json' --data-binary @-)
    fi
    status=$(curl "${options[@]}" --config <(printf 'header = "Authorization: Bearer %s"\n' "$token") \
        "$url" <<<"$body") || die "the API at $api does not answer $method" \
        "look into $home/log/howdahd.log"
}

# refusal: what the API said against the last call, in one line.
refusal() {
    jq -r '.error | "\(.code): \(.message)"' "$work/body" 2>/dev/null || head -c 300 "$work/body"
}

# must_be WHAT STATUS...: the last call answered one of these, or the script ends.
must_be() {
    local what=$1 each
    shift
    for each in "$@"; do [ "$status" = "$each" ] && return 0; done
    die "$what failed ($status): $(refusal)" "look into $home/log/howdahd.log"
}

# follow WHAT: waits until the operation that the last call began has succeeded.
follow() {
    local what=$1 url begin=$SECONDS state
    url=$(sed -n 's/\r$//;s/^[Aa]zure-[Aa]sync[Oo]peration: //p' "$work/header")
    [ -n "$url" ] || return 0
    while :; do
        call GET "$url"
        must_be "$what" 200
        state=$(jq -r .status "$work/body")
        case "$state" in
            Succeeded) break ;;
            Failed | Canceled)
                die "$what failed: $(refusal)" "look into $home/log/howdah-agent.log"
                ;;
        esac
        [ $((SECONDS - begin)) -lt 300 ] ||
            die "$what has not ended after 300 s" "look into $home/log/howdah-agent.log"
        progress "$what ($((SECONDS - begin)) s)"
        sleep 0.1
    done
    progress_end
}

# log_in: reads the first credentials of $home and gets $token. Sets $api, $ca, $subscription.
log_in() {
    local credentials=$home/howdahd/bootstrap-credentials.json tenant client authority
    [ -r "$credentials" ] || die "$credentials cannot be read" \
        "log in as the user who started it, or name another folder with --home"
    api=$(endpoint api) || die "$home/run/endpoints.json does not say where the API is"
    ca=$(endpoint ca)
    subscription=$(jq -er .subscription_id "$credentials")
    tenant=$(jq -er .tenant_id "$credentials")
    client=$(jq -er .client_id "$credentials")
    authority=$(jq -er .authority "$credentials")
    token=$(jq -jer .client_secret "$credentials" |
        curl --silent --show-error --fail-with-body --noproxy '*' --cacert "$ca" --max-time 30 \
            --data grant_type=client_credentials --data-urlencode "client_id=$client" \
            --data-urlencode client_secret@- --data-urlencode "scope=$api/.default" \
            "${authority%/}/$tenant/oauth2/v2.0/token" | jq -er .access_token) ||
        die "the API at $api does not accept the credentials in $credentials" \
            "if the secret was changed, use script/up --home with another folder"
}
