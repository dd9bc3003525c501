"""What comes back: a diverged master, a promoted slave, clocks that jumped."""

import contextlib
import time

from case import case
from cases.operator import tool_runs
from expect import CONTAINER, failover, stays
from kube import wait_for

PORT = 5432
# Without a rescue the old master's last WAL is not fetched: it diverges.
NO_RESCUE = {"failover": {"rescueSeconds": 0, "maxLag": "64Mi"}}


@contextlib.contextmanager
def diverged(run):
    """The master acknowledges what no slave receives."""
    slaves = [run.pod(one) for one in run.slaves]
    with contextlib.ExitStack() as stack:
        for slave in slaves:
            stack.enter_context(run.machine.cut(slave, [run.pod(run.master)], PORT))
        run.write_wal(4)
        time.sleep(1)
        yield


@case("38", "somebody promotes slave2 by hand", stays(hold=10, ready=180))
def promoted_by_hand(run):
    fork, address = run.slave2, run.cluster.address(run.slave2)
    run.sql(fork, "select pg_promote(false)")
    wait_for(f"{fork} to leave the read routes or to follow again",
             lambda: address not in run.cluster.endpoints("slaves") or
             run.sql(fork, "select pg_is_in_recovery()", check=False) == "t", 15, state=run.cluster.routes)
    yield


@case("43", "pg_rewind killed half way", failover(CONTAINER, lost="reported", ready=240), spec=NO_RESCUE)
def rewind_killed(run):
    former = run.master
    with diverged(run):
        run.crash_container(former)
        yield
    rewind = run.hit(tool_runs(run, former, "pg_rewind"), "no pg_rewind was seen")
    run.machine.kill(rewind)


@case("44", "the old master returns with rows that nobody else has",
      failover(CONTAINER, lost="reported", ready=240), spec=NO_RESCUE)
def returns_diverged(run):
    former = run.master
    with diverged(run):
        run.crash_container(former)
        yield
    run.cluster.wait_ready(run.case.expect.ready)
    kept = run.kube.execute(run.cluster.namespace, f"{former}-0", "postgres", "sh", "-c",
                            "find /var/lib/matriarch/agent/diverged -type f | wc -l", check=False).stdout.strip()
    if kept in ("", "0"):
        run.fail(f"{former} kept no diverged WAL aside")
    run.note(f"{kept} diverged files kept aside")


# LD_PRELOAD is how libfaketime works; the image has neither it nor a place for it yet.
@case("46", "the operator's clock an hour ahead", stays(hold=20))
def clock_jumps(run):
    run.operator.upgrade(**{"additionalEnv[0].name": "LD_PRELOAD",
                            "additionalEnv[0].value": "/opt/matriarch/lib/libfaketime.so.1",
                            "additionalEnv[1].name": "FAKETIME", "additionalEnv[1].value": "+3600s"})
    try:
        run.operator.wait_leader()
        yield
    finally:
        run.operator.upgrade()
        run.operator.wait_leader()
