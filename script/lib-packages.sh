# Which Debian packages are missing, and installing them. Sourced by script/test and others.
# shellcheck shell=bash

# packages_of KIND...: the names in tools/packages.txt of these kinds.
packages_of() {
    local kind
    for kind in "$@"; do
        awk -v kind="$kind" '$1 == kind { print $2 }' "$root/tools/packages.txt"
    done
}

# missing_packages KIND...: those of them that are not installed.
missing_packages() {
    local name
    for name in $(packages_of "$@"); do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" != installed ]; then
            echo "$name"
        fi
    done
}

# install_packages KIND...: installs what is missing. As an ordinary user without sudo it names what
# is missing and fails.
install_packages() {
    local missing sudo=()
    missing=$(missing_packages "$@" | tr '\n' ' ')
    [ -n "${missing// /}" ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
            sudo=(sudo -n)
        else
            cat >&2 <<END
error: packages are missing, and this user may not install them
  missing: $missing
  what to do: run as root:  apt-get install --no-install-recommends $missing
END
            return 1
        fi
    fi
    echo "installing: $missing" >&2
    # Debian would start a server of its own on port 5432; Howdah makes its own servers.
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        "${sudo[@]}" mkdir -p /etc/postgresql-common
        echo "create_main_cluster = false" |
            "${sudo[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    # Nor its one PgBouncer for all, nor an etcd on port 2379: who wants those unmasks them.
    local service package
    for service in pgbouncer etcd; do
        package=${service/etcd/etcd-server}
        if [[ " $missing" == *" $package "* && ! -e /etc/systemd/system/$service.service ]]; then
            "${sudo[@]}" mkdir -p /etc/systemd/system
            "${sudo[@]}" ln -s /dev/null "/etc/systemd/system/$service.service"
        fi
    done
    "${sudo[@]}" apt-get update -q >&2 || echo "apt-get update failed; trying with what is known" >&2
    # shellcheck disable=SC2086  # a list of names
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
        --no-install-recommends -o Dpkg::Options::=--force-confold $missing >&2
}
