"""The lab, the operator and the cluster that most tests share.

One lab for the whole run, taken down at its end (MATRIARCH_KEEP=1 leaves it up and uses it again
next time). Tests run in the order of their files: the cheap and basic ones first, those that
reinstall the operator last. Figures are printed at the end and stand in build/e2e/figures.json.
"""

import json
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "tests" / "e2e"), str(ROOT / "tests" / "tools")]

from cluster import SMALL, Cluster  # noqa: E402
from install import Operator, build_images, keep  # noqa: E402
from kube import Kube, wait_for  # noqa: E402
from lab_client import Lab, program  # noqa: E402
from writer import Writer  # noqa: E402

NAMESPACE = "shop"


class Figures:
    """What was measured: figure(name, value, unit)."""

    def __init__(self):
        self.rows = []

    def add(self, name, value, unit="ms"):
        self.rows.append({"name": name, "value": value, "unit": unit})


def pytest_configure(config):
    config.figures = Figures()


@pytest.fixture(scope="session")
def figures(request):
    return request.config.figures


@pytest.fixture(scope="session")
def lab():
    lab = Lab("e2e")
    try:
        lab.up()
        yield lab
    finally:
        if not keep():
            lab.down()


@pytest.fixture(scope="session")
def kube(lab):
    kube = Kube(program("kubectl"), lab.environment()["KUBECONFIG"])
    yield kube
    kube.close()


@pytest.fixture(scope="session")
def image(lab):
    return build_images(lab, "e2e", versions=("15", "17"), pooler=True)


@pytest.fixture(scope="session")
def operator(kube, image):
    operator = Operator(kube, program("helm"), image).install(**{"config.logLevel": "debug"})
    operator.wait_leader()
    return operator


@pytest.fixture(scope="session")
def orders_begun(operator, kube, figures):
    """The cluster that most tests share; applied once."""
    kube.make_namespace(NAMESPACE)
    cluster = Cluster(kube, NAMESPACE, "orders")
    if cluster.object():  # of a run whose lab was kept
        cluster.delete()
    for claim in kube.list("pvc", NAMESPACE):
        kube.delete("pvc", NAMESPACE, claim["metadata"]["name"])
    wait_for("a clean start", lambda: not kube.list("pvc", NAMESPACE), 60)
    began = time.monotonic()
    cluster.apply(SMALL)
    cluster.wait_ready(120)
    figures.add("apply to ready, one master and two slaves", round(time.monotonic() - began, 1), "s")
    return cluster


@pytest.fixture
def orders(orders_begun):
    """It is whole at the start of each test: a test that breaks it for good fails by itself."""
    orders_begun.wait_ready(90)
    return orders_begun


@pytest.fixture
def writer(kube, orders, image):
    """Writes by the multi-host URI."""
    with Writer(kube, orders, image, writer=1) as writer:
        yield writer


@pytest.fixture
def service_writer(kube, orders, image):
    """Writes through the Service orders-master, beside the other one."""
    with Writer(kube, orders, image, writer=2, service=True) as writer:
        yield writer


@pytest.fixture
def namespace(kube, request):
    """One of the test's own, removed with all that is in it."""
    name = "e2e-" + request.node.name.lower().replace("_", "-").split("[")[0][-40:].strip("-")
    kube.make_namespace(name)
    yield name
    kube.remove_namespace(name)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows what the operator and the cluster said."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        report.sections.append(("cluster", "\n".join(state_of(item))))


def state_of(item):
    found = item.funcargs
    cluster, operator = found.get("orders"), found.get("operator")
    try:
        if cluster:
            yield json.dumps(cluster.status, indent=1)[-4000:]
            for event in cluster.events()[-15:]:
                yield f"{event.get('eventTime')} {event.get('reason')}: {event.get('note')}"
        if operator:
            for pod in operator.running():
                yield f"-- {pod['metadata']['name']}"
                yield operator.logs(pod)[-3000:]
    except Exception as error:  # what is shown of a failure must not hide it
        yield f"(no more: {error})"


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter, config):
    rows = config.figures.rows
    folder = ROOT / "build" / "e2e"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "figures.json").write_text(json.dumps(rows, indent=1) + "\n")
    if rows:
        terminalreporter.write_sep("-", "measured")
        width = max(len(row["name"]) for row in rows)
        for row in rows:
            terminalreporter.write_line(f"{row['name']:<{width}}  {row['value']:>10} {row['unit']}")
