"""PgBouncer in front of the cluster: clients of it see no error of a planned change of master."""

import json
import re
import time

import pytest

from install import POOLER
from kube import wait_for
from load import TABLE, Load, libpq_environment, longest_silence, request_id, secret_of
from poolers import pooler_pods, reloads
from reconnecting import Reconnecting
from writer import Writer

CLIENTS = 50


@pytest.fixture(scope="module")
def pooled(orders_begun):
    orders_begun.wait_ready(90)
    orders_begun.patch({"pooler": POOLER})
    orders_begun.wait_condition("PoolerReady", "True", ["AllReady"], 60)
    orders_begun.sql(orders_begun.master, "set role orders; " + TABLE, "orders")
    yield orders_begun
    orders_begun.patch({"pooler": None})
    wait_for("the poolers to be gone", lambda: not pooler_pods(orders_begun) and not orders_begun.kube.get(
        "service", orders_begun.namespace, f"{orders_begun.name}-pooler"), 90)


def psql(lab, cluster, database, statement, **options):
    return lab("run", "--", "psql", "-h", cluster.host("pooler"), "-p", "6432", "-d", database, "-XAtqc", statement,
               env=libpq_environment(secret_of(cluster), **{"PGSSLMODE": "prefer"} | options), capture=True).stdout.strip()


def test_each_name_leads_where_it_says_and_passwords_are_the_databases(pooled, lab):
    assert psql(lab, pooled, "orders", "select pg_is_in_recovery()") == "f"
    assert psql(lab, pooled, "orders_master", "select pg_is_in_recovery()", PGSSLMODE="require") == "f"
    assert psql(lab, pooled, "orders_replica", "select pg_is_in_recovery()") == "t"
    # Its certificate is of the cluster's CA, for the Service's name.
    # A role that the operator knows nothing of, made by a user, comes in too; the superuser never does.
    pooled.sql(pooled.master, "drop role if exists clerk; create role clerk login password 'a: b'")
    out = lab("run", "--", "psql", f"postgresql://clerk:a%3A%20b@{pooled.host('pooler')}:6432/orders_replica", "-XAtqc", "select current_user",
              capture=True).stdout.strip()
    assert out == "clerk"
    refused = lab("run", "--", "psql", f"postgresql://postgres:x@{pooled.host('pooler')}:6432/orders", "-XAtqc", "select 1",
                  check=False, capture=True)
    assert refused.returncode != 0


def test_reads_are_spread_by_weight(pooled, lab):
    slaves = {pooled.address(name) for name in pooled.pods() if name != pooled.master}
    with Load(lab, pooled, pooled.host("pooler"), 6432, "orders_replica", 8, 6, "select count(*) from busy;\n",
              protocol="prepared") as load:
        load.wait_busy()
        readers = {name: int(pooled.sql(name, "select count(*) from pg_stat_activity where usename = 'orders'"))
                   for name in pooled.pods()}
        assert load.end()[0] == []
    counts = [count for name, count in readers.items() if name != pooled.master]
    assert min(counts) >= max(counts) / 2, readers
    first = pooled.position("slave1")
    pooled.patch({"routing": {"weights": {"slave1": 0}}})
    try:
        wait_for("reads to leave slave1", lambda: {psql(
            lab, pooled, "orders_replica", "select host(inet_server_addr())") for _ in range(4)} ==
            slaves - {pooled.address(first)}, 20)
    finally:
        pooled.patch({"routing": {"weights": None}})


def test_a_switchover_costs_no_busy_client_an_error(pooled, lab, figures):
    pooled.wait_ready(90)
    former, epoch = pooled.master, pooled.epoch
    with Load(lab, pooled, pooled.host("pooler"), 6432, "orders", CLIENTS, 12) as load:
        load.wait_busy()
        pooled.patch({"failover": {"target": "slave1", "requestId": request_id()}})
        pooled.wait_new_master(former, epoch)
        errors, transactions = load.end()
    assert errors == [], load.text if load.process is None else errors
    figures.add(f"switchover, {CLIENTS} clients through the pooler: longest without a commit", longest_silence(transactions))
    figures.add("switchover, through the pooler: errors", len(errors), "of " + str(len(transactions)))
    pooled.wait_ready(90)


def test_a_restart_of_the_master_costs_no_busy_client_an_error(pooled, lab, figures):
    pooled.wait_ready(90)
    with Load(lab, pooled, pooled.host("pooler"), 6432, "orders", CLIENTS, 25) as load:
        load.wait_busy()
        pooled.patch({"postgresql": {"parameters": {"max_connections": "60"}}})
        wait_for("the master to have it", lambda: pooled.sql(pooled.master, "show max_connections", check=False) == "60", 60)
        errors, transactions = load.end()
    assert errors == []
    figures.add("restart of the master, through the pooler: longest without a commit", longest_silence(transactions))


def test_after_a_failover_writers_go_on_at_the_new_master(pooled, kube, image, figures):
    pooled.wait_ready(90)
    former, epoch = pooled.master, pooled.epoch
    with Writer(kube, pooled, image, writer=3, uri="pooler_uri") as writer:
        writer.wait_acknowledged(100)
        pooled.kill_postmaster(former)
        pooled.wait_new_master(former, epoch)
        wait_for(f"{writer.name} to write again", writer.outages, 30, every=0.2)
        summary, verdict = writer.stop()
    assert verdict["lost"] == 0, verdict
    figures.add("postmaster killed, through the pooler: write outage", summary["longestOutageMs"])
    pooled.wait_ready(90)


def test_a_failover_fails_only_what_is_in_flight(pooled, lab, figures):
    """New clients wait for the new master, as do those who had nothing under way."""
    pooled.wait_ready(90)
    former, epoch = pooled.master, pooled.epoch
    with Reconnecting(lab, pooled, "writes", CLIENTS, pooled.host("pooler"), 6432, "orders") as clients:
        killed = time.time()
        pooled.kill_postmaster(former)
        pooled.wait_new_master(former, epoch)
        seen = clients.end()
    assert (seen.lost, seen.stuck) == (0, 0)
    assert seen.at("connect") <= CLIENTS // 10, seen.kinds(killed)
    figures.add(f"postmaster killed, {CLIENTS} clients through the pooler: longest without a commit", seen.silence(killed))
    figures.add("postmaster killed, through the pooler: errors", len(seen.errors), f"of {len(seen.done)}")
    pooled.wait_ready(90)


def test_what_the_poolers_tell(pooled, kube, figures):
    """Their metrics; and how soon they follow a change."""
    for pod in pooler_pods(pooled):
        text = kube.request("GET", f"api/v1/namespaces/{pooled.namespace}/pods/{pod['metadata']['name']}:8080/proxy/metrics")
        for name in ("matriarch_pooler_clients_waiting", "matriarch_pooler_servers_active", "postgresql_pool_utilization_percent",
                     "matriarch_pooler_hold_seconds_count", "process_resident_memory_bytes"):
            assert re.search(rf"^{name}(\{{| )", text, re.M), f"{name} is missing"
        pools = json.loads(kube.request(
            "GET", f"api/v1/namespaces/{pooled.namespace}/pods/{pod['metadata']['name']}:8080/proxy/pools"))
        assert set(pools) <= {pooled.address(name) for name in pooled.pods()}
    slow = max(reloads(pooled))
    figures.add("pooler: slowest reload after a change of the routes", round(slow))
    assert slow < 1000
