"""What each client saw in the story of conftest.py."""

from urllib.parse import quote

import pytest
from clients import CLIENTS
from conftest import ODD_PASSWORD, RECYCLE_SECONDS
from journal import longest_gap

# A client that dials every instance writes again after the failover itself (its budget: 1 s), its pause of
# 0.1 s, and an attempt or two; one by Service also when kube-proxy has written its rules, which it does
# at most once a second. Thrice that on a machine whose two cores are shared by six clients and a Kubernetes.
# A lost node costs the mandate and a little (budget: 6 s), the 5 s after which a client gives up its
# statement, and the 3 s after which it gives up connecting, once more if it did so too early.
WRITES_MS = {"failover": {"URI": 5000, "Service": 7500}, "switchover": {"URI": 5000, "Service": 7500},
             "node lost": {"URI": 15000, "Service": 17500}}
# Slaves go on, but JDBC takes any host at random, and then the silent one for 3 s.
READS_MS = {"failover": 3000, "switchover": 3000, "node lost": 6000}
# A connection that was opened just before the change, and reads in flight.
STICKY_MS = RECYCLE_SECONDS * 1000 + 2000
STALE_MS = 2000

each_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda one: one.name)


def change_of(story, what):
    return next(one for one in story.changes if one.what == what)


@each_client
def test_every_acknowledged_row_is_there_at_the_end(client, story):
    journal, rows = story.journals[client.name], story.rows[client.name]
    lost = journal.acknowledged - rows
    assert not lost, f"{len(lost)} of {len(journal.acknowledged)} are lost"
    unknown = rows - journal.acknowledged  # each write without an answer may have been done
    assert len(unknown) <= sum(one.turn == "write" for one in journal.failures) + 1


@each_client
@pytest.mark.parametrize("what", WRITES_MS)
def test_writes_and_reads_go_on_after_a_change_of_master(client, what, story, request):
    journal, change = story.journals[client.name], change_of(story, what)
    writes, last = longest_gap([at for at, _ in journal.wrote], change.began, change.over)
    reads, _ = longest_gap([one.at for one in journal.reads], change.began, change.over)
    request.config.outages.append({"change": what, "client": client.name, "way": client.ways,
                                   "writes_ms": writes, "reads_ms": reads})
    said = [one for one in journal.failures if last <= one.at <= last + writes]
    assert writes <= WRITES_MS[what][client.ways], said
    assert reads <= READS_MS[what], [one for one in said if one.turn == "read"]


@each_client
def test_reads_come_from_slaves(client, story):
    """The only reads that a master may answer are those of a session from before it became one."""
    for one in story.journals[client.name].reads:
        if one.role == "slave":
            continue
        promoted = [change for change in story.changes if change.master == one.server
                    and change.began <= one.at <= change.promoted + STICKY_MS]
        assert promoted, f"{one}, and the changes were {story.changes}"


@each_client
def test_reads_are_fresh_in_calm_times(client, story):
    for one in story.journals[client.name].reads:
        troubled = any(change.began <= one.at <= change.over for change in story.changes)
        if one.newest and not troubled:
            assert one.at - one.newest <= STALE_MS, one


@each_client
def test_a_row_is_seen_by_the_write_url_at_once(client, story):
    journal = story.journals[client.name]
    assert not journal.missed
    assert set(journal.saw) <= journal.acknowledged
    # What was not looked up is what an error came between.
    assert len(journal.acknowledged - set(journal.saw)) <= len(journal.failures) + 1


@each_client
def test_nothing_fails_but_in_a_change(client, story):
    journal = story.journals[client.name]
    calm = [one for one in journal.failures
            if not any(change.began <= one.at <= change.over for change in story.changes)]
    assert calm == []
    assert journal.strange == []


@each_client
def test_no_password_is_told(client, story):
    assert ODD_PASSWORD not in story.texts[client.name]
    assert quote(ODD_PASSWORD, safe="") not in story.texts[client.name]
