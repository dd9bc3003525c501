"""Many clients through the pooler, and direct."""

from statistics import median

from load_arena import READ, figures, shape

TITLE = "Many clients"
TEXT = """\
Clients that read single rows as fast as they can, all connected at once: straight to the master, and through the pooler
(two PgBouncers with 8 connections each). The master is held to a core. Medians of all runs."""
DEFAULTS = {"runs": 5, "seconds": 25, "clients": 1000}
WAYS = {"direct": ("master", 5432, "orders"), "pooler": ("pooler", 6432, "orders")}


def measure(arena, chosen, say):
    arena.bring_up(shape(0, chosen.clients + 50, "1"))
    results = {way: [] for way in WAYS}
    for run in range(1, chosen.runs + 1):
        for way, where in WAYS.items():
            with arena.load(*where, READ, chosen.clients, chosen.seconds) as load:
                each, p50, p99 = figures(load, chosen.seconds)
            results[way].append({"transactions": each, "p50": p50, "p99": p99})
            say(f"  {run}/{chosen.runs} {way}: {each:,.0f} transactions/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    return [{"way": way, "clients": chosen.clients, "runs": runs} for way, runs in results.items()]


def tables(results):
    rows = [["way", "clients", "transactions/s", "p50 ms", "p99 ms", "throughput against direct"]]
    each = {one["way"]: {name: median(run[name] for run in one["runs"]) for name in ("transactions", "p50", "p99")}
            for one in results}
    for one in results:
        of = each[one["way"]]
        rows.append([one["way"], f"{one['clients']:,}", f"{of['transactions']:,.0f}", f"{of['p50']:.1f}", f"{of['p99']:.1f}",
                     f"{of['transactions'] / each['direct']['transactions']:.2f}"])
    return [("", rows)]
