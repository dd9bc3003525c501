"""The operator killed, paused or doubled, and the API away."""

import contextlib
import time

from case import case
from cases.rejoin import MAY_DIVERGE, diverged
from cluster import SMALL, Cluster
from expect import NODE, POSTMASTER, SWITCHOVER, Bounds, failover, settles, stays
from install import Operator
from kube import wait_for
from machine import until

API_AWAY = 60  # seconds
# An operator that dies in the middle is replaced once its Lease ran out.
RESUMED = Bounds(POSTMASTER.p50 + 8000, POSTMASTER.p99 + 8000)


@case("21", f"API server away for {API_AWAY} s", stays(hold=5))
def api_away(run):
    with run.machine.control_plane("apiserver", "stop", "start"):
        time.sleep(API_AWAY)
    yield


@case("22", "API server answers now and then, for 40 s", stays(hold=5))
def api_flickers(run):
    until_then = time.monotonic() + 40
    while time.monotonic() < until_then:
        component = run.random.choice(("apiserver", "etcd"))
        with run.machine.control_plane(component, "pause", "resume"):
            time.sleep(run.random.uniform(1, 5))
        time.sleep(run.random.uniform(0.2, 2))
    yield


@case("23", "API server away, then the master's postmaster dies", settles(epochs=1))
def api_away_and_master_dies(run):
    postmaster = run.machine.postmaster(run.pod(run.master))
    others = set(run.slaves)
    with run.machine.control_plane("apiserver", "stop", "start"):
        time.sleep(2)
        began = time.monotonic()
        run.machine.kill(postmaster)
        time.sleep(15)
        wrong = others & run.probes.writers(began)
        assert not wrong, f"{wrong} took writes although nothing could be recorded"
        run.note("in its place the master " + ("took writes again while the API was away"
                                               if run.probes.writers(began) else "stayed down until the API was back"))
    run.arena.wait_way_to_api()
    since = time.monotonic()
    wait_for("somebody to take writes", lambda: run.probes.writers(since), 30)
    yield


# Each point where a crash of the leader must change nothing: src/operator/kill_points.h names them.
STOPS = [
    ("a", "it saw the failure", "detected"),
    ("b", "the fence was ordered", "after-order-fence"),
    ("c", "a receiver was told to stop", "after-order-halt"),
    ("d", "the choice was recorded", "after-record-promoting"),
    ("e", "the promotion was ordered", "after-order-promote"),
    ("f", "the promotion was verified", "after-record-serving"),
    ("g", "the route was published", "after-routes-master"),
    ("h", "a slave was repointed", "after-order-follow"),
    ("k", "it is about to order the fence", "before-order-fence"),
    ("l", "it is about to record the choice", "before-record-promoting"),
    ("m", "it is about to record that the new master serves", "before-record-serving"),
    ("n", "it is about to publish the route", "before-routes-master"),
]


def leader_killed_at(point):
    def body(run):
        leader = run.machine.operator(run.leader_pod())
        with run.machine.armed(leader, point) as reached:
            run.kill_postmaster(run.master)
            run.hit(until(reached, 20), f"the leader never came to {point}")
            yield
    return body


# Before the fence is ordered the master's own agent may start it again, once, since no operator is there.
BEFORE_THE_FENCE = ("detected", "before-order-fence")

for letter, words, point in STOPS:
    case(f"25{letter}", f"postmaster killed, and the leader when {words}",
         settles(RESUMED, epochs=1) if point in BEFORE_THE_FENCE else failover(RESUMED),
         kill_points=True)(leader_killed_at(point))


@case("25i", "leader killed while the old master is rewound", failover(NODE, lost="reported", ready=240),
      spec=MAY_DIVERGE)
def leader_killed_in_rewind(run):
    with run.ambush(run.master, "pg_rewind", lambda pid: run.kill_leader()) as ambush:
        with diverged(run):
            yield
        run.hit(ambush.sprung.wait(90), "no pg_rewind was seen")


@case("25j", "leader killed while a new slave is cloned", stays(hold=5, ready=240), spec={"slaves": 1})
def leader_killed_in_clone(run):
    run.write_rows(100)
    with run.ambush(run.newcomer(), "pg_basebackup", lambda pid: run.kill_leader()) as ambush:
        run.cluster.patch({"slaves": 2})
        run.hit(ambush.sprung.wait(90), "no pg_basebackup was seen")
        yield


@case("26", "operator killed again and again while a cluster is made", stays(None), bare=True)
def operator_killed_while_creating(run):
    name = "made"
    cluster = Cluster(run.kube, run.arena.cluster.namespace, name)
    try:
        cluster.apply(SMALL)
        kills = 0
        for _ in range(8):
            time.sleep(run.random.uniform(0.2, 1.5))
            for pod in run.operator.running():
                with contextlib.suppress(AssertionError, OSError, KeyError):
                    for process in run.machine.processes(pod):
                        if "matriarch-operator" in process.command:
                            run.machine.kill(process.pid)
                            kills += 1
        run.note(f"{kills} operators killed")
        # The kubelet holds a container back that died that often.
        status = cluster.wait_ready(400)
        instances = [f"{name}-{n}" for n in (1, 2, 3)]
        assert sorted(one["name"] for one in status["members"]) == instances, status["members"]
        sets = [one["metadata"]["name"] for one in run.kube.list("statefulset", cluster.namespace,
                                                                 f"matriarch.dev/cluster={name}")]
        assert len(sets) == 3, sets
        identifiers = {cluster.sql(one, "select system_identifier from pg_control_system()") for one in instances}
        assert len(identifiers) == 1, f"several data directories were made: {identifiers}"
        for one in instances:
            slots = cluster.sql(one, "select count(*) from pg_replication_slots where not temporary")
            assert slots == "2", f"{one} has {slots} slots"
        assert status["epoch"] == 1, f"epoch {status['epoch']} of a new cluster"
    finally:
        if cluster.object():
            cluster.delete(120)
        for claim in run.kube.list("pvc", cluster.namespace, f"matriarch.dev/cluster={name}"):
            run.kube.delete("pvc", cluster.namespace, claim["metadata"]["name"])
    yield


@case("27", "two installations lead, then the postmaster is killed", failover(POSTMASTER, ready=180))
def two_operators(run):
    rival = Operator(run.kube, run.operator.helm_path, run.operator.image, namespace="gauntlet-rival",
                     release="matriarch-rival")
    try:
        rival.install(**{"crds.enabled": "false", "flowSchema.enabled": "false",
                         "rbac.aggregateClusterRoles": "false", "replicaCount": "1",
                         "podDisruptionBudget.enabled": "false"})
        rival.wait_leader()
        time.sleep(3)
        run.look()
        run.kill_postmaster(run.master)
        yield
    finally:
        rival.uninstall()
        run.kube.remove_namespace("gauntlet-rival")


@case("28", "leader paused in the middle of a promotion, awake again 20 s later", failover(RESUMED))
def leader_paused(run):
    """Stopped within milliseconds after the record said `promoting`; another one takes over."""
    leader = run.leader_pod()
    pid = run.machine.operator(leader)
    epoch = run.epoch
    known = len(run.seen.records)
    run.kill_postmaster(run.master)
    seen = until(lambda: any(one["epoch"] > epoch for one in run.seen.records[known:]), 30)
    with run.machine.stopped(pid):
        run.hit(seen, "no promotion was recorded")
        run.note(f"stopped when the record said {run.seen.records[-1]['phase']}")
        yield
        run.operator.wait_leader(other_than=leader["metadata"]["name"])
        run.cluster.wait_ready(60)
        time.sleep(10)
        run.look()
    yield stays(hold=10)


@case("50", "switchover under load", failover(SWITCHOVER))
def switchover(run):
    run.request(run.slave1)
    yield


@case("50b", "switchover while the other slave hangs", failover(Bounds(500, 10000)))
def switchover_with_a_hung_slave(run):
    with run.machine.frozen(run.pod(run.slave2)):
        run.request(run.slave1)
        yield


@case("50c", "switchover whose target dies midway", settles(Bounds(None, 10000), epochs=2))
def switchover_target_dies(run):
    target = run.pod(run.slave1)
    agent = run.machine.agent(target)
    master = run.pod(run.master)
    postmaster = run.machine.postmaster(master)
    run.request(run.slave1)
    # The moment of the handover: the old master's PostgreSQL has ended.
    gone = until(lambda: all(one.pid != postmaster for one in run.machine.processes(master)), 20)
    run.machine.kill(agent)
    run.hit(gone, "the old master never ended")
    yield
