"""The peer as the benchmark drives it: an event on a Patroni cluster, seen by the same writer."""

import os
import random
import time
from dataclasses import dataclass

from calm import wait_calm
from kube import KubeError, WaitFailed, wait_for
from local_writer import LocalWriter
from patroni_cluster import Faults, PatroniCluster
from sample import Sample, outage_of

BASELINE_ROWS = 100
PATIENCE = 60  # seconds for which an outage is watched: twice the longest ttl


@dataclass(frozen=True)
class Variant:
    words: str
    dcs: dict  # its dynamic configuration
    most: int = 1000  # runs of an event


# What Patroni has by itself; and the lowest values that it takes, with failover instead of a restart.
DEFAULT = "patroni"
VARIANTS = {
    DEFAULT: Variant("default: ttl 30, loop_wait 10", {"ttl": 30, "loop_wait": 10, "retry_timeout": 10}),
    "patroni-fast": Variant("lowest: ttl 20, loop_wait 1, retry_timeout 3, primary_start_timeout 0",
                            {"ttl": 20, "loop_wait": 1, "retry_timeout": 3, "primary_start_timeout": 0}, most=5),
}


class Peer:
    def __init__(self, name):
        self.name = name
        self.cluster = PatroniCluster(VARIANTS[name].dcs)
        self.writers = 0

    def up(self):
        self.cluster.up()

    def down(self, _keep):
        self.cluster.down()

    def facts(self):
        return {"peer": self.cluster.versions()}

    def play(self, event, number):
        began = time.monotonic()
        sample = Sample(self.name, event.key, number)
        try:
            self.cluster.wait_ready()
            self.measure(event, sample)
            self.cluster.wait_ready()
        except (AssertionError, KubeError, OSError, ValueError, TypeError) as error:
            sample.troubles.append(f"{type(error).__name__}: {error}")
            self.cluster.down()
            self.cluster.up()
        sample.seconds, sample.load = time.monotonic() - began, os.getloadavg()[0]
        return sample

    def measure(self, event, sample):
        self.writers += 1
        leader, timeline = self.cluster.leader()
        with LocalWriter(self.cluster.lab.folder("writer"), self.cluster.uri(), self.writers) as writer:
            writer.wait_acknowledged(BASELINE_ROWS)
            # Its outages depend on where in its loop the fault meets it.
            time.sleep(random.uniform(0, self.cluster.dcs["loop_wait"]))
            sample.free = wait_calm()
            fault = time.time()
            sample.hit = True
            with getattr(Faults(self.cluster), event.peer)(leader):
                ended = self.wait_outage(writer, fault)
            self.cluster.wait_ready()
            now, newer = self.cluster.leader()
            sample.changed = now is not leader and newer > timeline
            outage = outage_of(writer.journal(), fault) if ended else (fault, fault + PATIENCE)
            _, verdict = writer.stop()
        sample.at_least = not ended
        sample.uri = round((outage[1] - (fault if event.from_fault else outage[0])) * 1000)
        sample.acknowledged, sample.lost = verdict["acknowledged"], verdict["lost"]
        sample.counts = True

    @staticmethod
    def wait_outage(writer, fault):
        """Whether there was an outage, and it ended in time."""
        try:
            return wait_for("an outage to end", lambda: outage_of(writer.journal(), fault), PATIENCE, every=0.1)
        except WaitFailed:
            return None
