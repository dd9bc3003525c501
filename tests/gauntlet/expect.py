"""What a case expects of the product: who is master afterwards, how long writers may be out, and
whether rows may be lost. The figures are the design's budgets."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Bounds:
    """Write outage in milliseconds. `service` is the p99 by Service; by default a second worse, since kube-proxy may
    have applied something else just before and then waits for a second (minSyncPeriod)."""

    p50: int | None
    p99: int
    service: int = 0

    @property
    def by_service(self):
        return self.service or self.p99 + 1000


POSTMASTER = Bounds(500, 1000)
CONTAINER = Bounds(2000, 4000)
POD_DELETED = Bounds(1000, 2000)
NODE = Bounds(4000, 6000, 6000)
NODE_AND_LEADER = Bounds(10000, 12000, 12000)
FROZEN = Bounds(3000, 5000)
SWITCHOVER = Bounds(500, 1000)
# A busy machine lets everybody wait for a moment; more than this is an outage that nothing excuses.
UNDISTURBED = Bounds(None, 2000)


@dataclass(frozen=True)
class Expect:
    master: str  # changes, stays, or settles (either, once it is quiet again)
    bounds: Bounds | None
    epochs: int = 1  # how far the epoch rises if the master changes
    within: float = 60  # seconds until the outcome must be there
    hold: float = 8  # seconds for which "stays" is watched
    lost: str = "none"  # or "reported": at most what the status admits
    condition: tuple = ()  # (type, status, words...) that must appear
    ready: float = 120  # seconds until every instance is well again after the healing
    pause: bool = False  # the stated limit of a thaw: late acknowledgements are counted, not held against

    def but(self, **changes):
        return replace(self, **changes)


def failover(bounds, **more):
    return Expect("changes", bounds, **more)


def stays(bounds=UNDISTURBED, **more):
    return Expect("stays", bounds, epochs=0, **more)


def settles(bounds=None, **more):
    """The case does not say which of its right outcomes comes: at most `epochs` changes."""
    return Expect("settles", bounds, **more)
