"""The peer: Patroni with etcd and three plain PostgreSQL, on ports of 127.0.0.1.

The newest Patroni that pip finds goes into a virtual environment in the cache, etcd is the lab's own,
PostgreSQL is Debian's. Each node is a control group, so that all of its processes can be stopped or
killed at one moment.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from kube import wait_for
from lab_client import lab_name, program
from lablib import cgroups
from lablib.settings import settings
from lablib.shell import lock, progress, run, run_logged
from machine import Machine

PACKAGE = "patroni[etcd3,psycopg2-binary]"
NODES = (1, 2, 3)
USER = "postgres"  # PostgreSQL refuses to run as root
POSTGRES = "/usr/lib/postgresql/15/bin"
PARAMETERS = {"shared_buffers": "32MB", "max_connections": 50}  # those of the cluster it is compared with


def installed(lab):
    """Patroni's packages, in a virtual environment of the cache."""
    place = lab.cache / "patroni"
    with lock(lab.cache / "patroni.lock", "installing Patroni"):
        if not place.exists():
            progress("  installing Patroni into the cache")
            partial = place.with_name("patroni.partial")
            shutil.rmtree(partial, ignore_errors=True)
            log = lab.cache / "logs" / "patroni.log"
            run_logged(log, sys.executable, "-m", "venv", partial)
            run_logged(log, partial / "bin" / "python3", "-m", "pip", "install", "--disable-pip-version-check", PACKAGE)
            partial.rename(place)
    return next(place.glob("lib/python3*/site-packages"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Node:
    def __init__(self, cluster, number):
        self.cluster, self.number, self.name = cluster, number, f"node{number}"
        self.folder = cluster.lab.folder(self.name)
        self.port, self.rest = free_port(), free_port()
        shutil.chown(self.folder, USER, USER)
        (self.folder / "patroni.yml").write_text(json.dumps(self.configuration(), indent=1))  # JSON is YAML
        cgroups.create_node(cluster.lab, number)
        self.process = None

    def configuration(self):
        rest, postgres = f"127.0.0.1:{self.rest}", f"127.0.0.1:{self.port}"
        return {
            "scope": "bench", "name": self.name,
            "restapi": {"listen": rest, "connect_address": rest},
            "etcd3": {"host": f"127.0.0.1:{self.cluster.etcd_port}"},
            "bootstrap": {"dcs": {**self.cluster.dcs, "postgresql": {"use_pg_rewind": True, "parameters": PARAMETERS}},
                          "initdb": [{"encoding": "UTF8"}, "data-checksums"]},
            "postgresql": {
                "listen": postgres, "connect_address": postgres, "bin_dir": POSTGRES,
                "data_dir": str(self.folder / "data"), "pgpass": str(self.folder / "pgpass"),
                "authentication": {"superuser": {"username": USER}, "replication": {"username": "replicator"}},
                "parameters": {"unix_socket_directories": str(self.folder)},
                "pg_hba": ["local all all trust", "host all all 127.0.0.1/32 trust",
                           "host replication all 127.0.0.1/32 trust"]},
        }

    def start(self):
        join = f"echo $$ > {cgroups.join_file(self.cluster.lab, self.number)}"
        become = f"exec setpriv --reuid={USER} --regid={USER} --init-groups"
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", f'{join} && {become} "$@"', "sh", sys.executable, "-m", "patroni", self.folder / "patroni.yml"],
                cwd=self.folder, env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.folder),
                                      "PYTHONPATH": str(self.cluster.packages)},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def postmaster(self):
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def freeze(self, frozen):
        cgroups.freeze(self.cluster.lab, self.number, frozen)

    def kill(self):
        """Every process at the same moment: none sees another one die."""
        self.freeze(True)
        for one in Machine.processes_below(cgroups.freezer(self.cluster.lab, self.number)):
            Machine.kill(one.pid)
        self.freeze(False)
        if self.process:
            self.process.wait()
        self.process = None
        group = cgroups.freezer(self.cluster.lab, self.number)
        wait_for(f"the processes of {self.name} to be gone", lambda: not Machine.processes_below(group), 10)

    def ask(self, path, body=None, seconds=2.0):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.rest}{path}", data)
        # Proxies are for the world outside.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=seconds) as answer:
            return answer.read().decode()


class PatroniCluster:
    """`dcs` is its dynamic configuration: timings."""

    def __init__(self, dcs):
        self.dcs = dcs
        self.lab = settings(lab_name("peer"))
        self.etcd = None
        self.nodes = {}

    def up(self):
        self.clear()  # what a run that was killed has left
        self.packages = self.lab.folder() / "packages"
        shutil.copytree(installed(self.lab), self.packages)  # the cache may be closed to that user
        self.etcd_port = free_port()
        self.start_etcd()
        self.nodes = {one.name: one for one in (Node(self, number) for number in NODES)}
        for one in self.nodes.values():
            one.start()
        self.wait_ready()
        return self

    def start_etcd(self):
        client, peer = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{free_port()}"
        # As light as the etcd of the Kubernetes that it is compared with.
        command = ["setpriv", "--pdeathsig=KILL", program("etcd"), "--data-dir", self.lab.folder("etcd"), "--unsafe-no-fsync", "--log-level", "error",
                   "--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
                   "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"]
        with open(self.lab.log("etcd"), "ab") as log:
            self.etcd = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def clear(self):
        for number in NODES:
            group = cgroups.freezer(self.lab, number)
            if group.exists():
                for one in Machine.processes_below(group):
                    Machine.kill(one.pid)
        cgroups.thaw_all(self.lab)
        cgroups.remove_all(self.lab)
        shutil.rmtree(self.lab.state, ignore_errors=True)

    def down(self):
        for one in self.nodes.values():
            with contextlib.suppress(AssertionError, OSError):
                one.kill()
        if self.etcd:
            self.etcd.kill()
            self.etcd.wait()
        self.clear()
        self.nodes, self.etcd = {}, None

    def versions(self):
        patroni = run(sys.executable, "-m", "patroni", "--version", env={"PYTHONPATH": str(self.packages)}).stdout.split()[-1]
        etcd = run(program("etcd"), "--version").stdout.split()[2]
        return f"Patroni {patroni}, etcd {etcd}"

    # What it says of itself.

    def members(self):
        for one in self.nodes.values():
            with contextlib.suppress(OSError, ValueError):
                return json.loads(one.ask("/cluster"))["members"]
        return []

    def leader(self):
        """(node, timeline), or None."""
        return next(((self.nodes[one["name"]], one.get("timeline")) for one in self.members()
                     if one["role"] == "leader" and one["state"] == "running"), None)

    def is_ready(self):
        members = self.members()
        leaders = [one for one in members if one["role"] == "leader" and one["state"] == "running"]
        return len(leaders) == 1 and len(members) == len(NODES) and all(
            one["state"] == "streaming" and one.get("timeline") == leaders[0]["timeline"]
            for one in members if one is not leaders[0])

    def wait_ready(self, seconds=120):
        wait_for("Patroni's cluster to be whole", self.is_ready, seconds, every=0.2, state=self.members)

    def uri(self):
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in self.nodes.values())
        return f"postgresql://{USER}@{hosts}/postgres?target_session_attrs=read-write"


class Faults:
    """Each is a context manager: it injects, and heals afterwards."""

    def __init__(self, cluster):
        self.cluster = cluster

    @contextlib.contextmanager
    def postmaster_killed(self, leader):
        Machine.kill(leader.postmaster())
        yield

    @contextlib.contextmanager
    def postmaster_frozen(self, leader):
        postmaster = leader.postmaster()
        Machine.kill(postmaster, signal.SIGSTOP)
        try:
            yield
        finally:
            Machine.kill(postmaster, signal.SIGCONT)

    @contextlib.contextmanager
    def node_killed(self, leader):
        leader.kill()
        try:
            yield
        finally:
            leader.start()

    @contextlib.contextmanager
    def node_frozen(self, leader):
        leader.freeze(True)
        try:
            yield
        finally:
            leader.freeze(False)

    @contextlib.contextmanager
    def switchover(self, leader):
        other = next(one for one in self.cluster.nodes.values() if one is not leader)
        with contextlib.suppress(urllib.error.HTTPError):  # what became of it is seen
            leader.ask("/switchover", {"leader": leader.name, "candidate": other.name}, seconds=60)
        yield
