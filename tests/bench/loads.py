#!/usr/bin/python3
"""Benchmarks on the local Kubernetes: what clients get, what they see of a change, and what it all weighs.

  loads.py reads        reads of the master alone against 1, 2 and 3 slaves: by pooler, Services and URI list
  loads.py pooler       many clients through the pooler, and direct
  loads.py switchover   busy clients through the pooler: switchovers and failovers; from routes decided to the first write
  loads.py spread       reads over slaves of different weight: PgBouncer's host list against HAProxy
  loads.py footprint    memory of operator and agents, idle, and the operator's cold start
  loads.py crowd        memory of an operator of a thousand clusters

Options: --runs N, --seconds S (of each load), --clients C, --clusters N; each kind has defaults of its own. Every run stands in
build/bench/loads-KIND.json; with --add also in docs/benchmarks-routing.json, from which docs/benchmarks.md is written.
It needs root, as the lab does.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE)] + [str(ROOT / "tests" / part) for part in ("gauntlet", "e2e", "demo", "tools")]

import document  # noqa: E402
from install import keep  # noqa: E402
from kinds import KINDS, text  # noqa: E402
from load_arena import LoadArena  # noqa: E402
from report import circumstances  # noqa: E402


def say(text=""):
    print(text, flush=True)


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    for name in ("runs", "seconds", "clients", "clusters"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--add", action="store_true")
    parser.add_argument("--note", help="what else is to be known of the machine; it is told with the results")
    parser.add_argument("--image", default=os.environ.get("IMAGE"), help="an image of the lab's store, instead of a build")
    chosen = parser.parse_args()
    for name, value in KINDS[chosen.kind].DEFAULTS.items():
        if getattr(chosen, name) is None:
            setattr(chosen, name, value)
    return chosen


def main():
    chosen = options()
    if os.geteuid() != 0:
        os.execvp("sudo", ["sudo", "--preserve-env", sys.executable, *sys.argv])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    kind, arena, before = KINDS[chosen.kind], LoadArena(chosen.image), os.getloadavg()[0]
    try:
        arena.up()
        results = kind.measure(arena, chosen, say)
    finally:
        arena.down(keep())
    kept = circumstances(chosen.image) | {"load": before, "note": chosen.note or "", "results": results}
    path = ROOT / "build" / "bench" / f"loads-{chosen.kind}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept, indent=1) + "\n")
    if chosen.add:
        document.keep_routing(chosen.kind, kept)
    say("\n" + text(kind, results))
    say(f"every run: {path.relative_to(ROOT)}")
    return 0


def interrupted(*_):
    raise KeyboardInterrupt  # so that every `finally` takes down what it started


if __name__ == "__main__":
    sys.exit(main())
