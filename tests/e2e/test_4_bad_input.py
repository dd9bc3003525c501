"""Bad input gets a sentence that names the field and the remedy: never a crash or a half-built mess.

Where the API server itself can refuse, tests/integration/crd asks it; here is what only shows later.
"""

import time

from cluster import SMALL, Cluster
from kube import wait_for

ONE = {**SMALL, "slaves": 0}


def bad(kube, namespace, name="broken", **changes):
    cluster = Cluster(kube, namespace, name)
    cluster.apply({**ONE, **changes})
    return cluster


def restarts(operator):
    return sum(one["restartCount"] for pod in operator.running()
               for one in pod["status"]["containerStatuses"])


def test_an_unknown_image_is_named(operator, kube, namespace):
    cluster = bad(kube, namespace, image="docker.io/library/no-such-postgres:1")
    cluster.wait_condition("Ready", "False", ["no-such-postgres:1", "spec.image"], 60)
    cluster.wait_event(["no-such-postgres:1"])


def test_a_missing_storage_class_is_named(operator, kube, namespace):
    cluster = bad(kube, namespace, storage={"size": "256Mi", "storageClass": "golden"})
    cluster.wait_condition("Ready", "False", ["golden", "spec.storage.storageClass"], 60)
    cluster.wait_event(["golden"])


def test_an_exceeded_quota_is_named_and_raising_it_is_enough(operator, kube, namespace):
    quota = {"apiVersion": "v1", "kind": "ResourceQuota",
             "metadata": {"name": "small", "namespace": namespace},
             "spec": {"hard": {"requests.memory": "1Mi"}}}
    kube.apply(quota)
    cluster = bad(kube, namespace)
    cluster.wait_condition("Ready", "False", ["quota", "small"], 60)
    cluster.wait_event(["quota"])
    kube.apply({**quota, "spec": {"hard": {"requests.memory": "1Gi"}}})
    cluster.wait_ready(120)


def test_a_stateful_set_of_somebody_else_is_never_adopted(operator, kube, namespace):
    labels = {"app": "somebody-elses"}
    kube.apply({"apiVersion": "apps/v1", "kind": "StatefulSet",
                "metadata": {"name": "broken-1", "namespace": namespace, "labels": labels},
                "spec": {"replicas": 0, "serviceName": "x", "selector": {"matchLabels": labels},
                         "template": {"metadata": {"labels": labels}, "spec": {"containers": [
                             {"name": "x", "image": "docker.io/library/postgres:15"}]}}}})
    before = kube.get("statefulset", namespace, "broken-1")
    cluster = bad(kube, namespace)
    cluster.wait_condition("Ready", "False", ["broken-1"], 60)
    cluster.wait_event(["broken-1"])
    after = kube.get("statefulset", namespace, "broken-1")
    for part in ("uid", "labels", "generation"):
        assert after["metadata"][part] == before["metadata"][part]
    assert "ownerReferences" not in after["metadata"]
    kube.delete("statefulset", namespace, "broken-1")
    cluster.wait_ready(120)


def test_a_parameter_that_postgresql_refuses_leaves_the_cluster_running(orders, operator):
    started = {name: orders.sql(name, "select pg_postmaster_start_time()") for name in orders.pods()}
    master, epoch = orders.master, orders.epoch
    orders.patch({"postgresql": {"parameters": {"work_mem": "a lot"}}})
    try:
        found = orders.wait_condition("ParametersApplied", "False", ["work_mem"], 30)
        assert "spec.postgresql.parameters.work_mem" in found["message"]
        orders.wait_event(["work_mem"])
        assert started == {name: orders.sql(name, "select pg_postmaster_start_time()") for name in started}
        assert (orders.master, orders.epoch) == (master, epoch)
    finally:
        orders.patch({"postgresql": {"parameters": {"work_mem": None}}})
    orders.wait_condition("ParametersApplied", "True", seconds=30)


def test_bad_clusters_do_not_keep_the_operator_busy(operator, kube, namespace):
    cluster = bad(kube, namespace, storage={"size": "256Mi", "storageClass": "golden"})
    cluster.wait_condition("Ready", "False", ["golden"], 60)
    leader = operator.wait_leader()
    count = "controller_runtime_reconcile_total"

    def total():
        return sum(float(line.rsplit(" ", 1)[1]) for line in
                   operator.get(leader, 8080, "/metrics").splitlines() if line.startswith(count + "{"))

    before, crashes = total(), restarts(operator)
    time.sleep(5)  # the figure is a rate: so much happens in five seconds
    assert total() - before < 5 * 20
    assert restarts(operator) == crashes
    version = cluster.object()["metadata"]["resourceVersion"]
    time.sleep(2)
    assert cluster.object()["metadata"]["resourceVersion"] == version, "status is rewritten all the time"


def test_one_broken_cluster_does_not_hold_up_another(operator, kube, namespace):
    bad(kube, namespace, "broken", image="docker.io/library/no-such-postgres:1")
    good = bad(kube, namespace, "good")
    good.wait_ready(120)
    assert wait_for("one master", lambda: good.master == "good-1", 10)
