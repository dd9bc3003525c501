#!/usr/bin/python3
"""make noise: what must not cause a failover, for an hour.

  noise.py --minutes 60             all kinds, one after the other
  noise.py --minutes 5 slow-queries

A cluster with two clients that write, while its sessions are taken, queries are slow, checkpoints storm, packets are
lost, and the machine's processors are busy. Each kind proves that it was as bad as it says. The exit status is 1 if
the master changed, or if a kind proved nothing. Results: printed, and in build/gauntlet/noise.json; with --add also in
docs/noise.md.
"""

import argparse
import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE)] + [str(ROOT / "tests" / part) for part in ("e2e", "demo", "tools")]

from arena import Arena  # noqa: E402
from case import Case, NotHit  # noqa: E402
from cases.replication import sessions_taken  # noqa: E402
from expect import stays  # noqa: E402
from install import keep  # noqa: E402
from machine import TABLE  # noqa: E402
from report import Row, circumstances, markdown_table, summary, text_table, write_json  # noqa: E402
from run import Run  # noqa: E402

RESULTS = ROOT / "build" / "gauntlet" / "noise.json"
DOCUMENT = ROOT / "docs" / "noise.md"
NEVER_BUSY = 2  # a load that proves nothing, on any machine


class Repeated:
    """Sessions that do the same again and again, from the lab's network."""

    def __init__(self, run, statement, count):
        options = run.probes.options | {"host": run.cluster.address(run.master), "application_name": "noise"}
        target = " ".join(f"{key}={value}" for key, value in options.items() if key != "password")
        self.command = [*run.machine.netns(), "psql", "--quiet", "--no-psqlrc", target, "--command", statement]
        self.environment = os.environ | {"PGPASSWORD": options["password"]}
        self.over, self.done = threading.Event(), 0
        self.threads = [threading.Thread(target=self.repeat, daemon=True) for _ in range(count)]

    def repeat(self):
        while not self.over.is_set():
            done = subprocess.run(self.command, env=self.environment, capture_output=True, check=False)
            self.done += done.returncode == 0
            if done.returncode:
                self.over.wait(0.5)

    def __enter__(self):
        for one in self.threads:
            one.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for one in self.threads:
            one.join()


@contextlib.contextmanager
def sampled(look, every=2):
    """What `look` answered meanwhile, asked again and again."""
    found, over = [], threading.Event()

    def follow():
        while not over.wait(every):
            with contextlib.suppress(AssertionError, subprocess.SubprocessError):
                found.append(look())
    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def slow_queries(run):
    statement = "select count(*) from generate_series(1, 20000000) a where md5(a::text) < 'a'"
    ages = lambda: float(run.sql(run.master, "select coalesce(max(extract(epoch from clock_timestamp() - query_start)), 0) "  # noqa: E731
                                             "from pg_stat_activity where application_name = 'noise' and state = 'active'"))
    with Repeated(run, statement, 12), sampled(ages) as seen:
        yield
    run.note(f"12 sessions at work all the time, the slowest query took {max(seen, default=0):.0f} s")
    run.hit(max(seen, default=0) > 5, "no query was slow")


def checkpoint_storm(run):
    before = checkpoints(run)
    statement = ("create table if not exists noise_bulk (body text); truncate noise_bulk; insert into noise_bulk "
                 "select repeat(md5(n::text), 64) from generate_series(1, 8000) n; "
                 "select pg_logical_emit_message(false, 'noise', repeat('x', 1000000)) from generate_series(1, 16)")
    with Repeated(run, statement, 2) as load, sampled(lambda: run.sql(run.master, "checkpoint"), every=0.2):
        yield
    count, milliseconds = (after - was for after, was in zip(checkpoints(run), before))
    run.note(f"{count:.0f} checkpoints that wrote and synced for {milliseconds / 1000:.0f} s, {load.done * 32} MB of new data")
    run.hit(count > 10, "checkpoints were rare")


def checkpoints(run):
    return [float(one) for one in run.sql(run.master, "select checkpoints_req, checkpoint_write_time + checkpoint_sync_time "
                                                      "from pg_stat_bgwriter").split("|")]


def packets_lost(run):
    pod = run.pod(run.master)
    with run.machine.lossy(pod, 20):
        yield
        text = run.machine.inside(pod, "nft", "list", "table", "inet", TABLE).stdout
    dropped = sum(int(one) for one in re.findall(r"counter packets (\d+)", text))
    run.note(f"{dropped:,} of the master's packets dropped, one in five")
    run.hit(dropped > 100, "hardly a packet was dropped")


def processors_busy(run):
    count = 4 * os.cpu_count()
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            spinner = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(spinner.kill)
        with sampled(lambda: os.getloadavg()[0]) as loads:
            yield
    run.note(f"{count} processes that do nothing but compute, load up to {max(loads, default=0):.0f}")
    run.hit(max(loads, default=0) > NEVER_BUSY * os.cpu_count(), "the processors had time")


KINDS = {"sessions-taken": ("all sessions of the master taken", sessions_taken),
         "slow-queries": ("slow queries", slow_queries),
         "checkpoint-storm": ("checkpoints storm", checkpoint_storm),
         "packets-lost": ("20 % of the master's packets lost", packets_lost),
         "processors-busy": ("processors busy", processors_busy)}


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], help="none: all")
    parser.add_argument("--minutes", type=float, default=60, help="in all")
    parser.add_argument("--add", action="store_true", help="write docs/noise.md as well")
    parser.add_argument("--image", default=os.environ.get("IMAGE"))
    return parser.parse_args()


def write_document(rows, facts, minutes):
    table = [["noise", "how bad it was", "rows acknowledged", "lost", "longest write outage ms by URI / by Service",
              "changes of master", "verdict"]]
    for row in rows:
        result = row.results[0]
        table.append([row.case.title, "; ".join(result.notes), f"{result.acknowledged:,}", str(result.lost),
                      " / ".join("?" if one is None else f"{one:,}" for one in (result.uri, result.service)), str(result.changes), row.verdict])
    DOCUMENT.write_text("\n".join([
        "# Noise", "",
        "What is bad for clients and no reason for a failover, while two of them write every 10 ms. The outages are those of",
        "the noise itself: a client that finds no session, or whose packets are lost. Made by `make noise ADD=1`; the kinds",
        "stand in `tests/gauntlet/noise.py`.", "",
        f"{facts['date']}, {facts['machine']}, commit {facts['commit']}. {told(rows, minutes)}.", "",
        *markdown_table(table)]) + "\n")


def told(rows, minutes):
    return f"False failovers: {failovers(rows)} in {minutes:.0f} minutes"


def failovers(rows):
    return sum(row.results[0].changes for row in rows)


def main():
    chosen = options()
    kinds = chosen.kinds or list(KINDS)
    hold = chosen.minutes * 60 / len(kinds)
    arena = Arena(chosen.image, lambda text: print(text, flush=True))
    rows = []
    try:
        arena.up()
        for number, kind in enumerate(kinds, 1):
            title, body = KINDS[kind]
            case = Case(str(number), f"{title}, {hold / 60:.0f} minutes", stays(None, hold=hold, ready=240), body)
            run = Run(arena, case, 1)
            result = run.play()
            rows.append(Row(case, [result]))
            print(f"{kind}: {'pass' if result.passed else 'FAIL: ' + result.reasons[0][:300]}; {'; '.join(result.notes)[:300]}",
                  flush=True)
    except KeyboardInterrupt:
        print("interrupted")
    finally:
        arena.down(keep())
    facts = circumstances(getattr(arena, "image", ""))
    write_json(RESULTS, rows, facts)
    if chosen.add and len(rows) == len(kinds):
        write_document(rows, facts, chosen.minutes)
    print(f"\n{text_table(rows)}\n\n{summary(rows)}. {told(rows, chosen.minutes)}")
    return 1 if failovers(rows) or len(rows) < len(kinds) or any(row.failed for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
