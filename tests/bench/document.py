"""The results: on the screen, as JSON and as docs/benchmarks.md.

That document has a section of each kind of results that docs/benchmarks.json (outages) and docs/benchmarks-routing.json hold.
"""

import json
from pathlib import Path

import matriarch
from events import EVENTS
from figures import STEPS, Comparison, of
from kinds import KINDS
from peer import DEFAULT, VARIANTS
from report import aligned, markdown_table, percentile, spread
from sample import Sample

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
OUTAGES = DOCUMENT.with_suffix(".json")
ROUTING = DOCUMENT.with_name("benchmarks-routing.json")

INTRODUCTION = """\
# Benchmarks

Measured on a local Kubernetes of three nodes with real PostgreSQL 15 (`tests/bench`). Each section says when, at which
commit and on what machine."""

OUTAGES_TEXT = """\
How long a client can't write when something fails or is changed; and in the same faults with Patroni, on the same machine.
Made by `make bench-failover`; each event is in `tests/bench/events.py`."""

METHOD = """\
The client writes a row every 10 ms, reconnects at once, and keeps a book of the acknowledged ids. It calls all hosts of
a multi-host URI at once; a second one uses the Service. The outage lasts from the last acknowledged row before the fault
to the first one after it; where an open session notices nothing of the fault (a frozen postmaster), from the fault.
Lost is an acknowledged id that is not in the table afterwards; replication is asynchronous. A run of ours counts only if
the master changed and the epoch rose. Each fault waits, for a minute at most, until 40 % of the machine are idle or at
low-priority work. Of less than 100 runs the p99 is the longest one."""

STEPS_TEXT = """\
Medians in milliseconds. *noticed*: from the last acknowledged row until the operator knew (below zero where it knew
before the writing ended); *closing*: until the record let the mandate run out; *chosen*: until the next master was
recorded, with the proof that the old one is over; *promoted*: until it accepted writes, from where on clients with the
URI go on; *published*: until the routes said so."""

PEER_TEXT = """\
Patroni, etcd and three PostgreSQL are plain processes on ports of 127.0.0.1, without Kubernetes, network or TLS: a killed
process refuses connections at once, where a lost node is silent, and no control plane shares the machine's cores with
them. "Powered off" is SIGKILL to all processes of a node at one moment, "cut off" all of them frozen. The client and its
URI are the same. With its defaults Patroni restarts a killed postmaster in its place."""


class Results:
    """Every sample, and the circumstances of the last one."""

    def __init__(self, samples=(), facts=None):
        self.samples, self.facts = list(samples), facts or {}

    @classmethod
    def read(cls, path):
        known = json.loads(path.read_text())
        return cls([Sample(**one) for one in known.pop("samples")], known)

    def write(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.facts | {"samples": [one.as_json() for one in self.samples]}, indent=1) + "\n")

    # The same tables everywhere: lists of rows of cells, the first is the head.

    def ours(self):
        return of(self.samples, EVENTS, matriarch.NAME)

    def comparisons(self):
        ours = {one.event.key: one for one in self.ours()}
        return [(system, Comparison(peer, ours.get(peer.event.key), peer.event.goal if system == DEFAULT else 0))
                for system in VARIANTS for peer in of(self.samples, EVENTS, system)]

    def budget_table(self):
        rows = [["event", "budget ms p50 / p99", "runs", "by URI ms p50 / p99", "by Service ms p50 / p99",
                 "rows acknowledged", "lost", "verdict"]]
        for one in self.ours():
            rows.append([one.event.title, f"{one.event.bounds.p50:,} / {one.event.bounds.p99:,}", str(len(one.samples)),
                         spread(one.uri), spread(one.service), f"{one.acknowledged:,}", str(one.lost),
                         "MISSED" if any(one.missed()) else "kept"])
        return rows

    def step_table(self):
        return [["event", *STEPS]] + [
            [one.event.title, *("" if one.step(name) is None else f"{one.step(name):,}" for name in STEPS)]
            for one in self.ours()]

    def ratio_table(self):
        rows = [["event", "settings", "runs", "ms p50 / p99", "master stayed", "rows lost", "times ours (p50)", "goal",
                 "verdict"]]
        for system, one in self.comparisons():
            over = "over " if one.peer.at_least else ""
            rows.append([one.peer.event.title, VARIANTS[system].words, str(len(one.peer.samples)),
                         over + spread(one.peer.uri), str(one.peer.stayed), str(one.peer.lost),
                         f"{over}{one.ratio:.1f}" if one.ratio else "", str(one.goal or ""),
                         "" if not one.goal else "MISSED" if one.missed else "reached"])
        return rows

    def missed(self):
        """Every goal that was missed, with its cause."""
        for one in self.ours():
            words = list(one.missed())
            words += [f"{other.ratio:.1f} times faster than Patroni, goal {other.goal}" for _, other in self.comparisons()
                      if other.missed and other.peer.event is one.event]
            if words:
                cause = one.event.cause or "not found yet; the steps above show where the time goes."
                yield f"- {one.event.title}: {'; '.join(words)}. Cause: {cause}"

    def missed_lines(self):
        return list(self.missed()) or ["None."]

    # Whole texts.

    def text(self):
        parts = [("write outages against their budgets", self.budget_table()), ("steps, p50 in ms", self.step_table()),
                 ("Patroni", self.ratio_table())]
        tables = [f"{title}\n{aligned(rows)}" for title, rows in parts if len(rows) > 1]
        return "\n\n".join([*tables, "goals that are missed\n" + "\n".join(self.missed_lines()), self.circumstances()])

    def section(self):
        peer = self.ratio_table()
        return [
            "## Write outages", "", OUTAGES_TEXT, "", self.circumstances(), "", METHOD, "",
            "### Budgets", "", *markdown_table(self.budget_table()), "",
            "### Where the time goes", "", STEPS_TEXT, "", *markdown_table(self.step_table()), "",
            *(["### Patroni", "", PEER_TEXT, "", *markdown_table(peer), ""] if len(peer) > 1 else []),
            "### Goals that are missed", "", *self.missed_lines()]

    def circumstances(self):
        facts = self.facts
        commits = sorted({one.commit for one in self.samples if one.system == matriarch.NAME} or {facts["commit"]})
        return (f"{facts['date']}, commit {', '.join(commits)}, {facts['machine']}; "
                f"{facts.get('peer', 'Patroni: not run')}; "
                f"{calm_words(self.samples)}. {facts.get('note', '')}".strip())


def calm_words(samples):
    shares = [one.free for one in samples if one.system == matriarch.NAME]
    return (f"free just before the fault: {percentile(shares, 0.5):.0%} (p50), {min(shares):.0%} at least"
            if shares else "no runs of ours")


# The kinds of loads.py.

def read_routing():
    return json.loads(ROUTING.read_text()) if ROUTING.exists() else {}


def keep_routing(kind, kept):
    """Its circumstances and results, in the place of former ones of that kind."""
    every = read_routing() | {kind: kept}
    ROUTING.write_text(json.dumps(every, indent=1) + "\n")
    write()


def routing_section(name, kept):
    kind = KINDS[name]
    lines = [f"## {kind.TITLE}", "", f"{kind.TEXT} Made by `make bench-{name}`.", "",
             f"{kept['date']}, commit {kept['commit']}{'+' if kept['changed'] else ''}, {kept['machine']}, "
             f"load average before {kept['load']:.1f}. {kept['note']}".strip()]
    for title, rows in kind.tables(kept["results"]):
        lines += ["", *([f"### {title}", ""] if title else []), *markdown_table(rows)]
    return lines


# The whole.

def write():
    outages = Results.read(OUTAGES) if OUTAGES.exists() else Results()
    routing = read_routing()
    sections = [outages.section()] if outages.samples else []
    sections += [routing_section(name, routing[name]) for name in KINDS if name in routing]
    lines = [INTRODUCTION]
    for section in sections:
        lines += ["", *section]
    DOCUMENT.write_text("\n".join(lines) + "\n")
