"""The master fails in three ways; slaves and the operator fail too."""

import time

import pytest

from kube import wait_for
from writer import interruptions

BEFORE_THE_FAULT = 100  # rows


def kill_postmaster(cluster, lab):
    cluster.kill_postmaster(cluster.master)


def delete_pod(cluster, lab):
    cluster.delete_pod(cluster.master)


def crash_container(cluster, lab):
    cluster.crash_container(cluster.master, lab)


@pytest.mark.parametrize("fault", [kill_postmaster, delete_pod, crash_container],
                         ids=["postmaster_killed", "pod_deleted", "container_crashed"])
def test_slave1_is_promoted_and_no_acknowledged_row_is_lost(fault, orders, writer, service_writer, lab,
                                                            figures, request):
    former, epoch, heir = orders.master, orders.epoch, orders.position("slave1")
    for one in (writer, service_writer):
        one.wait_acknowledged(BEFORE_THE_FAULT)

    fault(orders, lab)

    status = orders.wait_new_master(former, epoch)
    assert status["master"] == heir
    assert status["epoch"] == epoch + 1
    for one in (writer, service_writer):
        wait_for(f"{one.name} to write again", one.outages, 60, every=0.2)

    # The old master comes back as a slave, by itself; then every route is right.
    orders.wait_ready(90)
    assert orders.master == heir
    assert orders.epoch == epoch + 1
    assert orders.sql(former, "select pg_is_in_recovery()") == "t"
    routes = orders.routes()
    assert (routes["epoch"], routes["master"]["instance"]) == (epoch + 1, heir)
    assert orders.endpoints("master") == [orders.address(heir)]
    assert orders.endpoints("slaves") == sorted(
        orders.address(name) for name in orders.pods() if name != heir)
    assert orders.record() == {"epoch": epoch + 1, "phase": "serving", "master": heir}

    name = request.node.callspec.id.replace("_", " ")
    for one, way in ((writer, "by URI"), (service_writer, "by Service")):
        summary, verdict = one.stop()
        figures.add(f"{name}: write outage {way}", summary["longestOutageMs"])
        figures.add(f"{name}: rows lost of {verdict['acknowledged']} {way}", verdict["lost"], "rows")
        assert verdict["lost"] == 0, verdict
        assert verdict["duplicates"] == 0
    change = orders.history()[0]
    assert (change["from"], change["to"], change["epoch"]) == (former, heir, epoch + 1)
    assert change["loss"] == "none"
    figures.add(f"{name}: first sign to published route", change["durationMs"])


@pytest.mark.parametrize("lose, heal", [("off", "on"), ("cut", "heal")], ids=["off", "cut_off"])
def test_a_master_whose_node_is_lost_is_replaced_once_its_mandate_is_over(lose, heal, orders, lab, figures):
    former, epoch = orders.master, orders.epoch
    number = orders.pod(former)["spec"]["nodeName"].removeprefix("node")
    orders.sql(former, "create table if not exists before_the_loss (id int)", "orders")

    began = time.monotonic()
    lab("node", number, lose)
    try:
        heir = orders.wait_new_master(former, epoch)["master"]
        wait_for("the Service to lead to the new master",
                 lambda: orders.endpoints("master") == [orders.address(heir)], 20, state=orders.routes)
        figures.add(f"node {lose}: published route after", round((time.monotonic() - began) * 1000))
        orders.sql(heir, "insert into before_the_loss values (1)", "orders")
    finally:
        lab("node", number, heal)

    assert orders.epoch == epoch + 1
    change = orders.history()[0]
    assert (change["from"], change["to"], change["proof"]) == (former, heir, "expiry")
    # Nobody had to help the old master, and it has what was written without it.
    orders.wait_ready(120)
    assert (orders.master, orders.epoch) == (heir, epoch + 1)
    assert orders.sql(former, "select pg_is_in_recovery()") == "t"
    wait_for("the row to reach the old master", lambda: orders.sql(
        former, "select count(*) from before_the_loss", "orders") == "1", 20)
    orders.sql(heir, "drop table before_the_loss", "orders")


def test_a_slave_that_is_killed_leaves_the_read_routes_and_returns(orders, writer, lab):
    master, epoch = orders.master, orders.epoch
    victim = orders.position("slave1")
    address = orders.address(victim)
    writer.wait_acknowledged(BEFORE_THE_FAULT)

    orders.crash_container(victim, lab)

    wait_for("the slave to leave the read routes", lambda: address not in orders.endpoints("slaves"), 20,
             state=orders.routes)
    orders.wait_ready(60)
    assert orders.address(victim) in orders.endpoints("slaves")
    assert (orders.master, orders.epoch) == (master, epoch)
    summary, verdict = writer.stop()
    assert interruptions(summary) == []
    assert verdict["lost"] == 0


def test_a_failover_is_finished_although_the_operator_is_killed_in_it(orders, operator, writer, figures):
    former, epoch = orders.master, orders.epoch
    leader = operator.wait_leader()
    writer.wait_acknowledged(BEFORE_THE_FAULT)

    orders.kill_postmaster(former)
    operator.kube.delete("pod", operator.namespace, leader, grace=0)

    status = orders.wait_new_master(former, epoch, 60)
    assert status["epoch"] == epoch + 1
    wait_for("the writer to write again", writer.outages, 60, every=0.2)
    orders.wait_ready(120)
    assert orders.epoch == epoch + 1
    summary, verdict = writer.stop()
    figures.add("postmaster and leading operator killed: write outage by URI", summary["longestOutageMs"])
    assert verdict["lost"] == 0, verdict


def test_manual_mode_promotes_nobody_without_a_target(orders):
    former, epoch = orders.master, orders.epoch
    heir = orders.position("slave2")
    orders.patch({"failover": {"mode": "manual"}})
    orders.wait_ready()

    orders.kill_postmaster(former)
    hold_still(orders, former, epoch)
    orders.wait_ready()  # it was started again in its place
    assert (orders.master, orders.epoch) == (former, epoch)

    orders.patch({"failover": {"target": heir, "requestId": "e2e-manual"}})
    status = orders.wait_new_master(former, epoch)
    assert (status["master"], status["epoch"]) == (heir, epoch + 1)
    orders.wait_ready()
    assert orders.status["failoverRequest"]["id"] == "e2e-manual"
    orders.patch({"failover": {"mode": "automatic", "target": None, "requestId": None}})
    orders.wait_ready()
    assert (orders.master, orders.epoch) == (heir, epoch + 1)


def test_paused_mode_changes_no_master_until_it_ends(orders):
    former, epoch = orders.master, orders.epoch
    orders.patch({"failover": {"mode": "paused"}})
    orders.wait_ready()
    try:
        orders.kill_postmaster(former)
        wait_for("the master to be down", lambda: "t" not in orders.sql(
            former, "select true", check=False) or not orders.is_ready(), 20)
        hold_still(orders, former, epoch)
    finally:
        orders.patch({"failover": {"mode": "automatic"}})
    # The master may have been started again, or another promoted: in the end there is one.
    orders.wait_ready(90)
    assert orders.epoch in (epoch, epoch + 1)


def hold_still(cluster, master, epoch, seconds=4):
    """Nobody else becomes master for longer than an automatic failover would have taken."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        record = cluster.record()
        assert (record["master"], record["epoch"]) == (master, epoch)
        time.sleep(0.2)
