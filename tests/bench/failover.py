#!/usr/bin/python3
"""make bench-failover: how long writes stop when something fails, here and with Patroni.

  failover.py                          every event, 20 runs each, on all systems
  failover.py --runs 3 node-off        one event
  failover.py patroni switchover       one event on one system
  failover.py --add ...                adds to what docs/benchmarks.json holds, and writes docs/benchmarks.md
  failover.py --list

Results: tables here, and build/bench/failover.json (with --add docs/benchmarks.json), written after each run. It needs
root, as the lab does.
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE)] + [str(ROOT / "tests" / part) for part in ("gauntlet", "e2e", "demo", "tools")]

import document  # noqa: E402
import matriarch  # noqa: E402
from document import Results  # noqa: E402
from events import EVENTS  # noqa: E402
from install import keep  # noqa: E402
from peer import VARIANTS, Peer  # noqa: E402
from report import circumstances  # noqa: E402

RESULTS = ROOT / "build" / "bench" / "failover.json"
# The peer first: nothing of the lab runs beside it then.
SYSTEMS = [*VARIANTS, matriarch.NAME]


def say(text=""):
    print(text, flush=True)


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="*", help="events and systems; none: all")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--add", action="store_true")
    parser.add_argument("--note", help="what else is to be known of the machine; it is told with the results")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--image", default=os.environ.get("IMAGE"), help="an image of the lab's store, instead of a build")
    chosen = parser.parse_args()
    unknown = set(chosen.only) - set(SYSTEMS) - {one.key for one in EVENTS}
    if unknown:
        parser.error(f"no {', '.join(sorted(unknown))}; there are: {', '.join(SYSTEMS + [one.key for one in EVENTS])}")
    return chosen


def plan(chosen):
    """{system: [(event, runs)]}, without what is empty."""
    systems = [one for one in SYSTEMS if one in chosen.only] or SYSTEMS
    events = [one for one in EVENTS if one.key in chosen.only] or EVENTS
    whole = {system: [(one, runs) for one in events if (runs := runs_of(one, system, chosen.runs))] for system in systems}
    return {system: wanted for system, wanted in whole.items() if wanted}


def runs_of(event, system, wanted):
    if system == matriarch.NAME:
        return wanted
    return min(wanted, event.peer_most, VARIANTS[system].most) if event.peer else 0


class Bench:
    def __init__(self, chosen):
        self.chosen, self.plan = chosen, plan(chosen)
        self.path = document.OUTAGES if chosen.add else RESULTS
        known = Results.read(self.path) if chosen.add and self.path.exists() else Results()
        facts = known.facts | circumstances(chosen.image) | ({"note": chosen.note} if chosen.note else {})
        self.results = Results(known.samples, facts)
        self.total = sum(runs for wanted in self.plan.values() for _, runs in wanted)
        self.done, self.began = 0, time.monotonic()

    def run(self):
        for name, wanted in self.plan.items():
            say(f"== {name}")
            system = (matriarch.Matriarch(self.chosen.image, say) if name == matriarch.NAME else Peer(name))
            try:
                system.up()
                self.results.facts |= system.facts()
                for event, runs in wanted:
                    self.measure(system, event, runs)
            finally:
                system.down(keep())

    def measure(self, system, event, runs):
        say(f"{event.title}")
        for number in range(1, runs + 1):
            sample = system.play(event, number)
            sample.commit = self.results.facts["commit"] + ("+" if self.results.facts["changed"] else "")
            if sample.hit:
                self.results.samples.append(sample)
                self.keep()
            self.done += 1
            say(f"  {number}/{runs}  {sample.one_line()}; {self.left()}")

    def keep(self):
        self.results.write(self.path)
        if self.chosen.add:
            document.write()

    def left(self):
        minutes = (time.monotonic() - self.began) / 60
        return f"{self.done} of {self.total} done, about {minutes / self.done * (self.total - self.done):.0f} minutes left"


def main():
    chosen = options()
    if chosen.list:
        for event in EVENTS:
            say(f"{event.key:<20}  {event.title}" + ("" if event.peer else "  (not at Patroni)"))
        say(f"systems: {', '.join(SYSTEMS)}")
        return 0
    if os.geteuid() != 0:
        os.execvp("sudo", ["sudo", "--preserve-env", sys.executable, *sys.argv])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    bench = Bench(chosen)
    status = 0
    try:
        bench.run()
    except KeyboardInterrupt:
        say("interrupted")
        status = 1
    say(f"\n{bench.results.text()}")
    return status


def interrupted(*_):
    raise KeyboardInterrupt  # so that every `finally` takes down what it started


if __name__ == "__main__":
    sys.exit(main())
