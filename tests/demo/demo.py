#!/usr/bin/python3
"""make demo: from nothing to a failover on a real Kubernetes, with real figures.

With KUBECONFIG and IMAGE set it uses that cluster and that image, otherwise the local Kubernetes of
tests/lab. `demo.py down` removes what `demo.py up` made.
"""

import difflib
import json
import os
import shutil
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "tests" / part) for part in ("demo", "e2e", "tools")]

from cluster import CONTAINER, Cluster  # noqa: E402
from install import Operator, build_images  # noqa: E402
from kube import Kube, KubeError, WaitFailed, wait_for  # noqa: E402
from lab_client import Lab, program  # noqa: E402
from story import Follow, Story, Watch, seconds_of  # noqa: E402
from writer import Writer  # noqa: E402

NAMESPACE = "matriarch-demo"
ORDERS = ROOT / "manifests" / "examples" / "orders.yaml"
STATE = ROOT / "build" / "demo" / "state.json"
CRD = "postgresclusters.matriarch.dev"
MADE_CRD = "matriarch.dev/demo-made-the-crd"
WARM_UP_ROWS = 200


def say(text=""):
    print(text, flush=True)


class Step:
    """A numbered line, and how long it took."""

    count = 0

    def __init__(self, title):
        Step.count += 1
        self.began = time.monotonic()
        say(f"\n{Step.count}  {title}")

    def seconds(self):
        return time.monotonic() - self.began

    def note(self, text):
        say(f"{self.seconds():>9.1f} s  {text}")


def operator_line(line):
    """What the leader's log says of a change of master, in few words; else nothing."""
    if line.get("msg") == "order":
        kind = line.get("order", "").split("/")[0]
        return f"orders {line['to']}: {kind}" if kind in ("fence", "halt", "promote", "follow") else None
    told = ("MasterFailed", "Promoting", "Promoted", "MasterChanged")
    return line["msg"] if line.get("reason") in told else None


class Demo:
    def __init__(self):
        given = os.environ.get("KUBECONFIG"), os.environ.get("IMAGE")
        self.lab = None if all(given) else Lab("demo")
        self.kubeconfig, self.image = given if all(given) else (None, None)
        if any(given) and not all(given):
            say("KUBECONFIG and IMAGE are used only together (IMAGE: an image of Matriarch that the "
                "cluster can pull); this uses the local Kubernetes.")

    # The parts, in their order.

    def kubernetes(self):
        if self.lab is None:
            step = Step("Kubernetes: the cluster of KUBECONFIG")
        else:
            step = Step("Kubernetes: three real nodes on this machine (tests/lab)")
            self.lab.up()
            self.kubeconfig = self.lab.environment()["KUBECONFIG"]
        kubectl = shutil.which("kubectl") if self.lab is None else None
        helm = shutil.which("helm") if self.lab is None else None
        self.kube = Kube(kubectl or program("kubectl"), self.kubeconfig)
        self.helm = helm or program("helm")
        nodes = self.kube.list("node")
        version = nodes[0]["status"]["nodeInfo"]["kubeletVersion"]
        step.note(f"{len(nodes)} nodes ready, Kubernetes {version}")
        STATE.parent.mkdir(parents=True, exist_ok=True)
        STATE.write_text(json.dumps({"lab": self.lab is not None, "kubeconfig": self.kubeconfig}))

    def images(self):
        if self.lab is None:
            return
        step = Step("Images: operator, agent and writer in one; PostgreSQL 15")
        self.image = build_images(self.lab, "demo")
        step.note("in every node")

    def operator_release(self):
        step = Step("Operator: helm install matriarch charts/matriarch")
        self.kube.make_namespace(NAMESPACE)
        if self.kube.get("crd", None, CRD) is None:
            self.kube.patch("namespace", None, NAMESPACE,
                            {"metadata": {"annotations": {MADE_CRD: "true"}}})
        self.operator = Operator(self.kube, self.helm, self.image).install()
        leader = self.operator.wait_leader()
        step.note(f"two replicas ready, {leader} leads, the other is warm")

    def cluster(self):
        step = Step(f"kubectl apply -f {ORDERS.relative_to(ROOT)}")
        self.orders = Cluster(self.kube, NAMESPACE, "orders")
        self.kube.apply(ORDERS, NAMESPACE)
        known = {}

        def progress():
            members = {one["name"]: f"{one.get('role', '')}, {one.get('state', '')}".strip(", ")
                       for one in self.orders.status.get("members", [])}
            for name, state in sorted(members.items()):
                if known.get(name) != state:
                    step.note(f"{name}: {state}")
                    known[name] = state
            return self.orders.is_ready()

        wait_for("the cluster to be ready", progress, 300, every=0.1, state=self.orders.describe)
        self.ready_seconds = step.seconds()
        step.note(f"ready: master {self.orders.master}, slave1 {self.orders.position('slave1')}, "
                  f"epoch {self.orders.epoch}")

    def writer_starts(self):
        step = Step("A writer: one row every 10 ms, by the URI of the Secret orders-app")
        self.writer = Writer(self.kube, self.orders, self.image, progress=1)
        self.writer.__enter__()
        self.writer.wait_acknowledged(WARM_UP_ROWS)
        step.note(f"{self.writer.acknowledged():,} rows acknowledged so far")

    def failover(self):
        former, epoch = self.orders.master, self.orders.epoch
        before = self.kube.get("configmap", NAMESPACE, "orders-routing")["data"]
        Step(f"The fault: SIGKILL to the postmaster of the master, {former}")
        story = Story(say)
        resumed = threading.Event()
        offset = self.clock_offset()

        def wrote(line, _seen):
            at = seconds_of(line["time"]) + offset
            if line["event"] == "outage-began":
                story.add(at, "writer", f"cannot write: {line['error']}")
            elif line["event"] == "outage-ended":
                story.add(at, "writer", f"writes again, on {line['host'].split('.')[0]}, timeline "
                                        f"{line['timeline']}, after {line['ms']} ms")
                resumed.set()

        last = {}

        def once(key, value):  # the same state is told once
            changed = last.get(key) != value
            last[key] = value
            return changed

        def lease(thing, seen):
            record = json.loads(thing["metadata"]["annotations"]["matriarch.dev/record"])
            holder = thing["spec"].get("holderIdentity", "").split("/")[0]
            text = f"epoch {thing['spec'].get('leaseTransitions')}, {record['phase']}: {holder}"
            if once("lease", text):
                story.add(seen, "record", text)

        def routing(thing, seen):
            routes = json.loads(thing["data"]["routes.json"])
            master = (routes.get("master") or {}).get("instance", "nobody")
            slaves = ", ".join(f"slave{one['position']} {one['instance']} {one['state']}"
                               for one in routes["slaves"])
            text = f"epoch {routes['epoch']}: master {master}; {slaves}"
            if once("routes", text):
                story.add(seen, "ConfigMap", text)

        def endpoints(thing, seen):
            addresses = [a for one in thing.get("endpoints") or [] for a in one["addresses"]]
            text = ", ".join(addresses) or "nobody"
            if once("slice", text):
                story.add(seen, "Service", f"orders-master leads to {text}")

        def operator_said(line, _seen):
            text = operator_line(line)
            if text:
                story.add(seconds_of(line["ts"]) + offset, "operator", text)

        named = "metadata.name="
        watches = [Watch(self.kube, "lease", NAMESPACE, lease, field=named + "orders"),
                   Watch(self.kube, "configmap", NAMESPACE, routing, field=named + "orders-routing"),
                   Watch(self.kube, "slice", NAMESPACE, endpoints,
                         label="kubernetes.io/service-name=orders-master")]
        follows = [Follow(self.kube, NAMESPACE, self.writer.name, wrote)]
        follows += [Follow(self.kube, self.operator.namespace, pod["metadata"]["name"], operator_said)
                    for pod in self.operator.running()]
        wait_for("the watches", lambda: {"lease", "routes", "slice"} <= last.keys(), 20)

        story.began = self.orders.kill_postmaster(former) + offset
        story.add(story.began, "fault", f"kill -9, {former}")
        came = story.tell_until(
            lambda: resumed.is_set() and self.orders.master not in (None, former)
            and self.orders.epoch > epoch and self.orders.is_ready(), 120)
        for watch in watches:
            watch.over = True
        for follow in follows:
            follow.end()
        if not came:
            raise WaitFailed(f"no complete failover within 120 s: {self.orders.describe()}")
        status = self.orders.status
        if status["epoch"] != epoch + 1 or status["master"] == former:
            raise WaitFailed(f"expected epoch {epoch + 1} and another master than {former}, "
                             f"found {status['epoch']} and {status['master']}")
        say(f"\n   {former} is back as {self.position_of(former)}, without anybody's help.")
        self.show_difference(before, self.kube.get("configmap", NAMESPACE, "orders-routing")["data"])

    def clock_offset(self):
        """This machine's clock minus that of the pods; 0 on one machine."""
        if self.lab is not None:
            return 0.0
        theirs = float(self.kube.execute(NAMESPACE, f"{self.orders.master}-0", CONTAINER, "date",
                                         "+%s.%N").stdout)
        return time.time() - theirs

    def position_of(self, instance):
        return next((one.get("position") for one in self.orders.status["members"]
                     if one["name"] == instance), "?")

    @staticmethod
    def show_difference(before, after):
        Step("The routing ConfigMap, before and after (routes.json)")
        texts = [json.dumps(json.loads(one["routes.json"]), indent=1).splitlines()
                 for one in (before, after)]
        for line in list(difflib.unified_diff(*texts, lineterm="", n=1))[2:]:
            say(f"   {line}" if not line.startswith("@@") else "   ...")
        others = [key for key in sorted(before) if before[key] != after.get(key) and key != "routes.json"]
        say(f"   also rewritten: {', '.join(others)}" if others else "   no other key had to change")

    def figures(self):
        summary, verdict = self.writer.stop()
        change = self.orders.history()[0] if self.orders.history() else {}
        steps = ", ".join(f"{one['name']} {one['durationMs']}" for one in change.get("steps", []))
        Step("Figures, all measured in this run")
        rows = [
            ("apply to ready", f"{self.ready_seconds:.1f} s"),
            ("write outage, as the writer saw it", f"{summary['longestOutageMs']} ms"),
            ("first sign to published route (operator)",
             f"{change.get('durationMs')} ms" + (f"  ({steps})" if steps else "")),
            ("rows acknowledged", f"{verdict['acknowledged']:,}"),
            ("rows lost", f"{verdict['lost']}  (each acknowledged id looked up on "
                          f"{verdict['host'].split('.')[0]})"),
            ("rows sent whose answer was lost", f"{summary['unknown']}"),
            ("what the operator says of loss", change.get("loss", "?")),
            ("memory, operator (resident)", self.operator_memory()),
            ("memory, agent (resident)", self.agent_memory()),
            ("cold start, operator", self.cold_start()),
        ]
        for name, value in rows:
            say(f"   {name:<42} {value}")
        self.lost = verdict["lost"]

    def operator_memory(self):
        values = [self.operator.metric(pod, "process_resident_memory_bytes")
                  for pod in self.operator.running()]
        return " and ".join(f"{value / 2**20:.1f} MB" for value in values if value)

    def agent_memory(self):
        values = []
        for instance in sorted(self.orders.pods()):
            text = self.kube.execute(NAMESPACE, f"{instance}-0", CONTAINER, "cat",
                                     "/proc/1/status").stdout
            line = next(one for one in text.splitlines() if one.startswith("VmRSS"))
            values.append(int(line.split()[1]) / 1024)
        return ", ".join(f"{value:.1f} MB" for value in values)

    def cold_start(self):
        """From the start of the process until it leads or stands by, by its own clock and log."""
        times = []
        for pod in self.operator.running():
            began = self.operator.metric(pod, "process_start_time_seconds")
            for line in self.operator.logs(pod).splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if entry.get("msg", entry.get("message")) in ("leads", "stands by"):
                    stamp = entry.get("ts") or entry.get("time")
                    at = seconds_of(stamp) if isinstance(stamp, str) else float(stamp)
                    times.append((at - began) * 1000)
                    break
        return " and ".join(f"{one:.0f} ms" for one in times) or "not logged"

    def next_commands(self):
        say("\nThe cluster stays up. Three commands to try next:\n")
        say(f"   export KUBECONFIG={self.kubeconfig} PATH=$PATH:{Path(self.kube.kubectl).parent}\n")
        say(f"   kubectl get pgc orders -n {NAMESPACE} --watch")
        say(f"   kubectl delete pod {self.orders.master}-0 -n {NAMESPACE}      # lose the master another way")
        say(f"   kubectl get configmap orders-routing -n {NAMESPACE} -o jsonpath='{{.data.routes\\.json}}'")
        say("\nmake demo-down removes everything.")

    def up(self):
        began = time.monotonic()
        say("Matriarch: PostgreSQL that survives its master. On a real Kubernetes, in a few minutes.")
        self.kubernetes()
        try:
            self.images()
            self.operator_release()
            self.cluster()
            self.writer_starts()
            self.failover()
            self.figures()
            self.writer.remove()
            self.next_commands()
        finally:
            self.kube.close()
        say(f"(in all {time.monotonic() - began:.0f} s)")
        return 1 if self.lost else 0


def down():
    state = json.loads(STATE.read_text()) if STATE.exists() else {"lab": True}
    if state["lab"]:
        Lab("demo").down()
    else:
        kube = Kube(shutil.which("kubectl") or program("kubectl"), state["kubeconfig"])
        try:
            remove_from(kube, shutil.which("helm") or program("helm"))
        finally:
            kube.close()
    STATE.unlink(missing_ok=True)
    return 0


def remove_from(kube, helm):
    """Out of a cluster that is not ours: the release, the namespaces, and the CRD if we made it."""
    space = kube.get("namespace", None, NAMESPACE)
    made_crd = bool(space) and (space["metadata"].get("annotations") or {}).get(MADE_CRD) == "true"
    if space and kube.get("crd", None, CRD):
        Cluster(kube, NAMESPACE, "orders").delete()
    kube.remove_namespace(NAMESPACE)
    operator = Operator(kube, helm, "none:none")
    if kube.get("namespace", None, operator.namespace):
        operator.uninstall()
        kube.remove_namespace(operator.namespace)
    if made_crd and kube.get("crd", None, CRD) and not kube.list("pgc"):
        kube.delete("crd", None, CRD)
    say("removed")


def main():
    if sys.argv[1:] not in (["up"], ["down"]):
        say(f"usage: {sys.argv[0]} up|down   (or: make demo, make demo-down)")
        return 2
    try:
        return Demo().up() if sys.argv[1] == "up" else down()
    except (WaitFailed, KubeError, AssertionError) as error:
        say(f"\nThe demo stopped: {error}\n")
        say("What there is stays up, to be looked at; make demo-down removes it.")
        return 1
    except KeyboardInterrupt:
        say("\ninterrupted; make demo-down removes what was made")
        return 130


sys.exit(main())
