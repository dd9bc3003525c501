"""Nodes that are gone, and networks that are cut, lossy or slow."""

import time

from case import case
from expect import NODE, NODE_AND_LEADER, UNDISTURBED, Bounds, failover, stays
from kube import wait_for

LOST_NODE = failover(NODE, lost="reported", ready=180)
# A writer with a patience of 1 s gives up many a session: its outages are those of TCP.
SLOW = None


@case("12", "node of the master off", LOST_NODE)
def node_off(run):
    with run.machine.node(run.node(run.master), "off", "on"):
        yield


@case("13", "node of the master and of the operator's leader off",
      failover(NODE_AND_LEADER, lost="reported", ready=180), leader="with master")
def node_of_both_off(run):
    with run.machine.node(run.node(run.master), "off", "on"):
        yield


@case("14", "operator and master cut off from each other", stays(hold=20))
def operator_cut_from_master(run):
    operators = run.operator.running()
    with run.machine.cut(run.pod(run.master), operators):
        yield
        writes_at(run, run.master)


@case("15", "master and slaves cut off from each other",
      stays(hold=20, condition=("SlavesReady", "False")))
def master_cut_from_slaves(run):
    with run.machine.cut(run.pod(run.master), [run.pod(one) for one in run.slaves]):
        yield


@case("16", "node of the master cut off from all others, its own clients go on", LOST_NODE)
def node_cut(run):
    former, began = run.master, time.monotonic()
    with run.machine.node(run.node(former), "cut", "heal"):
        yield
        last = max((one["at"] for one in run.probes.acknowledged if one["instance"] == former), default=began)
        run.note(f"the cut master's last acknowledgement to a client on its own node came {last - began:.2f} s after")
        hold_the_cut(run)


@case("17", "master sends and does not receive", LOST_NODE)
def master_deaf(run):
    with run.machine.cut(run.pod(run.master), sends=False):
        yield
        hold_the_cut(run)


@case("17b", "master receives and does not send", LOST_NODE)
def master_mute(run):
    with run.machine.cut(run.pod(run.master), receives=False):
        yield
        hold_the_cut(run)


@case("18", "slave1 cut off from everybody", stays(hold=15, condition=("SlavesReady", "False")))
def slave_cut(run):
    address = run.cluster.address(run.slave1)
    with run.machine.cut(run.pod(run.slave1)):
        yield
        wait_for("slave1 to leave the read routes",
                 lambda: address not in run.cluster.endpoints("slaves"), 15, state=run.cluster.routes)


@case("20", "30 % of the master's packets lost", stays(SLOW, hold=30))
def packets_lost(run):
    with run.machine.lossy(run.pod(run.master), 30):
        yield


@case("20b", "what the master sends is 500 ms late", stays(SLOW, hold=30))
def packets_late(run):
    with run.machine.delayed(run.pod(run.master), 500):
        yield


def hold_the_cut(run):
    """No flapping while it lasts, and no write of the old master's."""
    changed = run.cluster.status["master"]
    time.sleep(5)
    assert run.cluster.status["master"] == changed, "the master changed again during the same cut"


def writes_at(run, instance):
    since = time.monotonic()
    wait_for(f"{instance} to take writes", lambda: instance in run.probes.writers(since),
             UNDISTURBED.p99 / 1000)
