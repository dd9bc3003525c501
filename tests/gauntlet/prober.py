#!/usr/bin/python3
"""Tries a write at every instance's own address every 100 ms, and through sessions that it holds.

A process in a network namespace of the lab. Commands come as JSON lines on standard input:
  {"instances": {"orders-1": "198.18.129.5"}}      where they are now
  {"hold": {"instance": ..., "address": ..., "count": 2}}   open sessions, kept to their end
  {"crowd": {"instance": ..., "address": ..., "count": 40}} sessions that only occupy room; 0 ends them
Each acknowledged write is a JSON line on standard output, with the monotonic times when it was sent
and acknowledged, the instance, and the timeline on which it was written. So is every change of what
a session hears otherwise.
"""

import json
import os
import select
import sys
import time

import psycopg2
import psycopg2.extensions

EVERY = 0.1
PATIENCE = 1.0  # for a new session, and for the answer in one that is not held
INSERT = "INSERT INTO gauntlet_probe DEFAULT VALUES RETURNING timeline"


def say(**line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class Session:
    """One session with one instance, without ever waiting for it."""

    count = 0

    def __init__(self, options, instance, address, kind):
        Session.count += 1
        self.id = Session.count
        self.options, self.instance, self.address, self.kind = options, instance, address, kind
        self.connection = self.cursor = None
        self.state, self.since, self.next, self.word = "idle", 0.0, 0.0, ""

    def tell(self, word):
        if word != self.word:
            self.word = word
            say(event="word", at=time.monotonic(), instance=self.instance, kind=self.kind,
                session=self.id, word=word)

    def tick(self, now):
        if self.state == "idle" and now >= self.next:
            self.next = now + (1.0 if self.kind == "crowd" else EVERY)
            self.connect(now)
        elif self.state == "ready" and self.kind != "crowd" and now >= self.next:
            self.next = max(self.next + EVERY, now)
            self.send(now)
        elif self.state == "connecting" and now - self.since > PATIENCE:
            self.drop("no session in time")
        elif self.state == "busy" and self.kind == "probe" and now - self.since > PATIENCE:
            self.drop("no answer in time")

    def connect(self, now):
        try:
            self.connection = psycopg2.connect(host=self.address, async_=1, **self.options)
            self.state, self.since = "connecting", now
        except psycopg2.Error as error:
            self.drop(str(error))

    def send(self, now):
        try:
            self.cursor = self.connection.cursor()
            self.cursor.execute(INSERT)
            self.state, self.since = "busy", now
        except psycopg2.Error as error:
            self.drop(str(error))

    def advance(self):
        if self.connection is None:  # dropped by a command meanwhile
            return
        try:
            waits = self.connection.poll()
            now = time.monotonic()
            if waits != psycopg2.extensions.POLL_OK:
                return
            if self.state == "busy":
                say(event="acknowledged", at=now, sent=self.since, instance=self.instance,
                    kind=self.kind, session=self.id, timeline=self.cursor.fetchone()[0])
                self.word = "acknowledged"
            elif self.kind != "probe":
                self.tell("open")
            self.state = "ready"
        except psycopg2.Error as error:
            if self.connection.closed or not error.pgcode or error.pgcode.startswith(("57", "08")):
                self.drop(str(error))
            else:
                self.tell(str(error).strip().splitlines()[0])
                self.state = "ready"

    def drop(self, why):
        self.tell((why.strip().splitlines() or ["closed"])[0])
        if self.connection is not None:
            self.connection.close()
        self.connection = None
        # What is held is held until it breaks.
        self.state = "over" if self.kind == "held" else "idle"

    def waits(self):
        """(reads, writes) for select, or None."""
        if self.state not in ("connecting", "busy") or self.connection is None or self.connection.closed:
            return None
        try:
            return self.connection.fileno(), self.state == "connecting"
        except psycopg2.Error:
            return None


class Prober:
    def __init__(self, options):
        self.options = options
        self.probes, self.others = {}, []
        self.input = b""

    def sessions(self):
        return [*self.probes.values(), *self.others]

    def obey(self, line):
        if "instances" in line:
            for instance in set(self.probes) - set(line["instances"]):
                self.probes.pop(instance).drop("no longer there")
            for instance, address in line["instances"].items():
                known = self.probes.get(instance)
                if known is None or known.address != address:
                    if known:
                        known.drop("another address")
                    self.probes[instance] = Session(self.options, instance, address, "probe")
        if "crowd" in line:
            crowd = [one for one in self.others if one.kind == "crowd"]
            self.others = [one for one in self.others if one.kind != "crowd"]
            for one in crowd:
                one.drop("over")
        for kind, word in (("held", "hold"), ("crowd", "crowd")):
            if word in line:
                what = line[word]
                self.others += [Session(self.options, what["instance"], what["address"], kind)
                                for _ in range(what["count"])]

    def read_commands(self):
        data = os.read(0, 65536)
        if not data:
            sys.exit(0)
        *lines, self.input = (self.input + data).split(b"\n")
        for line in lines:
            self.obey(json.loads(line))

    def run(self):
        while True:
            now = time.monotonic()
            for one in self.sessions():
                one.tick(now)
            waiting = {}
            writes = []
            for one in self.sessions():
                found = one.waits()
                if found:
                    waiting[found[0]] = one
                    if found[1]:
                        writes.append(found[0])
            # A connecting socket is writable all the time once it is connected: poll it calmly.
            try:
                readable, _, _ = select.select([0, *waiting], [], [], 0.01 if writes else 0.02)
            except (OSError, ValueError):
                readable = []
            if 0 in readable:
                self.read_commands()
            for number, one in waiting.items():
                if number in readable or number in writes:
                    one.advance()


if __name__ == "__main__":
    Prober(json.loads(sys.argv[1])).run()
