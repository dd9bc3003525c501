"""The operator's own installation: limited to a namespace, without its CRD, without its rights.

Last, since it takes the operator of the other tests away."""

import pytest

from cluster import SMALL, Cluster
from install import POSTGRES, ROOT, Operator
from kube import wait_for
from lab_client import program
from writer import Writer

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted",
              "pod-security.kubernetes.io/enforce-version": "latest"}
CRD = "postgresclusters.matriarch.dev"
ROOT_CRD = ROOT / "crds" / f"{CRD}.yaml"


def test_the_chart_tests_itself(operator):
    operator.helm("test", operator.release, "--timeout", "60s")


def test_the_operator_is_small_and_starts_fast(operator, figures):
    for pod in operator.running():
        resident = operator.metric(pod, "process_resident_memory_bytes") / 2**20
        figures.add(f"operator {pod['metadata']['name']}: resident memory", round(resident, 1), "MB")
        assert resident < 60


@pytest.fixture
def limited(kube, image, operator):
    """An operator for one namespace only, in place of the other one."""
    for name in ("fenced", "elsewhere"):
        kube.make_namespace(name, RESTRICTED)
    operator.uninstall()
    limited = Operator(kube, program("helm"), image).install(**{
        "watchNamespaces": "{fenced}", "crds.enabled": "false", "flowSchema.enabled": "false",
        "health.enabled": "false", "rbac.aggregateClusterRoles": "false"})
    limited.wait_leader()
    yield limited
    for name in ("fenced", "elsewhere"):
        for one in kube.list("pgc", name):
            Cluster(kube, name, one["metadata"]["name"]).delete()
    limited.uninstall()
    for name in ("fenced", "elsewhere"):
        kube.remove_namespace(name)


def test_an_operator_of_one_namespace_works_there_under_restricted_pod_security(limited, kube, image,
                                                                                figures):
    own = [one for one in kube.run("get", "clusterroles,clusterrolebindings", "-o", "name").stdout.split()
           if "/matriarch" in one]
    assert own == []
    other = Cluster(kube, "elsewhere", "orders")
    other.apply({**SMALL, "slaves": 0})
    cluster = Cluster(kube, "fenced", "orders")
    # Another PostgreSQL on another Debian, and a user that the image has no passwd entry for.
    cluster.apply({**SMALL, "slaves": 1, "image": POSTGRES.format(17), "uid": 26017, "gid": 26017})
    cluster.wait_ready(120)
    with Writer(kube, cluster, image) as writer:
        writer.wait_acknowledged(100)
        former, epoch = cluster.master, cluster.epoch
        assert cluster.sql(former, "show server_version").startswith("17.")
        cluster.kill_postmaster(former)
        status = cluster.wait_new_master(former, epoch)
        assert status["epoch"] == epoch + 1
        wait_for("the writer to write again", writer.outages, 60, every=0.2)
        cluster.wait_ready(90)
        summary, verdict = writer.stop()
        figures.add("limited to a namespace, postmaster killed: write outage", summary["longestOutageMs"])
        assert verdict["lost"] == 0
    assert other.status == {} and other.pods() == {}


def test_without_rights_the_operator_says_which_are_missing(kube, image, operator):
    operator.uninstall()
    poor = Operator(kube, program("helm"), image, release="matriarch").install(
        wait=False, **{"rbac.create": "false"})
    try:
        wait_for("a word about rights", lambda: says(poor, ["forbidden", "postgresclusters"]), 60,
                 state=lambda: [poor.logs(pod)[-500:] for pod in poor.running()])
        assert not any(ready(pod) for pod in poor.running())
    finally:
        poor.uninstall()


def test_without_the_crd_the_operator_says_so_and_starts_to_work_when_it_comes(kube, image, operator):
    operator.uninstall()
    for space in kube.list("namespace"):
        name = space["metadata"]["name"]
        for one in kube.list("pgc", name):
            Cluster(kube, name, one["metadata"]["name"]).delete()
    kube.delete("crd", None, CRD)
    wait_for("the CRD to be gone", lambda: kube.get("crd", None, CRD) is None, 30)
    lost = Operator(kube, program("helm"), image).install(wait=False, **{"crds.enabled": "false"})
    wait_for("a word about the CRD", lambda: says(lost, [CRD.split(".")[0], "CRD"]), 60,
             state=lambda: [lost.logs(pod)[-500:] for pod in lost.running()])
    kube.apply(ROOT_CRD)
    wait_for("the operators to be ready",
             lambda: len(lost.running()) == 2 and all(map(ready, lost.running())), 90,
             state=lambda: [lost.logs(pod)[-500:] for pod in lost.running() if ready(pod)])


def ready(pod):
    return [one["ready"] for one in pod["status"].get("containerStatuses", [])] == [True]


def says(operator, words):
    """Whether an operator's log has a line with all the words, and no operator crashed for it."""
    pods = operator.running()
    assert all(one["restartCount"] == 0 for pod in pods
               for one in pod["status"].get("containerStatuses", []))
    return any(all(word.lower() in line.lower() for word in words)
               for pod in pods if pod["status"].get("phase") == "Running"
               for line in operator.logs(pod).splitlines())
