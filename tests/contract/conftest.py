"""A lab of its own, the operator, a cluster with two slaves, and the story that all examples live
through together: calm, the master's postmaster killed, calm, a switchover, calm, the master's node
without power, calm.

The story is played once; the tests then look at what each client saw. MATRIARCH_KEEP=1 leaves the lab
up and uses it again, IMAGE names an image of the lab's store. What the programs printed stands in
build/contract.
"""

import contextlib
import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "tests" / name) for name in ("contract", "gauntlet", "e2e", "tools")]

from arena import Arena, merged  # noqa: E402
from clients import BY_NAME, CLIENTS  # noqa: E402
from cluster import SMALL  # noqa: E402
from install import keep  # noqa: E402
from kube import wait_for  # noqa: E402
from programs import LOGS, Program, secret  # noqa: E402

# Every character that a URI, a comma list, an INI file or a shell gives a meaning to.
ODD_PASSWORD = "a@b:c/d,e%f?g#h&i=j'k\"l m+n\\o$p;q"
# Connections live so long here, so that reads leave a slave that became master while we watch.
RECYCLE_SECONDS = 3
CALM_ROWS = 30  # three seconds


class ContractArena(Arena):
    purpose = namespace = "contract"
    settings = {}


@dataclass
class Change:
    """A change of master. Times in milliseconds since 1970."""
    what: str
    began: int
    promoted: int  # the status says so
    master: str  # the new one's address
    over: int = 0  # every client writes and reads as before, the cluster is whole


@dataclass
class Story:
    began: int
    journals: dict = field(default_factory=dict)
    texts: dict = field(default_factory=dict)
    rows: dict = field(default_factory=dict)  # client -> the ids that are in its table at the end
    changes: list = field(default_factory=list)


def pytest_configure(config):
    config.outages = []


def now():
    return int(time.time() * 1000)


@pytest.fixture(scope="session")
def arena():
    arena = ContractArena(os.environ.get("IMAGE"))
    try:
        for client in CLIENTS:
            client.installed()
        yield arena.up()
    finally:
        arena.down(keep())


@pytest.fixture(scope="session")
def orders(arena):
    arena.bring_to(SMALL, 120)
    change_password(arena.cluster, ODD_PASSWORD)
    make_tables(arena.cluster)
    return arena.cluster


def change_password(cluster, password):
    """As a user does: in the Secret. Until everything follows."""
    def stored():
        return cluster.sql(cluster.master, "select rolpassword from pg_authid where rolname = 'orders'")
    before = stored()
    cluster.kube.patch("secret", cluster.namespace, f"{cluster.name}-app", {"stringData": {"password": password}})
    wait_for("the password to reach the database", lambda: stored() != before, 60, every=0.2)
    wait_for("the password to reach the URIs", lambda: quote(password, safe="") in secret(cluster)["uri"], 30, every=0.2)


@pytest.fixture(scope="session")
def look(arena):
    """Who answers at each of these targets (URIs, or libpq's words)."""
    python = BY_NAME["sqlalchemy-psycopg"].installed() / "venv" / "bin" / "python3"

    def look(targets):
        done = arena.lab("run", "--", python, Path(__file__).parent / "look.py", stdin=None, capture=True,
                         input=json.dumps(targets))
        return json.loads(done.stdout)
    return look


@pytest.fixture(scope="session")
def story(arena, orders):
    story = Story(began=now())
    with contextlib.ExitStack() as stack:
        programs = [stack.enter_context(Program(client, arena.lab, orders, 600, DB_POOL_RECYCLE=str(RECYCLE_SECONDS)))
                    for client in CLIENTS]
        calm(programs, story.began)
        for what, act in CHANGES.items():
            play(story, what, arena, programs, act)
        for one in programs:
            one.stop()
        story.texts = {one.client.name: one.text for one in programs}
        story.journals = {one.client.name: one.journal for one in programs}
    story.rows = {client.name: set(map(int, orders.sql(
        orders.master, f"select id from {client.table}", "orders").split())) for client in CLIENTS}
    return story


def make_tables(cluster):
    tables = "; ".join(f"drop table if exists {one.table}; create table {one.table} (id bigint primary key)"
                       for one in CLIENTS)
    cluster.sql(cluster.master, f"set role orders; {tables}", "orders")
    for instance in cluster.instances():
        wait_for(f"the tables on {instance}", lambda: cluster.sql(
            instance, f"select to_regclass('{CLIENTS[-1].table}')", "orders"), 20)


def calm(programs, since):
    """Until each has written, and read from slaves, for a while."""
    for one in programs:
        one.wait("rows in calm times", lambda journal: len(journal.wrote_after(since)) >= CALM_ROWS, 60)
        one.wait("reads from slaves", lambda journal: from_slaves(journal, since), 60)


def from_slaves(journal, since):
    last = journal.read_after(since)[-CALM_ROWS:]
    return len(last) == CALM_ROWS and all(one.role == "slave" for one in last)


def play(story, what, arena, programs, act):
    cluster = arena.cluster
    former, epoch = cluster.master, cluster.epoch
    began = now()
    with act(arena):
        heir = cluster.wait_new_master(former, epoch)["master"]
        change = Change(what, began, now(), cluster.address(heir))
        story.changes.append(change)
        for one in programs:
            one.wait("rows on the new master", lambda journal: journal.wrote_after(change.promoted), 60)
    cluster.wait_ready(120)
    calm(programs, now())
    change.over = now()


@contextlib.contextmanager
def postmaster_killed(arena):
    arena.cluster.kill_postmaster(arena.cluster.master)
    yield


@contextlib.contextmanager
def switchover(arena):
    arena.cluster.patch({"failover": {"target": "slave1", "requestId": f"contract-{time.time_ns()}"}})
    yield


@contextlib.contextmanager
def node_lost(arena):
    """It answers nobody any more: no reset, no refusal."""
    node = int(arena.cluster.pod(arena.cluster.master)["spec"]["nodeName"].removeprefix("node"))
    arena.place_leader("elsewhere", node)
    arena.lab("node", node, "off")
    try:
        yield
    finally:
        arena.lab("node", node, "on")


CHANGES = {"failover": postmaster_killed, "switchover": switchover, "node lost": node_lost}


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter, config):
    """What the changes cost each client."""
    rows = config.outages
    LOGS.mkdir(parents=True, exist_ok=True)
    (LOGS / "outages.json").write_text(json.dumps(rows, indent=1) + "\n")
    for row in rows:
        terminalreporter.write_line(f"{row['change']:<10}  {row['client']:<20} by {row['way']:<8}"
                                    f"{row['writes_ms']:>6} ms without writes, {row['reads_ms']:>6} ms without reads")
