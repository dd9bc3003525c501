"""Volumes of the class lab-local: folders that belong to one node.

They are made ahead, as an administrator would partition disks. Once released, such
a volume is not used again (its data is its owner's) until it is wiped: `recycle`.
"""

import json
import shutil

from . import api, binaries
from .settings import LOCAL_DISKS_PER_NODE
from .shell import run


def create_local_volumes(lab, n):
    kubectl_apply(lab, [local_volume(lab, n, disk) for disk in range(1, LOCAL_DISKS_PER_NODE + 1)])


def local_volume(lab, n, disk):
    folder = lab.folder("nodes", f"node{n}", "disks", f"disk{disk}")
    folder.chmod(0o777)
    return {
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": f"node{n}-disk{disk}"},
        "spec": {
            "storageClassName": "lab-local", "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [f"node{n}"]}]}]}},
        }}


def recycle(lab):
    """Wipes the released local volumes and offers them again; returns their names."""
    released = [volume["metadata"]["name"] for volume in api.items(lab, "/api/v1/persistentvolumes")
                if volume["spec"].get("storageClassName") == "lab-local"
                and volume["status"].get("phase") == "Released"]
    for name in released:
        kubectl(lab, "delete", "persistentvolume", name)
        node, disk = name.split("-")
        shutil.rmtree(lab.state / "nodes" / node / "disks" / disk)
        kubectl_apply(lab, [local_volume(lab, int(node[4:]), int(disk[4:]))])
    return released


def kubectl(lab, *argv, **options):
    return run(binaries.path(lab, "kubectl"), f"--kubeconfig={lab.kubeconfig}", *argv, **options)


def kubectl_apply(lab, objects):
    kubectl(lab, "apply", "--server-side", "--force-conflicts", "-f", "-",
            input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
