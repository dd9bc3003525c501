"""PgBouncer with a host list, and PgBouncer with HAProxy behind it: plain processes that share one limit of CPU time.

PgBouncer is the one of the pooler's image: a pod lends its files and its network, and sleeps otherwise. HAProxy is this
machine's, in the same network.
"""

import contextlib
import json
import signal
import subprocess
import tempfile
from math import gcd
from pathlib import Path

from install import PGBOUNCER
from kube import wait_for
from lablib import cgroups
from load import libpq_environment, secret_of
from story import Watch

POD = "proxy"
PORT, HAPROXY_PORT = 6432, 5001
SHARE = 0.5  # of a core, for all processes of a way together
PERIOD_US = 100_000
MOST_TIMES = 4  # a host stands in a list at most

# The pooler's (src/operator/pooler_objects.cc), but for who may log in.
PGBOUNCER_INI = """\
[databases]
orders_replica = host={hosts} port={port} dbname=orders
[pgbouncer]
listen_addr = 0.0.0.0
listen_port = {listen}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/userlist.txt
pool_mode = transaction
default_pool_size = {pool}
max_client_conn = 1000
max_prepared_statements = 200
ignore_startup_parameters = extra_float_digits
server_connect_timeout = 3
server_login_retry = 0.2
tcp_user_timeout = 3000
tcp_keepidle = 1
tcp_keepintvl = 1
server_round_robin = 1
server_tls_sslmode = require
log_connections = 0
log_disconnections = 0
"""
# As in haproxy.cfg of the routes (src/operator/routing_config.cc); another server is tried when one refuses.
HAPROXY_CFG = """\
defaults
    mode tcp
    timeout connect 3s
    timeout client 1h
    timeout server 1h
    option redispatch 1
    default-server check inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
listen reads
    bind 127.0.0.1:{port}
    balance roundrobin
{servers}
"""


def hosts_in_turn(weights):
    """{address: weight} as PgBouncer's list: the heaviest four times at most (src/model/routes.cc)."""
    heaviest = max(weights.values(), default=1)
    times = {host: max(1, weight * MOST_TIMES // heaviest) for host, weight in weights.items() if weight}
    divisor = gcd(*times.values())
    return [host for turn in range(MOST_TIMES) for host, count in times.items() if turn < count // divisor]


def weights_now(routes):
    return {one["address"]: one["weight"] for one in routes["slaves"] if one["state"] == "ready"}


class Proxies:
    """The pod, and the limit. `way(name)` runs one way of serving `orders_replica` at `address`, port PORT."""

    def __init__(self, arena, pool):
        self.arena, self.pool, self.settings = arena, pool, arena.machine.settings
        namespace = arena.cluster.namespace
        arena.kube.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD, "namespace": namespace}, "spec": {
            "terminationGracePeriodSeconds": 0, "enableServiceLinks": False,
            "containers": [{"name": POD, "image": PGBOUNCER, "imagePullPolicy": "IfNotPresent",
                            "command": ["sleep", "infinity"]}]}})
        pod = wait_for("the proxy's pod", lambda: self.running(namespace), 60)
        self.address = pod["status"]["podIP"]
        self.lender = arena.machine.find(pod, "a sleeper", lambda one: one.name == "sleep")
        self.group = self.limit()

    def running(self, namespace):
        pod = self.arena.kube.get("pod", namespace, POD)
        return pod if pod and pod["status"].get("phase") == "Running" else None

    def limit(self):
        """A control group within the lab's, which goes with it."""
        tree = cgroups.V2_ROOT if cgroups.is_v2() else cgroups.V2_ROOT / "cpu"
        group = tree / self.settings.cgroup / "proxies"
        group.mkdir(exist_ok=True)
        quota = round(SHARE * PERIOD_US)
        if cgroups.is_v2():
            (group / "cpu.max").write_text(f"{quota} {PERIOD_US}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        return group

    def versions(self):
        def first_line(*command):
            return subprocess.run(command, text=True, capture_output=True).stdout.splitlines()[0]
        inside = ["nsenter", f"--target={self.lender}", "--mount", "--"]
        haproxy = first_line("haproxy", "-v").split()
        return f"{first_line(*inside, 'pgbouncer', '--version')}, HAProxy {haproxy[2] if haproxy[1] == 'version' else haproxy[1]}"

    # The ways.

    @contextlib.contextmanager
    def way(self, name):
        with contextlib.ExitStack() as stack:
            root = Path(f"/proc/{self.lender}/root")
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="proxy-", dir=root / "tmp")))
            self.folder.chmod(0o755)
            self.inside = Path("/tmp", self.folder.name)
            routes = self.arena.cluster.routes()
            if name == "HAProxy":
                self.haproxy(stack, routes)
                self.write_ini(["127.0.0.1"], HAPROXY_PORT)
            else:
                self.write_ini(hosts_in_turn(weights_now(routes)), 5432)
            secret = secret_of(self.arena.cluster)
            (self.folder / "userlist.txt").write_text(f'"{secret["username"]}" "{secret["password"]}"\n')
            process = self.run(stack, "pgbouncer", ["--mount"], "pgbouncer", "--quiet", "--user=postgres",
                               self.inside / "pgbouncer.ini")
            wait_for(f"reads by {name}", lambda: self.answers(secret), 20, every=0.2, state=process.poll)
            if name == "host list":
                watch = Watch(self.arena.kube, "configmap", self.arena.cluster.namespace,
                              lambda found, _: self.follow(found, process),
                              field=f"metadata.name={self.arena.cluster.name}-routing")
                stack.callback(setattr, watch, "over", True)
            yield self

    def answers(self, secret):
        done = self.arena.lab("run", "--", "psql", "-h", self.address, "-p", PORT, "-d", "orders_replica", "-XAtqc", "select 1",
                              env=libpq_environment(secret, PGSSLMODE="disable"), check=False, capture=True,
                              stderr=subprocess.DEVNULL)
        return done.returncode == 0

    def write_ini(self, hosts, port):
        self.hosts = hosts
        partial = self.folder / "partial"
        partial.write_text(PGBOUNCER_INI.format(hosts=",".join(hosts), port=port, listen=PORT, pool=self.pool,
                                                folder=self.inside))
        partial.replace(self.folder / "pgbouncer.ini")

    def follow(self, found, process):
        """As matriarch-pooler does: the routes of now, and a reload."""
        routes = json.loads(found["data"]["routes.json"])
        hosts = hosts_in_turn(weights_now(routes))
        if hosts and hosts != self.hosts and process.poll() is None:
            self.write_ini(hosts, 5432)
            self.arena.machine.kill(process.pid, signal.SIGHUP)

    def haproxy(self, stack, routes):
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="matriarch-haproxy-")))
        servers = "\n".join(f"    server {one['instance']} {one['address']}:{one['port']} weight {one['weight']}"
                            for one in routes["slaves"] if one["state"] == "ready")
        (folder / "haproxy.cfg").write_text(HAPROXY_CFG.format(port=HAPROXY_PORT, servers=servers))
        self.run(stack, "haproxy", [], "haproxy", "-db", "-f", folder / "haproxy.cfg")

    def run(self, stack, name, enter, *command):
        """A process in the pod's network and within the limit, ended with the stack."""
        log = self.settings.log(f"{name}-of-the-benchmark")
        with open(log, "ab") as out:
            process = subprocess.Popen(
                ["sh", "-c", f'echo $$ > {self.group}/cgroup.procs && exec "$@"', "sh",
                 "nsenter", f"--target={self.lender}", "--net", *enter, "--", *map(str, command)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        stack.callback(self.end, process)
        return process

    @staticmethod
    def end(process):
        process.kill()
        process.wait()
