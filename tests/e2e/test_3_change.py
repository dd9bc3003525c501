"""Planned changes: scale, parameters, Helm upgrade and rollback, a new cluster on kept volumes."""

from cluster import SMALL
from kube import wait_for
from writer import interruptions


def test_slaves_are_scaled_to_three_and_to_one(orders, writer):
    master, epoch = orders.master, orders.epoch

    orders.kube.run("scale", "pgc", orders.name, "-n", orders.namespace, "--replicas=3")
    orders.wait_ready(90)
    assert len(orders.pods()) == 4
    newcomer = orders.position("slave3")
    wait_for("the Service of slave3 to lead there, after its hold time",
             lambda: orders.endpoints("slave3") == [orders.address(newcomer)], 20, state=lambda: orders.endpoints("slave3"))
    assert newcomer.replace("-", "_") in orders.sql(master, "select slot_name from pg_replication_slots")

    orders.kube.run("scale", "pgc", orders.name, "-n", orders.namespace, "--replicas=1")
    orders.wait_ready(90)
    wait_for("two pods", lambda: len(orders.pods()) == 2, 60, state=lambda: sorted(orders.pods()))
    for instance in orders.pods():
        wait_for(f"one slot on {instance}", lambda: "1" == orders.sql(
            instance, "select count(*) from pg_replication_slots"), 20,
            state=lambda: orders.sql(instance, "select slot_name from pg_replication_slots"))
    assert orders.kube.get("service", orders.namespace, "orders-slave2") is None

    orders.kube.run("scale", "pgc", orders.name, "-n", orders.namespace, "--replicas=2")
    orders.wait_ready(90)
    assert (orders.master, orders.epoch) == (master, epoch)
    summary, verdict = writer.stop()
    assert interruptions(summary) == []
    assert verdict["lost"] == 0


def test_a_parameter_is_loaded_without_a_restart(orders):
    started = {name: orders.sql(name, "select pg_postmaster_start_time()") for name in orders.pods()}
    orders.patch({"postgresql": {"parameters": {"work_mem": "7MB"}}})
    for name in started:
        wait_for(f"work_mem on {name}", lambda: orders.sql(name, "show work_mem") == "7MB", 20)
    assert started == {name: orders.sql(name, "select pg_postmaster_start_time()") for name in started}


def test_helm_upgrades_and_rolls_back_the_operator_under_load(orders, operator, writer, lab, image):
    pods = {name: pod["metadata"]["uid"] for name, pod in orders.pods().items()}
    restarts = restarts_of(orders)
    master, epoch = orders.master, orders.epoch
    newer = image + "-newer"
    for node in (1, 2, 3):
        lab("node-run", node, "--", "ctr", "--namespace", "k8s.io", "images", "tag", "--force", image,
            newer, capture=True)

    operator.upgrade(image=newer)
    operator.wait_leader()
    wait_for("operators of the newer image only", lambda: {newer} == {
        pod["spec"]["containers"][0]["image"] for pod in operator.running()}, 60)
    orders.wait_ready()
    operator.helm("rollback", operator.release, "--wait", "--timeout", "90s")
    operator.wait_leader()
    orders.wait_ready()

    assert pods == {name: pod["metadata"]["uid"] for name, pod in orders.pods().items()}
    assert restarts == restarts_of(orders)
    assert (orders.master, orders.epoch) == (master, epoch)
    summary, verdict = writer.stop()
    assert interruptions(summary) == []
    assert verdict["lost"] == 0


def restarts_of(cluster):
    return {name: [one["restartCount"] for one in pod["status"]["containerStatuses"]]
            for name, pod in cluster.pods().items()}


def test_a_deleted_cluster_leaves_its_volumes_and_a_new_one_adopts_them(orders, kube, figures):
    table = "create table if not exists kept(word text); insert into kept values ('still here')"
    orders.sql(orders.master, table, "orders")
    epoch, master = orders.epoch, orders.master
    identifier = orders.status["systemIdentifier"]
    wait_for("all slaves to have it all", lambda: "0" == orders.sql(
        master, "select count(*) from pg_stat_replication where replay_lsn < pg_current_wal_lsn()"), 20)

    orders.delete()
    claims = kube.list("pvc", orders.namespace, "matriarch.dev/cluster=orders")
    assert len(claims) >= 3

    orders.apply(SMALL)
    status = orders.wait_ready(120)
    assert status["systemIdentifier"] == identifier
    assert status["epoch"] > epoch
    assert orders.sql(orders.master, "select word from kept", "orders").startswith("still here")
    # Volumes of instances that are no members any more were seen, too; their pods leave again.
    wait_for("three pods", lambda: len(orders.pods()) == 3, 60, state=lambda: sorted(orders.pods()))
    for instance in orders.pods():
        wait_for(f"the row on {instance}", lambda: orders.sql(
            instance, "select word from kept", "orders", check=False).startswith("still here"), 20)
