"""busy_clients.py, run in the lab's network, and what it says."""

import json
import subprocess
import sys
from pathlib import Path

from lab_client import LAB
from load import libpq_environment, secret_of

PROGRAM = Path(__file__).resolve().parent / "busy_clients.py"


class Reconnecting:
    """Use it with `with`: inside, all clients are busy. `end()` answers a Seen."""

    def __init__(self, lab, cluster, kind, clients, host, port, database, **options):
        self.command = [str(LAB), "--name", lab.name, "run", "--", sys.executable, PROGRAM, kind, str(clients)]
        self.environment = libpq_environment(secret_of(cluster), PGHOST=host, PGPORT=str(port), PGDATABASE=database,
                                             PGCONNECT_TIMEOUT="10", **options)

    def __enter__(self):
        self.process = subprocess.Popen(self.command, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, start_new_session=True)
        first = self.process.stdout.readline().strip()
        assert first == "busy", f"busy clients said: {first}"
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(20)
        self.process.stdout.close()

    def end(self):
        text, _ = self.process.communicate(timeout=60)
        return Seen(json.loads(text))


class Seen:
    """What the clients saw. Pure."""

    def __init__(self, told):
        self.by_client, self.errors = told["done"], told["errors"]
        self.stuck, self.acknowledged, self.lost = told["stuck"], told["acknowledged"], told["lost"]
        self.done = sorted(at for one in self.by_client for at in one)

    def most_of_one_client(self):
        """The most errors that one client got."""
        counts = [sum(error["client"] == number for error in self.errors) for number in range(len(self.by_client))]
        return max(counts, default=0)

    def at(self, step):
        """How many errors at that step."""
        return sum(error["step"] == step for error in self.errors)

    def kinds(self, fault):
        """In words, the most frequent first: how many errors of which step and text, and from when to when after the fault."""
        every = {}
        for error in self.errors:
            every.setdefault(f"{error['step']}: {error['text'][:200]}", []).append(round((error["at"] - fault) * 1000))
        return [f"{len(times)} at {kind} (from {min(times):,} to {max(times):,} ms)"
                for kind, times in sorted(every.items(), key=lambda item: -len(item[1]))]

    def silence(self, since):
        """Milliseconds in which nobody got anything done, from that moment on."""
        return longest([since, *(at for at in self.done if at > since)])

    def longest_of_one_client(self, since):
        return max((longest([since, *(at for at in one if at > since)]) for one in self.by_client), default=0)


def longest(times):
    return round(max((b - a for a, b in zip(times, times[1:])), default=0) * 1000)
