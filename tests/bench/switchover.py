"""Busy clients through the pooler: what a switchover and a failover cost them, and how soon routes take effect."""

import contextlib
import time

from arena import merged
from calm import wait_calm
from cluster import SMALL
from effect import WAYS, decided_and_published, first_write, milliseconds, writers
from install import POOLER
from kube import WaitFailed, wait_for
from load import TABLE, Load, longest_silence, request_id
from poolers import reloads
from reconnecting import Reconnecting
from report import percentile

TITLE = "Changes of master through the pooler"
TEXT = """\
Clients of two PgBouncers (transaction mode, 6 connections each to the master) write as fast as they can, in transactions
of three statements. *Pause*: the longest time in which nobody's commit was acknowledged. In a failover, the postmaster of
the master killed, the clients come back after 0.1 s; only transactions in flight may fail, so nobody may get a second error.
Of less than 100 runs the p99 is the longest one.

*From decided to the first write*, in these failovers and in as many without clients: from the operator's log line that the
new master accepts writes (routes are decided from it in the next look, a millisecond later) to the first acknowledged
write there of three writers with one row every 10 ms each. Who tries all hosts of a URI needs no route: it may be there
before."""
DEFAULTS = {"runs": 20, "seconds": 6, "clients": 50}
GOAL_PAUSE = 1000  # ms in a switchover
GOAL_RELOAD = 100  # ms, p99
PATIENCE = 10  # seconds for all ways to lead to the new master
CALM = 6  # seconds for the machine to be calm before a failover without clients
AFTER = 1  # seconds of writing after that which still count
SPEC = merged(SMALL, {"pooler": POOLER})
WHERE = (6432, "orders")


def measure(arena, chosen, say):
    arena.bring_to(SPEC)
    cluster = arena.cluster
    cluster.wait_condition("PoolerReady", "True", ["AllReady"], 60)
    cluster.sql(cluster.master, "set role orders; " + TABLE, "orders")
    results = {"clients": chosen.clients}

    def runs(key, words, *arguments):
        results[key] = []
        for number in range(1, chosen.runs + 1):
            one = attempt(*arguments)
            results[key].append(one)
            say(f"  {key}, {number}/{chosen.runs}: " + (one.get("trouble") or words(one)))
    runs("switchovers", switchover_words, switchover, arena, chosen)
    with writers(arena) as every:
        runs("failovers", failover_words, busy_failover, arena, chosen, every)
        runs("quiet failovers", effect_words, quiet_failover, arena, every)
        results["reloads"] = reloads(cluster)
        results["writers"] = {way: counted(writer) for way, writer in every.items()}
    return results


def attempt(one_run, arena, *arguments):
    """A run that could not be measured is told, and is none without errors."""
    try:
        arena.cluster.wait_ready(90)
        return one_run(arena, *arguments)
    except Exception as error:  # the other runs are worth having
        return {"trouble": f"{type(error).__name__}: {str(error)[:300]}"}


def switchover(arena, chosen):
    cluster = arena.cluster
    former, epoch = cluster.master, cluster.epoch
    with Load(arena.lab, cluster, cluster.host("pooler"), *WHERE, chosen.clients, chosen.seconds) as load:
        load.wait_busy()
        cluster.patch({"failover": {"target": "slave1", "requestId": request_id()}})
        cluster.wait_new_master(former, epoch)
        errors, transactions = load.end()
    return {"errors": len(errors), "first": errors[:1], "transactions": len(transactions), "pause": longest_silence(transactions)}


class Failover:
    """The postmaster of the master killed, until all ways lead to the next one."""

    def __init__(self, arena, every):
        self.arena, self.every, cluster = arena, every, arena.cluster
        self.former, self.epoch, self.timeline = cluster.master, cluster.epoch, cluster.routes()["timeline"]

    def play(self):
        machine, cluster = self.arena.machine, self.arena.cluster
        postmaster = machine.postmaster(cluster.pod(self.former))
        self.killed = time.time()
        machine.kill(postmaster)
        cluster.wait_new_master(self.former, self.epoch)
        with contextlib.suppress(WaitFailed):  # of a way without an outage nothing is told
            wait_for("all ways to write again", lambda: all(
                first_write(one, self.killed, self.timeline) for one in self.every.values()), PATIENCE, every=0.2)
        time.sleep(AFTER)

    def effect(self):
        decided, published = decided_and_published(self.arena, self.epoch + 1, self.killed)
        return {"published": milliseconds(decided, published), "effect": {
            way: milliseconds(decided, first_write(writer, self.killed, self.timeline, decided))
            for way, writer in self.every.items()}}


def busy_failover(arena, chosen, every):
    failover = Failover(arena, every)
    with Reconnecting(arena.lab, arena.cluster, "writes", chosen.clients, arena.cluster.host("pooler"), *WHERE) as clients:
        failover.play()
        seen = clients.end()
    return {"errors": len(seen.errors), "connecting": seen.at("connect"), "mostOfOne": seen.most_of_one_client(),
            "kinds": seen.kinds(failover.killed), "transactions": len(seen.done), "stuck": seen.stuck,
            "pause": seen.silence(failover.killed), "acknowledged": seen.acknowledged, "lost": seen.lost} | failover.effect()


def quiet_failover(arena, every):
    """Only the writers: what a busy machine adds is no fault of the routes."""
    failover, free = Failover(arena, every), wait_calm(CALM)
    failover.play()
    return {"free": free} | failover.effect()


def counted(writer):
    try:
        _, verdict = writer.stop()
        return {"acknowledged": verdict["acknowledged"], "lost": verdict["lost"]}
    except (AssertionError, TypeError, KeyError) as error:
        return {"trouble": f"{type(error).__name__}: {str(error)[:300]}"}


# In words and tables; pure.

def switchover_words(one):
    return (f"{one['errors']} errors, {one['transactions']:,} transactions, longest without a commit {one['pause']:,} ms"
            + "".join(f"; {text[:200]}" for text in one["first"]))


def failover_words(one):
    return (f"{one['errors']} errors, {one['connecting']} of them at connecting, {one['mostOfOne']} at most of one client, "
            f"{one['transactions']:,} transactions, longest without a commit {one['pause']:,} ms; "
            f"{one['acknowledged']:,} rows, {one['lost']} lost; {effect_words(one)}"
            + "".join(f"\n      {words}" for words in one["kinds"]))


def effect_words(one):
    effect = ", ".join(f"{way} {told(ms)}" for way, ms in one["effect"].items())
    return (f"first write after decided: {effect}; routes written after {told(one['published'])}"
            + (f"; machine {one['free']:.0%} free" if "free" in one else ""))


def told(ms):
    return "?" if ms is None else f"{ms:,.0f} ms"


def writer_table(every):
    return [["way", "acknowledged", "lost"]] + [
        [way, "?", one["trouble"]] if "trouble" in one else [way, f"{one['acknowledged']:,}", str(one["lost"])]
        for way, one in every.items()]


def spread_cells(values):
    known = [one for one in values if one is not None]
    return [str(len(known)), *(f"{percentile(known, share):,.0f}" if known else "" for share in (0.5, 0.99, 1))]


def median_and_most(values):
    return f"{percentile(values, 0.5):,} / {max(values):,}" if values else ""


def tables(results):
    return [("What it costs", cost_table(results)), ("From decided to the first write", effect_table(results)),
            ("From a change of the routes seen by a pooler to PgBouncer's reload", reload_table(results["reloads"])),
            ("Rows of these writers, in all failovers", writer_table(results["writers"]))]


def cost_table(results):
    rows = [["change", "clients", "runs", "without an error", "errors a run p50 / max", "at connecting", "most of one client",
             "transactions", "pause ms p50", "p99", "max", "rows lost", "verdict"]]
    for title, key, least in (("switchover", "switchovers", 0), ("failover", "failovers", 1)):
        every = results[key]
        good = [one for one in every if "trouble" not in one]
        errors = [one["errors"] for one in good]
        clean = sum(not count for count in errors)
        connecting = [one.get("connecting", 0) for one in good]
        most = max((one.get("mostOfOne", min(1, one["errors"])) for one in good), default=0)
        lost = sum(one["lost"] for one in good) if key == "failovers" else None
        pauses = spread_cells([one["pause"] for one in good])[1:]
        missed = [f"{len(every) - len(good)} runs not measured"] * (len(good) < len(every))
        missed += [f"{sum(errors)} errors"] * (key == "switchovers" and clean < len(good))
        late = sum(one["pause"] > GOAL_PAUSE for one in good) if key == "switchovers" else 0
        missed += [f"{late} pauses over {GOAL_PAUSE:,} ms"] * bool(late)
        missed += ["a client with two errors"] * (most > least and key == "failovers")
        missed += [f"{lost} rows lost"] * bool(lost)
        rows.append([title, str(results["clients"]), str(len(every)), f"{clean} of {len(every)}",
                     median_and_most(errors), median_and_most(connecting), str(most),
                     f"{sum(one['transactions'] for one in good):,}", *pauses, "" if lost is None else str(lost),
                     "MISSED: " + ", ".join(missed) if missed else "kept"])
    return rows


def reload_table(took):
    late = percentile(took, 0.99) > GOAL_RELOAD if took else True
    return [["reloads", "ms p50", "p99", "max", "goal (p99)"],
            [*spread_cells(took), f"{GOAL_RELOAD}: {'MISSED' if late else 'reached'}"]]


def effect_table(results):
    rows = [["clients beside the writers", "from decided to", "runs", "ms p50", "p99", "max"]]
    for clients, key in ((0, "quiet failovers"), (results["clients"], "failovers")):
        good = [one for one in results[key] if "trouble" not in one]
        for way in WAYS:
            rows.append([str(clients), f"the first write by {way}", *spread_cells([one["effect"][way] for one in good])])
        rows.append([str(clients), "all route objects written", *spread_cells([one["published"] for one in good])])
    return rows
