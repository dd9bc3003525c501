"""What an example program printed (docs/examples/README.md), as values."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Read:
    at: int  # milliseconds since 1970, as everywhere here
    server: str
    role: str
    newest: int


@dataclass(frozen=True)
class Failure:
    at: int
    turn: str
    text: str


@dataclass
class Journal:
    wrote: list = field(default_factory=list)  # (at, id)
    saw: list = field(default_factory=list)  # ids
    missed: list = field(default_factory=list)  # ids
    reads: list = field(default_factory=list)
    failures: list = field(default_factory=list)
    strange: list = field(default_factory=list)  # lines that are no part of the protocol

    @classmethod
    def of(cls, text):
        journal = cls()
        for line in text.splitlines():
            journal.add(line)
        return journal

    def add(self, line):
        match line.split(" ", 3):
            case [at, "wrote", row]:
                self.wrote.append((int(at), int(row)))
            case [_, "saw", row]:
                self.saw.append(int(row))
            case [_, "missed", row]:
                self.missed.append(int(row))
            case [at, "read", server, rest]:
                role, newest = rest.split()
                self.reads.append(Read(int(at), server, role, int(newest)))
            case [at, "failed", turn, text]:
                self.failures.append(Failure(int(at), turn, text))
            case _:
                self.strange.append(line)

    @property
    def acknowledged(self):
        return {row for _, row in self.wrote}

    def wrote_after(self, moment):
        return [at for at, _ in self.wrote if at > moment]

    def read_after(self, moment):
        return [one for one in self.reads if one.at > moment]


def longest_gap(times, begin, end):
    """The longest time between two neighbours of which at least one lies within."""
    gaps = [(after - before, before) for before, after in zip(times, times[1:]) if after >= begin and before <= end]
    return max(gaps, default=(0, begin))
