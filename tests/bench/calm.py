"""A quiet moment of the machine: what else it does is no fault of the system that is measured."""

import time
from pathlib import Path

ENOUGH = 0.4  # of all cores' time idle, or at work that gives way (nice)
WINDOW = 1.5  # seconds over which that is looked at
PATIENCE = 60


def processor_times():
    """(free, all) of all cores together, in ticks."""
    user, nice, system, idle, waiting, *others = (
        int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9])
    free = nice + idle + waiting
    return free, free + user + system + sum(others)


def wait_calm(patience=PATIENCE):
    """Until the machine is free enough, or patience ends; answers the free share just before."""
    deadline = time.monotonic() + patience
    while True:
        free, total = processor_times()
        time.sleep(WINDOW)
        later_free, later_total = processor_times()
        share = (later_free - free) / max(1, later_total - total)
        if share >= ENOUGH or time.monotonic() > deadline:
            return share
