#!/usr/bin/python3
"""make gauntlet: faults against a real cluster, counted.

  gauntlet.py                   every case, 3 runs each; writes docs/gauntlet.md
  gauntlet.py --runs 20 12 25   these cases, all their variants
  gauntlet.py --short           the quick ones
  gauntlet.py --add --runs 2    adds to what docs/gauntlet.json holds, and writes it
  gauntlet.py --list

Results: a table here, build/gauntlet/results.json, docs/gauntlet.md and .json, and what was seen of each failed run in
build/gauntlet/failures. The exit status is 1 if a case failed. It needs root, as the lab does.
"""

import argparse
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE)] + [str(ROOT / "tests" / part) for part in ("e2e", "demo", "tools")]

import case as catalogue  # noqa: E402
from arena import Arena  # noqa: E402
from cases import disk, network, operator, process, rejoin, replication  # noqa: E402, F401
from install import keep  # noqa: E402
from report import (Row, busy, circumstances, keep_what_was_seen, read_json, summary, text_table,  # noqa: E402
                    write_json, write_markdown)
from run import Run  # noqa: E402

BUILD = ROOT / "build" / "gauntlet"
FAILURES = BUILD / "failures"
DOCUMENT = ROOT / "docs" / "gauntlet.md"


def say(text=""):
    print(text, flush=True)


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help="numbers, such as 12 or 25c; none: all")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--slack", type=float, default=1, metavar="N",
                        help="outages may last N times as long: for a machine that does other things too")
    parser.add_argument("--short", action="store_true", help=f"only {', '.join(catalogue.SHORT)}")
    parser.add_argument("--add", action="store_true", help="keep the runs of docs/gauntlet.json, and write it after each case")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--image", default=os.environ.get("IMAGE"), help="an image of the lab's store, instead of a build")
    return parser.parse_args()


def one_line(case, result, last):
    def ms(value):
        return f"{value:,} ms" if value is not None else "?"
    outages = "" if case.bare else (f"out {ms(result.uri)} by URI, {ms(result.service)} by Service; "
                                    f"{result.acknowledged:,} rows, {result.lost} lost, {result.double} double; ")
    return (f"{case.number:>4} {result.number}/{last}  {'pass' if result.passed else 'FAIL'}  {outages}"
            f"{result.seconds:.0f} s, load {result.load:.1f}"
            + "".join(f"\n           {reason[:400]}" for reason in result.reasons))


def play(arena, case, numbers, slack):
    """All runs of a case. One that fails leaves nothing to the next: healed, and a cluster of its own."""
    results = []
    for number in numbers:
        run = Run(arena, case, number, slack)
        result = run.play()
        results.append(result)
        say(one_line(case, result, numbers[-1]))
        if not result.passed:
            keep_what_was_seen(FAILURES, arena, run)
            with contextlib.suppress(AssertionError):
                arena.machine.heal()
            arena.spec = None
    return results


def main():
    chosen = options()
    every = catalogue.select(catalogue.CASES)
    cases = (catalogue.select(chosen.cases) if chosen.cases else
             catalogue.select(catalogue.SHORT, exactly=True) if chosen.short else every)
    if chosen.list:
        for case in cases:
            say(f"{case.number:>4}  {case.title}")
        return 0
    if os.geteuid() != 0:
        os.execvp("sudo", ["sudo", "--preserve-env", sys.executable, *sys.argv])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    commit = circumstances("")["commit"]
    results = {case.number: [] for case in every}
    if chosen.add:
        results |= read_json(DOCUMENT.with_suffix(".json"), commit)
    arena = Arena(chosen.image, say, kill_points=any(case.kill_points for case in cases))
    began = time.monotonic()
    try:
        arena.up()
        for case in cases:
            say(f"{case.number:>4} {case.title}")
            done = len(results[case.number])
            for result in play(arena, case, range(done + 1, done + chosen.runs + 1), chosen.slack):
                result.commit = commit
                results[case.number].append(result)
            conclude(cases, results, arena)
            if chosen.add:
                write_documents(every, results, arena)
    except KeyboardInterrupt:
        say("interrupted")
    finally:
        arena.down(keep())
    rows = conclude(cases, results, arena)
    say(f"\n{text_table(rows)}\n\n{summary(rows)}; {busy(rows)}; {(time.monotonic() - began) / 60:.0f} minutes")
    if len(cases) == len(every) and all(row.results for row in rows):
        write_documents(every, results, arena)
    return 1 if any(row.failed for row in rows) or not any(row.results for row in rows) else 0


def conclude(cases, results, arena):
    """Written after each case, so that an interrupted night is not lost."""
    rows = [Row(case, results[case.number]) for case in cases]
    write_json(BUILD / "results.json", rows, circumstances(getattr(arena, "image", "")))
    return rows


def write_documents(every, results, arena):
    rows = [Row(case, results[case.number]) for case in every]
    write_json(DOCUMENT.with_suffix(".json"), rows, circumstances(arena.image))
    write_markdown(DOCUMENT, rows, circumstances(arena.image))


def interrupted(*_):
    raise KeyboardInterrupt  # so that every `finally` takes down what it started


if __name__ == "__main__":
    sys.exit(main())
