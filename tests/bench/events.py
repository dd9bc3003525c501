"""What is measured: each event, the budget of its outage, how it is brought about, and by how much
the peer must be slower.

Here an event is a case of the gauntlet; the peer's is a method of patroni_cluster.Faults.
"""

import time
from dataclasses import dataclass

from arena import DISK_SPEC
from case import CASES, Case
from cases import network, operator, process  # noqa: F401  (they register their cases)
from expect import CONTAINER, FROZEN, NODE, POD_DELETED, failover
from kube import wait_for


@dataclass(frozen=True)
class Event:
    key: str
    case: Case
    peer: str = ""  # its fault at the peer; none: the peer, without nodes and pods, has no such event
    goal: int = 0  # the peer's p50 over ours, at least
    may_lose: bool = False  # without synchronous replication
    from_fault: bool = False  # an open session does not notice: the outage is that of new ones
    peer_most: int = 1000  # runs at the peer, where each takes long and tells what another event told
    cause: str = ""  # why its budget or its goal is missed

    @property
    def title(self):
        return self.case.title

    @property
    def bounds(self):
        return self.case.expect.bounds


def container_killed(run):
    """A new pod for the next time: the kubelet holds a container back that died twice."""
    former = run.pod(run.master)
    run.crash_container(run.master)
    yield
    run.cluster.delete_pod(run.master)
    wait_for("a new pod", lambda: (run.pod(run.master) or former)["metadata"]["uid"] != former["metadata"]["uid"], 60)


def pod_deleted(run):
    run.cluster.delete_pod(run.master)
    yield


def node_cut(run):
    with run.machine.node(run.node(run.master), "cut", "heal"):
        yield
        time.sleep(2)  # nobody changes his mind during the same cut


def disk_stalled(run):
    with run.arena.stalled_disk(run.master):
        yield


CONTAINER_KILLED = Case("container", "container of the master killed", failover(CONTAINER), container_killed)
POD = Case("pod", "pod of the master deleted", failover(POD_DELETED), pod_deleted)
CUT = Case("cut", "node of the master cut off", failover(NODE, lost="reported", ready=180), node_cut)
STALL = Case("stall", "disk of the master stalled", failover(FROZEN, lost="reported", ready=180), disk_stalled,
             spec=DISK_SPEC)

SILENT = ("the mandate is 3 s and 4 % for clocks, of which up to a sixth is over when the node fails; the promotion is the rest. "
          "By Service kube-proxy needs 0.1 s more to apply the route, up to a second soon after another change, and the "
          "client waits 0.4 s for a silent address before it looks again.")

EVENTS = [
    Event("postmaster-killed", CASES["1"], peer="postmaster_killed", goal=15),
    Event("container-killed", CONTAINER_KILLED),
    Event("pod-deleted", POD),
    Event("node-off", CASES["12"], peer="node_killed", goal=6, may_lose=True, cause=SILENT),
    Event("node-cut", CUT, peer="node_frozen", peer_most=5, may_lose=True, cause=SILENT),
    Event("node-and-leader-off", CASES["13"], may_lose=True,
          cause="the standby leads when the lost leader's Lease has run out, 6 s and a little; it then has to assume that the "
                "master got a whole mandate just before, which is 3.4 s; the promotion is the rest."),
    Event("postmaster-frozen", CASES["3"], peer="postmaster_frozen", from_fault=True, peer_most=3),
    Event("switchover", CASES["50"], peer="switchover", goal=4,
          cause="before anybody is chosen, the old master is stopped cleanly with its last checkpoint (90 to 160 ms, once 550), "
                "and the slaves' receivers are halted and the choice is recorded (80 to 260 ms)."),
    # Last: its disks are of another kind, so the cluster is made anew for it.
    Event("disk-stalled", STALL, may_lose=True,
          cause="a write may take 1.5 s before its disk counts as stalled, since cloud disks pause for a moment, and it is tried each "
                "second. The fence is kept beside the volume after 200 ms more (docs/decisions/010)."),
]
