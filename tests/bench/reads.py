"""Reads of the master alone against one to three slaves, with one write for nine reads."""

from statistics import median

from install import POSTGRES
from kube import wait_for
from load import InPod, secret_of
from load_arena import READ, WRITE, figures, shape

TITLE = "Reads"
TEXT = """\
Readers as fast as they can (16 connections), writers one for nine of their reads, each instance held to a quarter of a
core. *By URI list*: `read_uri` of the Secret with libpq 17 and `load_balance_hosts=random`. With `master 100` the master
takes part of the reads like a slave of weight 100; otherwise none while a slave is ready. Medians of all runs; the ratio is
that of reads and writes together to the master alone by the same way."""
DEFAULTS = {"runs": 3, "seconds": 6}

# What the master takes of the reads: without it a slave more is the master's reads less.
MASTER_READS = {"routing": {"weights": {"master": 100}}}
SHAPES = [(0, False), (1, True), (2, True), (3, True), (2, False)]  # slaves, whether the master takes reads beside them
GOALS = {1: 1.8, 2: 2.6}  # slaves -> against the master alone, where it takes part
READS_PER_WRITE = 9
READERS, WRITERS = 16, 2
FIRST_RATE, FIRST_SECONDS = 30, 4  # of a run that only finds out how many writes are a tenth
CLIENT, CLIENT_VERSION = "pgbench", "17"  # the first libpq that takes hosts at random is 16


def client_pod(arena):
    """PostgreSQL 17's pgbench, the same for every way."""
    arena.lab("image", "postgres", CLIENT_VERSION, capture=True)
    image = POSTGRES.format(CLIENT_VERSION)
    arena.lab("load", image)
    namespace = arena.cluster.namespace
    arena.kube.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": CLIENT, "namespace": namespace}, "spec": {
        "terminationGracePeriodSeconds": 0, "enableServiceLinks": False,
        "containers": [{"name": CLIENT, "image": image, "imagePullPolicy": "IfNotPresent", "command": ["sleep", "infinity"]}]}})
    pod = wait_for("the client's pod", lambda: (lambda pod: pod and pod["status"].get("phase") == "Running" and pod)(
        arena.kube.get("pod", namespace, CLIENT)), 60)
    return InPod(arena.machine.find(pod, "a client", lambda one: one.name == "sleep"), CLIENT_VERSION)


def ways(cluster, instances):
    """name -> where reads and where writes go, as LoadArena.load takes it, and libpq's options."""
    def known():
        found = secret_of(cluster)
        return found if found["read_uri"].count(":5432") == instances else None
    secret = wait_for(f"{instances} hosts in read_uri", known, 30)
    read, write = (secret[key].replace(f":{secret['password']}@", "@") for key in ("read_uri", "uri"))
    return {"pooler": (("pooler", 6432, "orders_replica"), ("pooler", 6432, "orders_master"), {}),
            "Services": (("slaves", 5432, "orders"), ("master", 5432, "orders"), {}),
            "URI list": ((None, None, read), (None, None, write), {"PGLOADBALANCEHOSTS": "random"})}


def measure(arena, chosen, say):
    results, place = [], None
    for slaves, master_reads in SHAPES:
        spec = shape(slaves, 60, more=MASTER_READS.items() if master_reads else ())
        cluster = arena.bring_up(spec)
        place = place or client_pod(arena)
        for way, (read, write, options) in ways(cluster, slaves + 1).items():
            rate, runs = FIRST_RATE, []
            for run in range(chosen.runs + 1):
                seconds = chosen.seconds if run else FIRST_SECONDS
                one = one_run(arena, read, write, rate, seconds, place=place, **options)
                rate = max(1, round(one["reads"] / READS_PER_WRITE))
                number = f"{run}/{chosen.runs}" if run else "to begin with"
                say(f"  {shape_words(slaves, master_reads)}, {way}, {number}: {one['reads']:,.0f} reads/s, "
                    f"{one['writes']:,.0f} writes/s, p50 {one['p50']:.1f} ms, p99 {one['p99']:.1f} ms")
                runs += [one] if run else []
            results.append({"way": way, "slaves": slaves, "masterReads": master_reads, "runs": runs})
    return results


def one_run(arena, read, write, rate, seconds, **options):
    writing = seconds + 1
    with arena.load(*write, WRITE, WRITERS, writing, rate, **options) as writers, \
            arena.load(*read, READ, READERS, seconds, **options) as readers:
        reads, p50, p99 = figures(readers, seconds)
        errors, done = writers.end()
    return {"reads": reads, "writes": len(done) / writing, "p50": p50, "p99": p99, "errors": len(errors)}


def shape_words(slaves, master_reads):
    if not slaves:
        return "the master alone"
    return f"{slaves} slave{'' if slaves == 1 else 's'}" + (", master 100" if master_reads else "")


def whole(one):
    return median(run["reads"] + run["writes"] for run in one["runs"])


def tables(results):
    alone = {one["way"]: whole(one) for one in results if not one["slaves"]}
    rows = [["shape", "way", "reads/s", "writes/s", "p50 ms", "p99 ms", "all/s against the master alone", "goal"]]
    for one in sorted(results, key=lambda one: (one["way"], one["slaves"], one["masterReads"])):
        of = {name: median(run[name] for run in one["runs"]) for name in ("reads", "writes", "p50", "p99")}
        ratio = whole(one) / alone[one["way"]]
        goal = GOALS.get(one["slaves"]) if one["masterReads"] else None
        rows.append([shape_words(one["slaves"], one["masterReads"]), one["way"], f"{of['reads']:,.0f}", f"{of['writes']:,.0f}",
                     f"{of['p50']:.1f}", f"{of['p99']:.1f}", f"{ratio:.2f}",
                     "" if goal is None else f"{goal}: {'reached' if ratio >= goal else 'MISSED'}"])
    return [("", rows)]
