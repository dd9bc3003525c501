"""The prober's processes, and the watches of record and routes: what was seen during a run."""

import base64
import contextlib
import http.client
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

from kube import KubeError, wait_for
from story import Watch

HERE = Path(__file__).resolve().parent

TABLE = """
drop table if exists gauntlet_probe;
create table gauntlet_probe (at timestamptz not null default clock_timestamp(),
 timeline int not null default ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int);
alter table gauntlet_probe owner to "%s";
"""


def decoded(secret, key):
    return base64.b64decode(secret["data"][key]).decode()


class Prober:
    """One process, in the network namespace that `prefix` enters."""

    def __init__(self, prefix, options, heard):
        self.process = subprocess.Popen([*prefix, sys.executable, str(HERE / "prober.py"), json.dumps(options)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.heard = heard
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            self.heard(json.loads(line))

    def tell(self, **command):
        with contextlib.suppress(OSError):
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()

    def end(self):
        self.process.terminate()
        self.process.wait()


class Probes:
    """Two probers: one where applications are, one on the master's own node, for which a cut node
    is no cut. Each also holds sessions with the master that were opened before the fault."""

    HELD = 2

    def __init__(self, machine, cluster):
        self.machine, self.cluster = machine, cluster
        self.acknowledged, self.words = [], []
        secret = cluster.secret()
        self.options = {"user": decoded(secret, "username"), "password": decoded(secret, "password"),
                        "dbname": decoded(secret, "dbname"), "sslmode": "disable", "application_name": "gauntlet"}
        self.over = False
        self.broken = []  # probers that had ended by themselves
        self.probers = []

    def start(self):
        master = self.cluster.master
        self.cluster.sql(master, TABLE % self.options["user"], database=self.options["dbname"])
        pod = self.cluster.pod(master)
        node = int(pod["spec"]["nodeName"].removeprefix("node"))
        self.probers = [Prober(self.machine.netns(), self.options, self.hear),
                        Prober(self.machine.netns(node), self.options, self.hear)]
        hold = {"instance": master, "address": pod["status"]["podIP"], "count": self.HELD}
        self.tell(hold=hold)
        self.update()
        wait_for("the held sessions", lambda: self.held() == self.HELD * len(self.probers), 15,
                 state=lambda: self.words[-5:])
        threading.Thread(target=self.follow, daemon=True).start()
        return self

    def held(self):
        return sum(1 for one in list(self.words) if one["kind"] == "held" and one["word"] == "open")

    def hear(self, line):
        (self.acknowledged if line["event"] == "acknowledged" else self.words).append(line)

    def tell(self, **command):
        for one in self.probers:
            one.tell(**command)

    def update(self):
        addresses = {name: pod["status"]["podIP"] for name, pod in self.cluster.pods().items()
                     if pod["status"].get("podIP")}
        self.tell(instances=addresses)

    def follow(self):
        while not self.over:
            with contextlib.suppress(KubeError, OSError, http.client.HTTPException, ValueError):
                self.update()
            time.sleep(0.5)

    def writers(self, since):
        """The instances that acknowledged a write sent after that moment."""
        return {one["instance"] for one in list(self.acknowledged) if one["sent"] > since}

    def end(self):
        """Harmless when repeated."""
        if not self.over:
            self.broken = [one.process.poll() for one in self.probers if one.process.poll() is not None]
        self.over = True
        for one in self.probers:
            one.end()


class PatientWatch(Watch):
    """An API server that dies in the middle of a line ends no watch, nor does one that never answers."""

    patience = 5

    def run(self):
        while not self.over:
            try:
                super().run()
            except (http.client.HTTPException, KeyError):
                time.sleep(0.1)


class Seen:
    """Record and routes, with the monotonic time at which each state was seen first."""

    def __init__(self, kube, cluster):
        self.records, self.routes = [], []
        named = "metadata.name="
        self.watches = [
            PatientWatch(kube, "lease", cluster.namespace, self.record, field=named + cluster.name),
            PatientWatch(kube, "configmap", cluster.namespace, self.route, field=f"{named}{cluster.name}-routing")]
        wait_for("the watches", lambda: self.records and self.routes, 20)

    def record(self, thing, _):
        details = json.loads(thing["metadata"]["annotations"]["matriarch.dev/record"])
        state = {"epoch": thing["spec"].get("leaseTransitions", 0), "phase": details.get("phase"),
                 "master": (thing["spec"].get("holderIdentity") or "").split("/")[0]}
        if not self.records or {**self.records[-1], "at": 0} != {**state, "at": 0}:
            self.records.append(state | {"at": time.monotonic()})

    def route(self, thing, _):
        routes = json.loads(thing["data"]["routes.json"])
        self.routes.append({"at": time.monotonic(), "epoch": routes["epoch"], "sequence": routes["sequence"],
                            "master": (routes.get("master") or {}).get("instance")})

    def wait_newest(self, epoch):
        """Until both were seen as they are now: who judges by an older record sees double writes."""
        wait_for(f"the watches to see epoch {epoch}",
                 lambda: self.records[-1]["epoch"] >= epoch and self.routes[-1]["epoch"] >= epoch, 20,
                 state=lambda: (self.records[-1], self.routes[-1]))

    def end(self):
        for one in self.watches:
            one.over = True
