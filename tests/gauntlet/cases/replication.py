"""Slaves that lag, are stale, restarted, paused or too many; slots and WAL that are missing."""

import time

from case import case
from cases.disk import KEEP_MB, SLOTS
from expect import CONTAINER, POSTMASTER, Bounds, failover, settles, stays
from kube import wait_for
from machine import until

PORT = 5432
# A candidate has to fetch, to replay or to be waited for: the budget and the rescue time.
RESCUED = Bounds(POSTMASTER.p50 + 2000, POSTMASTER.p99 + 3000)


@case("29", "slave1 is 48 MB behind when the postmaster is killed", failover(RESCUED))
def slave1_lags(run):
    with run.machine.cut(run.pod(run.slave1), [run.pod(run.master)], PORT):
        run.write_wal(48)
        run.kill_postmaster(run.master)
        yield


@case("30", "slave1 missed a failover, and returns when the next master dies", failover(None, epochs=1))
def slave_is_stale(run):
    stale, former, heir = run.slave1, run.master, run.slave2
    with run.machine.cut(run.pod(stale)):
        time.sleep(1)
        run.kill_postmaster(former)
        yield
        wait_for(f"{former} to follow", lambda: run.streaming(heir) >= 1, 60)
        run.look()
        run.write_wal(16)
        assert run.master == heir, f"{run.master} is master, {heir} was the only one to choose"
    run.kill_postmaster(heir)
    yield
    if run.cluster.master == stale:
        run.note(f"{stale} had caught up and was chosen")


@case("31", "slave1 restarted just before the postmaster is killed", failover(RESCUED))
def slave1_restarted(run):
    run.crash_container(run.slave1)
    pod = run.pod(run.slave1)
    run.hit(until(lambda: any(one.name == "postgres" and "walreceiver" in one.command
                              for one in processes(run, pod)), 60), "slave1 did not come back")
    run.kill_postmaster(run.master)
    yield


def processes(run, pod):
    try:
        return run.machine.processes(pod)
    except (AssertionError, OSError):
        return []


@case("32", "replay paused on slave1, then the postmaster is killed", failover(RESCUED))
def replay_paused(run):
    paused = run.slave1
    run.sql(paused, "select pg_wal_replay_pause()")
    wait_for("replay to pause", lambda: run.sql(paused, "select pg_get_wal_replay_pause_state()") == "paused", 10)
    time.sleep(1)  # rows that slave1 has and has not replayed
    run.kill_postmaster(run.master)
    yield
    if run.cluster.master != paused:
        run.sql(paused, "select pg_wal_replay_resume()", check=False)


@case("35", "all slaves lack more than maxLag, and the master's node is lost: only by order",
      stays(None, hold=20, condition=("FailoverPossible", "False"), lost="reported", ready=240),
      spec={"failover": {"maxLag": "8Mi", "rescueSeconds": 0}})
def all_lag(run):
    slaves = [run.pod(one) for one in run.slaves]
    # Short enough that no mandate depends on it: only PostgreSQL's port is cut.
    with run.machine.cut(run.pod(run.master), slaves, PORT):
        run.write_wal(24)
        time.sleep(2)
        with run.machine.node(run.node(run.master), "off", "on"):
            yield
            run.request(run.slave1, acceptDataLoss=True)
            yield failover(None, lost="reported")


@case("40", "slave1 has no slot for the other slave when it becomes master", failover(POSTMASTER))
def slot_missing(run):
    run.sql(run.slave1, f"select pg_drop_replication_slot('{run.slave2.replace('-', '_')}')")
    run.kill_postmaster(run.master)
    yield


@case("41", "a slave was away for longer than its WAL is kept", stays(hold=3, ready=240), spec=SLOTS)
def wal_removed(run):
    gone, slot = run.slave2, run.slave2.replace("-", "_")

    def status():
        return run.sql(run.master, f"select wal_status from pg_replication_slots where slot_name = '{slot}'")
    with run.machine.cut(run.pod(gone), [run.pod(run.master)], PORT):
        for _ in range(6):
            run.write_wal(KEEP_MB // 2)
        # Given up at the end of a checkpoint, of which that much WAL causes several.
        wait_for(f"slot {slot} to be given up", lambda: status() == "lost", 60, every=0.5, state=lambda: (
            status(), run.sql(run.master, "select pid, backend_type, wait_event_type, wait_event from pg_stat_activity "
                                          "where backend_type in ('checkpointer', 'walsender')")))
        yield


@case("48", "all sessions of the master taken", stays(hold=20))
def sessions_taken(run):
    """All but the superusers' reserve, which is what the product may rely on."""
    crowd = {"instance": run.master, "address": run.cluster.address(run.master)}
    try:
        run.probes.tell(crowd=crowd | {"count": 40})
        time.sleep(5)
        refused = [one for one in run.probes.words if one["kind"] == "crowd" and "connection" in one["word"]]
        run.hit(refused, "there was room for everybody")
        yield
    finally:
        run.probes.tell(crowd=crowd | {"count": 0})


@case("52", "scaled from one slave to four and back, under load", stays(hold=3), spec={"slaves": 1})
def scaled(run):
    run.cluster.patch({"slaves": 4})
    run.cluster.wait_ready(180)
    run.cluster.patch({"slaves": 1})
    run.cluster.wait_ready(120)
    wait_for("two pods", lambda: len(run.cluster.pods()) == 2, 60)
    yield


@case("52b", "postmaster killed, and at once the candidate's pod", settles(CONTAINER, epochs=2))
def candidate_deleted(run):
    run.kill_postmaster(run.master)
    run.cluster.delete_pod(run.slave1, grace=0)
    yield


@case("54", "all instances killed at once", settles(epochs=1, ready=180))
def all_killed(run):
    agents = [run.machine.agent(run.pod(one)) for one in (run.master, *run.slaves)]
    for agent in agents:
        run.machine.kill(agent)
    yield


@case("54b", "all instances killed one after the other, in any order", settles(epochs=2, lost="reported", ready=240))
def all_killed_in_some_order(run):
    order = [run.master, *run.slaves]
    run.random.shuffle(order)
    run.note("order: " + ", ".join(order))
    for instance in order:
        run.crash_container(instance)
        time.sleep(run.random.uniform(0, 1.5))
    yield


@case("55", "master and best slave lost together, quorum of one",
      settles(epochs=1, ready=240), spec={"replication": {"mode": "quorum", "synchronousSlaves": 1}})
def two_lost(run):
    """The one that is left may lack what the other one confirmed: nobody is promoted."""
    with run.machine.frozen(run.pod(run.slave1)):
        with run.machine.node(run.node(run.master), "off", "on"):
            yield stays(None, hold=20, condition=("FailoverPossible", "False"))
    yield  # once both members of the quorum are back, either may lead


@case("59", "postmaster killed while a new slave is cloned", failover(POSTMASTER, ready=240), spec={"slaves": 1})
def master_dies_in_clone(run):
    run.write_rows(200)
    postmaster = run.machine.postmaster(run.pod(run.master))
    with run.ambush(run.newcomer(), "pg_basebackup", lambda pid: run.machine.kill(postmaster)) as ambush:
        run.cluster.patch({"slaves": 2})
        run.hit(ambush.sprung.wait(90), "no pg_basebackup was seen")
        yield
