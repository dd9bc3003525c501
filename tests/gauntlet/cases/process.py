"""Processes of the master: killed, stopped, frozen."""

import time

from case import case
from expect import CONTAINER, FROZEN, NODE, POSTMASTER, Bounds, failover, stays
from kube import wait_for

# PostgreSQL's own restart after a crashed backend, recovery included.
CRASH_RESTART = Bounds(None, 5000)


@case("1", "postmaster of the master killed", failover(POSTMASTER))
def postmaster_killed(run):
    run.kill_postmaster(run.master)
    yield


@case("2", "walwriter of the master killed", stays(CRASH_RESTART))
def walwriter_killed(run):
    run.machine.kill(run.machine.child(run.pod(run.master), "walwriter"))
    yield


@case("2b", "one backend of the master killed", stays(CRASH_RESTART))
def backend_killed(run):
    pod = run.pod(run.master)
    run.machine.kill(run.machine.child(pod, f"{run.probes.options['user']} {run.probes.options['dbname']}"))
    yield


@case("3", "postmaster of the master stopped (SIGSTOP)", failover(FROZEN))
def postmaster_stopped(run):
    with run.machine.stopped(run.machine.postmaster(run.pod(run.master))):
        yield
        time.sleep(1)


# The mandate runs out, so it costs what a lost node costs.
@case("4", "agent of the master stopped (SIGSTOP), PostgreSQL well", failover(NODE, lost="reported"))
def agent_stopped(run):
    with run.machine.stopped(run.machine.agent(run.pod(run.master))):
        yield
        time.sleep(3)


@case("5", "pod of the master frozen, thawed after the failover",
      failover(NODE, lost="reported", pause=True))
def pod_frozen(run):
    with run.machine.frozen(run.pod(run.master)):
        yield
        time.sleep(10)
    time.sleep(3)


@case("6", "container of the master killed (as by lack of memory)", failover(CONTAINER))
def container_killed(run):
    run.crash_container(run.master)
    yield


@case("6b", "container of the master killed whenever it is back, for 20 s", failover(CONTAINER))
def container_killed_in_a_loop(run):
    """No ping-pong: one change of master, however often the old one dies."""
    former = run.master
    run.crash_container(former)
    yield
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if (running := container_is_running(run, former)):
            run.machine.kill(running)
        time.sleep(0.3)
    run.look()
    wait_for(f"{former} to be started again", lambda: container_is_running(run, former), 90, every=0.5)
    yield stays()


def container_is_running(run, instance):
    try:
        return next((one.pid for one in run.machine.processes(run.pod(instance))
                     if one.inner == 1 and "matriarch-agent" in one.command), None)
    except (AssertionError, OSError):
        return None
