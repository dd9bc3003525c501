"""Every key that an application may read is in the ConfigMap or the Secret, and leads where it says."""

import json
from decimal import Decimal

import pytest
from clients import BY_NAME
from conftest import ODD_PASSWORD, from_slaves
from kube import wait_for
from programs import Program, config_map, keys_of, secret

NUMBERED = ("MASTER", "SLAVE1", "SLAVE2")
IN_CONFIG_MAP = (
    [f"POSTGRES_{one}_{what}" for one in NUMBERED for what in ("DB", "USER", "PORT")]
    + [f"DB_{one}_{what}" for one in NUMBERED for what in ("HOST", "PORT", "NAME", "USER")]
    + """POSTGRES_DB POSTGRES_USER POSTGRES_PORT
    DATABASE_REPLICA_FALLBACK DATABASE_POOL_SIZE DATABASE_MAX_OVERFLOW DATABASE_READ_POOL_SIZE DATABASE_READ_MAX_OVERFLOW
    DB_READ_REPLICAS_ENABLED DB_READ_REPLICA_STRATEGY DB_READ_REPLICA_FALLBACK DB_READ_REPLICA_HEALTH_CHECK_INTERVAL
    DB_MAX_REPLICATION_LAG_MS DB_LAG_CHECK_ENABLED ENABLE_READ_REPLICAS READ_REPLICA_WEIGHTS READ_REPLICA_LAG_THRESHOLD
    READ_REPLICA_POOL_SIZE READ_REPLICA_MAX_OVERFLOW READ_REPLICA_POOL_TIMEOUT DB_POOL_RECYCLE
    routes.json pgbouncer.ini pg_service.conf haproxy.cfg""".split())
IN_SECRET = (
    [f"{prefix}_{one}_PASSWORD" for prefix in ("POSTGRES", "DB") for one in NUMBERED]
    + """POSTGRES_PASSWORD DB_URL DATABASE_URL DATABASE_REPLICA_URL DATABASE_READ_URL DATABASE_READ_URLS DB_PRIMARY_URL
    DB_READ_REPLICA_URLS READ_REPLICA_URLS username password dbname host port ca.crt userlist.txt
    uri read_uri asyncpg_uri asyncpg_read_uri jdbc_uri jdbc_read_uri""".split())

WRITES = ("DB_URL", "DATABASE_URL", "DB_PRIMARY_URL", "uri")
READS = ("DATABASE_REPLICA_URL", "DATABASE_READ_URL", "read_uri")
LISTS = {"DATABASE_READ_URLS": json.loads, "DB_READ_REPLICA_URLS": lambda text: text.split(","),
         "READ_REPLICA_URLS": lambda text: text.split(",")}


@pytest.fixture(scope="module")
def keys(orders):
    return keys_of(orders)


def test_every_key_is_served(orders):
    assert set(IN_CONFIG_MAP) - set(config_map(orders)) == set()
    assert set(IN_SECRET) - set(secret(orders)) == set()


def test_no_password_is_in_the_config_map(orders):
    text = json.dumps(orders.kube.get("configmap", orders.namespace, "orders-routing"))
    assert ODD_PASSWORD not in text and "postgresql://" not in text


def test_write_urls_lead_to_the_master_and_read_urls_to_slaves(orders, keys, look):
    answers = dict(zip(WRITES + READS, look([keys[key] for key in WRITES + READS])))
    routes = orders.routes()
    assert {answers[key]["server"] for key in WRITES} == {routes["master"]["address"]}
    assert {key: answers[key]["role"] for key in READS} == dict.fromkeys(READS, "slave")
    assert all((one["user"], one["database"]) == ("orders", "orders") for one in answers.values())


@pytest.mark.parametrize("key", LISTS)
def test_lists_name_every_position_in_order(key, orders, keys, look):
    addresses = [one["address"] for one in sorted(orders.routes()["slaves"], key=lambda one: one["position"])]
    assert [one["server"] for one in look(LISTS[key](keys[key]))] == addresses


def test_weights_are_fractions_in_the_order_of_the_urls(keys):
    weights = [Decimal(one) for one in keys["READ_REPLICA_WEIGHTS"].split(",")]
    assert len(weights) == len(keys["READ_REPLICA_URLS"].split(",")) and sum(weights) == 1


def runs(name, arena, orders, **keys):
    """The example writes and reads with these keys as they are, and meets no error."""
    with Program(BY_NAME[name], arena.lab, orders, 60, **keys) as program:
        program.wait("rows", lambda journal: len(journal.wrote) >= 10, 30)
        program.wait("reads from slaves", lambda journal: from_slaves(journal, 0), 30)
        assert program.journal.failures == []


@pytest.mark.parametrize("scheme, name, write, read", [
    ("postgresql+asyncpg", "sqlalchemy-asyncpg", "DATABASE_URL", "DATABASE_REPLICA_URL"),
    ("jdbc:postgresql", "jdbc", "jdbc_uri", "jdbc_read_uri")])
def test_the_first_scheme_asked_for_is_that_of_the_urls(scheme, name, write, read, arena, orders, keys):
    orders.patch({"routing": {"uriSchemes": [scheme, "postgresql"]}})
    try:
        wait_for(f"DATABASE_URL to be {scheme}",
                 lambda: secret(orders)["DATABASE_URL"].startswith(scheme + "://"), 20, every=0.2)
        urls = secret(orders)
        runs(name, arena, orders, **{write: urls["DATABASE_URL"], read: urls["DATABASE_REPLICA_URL"]})
    finally:
        orders.patch({"routing": {"uriSchemes": None}})
        wait_for("the URLs of before", lambda: secret(orders)["DATABASE_URL"] == keys["DATABASE_URL"], 20, every=0.2)


def test_asyncpg_takes_the_uri_of_all_instances(arena, orders, keys):
    runs("sqlalchemy-asyncpg", arena, orders,
         DATABASE_URL=keys["asyncpg_uri"], DATABASE_REPLICA_URL=keys["asyncpg_read_uri"])
