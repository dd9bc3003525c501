"""From apply to a whole cluster."""

from kube import wait_for
from writer import interruptions


def test_a_cluster_gets_ready_from_one_apply(orders):
    status = orders.status
    assert status["master"] == "orders-1"
    assert status["epoch"] == 1
    assert [orders.position(p) for p in ("slave1", "slave2")] == ["orders-2", "orders-3"]
    assert status["readyInstances"] == 3


def test_instances_are_spread_over_the_nodes(orders):
    assert len({pod["spec"]["nodeName"] for pod in orders.pods().values()}) == 3


def test_rows_are_replicated_to_both_slaves(orders):
    orders.sql("orders-1", "create table if not exists greeting(word text); "
                           "insert into greeting values ('hello')", "orders")
    for slave in ("orders-2", "orders-3"):
        wait_for(f"the row on {slave}", lambda: "hello" == orders.sql(
            slave, "select word from greeting limit 1", "orders", check=False), 10)


def test_slots_for_every_other_instance_are_on_every_instance(orders):
    names = {name: name.replace("-", "_") for name in orders.pods()}
    for instance in names:
        expected = sorted(slot for other, slot in names.items() if other != instance)
        wait_for(f"the slots of {instance}", lambda: expected == sorted(orders.sql(
            instance, "select slot_name from pg_replication_slots").split()), 20,
            state=lambda: orders.sql(instance, "select slot_name from pg_replication_slots"))


def test_slaves_take_no_writes(orders):
    for slave in ("orders-2", "orders-3"):
        assert orders.sql(slave, "select pg_is_in_recovery()") == "t"
        assert orders.sql(slave, "show default_transaction_read_only") == "on"


def test_the_routes_lead_to_the_instances(orders):
    addresses = {name: pod["status"]["podIP"] for name, pod in orders.pods().items()}
    routes = orders.routes()
    assert (routes["epoch"], routes["master"]["instance"]) == (1, "orders-1")
    assert routes["master"]["address"] == addresses["orders-1"]
    assert [one["address"] for one in routes["slaves"]] == [addresses["orders-2"], addresses["orders-3"]]
    assert orders.endpoints("master") == [addresses["orders-1"]]
    assert orders.endpoints("slaves") == sorted([addresses["orders-2"], addresses["orders-3"]])
    assert orders.endpoints("slave1") == [addresses["orders-2"]]
    assert orders.endpoints("slave2") == [addresses["orders-3"]]
    assert orders.endpoints("any") == sorted(addresses.values())


def test_the_record_names_the_master(orders):
    assert orders.record() == {"epoch": 1, "phase": "serving", "master": "orders-1"}


def test_a_writer_with_the_uri_of_the_secret_and_one_by_service_both_write(writer, service_writer):
    for one in (writer, service_writer):
        one.wait_acknowledged(50)
        summary, verdict = one.stop()
        assert verdict["lost"] == 0
        assert verdict["duplicates"] == 0
        assert interruptions(summary) == []
