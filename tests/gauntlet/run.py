"""One run of a case: writers and probers, the fault, the outcome, the healing, the oracles."""

import contextlib
import os
import random
import time

from case import NotHit
from machine import Ambush
from kube import KubeError, wait_for
from oracles import double_writes, loss, outage, route_truth, status_truth
from probes import Probes, Seen
from result import Result
from writer import Writer

BASELINE_ROWS = 100
MEGABYTE = 1 << 20

CHECKSUM = ("select (select count(*) || '/' || coalesce(sum(hashtext(t::text)::bigint), 0) from matriarch_writes t)"
            " || ' ' || (select count(*) || '/' || coalesce(sum(hashtext(t::text)::bigint), 0) from gauntlet_probe t)")


def members_of(status):
    """The names of master and slaves, without those that left a volume behind."""
    return [one["name"] for one in status["members"] if one.get("position") or one["name"] == status["master"]]


class Run:
    """What a case sees. Faults are `machine`'s and `cluster`'s."""

    def __init__(self, arena, case, number, slack=1):
        self.arena, self.case, self.slack = arena, case, slack
        self.kube, self.operator, self.lab, self.machine = (
            arena.kube, arena.operator, arena.lab, arena.machine)
        self.result = Result(number)
        self.random = random.Random(f"{case.number}-{number}")
        self.expected_epochs = 0

    # For cases.

    def pod(self, instance):
        return self.cluster.pod(instance)

    def node(self, instance):
        return int(self.pod(instance)["spec"]["nodeName"].removeprefix("node"))

    @property
    def slaves(self):
        """The slaves at the fault's time, slave1 first."""
        return self.positions

    @property
    def slave1(self):
        return self.positions[0]

    @property
    def slave2(self):
        return self.positions[1]

    def sql(self, instance, statement, **options):
        return self.cluster.sql(instance, statement, **options)

    def kill_postmaster(self, instance):
        self.machine.kill(self.machine.postmaster(self.pod(instance)))

    def crash_container(self, instance):
        self.machine.kill(self.machine.agent(self.pod(instance)))

    def write_wal(self, megabytes, instance=None):
        """WAL that means nothing, at the master."""
        self.sql(instance or self.master, "select count(pg_logical_emit_message(false, 'gauntlet', "
                 f"repeat('x', {MEGABYTE}))) from generate_series(1, {megabytes})")

    def write_rows(self, megabytes):
        """Data, for what has to be copied."""
        self.sql(self.master, "create table if not exists gauntlet_bulk (body text);"
                 f"insert into gauntlet_bulk select repeat(md5(n::text), 32) from generate_series(1, {megabytes * 1000}) n")

    def newcomer(self):
        """The instance that the next slave will be, without a volume of a former life."""
        taken = set(members_of(self.cluster.status))
        name = next(one for one in (f"{self.cluster.name}-{n}" for n in range(1, 17)) if one not in taken)
        wait_for(f"the pod of {name} to be gone", lambda: self.pod(name) is None, 60)
        for claim in self.kube.list("pvc", self.cluster.namespace):
            if claim["metadata"]["name"].endswith(f"{name}-0"):
                self.kube.delete("pvc", self.cluster.namespace, claim["metadata"]["name"])
        wait_for(f"no volume of {name}", lambda: not any(one["metadata"]["name"].endswith(f"{name}-0") for one in
                                                         self.kube.list("pvc", self.cluster.namespace)), 30)
        return name

    def leader_pod(self):
        return self.kube.get("pod", self.operator.namespace, self.operator.wait_leader())

    def kill_leader(self):
        self.machine.kill(self.machine.operator(self.leader_pod()))

    def ambush(self, instance, program, strike):
        """Strikes when that program appears in that instance's pod."""
        return Ambush(self.machine, lambda: self.pod(instance), program, strike)

    def request(self, target, **more):
        self.cluster.patch({"failover": {"target": target, "requestId": f"gauntlet-{time.time_ns()}", **more}})

    def note(self, text):
        self.result.notes.append(text)

    def fail(self, reason):
        self.result.reasons.append(reason)

    def hit(self, happened, what):
        if not happened:
            raise NotHit(f"the fault did not take place: {what}")
        return happened

    # The whole.

    def play(self):
        began = self.lap_began = time.monotonic()
        try:
            if self.case.bare:
                for _ in self.case.body(self) or ():
                    pass
            else:
                self.play_on_cluster()
        except NotHit as error:
            self.result.hit = False
            self.fail(str(error))
        except Exception as error:
            self.fail(f"{type(error).__name__}: {error}" if not isinstance(error, AssertionError) else str(error))
        self.result.seconds = time.monotonic() - began
        self.lap("rest")
        self.result.load = os.getloadavg()[0]
        return self.result

    def lap(self, name):
        """What was done since the last one took so long."""
        now = time.monotonic()
        self.result.split[name] = round(now - self.lap_began, 1)
        self.lap_began = now

    def prepare(self):
        """A whole cluster, and who is who in it; answers its epoch."""
        self.cluster = self.arena.ready_cluster(self.case)
        self.arena.place_leader(self.case.leader, self.node(self.cluster.master))
        self.cluster.wait_ready(60)
        self.look()
        return self.epoch

    def play_on_cluster(self):
        first_epoch = self.prepare()
        self.lap("preparing")
        node = self.quiet_node()
        with contextlib.ExitStack() as stack:
            writers = self.two_writers(node)
            probes = Probes(self.machine, self.cluster)
            stack.callback(probes.end)
            self.probes = probes.start()
            seen = self.seen = Seen(self.kube, self.cluster)
            stack.callback(seen.end)
            for one in writers:
                stack.enter_context(one)
            for one in writers:
                one.wait_acknowledged(BASELINE_ROWS)
            self.lap("clients")
            try:
                self.faults_and_outcomes()
                self.lap("fault")
                self.converge(first_epoch)
                for one in writers:
                    one.wait_acknowledged(20, 60)
                self.lap("healing")
            finally:
                # Also of a run that failed it is worth knowing what was lost.
                self.count(writers)
                self.lap("counting")
            probes.end()
            self.compare_data()
            seen.wait_newest(self.cluster.epoch)
            self.lap("comparing")
            seen.end()
            self.judge(seen, probes, first_epoch)

    def look(self):
        """Who is who, before the next fault."""
        status = self.cluster.status
        self.master, self.epoch = status["master"], status["epoch"]
        self.positions = [one["name"] for one in sorted(
            (one for one in status["members"] if one.get("position")),
            key=lambda one: int(one["position"].removeprefix("slave")))]

    def quiet_node(self):
        """Where the writers are not in the fault's way: beside the leader, not beside the master."""
        master = self.node(self.master)
        beside = self.arena.node_of_leader()
        return beside if beside and beside != master else next(n for n in (1, 2, 3) if n != master)

    def two_writers(self, node):
        """By the URI and by the Service: begun at the same time, and still to be entered."""
        writers = [self.writer(1, node), self.writer(2, node, service=True)]
        for one in writers:
            one.begin()
        return writers

    def writer(self, number, node, **options):
        writer = Writer(self.kube, self.cluster, self.arena.image, writer=number, **options)
        writer.manifest["spec"]["nodeSelector"] = {"kubernetes.io/hostname": f"node{node}"}
        return writer

    def faults_and_outcomes(self):
        self.fault_at = time.monotonic()
        steps = self.case.body(self)
        try:
            for step in steps:
                self.outcome(step or self.case.expect)
        finally:
            steps.close()

    def outcome(self, expect):
        self.expected_epochs += expect.epochs
        if expect.master == "changes":
            self.cluster.wait_new_master(self.master, self.epoch, expect.within)
        elif expect.master == "stays":
            self.hold_still(expect.hold)
        if expect.condition:
            kind, status, *words = expect.condition
            self.cluster.wait_condition(kind, status, words, expect.within)

    def hold_still(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            record = self.cluster.record()
            if (record["master"], record["epoch"]) != (self.master, self.epoch):
                self.result.changes = record["epoch"] - self.epoch
                raise AssertionError(f"no change of master was expected, {time.monotonic() - self.fault_at:.1f} s after "
                                     f"the fault the record says {record}, before it was "
                                     f"{self.master} in epoch {self.epoch}")
            time.sleep(0.2)

    # Afterwards.

    def converge(self, first_epoch):
        """O5: everybody streams on the newest timeline, with slots; and the epoch is the right one."""
        status = self.cluster.wait_ready(self.case.expect.ready)
        rose = status["epoch"] - first_epoch
        self.result.changes = rose
        most = self.expected_epochs
        if rose > most or (self.case.expect.master != "settles" and rose != most):
            self.fail(f"the epoch rose by {rose}, expected {most}")
        master = status["master"]
        members = members_of(status)
        count = len(members) - 1
        wait_for("all slaves to stream", lambda: self.streaming(master) == count, 30, every=0.3,
                 state=lambda: self.sql(master, "select application_name, state from pg_stat_replication"))
        timeline = self.sql(master, "select timeline_id from pg_control_checkpoint()")
        for name in members:
            wait_for(f"a slot for every other instance on {name}", lambda name=name: self.slots_well(name, count),
                     30, every=0.3, state=lambda name=name: self.sql(
                         name, "select slot_name, active, wal_status from pg_replication_slots"))
            if name != master:
                wait_for(f"{name} to follow timeline {timeline}", lambda name=name: self.sql(
                    name, "select coalesce(max(received_tli), 0) >= " + timeline + " from pg_stat_wal_receiver") == "t",
                    30, every=0.3)

    def streaming(self, master):
        return int(self.sql(master, "select count(*) from pg_stat_replication where state = 'streaming'"
                                    " and application_name !~ 'basebackup'", check=False) or 0)

    def slots_well(self, name, count):
        return self.sql(name, "select count(*) from pg_replication_slots where slot_type = 'physical' and not temporary"
                              " and wal_status is distinct from 'lost'") == str(count)

    def count(self, writers):
        longest = []
        for one in writers:
            try:
                summary, verdict = one.stop()
                longest.append(summary["longestOutageMs"])
                self.result.acknowledged += verdict["acknowledged"]
                self.result.lost += verdict["lost"]
                if verdict["duplicates"]:
                    self.fail(f"{one.name}: {verdict['duplicates']} ids are twice in the table")
            except (AssertionError, KubeError, TypeError, KeyError) as error:
                longest.append(None)
                self.fail(f"{one.name} could not be counted: {str(error)[:300]}")
        self.result.uri, self.result.service = longest

    def compare_data(self):
        """All instances have the same rows, once the slaves have replayed what the master wrote."""
        status = self.cluster.status
        master, database = status["master"], self.probes.options["dbname"]
        # One whose network vanished does not know that its prober is gone.
        wait_for("a quiet master", lambda: "0" == self.sql(
            master, "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'gauntlet'"),
            20)
        end = self.sql(master, "select pg_current_wal_insert_lsn()")
        rows = self.sql(master, CHECKSUM, database=database)
        for name in members_of(status):
            if name == master:
                continue
            wait_for(f"{name} to replay {end}", lambda name=name: self.sql(
                name, f"select pg_last_wal_replay_lsn() >= '{end}'") == "t", 30, every=0.2)
            theirs = self.sql(name, CHECKSUM, database=database)
            if theirs != rows:
                self.fail(f"{name} has other rows than the master: {theirs}, not {rows} (count/checksum of both tables)")

    def judge(self, seen, probes, first_epoch):
        expect, result = self.case.expect, self.result
        if probes.broken:
            self.fail(f"a prober ended with {probes.broken}: nobody watched for double writes")
        doubles = double_writes(probes.acknowledged, seen.records, probes.words)
        result.double = len(doubles)
        if doubles:
            text = f"{len(doubles)} double writes: {doubles[0][1]}"
            (self.note if expect.pause else self.fail)(text)
        epochs = range(first_epoch + 1, self.cluster.epoch + 1)
        for reason in (loss(expect, result.lost) + outage(expect, result.uri, result.service, self.slack)
                       + route_truth(seen.records, seen.routes)
                       + status_truth(self.cluster.history(), epochs, result.lost)):
            self.fail(reason)
        for change in self.cluster.history()[:len(epochs)]:
            self.note(f"epoch {change['epoch']}: {change.get('from')} -> {change.get('to')}, {change.get('reason')}, "
                      f"{change.get('durationMs')} ms, loss {change.get('loss')}")

