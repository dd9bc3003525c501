"""A pytest plugin that writes what run_tests.py counts: pytest -p pytest_report, with
MATRIARCH_REPORT naming the file. A test that fails in its set-up or tear-down has failed."""

import json
import os
import signal
from pathlib import Path

import pytest

def interrupted(*_):
    raise KeyboardInterrupt  # so that fixtures take down what they started


def pytest_configure():
    # A shell's background process is started with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)


failed, skipped, passed = set(), set(), set()


def pytest_runtest_logreport(report):
    if report.failed:
        failed.add(report.nodeid)
    elif report.skipped:
        skipped.add(report.nodeid)
    elif report.when == "call":
        passed.add(report.nodeid)


def pytest_collectreport(report):
    if report.failed:
        failed.add(report.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish():
    if path := os.environ.get("MATRIARCH_REPORT"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps({"passed": len(passed - failed - skipped),
                                          "failed": sorted(failed), "skipped": sorted(skipped)}))
