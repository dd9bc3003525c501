"""Disks that are full or gone. Each volume is a small file system of its own."""

import contextlib
from pathlib import Path

from arena import DISK_MB, DISK_SPEC
from case import case
from expect import POD_DELETED, failover, stays
from kube import KubeError, wait_for

FILL = "/var/lib/matriarch/gauntlet-fill"
KEEP_MB = 128
SLOTS = {"replication": {"maxSlotWalKeepSize": f"{KEEP_MB}Mi"},
         "postgresql": {"parameters": {"wal_keep_size": "32MB", "max_wal_size": "96MB", "min_wal_size": "32MB"}}}


@contextlib.contextmanager
def full(run, instance):
    """Not a block is left. From outside: the container may no longer be able to do anything."""
    pod = run.pod(instance)
    root = f"/proc/{run.machine.agent(pod)}/root"
    path = f"{root}{FILL}"
    # Rounded up to what is free; the last write fails, and that is the point.
    with open(path, "wb", buffering=0) as out:
        block = bytes(1 << 20)
        with contextlib.suppress(OSError):
            for _ in range(2 * DISK_MB):
                out.write(block)
        with contextlib.suppress(OSError):
            while True:
                out.write(bytes(4096))
    try:
        yield
    finally:
        Path(f"/proc/{run.machine.agent(run.pod(instance))}/root{FILL}").unlink(missing_ok=True)


@case("7", "disk of the master full, those of the slaves not",
      failover(None, within=60, condition=("StorageSufficient", "False")), spec=DISK_SPEC)
def disk_of_master_full(run):
    with full(run, run.master):
        yield


@case("8", "a slave is away while the master writes more WAL than its disk holds",
      stays(hold=5, ready=240), spec={**DISK_SPEC, **SLOTS})
def wal_of_a_dead_slave(run):
    gone = run.slave2
    with run.machine.cut(run.pod(gone)):
        for _ in range(DISK_MB // 64 + 2):
            run.write_wal(64)
            # At the pace of the checkpointer: it waits for the walsender that holds the slot.
            run.sql(run.master, "checkpoint")
        yield
        used = run.kube.execute(run.cluster.namespace, f"{run.master}-0", "postgres", "df", "-m",
                                "--output=pcent", "/var/lib/matriarch").stdout.split()[-1]
        run.note(f"the master's disk is {used} full")


@case("9", "disk of slave1 full", stays(hold=10, ready=180), spec=DISK_SPEC)
def disk_of_slave_full(run):
    address = run.cluster.address(run.slave1)
    with full(run, run.slave1):
        run.write_wal(64)
        wait_for("slave1 to leave the read routes", lambda: address not in run.cluster.endpoints("slaves"), 40,
                 state=run.cluster.routes)
        yield


@case("10", "volume of the master lost: its pod comes back empty",
      failover(POD_DELETED, ready=180, lost="reported"))
def volume_lost(run):
    former = run.master
    identifier = run.cluster.status["systemIdentifier"]
    claim = next(one["persistentVolumeClaim"]["claimName"] for one in run.pod(former)["spec"]["volumes"]
                 if "persistentVolumeClaim" in one)
    uid = run.kube.get("pvc", run.cluster.namespace, claim)["metadata"]["uid"]
    run.kube.delete("pvc", run.cluster.namespace, claim)
    run.cluster.delete_pod(former)
    yield
    wait_for("another volume", lambda: (run.kube.get("pvc", run.cluster.namespace, claim) or {}).get(
        "metadata", {}).get("uid") not in (None, uid), 60)
    run.cluster.wait_ready(run.case.expect.ready)
    with contextlib.suppress(KubeError):
        same = run.sql(former, "select system_identifier from pg_control_system()")
        if same != identifier:
            run.fail(f"{former} has system identifier {same}, the cluster's is {identifier}")
