"""Reads over slaves of different weight: PgBouncer's host list against HAProxy behind PgBouncer."""

import time
from statistics import median

from arena import merged
from cluster import SMALL
from kube import wait_for
from load import Load
from load_arena import READ, figures
from proxies import PORT, SHARE, Proxies
from reconnecting import Reconnecting
from report import percentile

WEIGHTS = {"slave1": 100, "slave2": 50}
CUT = 8  # seconds
POOL = 12  # connections to the slaves
TITLE = "Spreading reads: host list or HAProxy"
TEXT = f"""\
`orders_replica` of one PgBouncer with the pooler's settings leads to the slaves by a list of hosts, or to an HAProxy beside
it, which knows the slaves' weights (100 and 50) and checks them every second. All processes of a way share {SHARE:g} of a
core. 16 clients read single rows over {POOL} connections to the slaves. By weight those are 8 : 4; how many reads each
takes depends on how soon its slave answers, too.

*Host list* follows the routes as `matriarch-pooler` does, *fixed* does not. The slave with the greater weight is lost while
the clients read: its postmaster killed (its agent starts it again), or its pod cut off for {CUT} s, so that it is silent.
Clients come back after 0.1 s. *A client's longest wait*: from the fault on, until it got an answer again."""
DEFAULTS = {"runs": 5, "seconds": 8, "clients": 16}
LOADED = ("host list", "HAProxy")
LOST = ("host list", "host list, fixed", "HAProxy")
FAULTS = ("killed", "silent")
TRANSACTIONS = "select xact_commit from pg_stat_database where datname = 'orders'"
CONNECTIONS = "select count(*) from pg_stat_activity where usename = 'orders'"
AFTER = 3  # seconds that are watched after a killed postmaster
# Slaves are not what is measured: they have no limit.
SPEC = merged(SMALL, {"routing": {"weights": WEIGHTS}})


def measure(arena, chosen, say):
    cluster = arena.bring_up(SPEC)
    wait_for("weights in the routes", lambda: weights(cluster) == set(WEIGHTS.values()), 30)
    proxies = Proxies(arena, POOL)
    results = {"versions": proxies.versions(), "loads": [], "lost": []}
    say(f"  {results['versions']}")
    for run in range(1, chosen.runs + 1):
        for way in LOADED:
            one = load(arena, proxies, way, chosen)
            results["loads"].append(one)
            say(f"  {run}/{chosen.runs} {way}: {one['reads']:,.0f} reads/s, p50 {one['p50']:.1f} ms, p99 {one['p99']:.1f} ms; "
                f"{share_words(one)}")
        for fault in FAULTS:
            for way in LOST:
                one = lose(arena, proxies, way, fault, chosen)
                results["lost"].append(one)
                say(f"  {run}/{chosen.runs} {way}, slave {fault}: {one['errors']} errors, "
                    f"{one['mostOfOne']} at most of one client, longest wait of a client {one['wait']:,} ms, "
                    f"of all {one['silence']:,} ms"
                    + "".join(f"\n      {words}" for words in one["kinds"]))
    return results


def weights(cluster):
    return {one["weight"] for one in cluster.routes()["slaves"]}


def ask(cluster, slaves, statement):
    return [int(cluster.sql(one, statement)) for one in slaves]


def load(arena, proxies, way, chosen):
    cluster = arena.cluster
    slaves = [cluster.position(position) for position in WEIGHTS]
    with proxies.way(way):
        before = ask(cluster, slaves, TRANSACTIONS)
        with Load(arena.lab, cluster, proxies.address, PORT, "orders_replica", chosen.clients, chosen.seconds, READ,
                  protocol="prepared", PGSSLMODE="disable") as pgbench:
            pgbench.wait_busy()
            connections = ask(cluster, slaves, CONNECTIONS)
            reads, p50, p99 = figures(pgbench, chosen.seconds)
    time.sleep(1)  # a backend that ends adds up what it counted
    counts = [after - first for after, first in zip(ask(cluster, slaves, TRANSACTIONS), before)]
    return {"way": way, "reads": reads, "p50": p50, "p99": p99, "counts": counts, "connections": connections}


def lose(arena, proxies, way, fault, chosen):
    cluster, machine = arena.cluster, arena.machine
    cluster.wait_ready(60)
    wait_for("weights in the routes", lambda: weights(cluster) == set(WEIGHTS.values()), 30)
    slave = cluster.pod(cluster.position("slave1"))
    with proxies.way(way), Reconnecting(arena.lab, cluster, "reads", chosen.clients, proxies.address, PORT,
                                        "orders_replica", PGSSLMODE="disable") as clients:
        time.sleep(1)  # connections to both slaves
        began = time.time()
        if fault == "killed":
            machine.kill(machine.postmaster(slave))
            time.sleep(AFTER)
        else:
            with machine.cut(slave):
                time.sleep(CUT)
        seen = clients.end()
    return {"way": way, "fault": fault, "errors": len(seen.errors), "mostOfOne": seen.most_of_one_client(),
            "kinds": seen.kinds(began), "reads": len(seen.done), "wait": seen.longest_of_one_client(began),
            "silence": seen.silence(began), "stuck": seen.stuck}


# In words and tables; pure.

def share(one):
    """Of all reads, those at the heavier slave."""
    return one["counts"][0] / max(1, sum(one["counts"]))


def share_words(one):
    return f"{share(one):.0%} at the heavier slave, with {' and '.join(map(str, one['connections']))} connections"


def tables(results):
    loads = [["way", "runs", "reads/s", "p50 ms", "p99 ms", "connections to the slaves", "reads at the heavier",
              "throughput against the host list"]]
    of = {way: [one for one in results["loads"] if one["way"] == way] for way in LOADED}
    for way, runs in of.items():
        each = {name: median(one[name] for one in runs) for name in ("reads", "p50", "p99")}
        base = median(one["reads"] for one in of[LOADED[0]])
        loads.append([way, str(len(runs)), f"{each['reads']:,.0f}", f"{each['p50']:.1f}", f"{each['p99']:.1f}",
                      ", ".join(sorted({" : ".join(map(str, one["connections"])) for one in runs})),
                      f"{median(share(one) for one in runs):.0%}", f"{each['reads'] / base:.2f}"])
    lost = [["slave", "way", "runs", "errors a run p50 / max", "most of one client", "a client's longest wait ms p50 / max",
             "nobody reads for ms p50 / max"]]
    for fault in FAULTS:
        for way in LOST:
            runs = [one for one in results["lost"] if (one["fault"], one["way"]) == (fault, way)]
            lost.append([fault, way, str(len(runs)), both(runs, "errors"), str(max(one["mostOfOne"] for one in runs)),
                         both(runs, "wait"), both(runs, "silence")])
    return [(f"Under load ({results['versions']})", loads), ("When a slave is lost", lost)]


def both(runs, name):
    values = [one[name] for one in runs]
    return f"{percentile(values, 0.5):,} / {max(values):,}"
