"""One run of one event on one system: what is kept of it."""

import time
from dataclasses import asdict, dataclass, field

from story import seconds_of


@dataclass
class Sample:
    system: str
    event: str
    number: int
    hit: bool = False  # the fault took place
    counts: bool = False  # and was followed by what is measured
    changed: bool = False  # another master, and a later epoch or timeline
    troubles: list = field(default_factory=list)
    uri: int | None = None  # the write outage in milliseconds, by multi-host URI
    service: int | None = None
    at_least: bool = False  # nobody could write when the patience was over
    acknowledged: int = 0
    lost: int = 0
    steps: dict = field(default_factory=dict)  # name -> milliseconds
    load: float = 0.0
    free: float = 0.0  # share of the machine, just before the fault
    seconds: float = 0.0
    at: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    commit: str = ""

    as_json = asdict

    def one_line(self):
        def ms(value):
            return "?" if value is None else f"{'over ' if self.at_least else ''}{value:,} ms"
        steps = ", ".join(f"{name} {took:,}" for name, took in self.steps.items())
        return (f"out {ms(self.uri)} by URI" + (f", {ms(self.service)} by Service" if self.service is not None else "")
                + f"; {self.acknowledged:,} rows, {self.lost} lost; {'' if self.changed else 'same master; '}"
                + (f"{steps}; " if steps else "") + f"{self.seconds:.0f} s, machine {self.free:.0%} free"
                + ("" if self.counts else "; DOES NOT COUNT" if self.hit else "; NO FAULT, NOT KEPT")
                + "".join(f"\n      {trouble[:400]}" for trouble in self.troubles))


def outage_of(journal, since):
    """The longest outage in a writer's journal that ended after that moment: (began, ended), or None.

    Both are seconds since 1970, by the writer's clock, which is this machine's.
    """
    ended = [(seconds_of(line["time"]), line["ms"] / 1000) for line in journal if line["event"] == "outage-ended"]
    late = [(length, end) for end, length in ended if end > since]
    if not late:
        return None
    length, end = max(late)
    return end - length, end
