#!/usr/bin/python3
"""make bench-reads and make bench-pooler: throughput on the local Kubernetes, with pgbench.

  loads.py reads [--runs N] [--seconds S]     the master alone against 1, 2 and 3 slaves: by the pooler, and by Services
  loads.py pooler [--runs N] [--seconds S] [--clients C]   many clients through the pooler, and direct

Each instance has a fixed share of a core (its control group's limit): on a machine of few cores more instances would
otherwise not be more CPU. The ways are measured in turn, run after run; ratios of medians are printed, and everything
stands in build/bench/loads-*.json. It needs root, as the lab does.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE)] + [str(ROOT / "tests" / part) for part in ("gauntlet", "e2e", "demo", "tools")]

from arena import Arena, merged  # noqa: E402
from cluster import SMALL  # noqa: E402
from install import PGBOUNCER, keep  # noqa: E402
from load import Load  # noqa: E402
from report import aligned, circumstances, percentile  # noqa: E402

ROWS = 100_000
TABLE = (f"create table if not exists items (id int primary key, price int, words text); "
         f"insert into items select n, n % 1000, repeat('x', 80) from generate_series(1, {ROWS}) n on conflict do nothing; "
         "analyze items")
READ = f"\\set id random(1, {ROWS})\nselect price, words from items where id = :id;\n"
WRITE = f"\\set id random(1, {ROWS})\nupdate items set price = price + 1 where id = :id;\n"
READS_PER_WRITE = 9
SHARE = "250m"  # of a core, for each instance
MOST_SLAVES = 3


def say(text=""):
    print(text, flush=True)


class LoadArena(Arena):
    purpose = namespace = "loads"
    settings = {}
    pooler = True


def shape(slaves, connections, share=SHARE):
    return merged(SMALL, {
        "slaves": slaves,
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"cpu": share, "memory": "3Gi"}},
        "postgresql": {"parameters": {"shared_buffers": "64MB", "max_connections": str(connections)}},
        "pooler": {"image": PGBOUNCER, "poolSize": 8, "maxClientConnections": 2000,
                   "resources": {"requests": {"cpu": "20m", "memory": "16Mi"}}}})


def host(cluster, service):
    return f"{cluster.name}-{service}.{cluster.namespace}.svc"


def through(arena, where, script, clients, seconds, rate=0):
    service, port, database = where
    return Load(arena.lab, arena.cluster, host(arena.cluster, service), port, database, clients, seconds, script, rate, "prepared")


def figures(load, seconds):
    """(a second, p50 ms, p99 ms), without the first two seconds."""
    errors, done = load.end()
    if errors:
        raise RuntimeError(f"the load failed: {errors[:3]}")
    counted = [took for at, took in done if at >= done[0][0] + 2]
    if not counted:
        raise RuntimeError(f"nothing was done after the first two seconds: give it more than {seconds} (--seconds)")
    return len(counted) / (seconds - 2), percentile(counted, 0.5), percentile(counted, 0.99)


def bench_reads(arena, chosen):
    """Readers as fast as they can, writers one for nine of their reads."""
    ways = {"pooler": (("pooler", 6432, "orders_replica"), ("pooler", 6432, "orders_master")),
            "Services": (("slaves", 5432, "orders"), ("master", 5432, "orders"))}
    results = {}
    for slaves in range(MOST_SLAVES + 1):
        arena.bring_to(shape(slaves, 60))
        cluster = arena.cluster
        cluster.wait_condition("PoolerReady", "True", ["AllReady"], 60)
        cluster.sql(cluster.master, f"set role orders; {TABLE}", "orders")
        for way, (read, write) in ways.items():
            rate = 30
            for run in range(chosen.runs + 1):
                with through(arena, write, WRITE, 2, chosen.seconds + 4, rate) as writers, \
                        through(arena, read, READ, 16, chosen.seconds) as readers:
                    reads, p50, p99 = figures(readers, chosen.seconds)
                    errors, done = writers.end()
                writes = len(done) / (chosen.seconds + 4)
                if run:  # the first one finds the rate
                    results.setdefault((way, slaves), []).append(
                        {"reads": reads, "writes": writes, "p50": p50, "p99": p99, "errors": len(errors)})
                say(f"  {slaves} slaves, {way}: {reads:,.0f} reads/s, {writes:,.0f} writes/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms")
                rate = max(1, round(reads / READS_PER_WRITE))
    rows = [("slaves", "way", "reads/s", "writes/s", "p99 ms", "all/s against the master alone")]
    whole = {key: median(one["reads"] + one["writes"] for one in runs) for key, runs in results.items()}
    for (way, slaves), runs in sorted(results.items()):
        rows.append((str(slaves), way, f"{median(r['reads'] for r in runs):,.0f}", f"{median(r['writes'] for r in runs):,.0f}",
                     f"{median(r['p99'] for r in runs):.1f}", f"{whole[way, slaves] / whole[way, 0]:.2f}"))
    return rows, [{"way": way, "slaves": slaves, "runs": runs} for (way, slaves), runs in results.items()]


def bench_pooler(arena, chosen):
    ways = {"direct": ("master", 5432, "orders"), "pooler": ("pooler", 6432, "orders")}
    arena.bring_to(shape(0, chosen.clients + 50, "1"))
    cluster = arena.cluster
    cluster.wait_condition("PoolerReady", "True", ["AllReady"], 60)
    cluster.sql(cluster.master, f"set role orders; {TABLE}", "orders")
    results = {}
    for run in range(chosen.runs):
        for way, where in ways.items():
            with through(arena, where, READ, chosen.clients, chosen.seconds) as load:
                each, p50, p99 = figures(load, chosen.seconds)
            results.setdefault(way, []).append({"transactions": each, "p50": p50, "p99": p99})
            say(f"  {run + 1}/{chosen.runs} {way}: {each:,.0f} transactions/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    rows = [("way", "clients", "transactions/s", "p50 ms", "p99 ms", "throughput against direct")]
    base = median(one["transactions"] for one in results["direct"])
    for way, runs in results.items():
        rows.append((way, f"{chosen.clients:,}", f"{median(r['transactions'] for r in runs):,.0f}",
                     f"{median(r['p50'] for r in runs):.1f}", f"{median(r['p99'] for r in runs):.1f}",
                     f"{median(r['transactions'] for r in runs) / base:.2f}"))
    return rows, [{"way": way, "runs": runs} for way, runs in results.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["reads", "pooler"])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=25)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--image", default=os.environ.get("IMAGE"))
    chosen = parser.parse_args()
    if os.geteuid() != 0:
        os.execvp("sudo", ["sudo", "--preserve-env", sys.executable, *sys.argv])
    arena = LoadArena(chosen.image)
    try:
        arena.up()
        rows, results = (bench_reads if chosen.what == "reads" else bench_pooler)(arena, chosen)
    finally:
        arena.down(keep())
    path = ROOT / "build" / "bench" / f"loads-{chosen.what}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(circumstances(chosen.image) | {"results": results}, indent=1) + "\n")
    say("\n" + aligned(rows))
    say(f"every run: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
