"""A quiet moment of the machine: what else it does is no fault of the system that is measured."""

import time
from pathlib import Path

ENOUGH = 0.4  # of all cores' time idle
WINDOW = 1.5  # seconds over which that is looked at
PATIENCE = 60


def processor_times():
    """(idle, all) of all cores together, in ticks."""
    times = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return times[3] + times[4], sum(times)


def wait_calm():
    """Until the machine is idle enough, or patience ends; answers the idle share just before."""
    deadline = time.monotonic() + PATIENCE
    while True:
        idle, total = processor_times()
        time.sleep(WINDOW)
        later_idle, later_total = processor_times()
        share = (later_idle - idle) / max(1, later_total - total)
        if share >= ENOUGH or time.monotonic() > deadline:
            return share
