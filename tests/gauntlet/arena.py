"""Where the cases take place: the lab, the operator, and a cluster that is made again when a case
wants another shape or the last one left it unwell."""

import contextlib
import json
import sys
import time

from cluster import SMALL, Cluster
from install import PGBOUNCER, Operator, build_images
from kube import Kube, WaitFailed, wait_for
from lab_client import Lab, program
from machine import KILL_POINTS, Machine

NAME = "orders"
NODES = 3
DISK_CLASS = "gauntlet-disk"
DISK_MB = 1024
DISKS_PER_NODE = 2
TAKES_OVER = 10  # seconds that a standby may need beyond the Lease, on a busy machine
KNOCK = "import socket; socket.create_connection(('{}', 443), 1)"
DISK_SPEC = {"storage": {"size": f"{DISK_MB}Mi", "storageClass": DISK_CLASS}}


def merged(under, over):
    out = dict(under)
    for key, value in over.items():
        out[key] = merged(under[key], value) if isinstance(value, dict) and isinstance(under.get(key), dict) else value
    return out


class Arena:
    purpose = "gauntlet"  # names the lab
    namespace = "gauntlet"
    pooler = False  # whether its cases need PgBouncer's image
    settings = {"config.logLevel": "debug",
                "additionalEnv": [{"name": "MATRIARCH_KILL_POINTS", "value": KILL_POINTS}]}

    def __init__(self, image=None, say=print, kill_points=False):
        self.lab = Lab(self.purpose)
        self.wanted_image = image
        self.options = {"KILL_POINTS": "ON"} if kill_points else {}  # of the image's build
        self.say = say
        self.kube = self.cluster = None
        self.spec = None  # of the cluster that is there

    # The parts, in their order.

    def up(self):
        self.lab.up("--nodes", NODES)
        self.image = self.wanted_image or build_images(self.lab, f"{self.purpose}{'-kill-points' if self.options else ''}",
                                                      pooler=self.pooler, **self.options)
        if self.wanted_image:
            self.lab("load", self.image, SMALL["image"], *([PGBOUNCER] if self.pooler else []))
        self.machine = Machine(self.lab)
        self.kube = Kube(program("kubectl"), self.lab.environment()["KUBECONFIG"])
        self.operator = Operator(self.kube, program("helm"), self.image).install(**self.settings)
        self.operator.wait_leader()
        self.kube.make_namespace(self.namespace)
        self.cluster = Cluster(self.kube, self.namespace, NAME)
        self.remove_cluster()  # of a run whose lab was kept
        return self

    def down(self, keep):
        if self.kube:
            self.kube.close()
        if not keep:
            self.lab.down()

    # The cluster.

    def ready_cluster(self, case):
        """A whole cluster of the case's shape, and the operator's leader where the case wants it."""
        spec = merged(SMALL, case.spec)
        try:
            if self.spec is not None and spec["storage"] == self.spec["storage"]:
                self.bring_to(spec)
                return self.cluster
        except WaitFailed as error:
            self.say(f"      the cluster is made anew: {str(error)[:300]}")
        self.remake(spec)
        return self.cluster

    def remake(self, spec):
        self.spec = None
        self.machine.heal(NODES)
        self.operator.wait_leader()
        self.remove_cluster()
        if spec["storage"].get("storageClass") == DISK_CLASS:
            self.make_disks()
        self.bring_to(spec)

    def bring_to(self, spec, seconds=120):
        self.cluster.apply(spec)  # whatever it was: the last case may have changed it
        self.spec = spec
        self.cluster.wait_ready(seconds)

    def remove_cluster(self):
        self.spec = None
        if self.cluster.object():
            self.cluster.delete(120)
        for claim in self.kube.list("pvc", self.namespace):
            self.kube.delete("pvc", self.namespace, claim["metadata"]["name"])
        wait_for("the volumes to be gone", lambda: not self.kube.list("pvc", self.namespace), 60)

    # Small disks: each volume a memory file system of its own, so that it can be full.

    def disk(self, number):
        return f"/var/lib/kubelet/{DISK_CLASS}-{number}"

    def mount_disk(self, path):
        """The command that a node runs for it."""
        return f"mount -t tmpfs -o size={DISK_MB}m,mode=0777 gauntlet {path}"

    def make_disks(self):
        objects = [{"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": DISK_CLASS},
                    "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}]
        names = [(node, number) for node in range(1, NODES + 1) for number in range(1, DISKS_PER_NODE + 1)]
        for node, number in names:
            name, path = f"{DISK_CLASS}-{node}-{number}", self.disk(number)
            self.kube.run("delete", "pv", name, "--ignore-not-found")
            self.lab("node-run", node, "--", "sh", "-c",
                     f"umount -l {path} 2>/dev/null; mkdir -p {path} && {self.mount_disk(path)}")
            objects.append({
                "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
                "spec": {"storageClassName": DISK_CLASS, "capacity": {"storage": f"{DISK_MB}Mi"},
                         "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
                         "local": {"path": path},
                         "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                             {"key": "kubernetes.io/hostname", "operator": "In", "values": [f"node{node}"]}]}]}}}})
        self.kube.apply(objects)

    # The operator.

    def node_of_leader(self):
        name = self.operator.leader()
        pod = name and self.kube.get("pod", self.operator.namespace, name)
        return pod and int(pod["spec"]["nodeName"].removeprefix("node"))

    def place_leader(self, where, master_node):
        """Moves the leadership (never the master) if it is in the wrong place."""
        if where == "any":
            return
        for _ in range(4):
            self.wait_two_operators()
            leader = self.operator.wait_leader()
            on_it = self.node_of_leader() == master_node
            if on_it == (where == "with master"):
                return
            if where == "with master" and not self.operator_on(master_node):
                self.bring_operator_to(master_node, leader)
            self.depose(leader)
        raise WaitFailed(f"the operator's leader could not be brought to a place '{where}' than node{master_node}")

    def depose(self, leader):
        """Ends the leader. The other one is ready, so it leads when the Lease is over: that it does is the product's."""
        lease = self.operator.lease()["spec"]
        self.machine.kill(self.machine.operator(self.kube.get("pod", self.operator.namespace, leader)))
        wait_for(f"another leader than {leader}",
                 lambda: self.operator.lease()["spec"]["holderIdentity"] != lease["holderIdentity"]
                 and self.operator.leader(), lease["leaseDurationSeconds"] + TAKES_OVER,
                 state=lambda: [self.operator.lease()["spec"], *map(self.last_words, self.operator.pods())])

    def last_words(self, pod):
        return f"{pod['metadata']['name']} {pod['status'].get('containerStatuses')}: " + self.text_of(
            self.operator.namespace, pod, 3000)

    def operator_on(self, node):
        return any(pod["spec"].get("nodeName") == f"node{node}" for pod in self.operator.running())

    def bring_operator_to(self, node, leader):
        """The standby moves there: the other nodes take no pods meanwhile."""
        others = [f"node{n}" for n in range(1, NODES + 1) if n != node]
        standby = next(pod["metadata"]["name"] for pod in self.operator.running() if pod["metadata"]["name"] != leader)
        self.kube.run("cordon", *others)
        try:
            self.kube.delete("pod", self.operator.namespace, standby)
            self.wait_two_operators()
        finally:
            self.kube.run("uncordon", *others)

    def wait_two_operators(self):
        """Both ready, and on nodes that know the way to the API: where it was away, that takes kube-proxy up to a
        minute."""
        def both():
            ready = [pod for pod in self.operator.running() if any(
                one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))]
            return len(ready) >= 2 and all(map(self.reaches_api, ready))
        for pod in self.operator.running():  # one that was killed often is held back for minutes
            if any("waiting" in one["state"] for one in pod["status"].get("containerStatuses", [])):
                self.kube.delete("pod", self.operator.namespace, pod["metadata"]["name"], grace=0)
        wait_for("two operators", both, 120, every=0.2, state=lambda: list(map(self.last_words, self.operator.pods())))

    def wait_way_to_api(self):
        """After the API was away: until an operator's node has learnt again where it is."""
        wait_for("an operator that reaches the API", lambda: any(map(self.reaches_api, self.operator.running())), 120,
                 every=0.5)

    def reaches_api(self, pod):
        with contextlib.suppress(AssertionError, IndexError):
            return self.machine.inside(pod, sys.executable, "-c", KNOCK.format(
                self.kube.get("service", "default", "kubernetes")["spec"]["clusterIP"]), check=False).returncode == 0
        return False

    # What is shown of a failure.

    def diagnosis(self):
        yield time.strftime("%H:%M:%S")
        thing = self.cluster.object() or {}
        yield json.dumps({key: value for key, value in (thing.get("status") or {}).items() if key != "selector"}, indent=1)
        lease = self.kube.get("lease", self.namespace, NAME)
        yield json.dumps((lease or {}).get("spec")) + json.dumps(
            (lease or {}).get("metadata", {}).get("annotations"))
        yield json.dumps(self.cluster.routes())
        for event in self.cluster.events()[-40:]:
            yield f"{event.get('eventTime')} {event.get('reason')}: {event.get('note')}"
        for pod in self.operator.pods():
            yield (f"-- {pod['metadata']['name']} on {pod['spec'].get('nodeName')}: "
                   f"{json.dumps(pod['status'].get('containerStatuses'))}")
            yield self.text_of(self.operator.namespace, pod, 100000)
        for name, pod in sorted(self.cluster.pods().items()):
            yield f"-- {name} on {pod['spec'].get('nodeName')}: {json.dumps(pod['status'].get('containerStatuses'))}"
            yield self.text_of(self.namespace, pod, 30000, previous=True)
            yield self.text_of(self.namespace, pod, 60000)

    def text_of(self, namespace, pod, length, previous=False):
        try:
            container = "postgres" if namespace == self.namespace else None
            return self.kube.logs(namespace, pod["metadata"]["name"], container, previous)[-length:]
        except Exception as error:
            return "" if previous else f"(no log: {error})"
