"""From apply to a whole cluster."""

from health import Health
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


def test_the_health_api_tells_who_may_know(kube, lab, orders):
    lag = "/api/v2/database/replica-lag"
    with Health(kube, lab, orders.namespace, "reader") as reader, \
            Health(kube, lab, orders.namespace, "stranger", may=False) as stranger:
        status, health = wait_for(
            "healthy", lambda: (found := reader.ask("/health/database", orders))[1].get("status") == "healthy" and found,
            20, state=lambda: reader.ask("/health/database", orders))
        assert status == 200
        assert health["replicas"] == {"total": 2, "healthy": 2, "unhealthy": 0}
        assert {name: one["role"] for name, one in health["details"].items()} == {
            "orders-1": "primary", "orders-2": "replica", "orders-3": "replica"}
        assert stranger.ask(lag, orders)[0] == 403
        assert reader.ask(lag, orders, token=False)[0] == 401
        status, tests = reader.ask("/api/v2/database/test-connection?database_type=all", orders, "POST")
        assert status == 200
        assert [(one["name"], one["healthy"]) for one in tests["results"]] == [
            ("orders-1", True), ("orders-2", True), ("orders-3", True)]


def test_leader_and_standby_both_answer_for_health(kube, lab, operator, orders):
    leader = operator.wait_leader()
    with Health(kube, lab, orders.namespace, "reader") as reader:
        for pod in operator.running():
            status, answer = reader.ask("/api/v2/database/replica-lag", orders, address=pod["status"]["podIP"])
            assert status == 200
            assert [(one["replica_name"], one["healthy"]) for one in answer["replicas"]] == [
                ("orders-2", True), ("orders-3", True)]
            looked = [one["last_checked"] is not None for one in answer["replicas"]]
            assert looked == [pod["metadata"]["name"] == leader] * 2
            _, health = reader.ask("/api/v2/database/health", orders, address=pod["status"]["podIP"])
            known = health["primary"]["response_time_ms"] is not None
            assert known == (pod["metadata"]["name"] == leader)
