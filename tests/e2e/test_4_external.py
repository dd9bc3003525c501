"""Databases that run elsewhere: PostgreSQL beside the cluster's nodes, its Services, and poolers before it."""

import contextlib
import sys
from pathlib import Path

import pytest

from cluster import Cluster
from install import PGBOUNCER
from kube import wait_for
from load import Load, libpq_environment
from writer import Writer

sys.path.append(str(Path(__file__).resolve().parents[1] / "integration" / "external"))

from lab_client import LAB  # noqa: E402
from servers import DATABASE, PASSWORD, USER, Server, folder, must  # noqa: E402

NAMESPACE = "elsewhere"
PORT = 5432


def psql(lab, host, port, database, statement, user=USER):
    return lab("run", "--", "psql", "-h", host, "-p", str(port), "-d", database, "-XAtqc", statement, capture=True,
               env=libpq_environment({"username": user, "password": PASSWORD}, PGSSLMODE="prefer",
                                     PGCONNECT_TIMEOUT="3")).stdout.strip()


class LabServer(Server):
    """In the lab's network, where pods reach it, with an address of its own."""

    def __init__(self, lab, place, name, address):
        self.lab, self.inside = lab, [str(LAB), "--name", lab.name, "run", "--"]
        self.host = self.listen = address
        super().__init__(place, name, PORT)
        must(*self.inside, "ip", "address", "replace", f"{address}/32", "dev", "lo")

    def sql(self, statement, database="postgres", user="admin"):
        return psql(self.lab, self.host, self.port, database, statement, user)

    def endpoint(self):
        return {"name": self.name, "host": self.host, "port": self.port}


@pytest.fixture(scope="module")
def servers(lab):
    """A master and its slave, on one port, as a pooler needs."""
    with folder() as place:
        a, b = LabServer(lab, place, "a", "198.18.0.241"), LabServer(lab, place, "b", "198.18.0.242")
        try:
            a.make()
            b.clone(a)
            yield a, b
        finally:
            a.stop()
            b.stop()


@pytest.fixture(scope="module")
def topology(operator, kube, servers):
    a, b = servers
    kube.make_namespace(NAMESPACE)
    kube.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login", "namespace": NAMESPACE},
                "stringData": {"username": USER, "password": PASSWORD}})
    cluster = Cluster(kube, NAMESPACE, "shop")
    cluster.apply({"external": {"master": a.endpoint(), "slaves": [b.endpoint()], "credentialsSecret": "login",
                                "sslMode": "prefer"},
                   "database": {"name": DATABASE}, "routing": {"holdSeconds": 0},
                   "pooler": {"instances": 1, "image": PGBOUNCER, "poolSize": 6,
                              "resources": {"requests": {"cpu": "20m", "memory": "16Mi"}}}})
    cluster.wait_condition("PoolerReady", "True", ["AllReady"], 60)
    yield cluster
    kube.remove_namespace(NAMESPACE)


def test_services_and_poolers_lead_to_who_is_what(topology, lab):
    recovering = "select pg_is_in_recovery()"
    for service, port, database, answer in (
            ("master", PORT, DATABASE, "f"), ("slaves", PORT, DATABASE, "t"), ("slave1", PORT, DATABASE, "t"),
            ("pooler", 6432, DATABASE, "f"), ("pooler", 6432, DATABASE + "_master", "f"),
            ("pooler", 6432, DATABASE + "_replica", "t")):
        assert psql(lab, topology.host(service), port, database, recovering) == answer, (service, database)
    refused = lab("run", "--", "psql", f"postgresql://{USER}:wrong@{topology.host('pooler')}:6432/{DATABASE}", "-c", "select 1",
                  check=False, capture=True)
    assert refused.returncode != 0


def test_the_master_takes_reads_where_it_has_a_weight(topology, servers, lab):
    def who_reads():
        return {psql(lab, topology.host("slaves"), PORT, DATABASE, "select pg_is_in_recovery()") for _ in range(6)}

    def pooled_readers():
        return [int(one.sql("select count(*) from pg_stat_activity where application_name = 'pgbench'")) for one in servers]

    topology.patch({"routing": {"weights": {"master": 100}}})
    wait_for("reads at both, by the Service", lambda: who_reads() == {"t", "f"}, 30)
    with Load(lab, topology, topology.host("pooler"), 6432, DATABASE + "_replica", 8, 10, "select 1;\n",
              protocol="prepared") as load:
        load.wait_busy()
        wait_for("reads at both, by the pooler", lambda: min(pooled_readers()) > 1, 5, state=pooled_readers)
        assert load.end()[0] == []
    topology.patch({"routing": {"weights": None}})
    wait_for("reads at the slave", lambda: who_reads() == {"t"}, 30)


def test_when_another_one_is_promoted_all_ways_follow(topology, servers, kube, image, figures):
    a, b = servers
    ways = {"URI": {"uri": "uri"}, "Service": {"service": True}, "pooler": {"uri": "pooler_uri"}}
    with contextlib.ExitStack() as stack:
        writers = {way: stack.enter_context(Writer(kube, topology, image, writer=number, **how))
                   for number, (way, how) in enumerate(ways.items(), 1)}
        for writer in writers.values():
            writer.wait_acknowledged(100)
        a.stop("fast")  # its last WAL is at the other one
        b.sql("select pg_promote(true, 30)")
        for way, writer in writers.items():
            wait_for(f"{writer.name} to write again", writer.outages, 30, every=0.2)
            summary, verdict = writer.stop()
            assert verdict["lost"] == 0, verdict
            figures.add(f"a master elsewhere stopped, its slave promoted by hand, by {way}", summary["longestOutageMs"])
    assert topology.routes()["master"]["instance"] == "b"
