#!/bin/sh
# Installs what the project needs on Debian 12: tests/setup.sh [build|lab|all|bench|contract]
#   build  compilers, libraries and PostgreSQL: to build, and to run unit and integration tests
#   lab    what the local Kubernetes of tests/lab needs
#   all    both, and the programs that check what is made for them
#   bench  all, and what the benchmark's peer is installed with
#   contract  all, and the languages of docs/examples
# Can be repeated: takes a moment when nothing is missing.
set -eu

build_packages="build-essential g++ cmake ninja-build ccache pkg-config
    libcpprest-dev nlohmann-json3-dev libpq-dev prometheus-cpp-dev libspdlog-dev
    libgtest-dev libgmock-dev libbenchmark-dev libboost-dev libssl-dev libyaml-cpp-dev libcli11-dev
    libmimalloc-dev clang-format clang-tidy shellcheck gcovr postgresql-15 libfaketime
    python3 python3-pytest python3-yaml python3-psycopg2 openssl procps"
lab_packages="build-essential python3 python3-websocket containerd runc containernetworking-plugins buildah debootstrap
    conntrack socat nftables iproute2 procps openssl util-linux"
check_packages="curl haproxy pgbouncer prometheus python3-venv"
bench_packages="e2fsprogs"
contract_packages="default-jdk-headless libpostgresql-jdbc-java"

say() { echo "setup: $*" >&2; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        say "this needs root: run it as root, or install sudo"
        exit 1
    fi
}

# The packages of the list that are not installed.
missing_of() {
    # shellcheck disable=SC2086
    installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $1 2>/dev/null |
        sed -n 's/ installed$//p' | tr '\n' ' ')
    for package in $1; do
        case " $installed" in
            *" $package "*) ;;
            *) echo "$package" ;;
        esac
    done
}

install_packages() {
    # shellcheck disable=SC2086  # lists of words
    missing=$(missing_of "$1")
    [ -n "$missing" ] || return 0
    say "installing" $missing
    # The tests start servers of their own: none is to be set up by the package. A cluster
    # that the machine has already is left alone.
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        as_root mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' |
            as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    as_root apt-get update -q
    without_services env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends $missing
}

# Runs apt while no package may start a service: the lab runs its own containerd.
# Only for this one run, and only where nobody else has set such a policy.
without_services() {
    policy=/usr/sbin/policy-rc.d
    if [ -e $policy ]; then
        as_root "$@"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
    as_root chmod 755 $policy
    trap 'as_root rm -f $policy' EXIT INT TERM
    as_root "$@"
    as_root rm -f $policy
    trap - EXIT INT TERM
}

# Any Go from 1.21 on fetches by itself the version that a module asks for.
go_is_enough() {
    version=$(go env GOVERSION 2>/dev/null) || return 1
    case ${version#go} in
        1.[0-9] | 1.[0-9].* | 1.1[0-9] | 1.1[0-9].* | 1.20 | 1.20.*) return 1 ;;
    esac
}

install_go() {
    go_is_enough && return
    say "installing Go from Debian's backports"
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    if ! apt-cache policy | grep -q "$codename-backports"; then
        # The same archive that the machine gets Debian itself from.
        site=$(apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
            awk -v own="$codename" '$2 == own && $3 == "main" { print $1; exit }')
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $codename-backports main" |
            as_root tee /etc/apt/sources.list.d/backports.list >/dev/null
        as_root apt-get update -q
    fi
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends -t "$codename-backports" golang-go
}

# Any Node.js that comes with npm will do; Debian's are two packages.
install_node() {
    command -v npm >/dev/null || install_packages "nodejs npm"
}

group=${1:-all}
case $group in
    build) install_packages "$build_packages" ;;
    lab) install_packages "$lab_packages" ;;
    all) install_packages "$build_packages $lab_packages $check_packages" ;;
    bench) install_packages "$build_packages $lab_packages $check_packages $bench_packages" ;;
    contract)
        install_packages "$build_packages $lab_packages $check_packages $contract_packages"
        install_node
        ;;
    *)
        say "unknown group '$group'; use build, lab, all, bench or contract"
        exit 2
        ;;
esac
[ "$group" = build ] || install_go
