"""What comes back: a diverged master, a promoted slave, clocks that jumped."""

import base64
import contextlib
import time
from datetime import datetime
from pathlib import Path

from case import case
from expect import NODE, POSTMASTER, failover, stays
from kube import wait_for

PORT = 5432
# While its slaves receive nothing, its volume must not be readable either: else the WAL is rescued.
MAY_DIVERGE = {"failover": {"maxLag": "64Mi"}}


@contextlib.contextmanager
def diverged(run):
    """The master acknowledges what no slave receives, then its node is lost, and comes back."""
    with contextlib.ExitStack() as stack:
        for slave in run.slaves:
            stack.enter_context(run.machine.cut(run.pod(slave), [run.pod(run.master)], PORT))
        run.write_wal(4)
        time.sleep(1)
        with run.machine.node(run.node(run.master), "off", "on"):
            yield


@case("38", "somebody promotes slave2 by hand", stays(hold=10, ready=180))
def promoted_by_hand(run):
    fork, address = run.slave2, run.cluster.address(run.slave2)
    run.sql(fork, "select pg_promote(false)")
    wait_for(f"{fork} to leave the read routes or to follow again",
             lambda: address not in run.cluster.endpoints("slaves") or
             run.sql(fork, "select pg_is_in_recovery()", check=False) == "t", 15, state=run.cluster.routes)
    yield


@case("38b", "somebody promotes slave2 by hand, later the master fails", failover(POSTMASTER, ready=180))
def promoted_by_hand_then_failover(run):
    """Both promotions want the same timeline number; the one by hand is to be forgotten."""
    run.sql(run.slave2, "select pg_promote(false)")
    time.sleep(2)
    run.cluster.wait_ready(180)
    run.look()
    run.kill_postmaster(run.master)
    yield


@case("43", "pg_rewind killed half way", failover(NODE, lost="reported", ready=240), spec=MAY_DIVERGE)
def rewind_killed(run):
    with run.ambush(run.master, "pg_rewind", run.machine.kill) as ambush:
        with diverged(run):
            yield
        run.hit(ambush.sprung.wait(90), "no pg_rewind was seen")


@case("44", "the old master returns with rows that nobody else has",
      failover(NODE, lost="reported", ready=240), spec=MAY_DIVERGE)
def returns_diverged(run):
    former = run.master
    with diverged(run):
        yield
    run.cluster.wait_ready(run.case.expect.ready)
    kept = run.kube.execute(run.cluster.namespace, f"{former}-0", "postgres", "sh", "-c",
                            "find /var/lib/matriarch/agent/diverged -type f | wc -l", check=False).stdout.strip()
    if kept in ("", "0"):
        run.fail(f"{former} kept no diverged WAL aside")
    run.note(f"{kept} diverged files kept aside")


# Only the wall clock: nothing steps the monotonic one.
FAKETIME = {
    "additionalVolumes": [{"name": "faketime", "configMap": {"name": "faketime"}}],
    "additionalVolumeMounts": [{"name": "faketime", "mountPath": "/faketime"}],
    "additionalEnv": [{"name": "LD_PRELOAD", "value": "/faketime/libfaketime.so.1"},
                      {"name": "FAKETIME", "value": "+3600s"},
                      {"name": "DONT_FAKE_MONOTONIC", "value": "1"}]}


@case("46", "the operator's clock an hour ahead", stays(hold=20))
def clock_jumps(run):
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")).read_bytes()
    run.kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "faketime"},
                    "binaryData": {"libfaketime.so.1": base64.b64encode(library).decode()}}, run.operator.namespace)
    run.operator.upgrade(**FAKETIME)
    try:
        run.operator.wait_leader()
        renewed = datetime.fromisoformat(run.operator.lease()["spec"]["renewTime"]).timestamp()
        run.note(f"the operator's clock is {renewed - time.time():.0f} s ahead")
        assert 3500 < renewed - time.time() < 3700, "the operator's clock is not an hour ahead"
        yield
    finally:
        run.operator.upgrade(**run.arena.settings)
        run.operator.wait_leader()
