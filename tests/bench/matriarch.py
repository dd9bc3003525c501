"""Our side: an event on the local Kubernetes, and where its time went."""

import contextlib
import time
from pathlib import Path

from arena import DISK_MB, Arena
from calm import wait_calm
from kube import wait_for
from report import keep_what_was_seen
from run import BASELINE_ROWS, Run
from sample import Sample, outage_of
from story import seconds_of

NAME = "matriarch"
FAILURES = Path(__file__).resolve().parents[2] / "build" / "bench" / "failures"


class BenchArena(Arena):
    """Its small disks are real file systems, which the kernel can hold up."""

    purpose = "bench"

    def mount_disk(self, path):
        return (f"truncate -s {DISK_MB}M {path}.img && mkfs.ext4 -q -F {path}.img && "
                f"mount -o loop {path}.img {path} && chmod 0777 {path}")

    @contextlib.contextmanager
    def stalled_disk(self, instance):
        """What writes to it hangs in the kernel, beyond SIGKILL's reach, until it goes on."""
        pod = self.cluster.pod(instance)
        claim = next(one["persistentVolumeClaim"]["claimName"] for one in pod["spec"]["volumes"]
                     if "persistentVolumeClaim" in one)
        volume = self.kube.get("pvc", self.cluster.namespace, claim)["spec"]["volumeName"]
        node, number = volume.rsplit("-", 2)[1:]
        self.lab("node-run", node, "--", "fsfreeze", "--freeze", self.disk(number))
        try:
            yield
        finally:
            self.lab("node-run", node, "--", "fsfreeze", "--unfreeze", self.disk(number), check=False)


class Measurement(Run):
    """A run of the gauntlet without its probers: what counts here is time."""

    def __init__(self, arena, event, number):
        super().__init__(arena, event.case, number)
        self.event = event
        self.sample = Sample(NAME, event.key, number)

    def play_on_cluster(self):
        first_epoch = self.prepare()
        self.timeline = self.cluster.routes()["timeline"]
        node = self.quiet_node()
        with contextlib.ExitStack() as stack:
            self.writers = [stack.enter_context(one) for one in self.two_writers(node)]
            for one in self.writers:
                one.wait_acknowledged(BASELINE_ROWS)
            time.sleep(self.random.uniform(0, 1))  # in no step with anybody's clock
            self.sample.free = wait_calm()
            self.fault_wall = time.time()
            self.sample.hit = True
            try:
                self.faults_and_outcomes()
                self.converge(first_epoch)
            finally:
                self.count(self.writers)
                self.measure(first_epoch)

    def outcome(self, expect):
        """Also both writers write again, before the fault is healed."""
        super().outcome(expect)
        wait_for("both writers to write on a new timeline", lambda: all(map(self.has_moved, self.writers)), 60,
                 every=0.1, state=lambda: [one.journal()[-2:] for one in self.writers])

    def has_moved(self, writer):
        return any(int(one["timeline"]) > self.timeline for one in writer.outages())

    def measure(self, first_epoch):
        """Of a run that failed too: what is known of it is kept."""
        sample, outages = self.sample, [outage_of(one.journal(), self.fault_wall) for one in self.writers]
        sample.uri, sample.service = (self.length(one) for one in outages)
        sample.acknowledged, sample.lost = self.result.acknowledged, self.result.lost
        change = next((one for one in self.cluster.history() if one["epoch"] == first_epoch + 1), None)
        sample.changed = bool(change) and change["to"] != self.master
        if change and outages[0]:
            sample.steps = steps(change, self.began(outages[0]))

    def began(self, outage):
        return self.fault_wall if self.event.from_fault else outage[0]

    def length(self, outage):
        return outage and round((outage[1] - self.began(outage)) * 1000)


def steps(change, began):
    """Name -> milliseconds: from the last acknowledged row until it was noticed, then as the
    operator tells it, up to the published route."""
    split = {"noticed": round((seconds_of(change["time"]) - began) * 1000)}
    for one in change.get("steps", []):
        split[one["name"]] = split.get(one["name"], 0) + one["durationMs"]
    return split


class Matriarch:
    """The system as the benchmark drives it."""

    def __init__(self, image, say):
        self.arena = BenchArena(image, say)

    def up(self):
        self.arena.up()

    def down(self, keep):
        self.arena.down(keep)

    def facts(self):
        return {"image": self.arena.image}

    def play(self, event, number):
        run = Measurement(self.arena, event, number)
        result = run.play()
        sample = run.sample
        sample.troubles, sample.load, sample.seconds = result.reasons, result.load, result.seconds
        sample.counts = sample.changed and sample.uri is not None
        if sample.troubles:
            keep_what_was_seen(FAILURES, self.arena, run)
            with contextlib.suppress(AssertionError):
                self.arena.machine.heal()
            self.arena.spec = None  # the next run has a cluster of its own
        return sample
