"""What operator and agents weigh, and how soon an operator is ready."""

import json
import os
import time
from pathlib import Path
from statistics import median

from kube import wait_for
from load_arena import shape
from machine import Process
from story import seconds_of

TITLE = "Footprint"
TEXT = """\
One cluster of a master and two slaves, idle for a minute; two operators. *Resident*: VmRSS of the process, with the pages
of its libraries, which all that run on a node share. *Its own*: what no other process could share. *Working set*: what
`kubectl top pod` shows for its container; an agent's container is PostgreSQL's, so it has none of its own. *Cold start*:
from the process's start until it has read everything and stands for election, by the times in its log."""
DEFAULTS = {"runs": 10, "seconds": 60}
MIB = 1 << 20
BUDGETS = {"operator": 20, "agent": 10}  # design: MiB, idle
COLD_START = 100  # ms


def measure(arena, chosen, say):
    cluster = arena.bring_up(shape(2, 60, "2"))
    operators = arena.operator.running()
    leader = arena.operator.wait_leader()
    say(f"  idle for {chosen.seconds} s")
    time.sleep(chosen.seconds)
    weights = [weigh("operator that leads" if pod["metadata"]["name"] == leader else "operator that stands by",
                     "operator", arena, pod, arena.machine.operator(pod)) for pod in operators]
    for instance, pod in sorted(cluster.pods().items()):
        role = "master" if instance == cluster.master else "slave"
        weights.append(weigh(f"agent of the {role}", "agent", arena, pod, arena.machine.agent(pod)))
    for one in weights:
        say(f"  {one['what']}: {words(one)}")
    starts = []
    for run in range(1, chosen.runs + 1):
        starts.append(cold_start(arena))
        say(f"  {run}/{chosen.runs} cold start {starts[-1]} ms")
    return {"weights": weights, "starts": starts}


def weigh(what, kind, arena, pod, pid):
    fields = Process(pid).fields
    resident, own = (int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "RssAnon"))
    return {"what": what, "kind": kind, "resident": resident, "own": own,
            "workingSet": working_set(arena.kube, pod) if kind == "operator" else None}


def working_set(kube, pod):
    summary = json.loads(kube.request("GET", f"api/v1/nodes/{pod['spec']['nodeName']}/proxy/stats/summary"))
    stats = next(one for one in summary["pods"] if one["podRef"]["uid"] == pod["metadata"]["uid"])
    return sum(one["memory"]["workingSetBytes"] for one in stats["containers"])


def cold_start(arena):
    """Of the standby, in another pod: a container that ends again and again is held back."""
    leader = arena.operator.wait_leader()
    former = {pod["metadata"]["uid"] for pod in arena.operator.pods()}
    standby = next(pod for pod in arena.operator.running() if pod["metadata"]["name"] != leader)
    arena.kube.delete("pod", arena.operator.namespace, standby["metadata"]["name"])
    pod = wait_for("another standby", lambda: next(
        (one for one in arena.operator.running()
         if one["metadata"]["uid"] not in former and one["status"].get("phase") == "Running"), None), 60)
    name = pod["metadata"]["name"]
    line = wait_for(f"{name} to be ready", lambda: ready_line(arena.kube.logs(arena.operator.namespace, name)), 60)
    return round((seconds_of(line["ts"]) - started(arena.machine.operator(pod))) * 1000)


def ready_line(text):
    return next((one for one in map(json.loads, text.splitlines()) if one["msg"] == "ready"), None)


def started(pid):
    """When that process began, in seconds since 1970; the kernel counts in hundredths."""
    ticks = int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[19])
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.time() - since_boot + ticks / os.sysconf("SC_CLK_TCK")


# In words and tables; pure.

def words(one):
    return f"{one['resident'] / MIB:.1f} MiB resident, {one['own'] / MIB:.1f} MiB its own" + (
        f", working set {one['workingSet'] / MIB:.1f} MiB" if one["workingSet"] is not None else "")


def verdict(value, budget):
    return "kept" if value <= budget else "MISSED"


def tables(results):
    rows = [["process", "resident MiB", "its own MiB", "working set MiB", "budget MiB (resident)", "verdict"]]
    for one in results["weights"]:
        budget = BUDGETS[one["kind"]]
        rows.append([one["what"], f"{one['resident'] / MIB:.1f}", f"{one['own'] / MIB:.1f}",
                     "" if one["workingSet"] is None else f"{one['workingSet'] / MIB:.1f}", str(budget),
                     verdict(one["resident"] / MIB, budget)])
    starts = results["starts"]
    start = [["cold starts", "ms p50", "ms max", "budget ms (p50)", "verdict"],
             [str(len(starts)), f"{median(starts):.0f}", f"{max(starts)}", str(COLD_START),
              verdict(median(starts), COLD_START)]]
    return [("Memory", rows), ("Start of an operator", start)]
