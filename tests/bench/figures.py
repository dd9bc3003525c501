"""From samples to figures: percentiles, budgets kept or missed, and ratios. Pure."""

from report import percentile, spread

# The order in which they happen; a fault without a certain step has no such column filled.
STEPS = ("noticed", "closing", "chosen", "promoted", "published")


class Figures:
    """All runs of one event on one system."""

    def __init__(self, event, samples):
        self.event = event
        self.every = samples
        self.samples = [one for one in samples if one.counts]
        self.uri = [one.uri for one in self.samples if one.uri is not None]
        self.service = [one.service for one in self.samples if one.service is not None]
        self.acknowledged = sum(one.acknowledged for one in samples)
        self.lost = sum(one.lost for one in samples)
        self.stayed = sum(not one.changed for one in self.samples)
        self.at_least = any(one.at_least for one in self.samples)

    @property
    def p50(self):
        return percentile(self.uri, 0.5)

    def step(self, name):
        """Its median, in the runs that had it."""
        return percentile([one.steps[name] for one in self.samples if name in one.steps], 0.5)

    def missed(self):
        """What the budget forbids, in words."""
        bounds = self.event.bounds
        more = bounds.by_service - bounds.p99  # by Service that much worse is allowed
        for values, name, extra in ((self.uri, "URI", 0), (self.service, "Service", more)):
            limits = bounds.p50 + extra, bounds.p99 + extra
            if values and (percentile(values, 0.5) > limits[0] or percentile(values, 0.99) > limits[1]):
                yield f"by {name} {spread(values)} ms, budget {limits[0]:,} / {limits[1]:,} ms"
        if self.lost and not self.event.may_lose:
            yield f"{self.lost} acknowledged rows lost, budget 0"
        not_counted = len(self.every) - len(self.samples)
        if not_counted:
            yield f"{not_counted} of {len(self.every)} runs were no failover"


class Comparison:
    """An event on the peer, against ours."""

    def __init__(self, peer, ours, goal):
        self.peer = peer
        self.ratio = peer.p50 / ours.p50 if ours and ours.uri and peer.uri else None
        self.goal = goal if self.ratio else 0

    @property
    def missed(self):
        return bool(self.goal) and self.ratio < self.goal


def of(samples, events, system):
    """Figures for each event that was run on that system, in the order of the events."""
    found = [Figures(event, [one for one in samples if (one.system, one.event) == (system, event.key)])
             for event in events]
    return [one for one in found if one.every]
