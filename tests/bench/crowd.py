"""What an operator weighs that looks after a thousand clusters."""

import copy
import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from footprint import MIB, verdict
from kube import Kube, condition, wait_for
from lab_client import ROOT, Lab, program
from load_arena import shape
from machine import Process

TITLE = "A thousand clusters"
TEXT = """\
The objects of a real cluster of a master and two slaves, written a thousand times into an API server without nodes; then
an operator starts. Its agents' addresses refuse every connection, so each cluster is one that has just lost everything:
the operator knows all of its objects, and tries to reach its agents. Measured after a minute in which it told all
clusters so."""
DEFAULTS = {"runs": 1, "seconds": 60, "clusters": 1000}
BUDGET = 100  # design: MiB resident at 1,000 clusters
OPERATOR = ROOT / "build" / "release" / "src" / "operator" / "matriarch-operator"
CRD = ROOT / "crds" / "postgresclusters.matriarch.dev.yaml"
# In this order, since owners come first.
OWNED = ("statefulset", "pod", "pvc", "service", "slice", "configmap", "secret", "lease", "pdb")
SET_BY_SERVER = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "selfLink")
CLIENTS = 8
NOWHERE = "127.0.0.1"  # where nobody listens on an agent's port


def measure(arena, chosen, say):
    pattern = Pattern(arena.bring_up(shape(2, 60, "2")))
    arena.remove_cluster()
    lab = Lab("crowd").up("--api-only")
    kube = Kube(program("kubectl"), lab.environment()["KUBECONFIG"])
    try:
        kube.apply(CRD)
        wait_for("the resource to be served", lambda: kube.run("get", "postgresclusters", "-A", check=False).returncode == 0, 30)
        began = time.monotonic()
        with ThreadPoolExecutor(CLIENTS) as clients:
            for number, _ in enumerate(clients.map(lambda n: pattern.write(kube, n), range(chosen.clusters)), 1):
                if number % 100 == 0:
                    say(f"  {number} of {chosen.clusters} clusters written, {time.monotonic() - began:.0f} s")
        return [watch(kube, lab, arena.image, chosen, say, pattern.size) for _ in range(chosen.runs)]
    finally:
        kube.close()
        lab.down()


class Pattern:
    """The objects of one cluster, to be written again and again."""

    def __init__(self, cluster):
        kube, self.namespace = cluster.kube, cluster.namespace
        self.cluster = cluster.object()
        label = f"matriarch.dev/cluster={cluster.name}"
        self.owned = [(kind, one) for kind in OWNED for one in kube.list(kind, self.namespace, label)]
        self.size = 1 + len(self.owned)

    def write(self, kube, number):
        namespace, uids = f"crowd-{number:04}", {}
        kube.create("namespace", None, {"metadata": {"name": namespace}})
        for kind, thing in [("pgc", self.cluster), *self.owned]:
            made = kube.create(kind, namespace, self.fresh(thing, namespace, uids))
            uids[thing["metadata"]["uid"]] = made["metadata"]["uid"]
            if thing.get("status"):
                kube.patch(kind, namespace, made["metadata"]["name"], {"status": elsewhere(thing["status"])}, "status")

    def fresh(self, thing, namespace, uids):
        out = elsewhere(json.loads(json.dumps(thing).replace(f".{self.namespace}.svc", f".{namespace}.svc")))
        meta = out["metadata"]
        for name in SET_BY_SERVER:
            meta.pop(name, None)
        meta["namespace"] = namespace
        owners = [one | {"uid": uids[one["uid"]]} for one in meta.pop("ownerReferences", []) if one["uid"] in uids]
        meta["ownerReferences"] = owners
        if "clusterIP" in out.get("spec", {}) and out["spec"]["clusterIP"] != "None":
            del out["spec"]["clusterIP"], out["spec"]["clusterIPs"]
        return out


def elsewhere(thing):
    """With all pods' addresses where nobody is."""
    thing = copy.deepcopy(thing)
    for one in walk(thing):
        for name in ("podIP", "hostIP"):
            if name in one:
                one[name] = NOWHERE
        for name in ("podIPs", "hostIPs"):
            if name in one:
                one[name] = [{"ip": NOWHERE}]
    return thing


def walk(thing):
    if isinstance(thing, dict):
        yield thing
    for one in thing.values() if isinstance(thing, dict) else thing if isinstance(thing, list) else ():
        yield from walk(one)


def watch(kube, lab, image, chosen, say, size):
    log = ROOT / "build" / "bench" / "crowd-operator.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w") as out:
        process = subprocess.Popen(
            [OPERATOR, "--leader-election-namespace=default", "--metrics-address=127.0.0.1:0", "--health-address=127.0.0.1:0",
             f"--image={image}", "--log-level=warn"], env=os.environ | lab.environment(),
            stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        began = time.monotonic()
        wait_for("all clusters to be told of", lambda: told(kube) == chosen.clusters, 1200, every=5,
                 state=lambda: f"{told(kube)} of {chosen.clusters}; its log: {log}")
        took = time.monotonic() - began
        say(f"  all told of after {took:.0f} s; {chosen.seconds} s more")
        before = processor_seconds(process.pid)
        time.sleep(chosen.seconds)
        share = (processor_seconds(process.pid) - before) / chosen.seconds
        fields = Process(process.pid).fields
        resident, own = (int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "RssAnon"))
        say(f"  {resident / MIB:.1f} MiB resident, {own / MIB:.1f} MiB its own, {share:.0%} of a core")
        return {"clusters": chosen.clusters, "objects": chosen.clusters * size, "told": took, "resident": resident,
                "own": own, "share": share}
    finally:
        process.terminate()
        process.wait(30)


def told(kube):
    return sum(condition(one, "MasterServing").get("status") == "False" for one in kube.list("pgc"))


def processor_seconds(pid):
    fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# In tables; pure.

def tables(results):
    rows = [["clusters", "objects", "resident MiB", "its own MiB", "of a core", "all clusters told of after s",
             "budget MiB (resident)", "verdict"]]
    for one in results:
        rows.append([f"{one['clusters']:,}", f"{one['objects']:,}", f"{one['resident'] / MIB:.1f}", f"{one['own'] / MIB:.1f}",
                     f"{one['share']:.0%}", f"{one['told']:.0f}", str(BUDGET), verdict(one["resident"] / MIB, BUDGET)])
    return [("", rows)]
