"""A case: a fault, the cluster it happens to, and what is expected.

    @case("1", "postmaster of the master killed", failover(POSTMASTER))
    def postmaster_killed(run):
        run.kill(run.machine.postmaster(run.pod(run.master)))
        yield

Up to the `yield` it injects. There the runner waits for the expected outcome; what follows heals. A
fault that has to be undone is a context manager around the `yield`, so it is undone after a failure
too. A case of several steps yields what it expects next: `yield stays()`.
"""

import re
from dataclasses import dataclass, field
from typing import Callable

SHORT = ("1", "2", "3", "4", "6", "12", "16", "18", "28", "32", "41", "50")

CASES = {}


@dataclass(frozen=True)
class Case:
    number: str  # of the fault in the list; a letter tells variants apart
    title: str
    expect: object
    body: Callable
    spec: dict = field(default_factory=dict)  # over the usual cluster of one master and two slaves
    leader: str = "elsewhere"  # the operator's leader: not on the master's node, "with master", or "any"
    bare: bool = False  # makes and judges its own cluster: no writers, no oracles
    kill_points: bool = False  # needs an image that has them


def base(number):
    return re.match(r"\d+", number).group()


def order(number):
    return int(base(number)), number


def case(number, title, expect, **options):
    def register(body):
        assert number not in CASES, f"two cases {number}"
        CASES[number] = Case(number, title, expect, body, **options)
        return body
    return register


def select(words, exactly=False):
    """Cases by number ("25" means all of its variants), in the order of their numbers."""
    chosen = set()
    for word in words:
        found = {number for number in CASES if word == number or (not exactly and word == base(number))}
        if not found:
            raise SystemExit(f"no case {word}; there are: {', '.join(sorted(CASES, key=order))}")
        chosen |= found
    return [CASES[number] for number in sorted(chosen, key=order)]


class NotHit(AssertionError):
    """The fault did not take place as intended: the run says nothing of the product."""
