#!/usr/bin/python3
"""Runs tiers of tests and counts: run_tests.py [--preset dev] TIER...

Tiers: unit, simulation, integration (a real etcd and kube-apiserver), e2e (three real nodes), contract (the clients
of docs/examples, on three real nodes), gauntlet (its short set, on three real nodes). The last line is "N passed, N failed". A test that was skipped has failed: nothing here may go untested.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from dataclasses import dataclass, field

from lab_client import ROOT, Lab

NOISE = re.compile(r"^\s*(\d+/\d+ Test\s+#.*\sPassed\s|Start\s+\d+:|$)")


@dataclass
class Outcome:
    name: str
    passed: int = 0
    failures: list = field(default_factory=list)
    seconds: float = 0.0


def ctest(tier, build, environment=None, jobs=1):
    """The tests with a label, one process each. Failures are shown in full, successes counted."""
    report = build / f"{tier}.xml"
    report.unlink(missing_ok=True)
    command = ["ctest", "--test-dir", str(build), "--label-regex", f"^{tier}$", "--no-tests=error",
               "--output-on-failure", "--output-junit", str(report), "--parallel", str(jobs)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          errors="replace", stderr=subprocess.STDOUT,
                          env=os.environ | (environment or {})) as running:
        try:
            for line in running.stdout:
                if not NOISE.match(line):
                    print("  " + line, end="", flush=True)
        except BaseException:
            running.terminate()
            raise
    outcome = Outcome(tier)
    if not report.exists():
        outcome.failures.append(f"ctest ended with exit status {running.returncode} and no report")
        return outcome
    for case in xml.parse(report).getroot().iter("testcase"):
        if case.get("status") == "run":
            outcome.passed += 1
        else:
            outcome.failures.append(f"{case.get('name')} ({case.get('status')})")
    if running.returncode != 0 and not outcome.failures:
        outcome.failures.append(f"ctest ended with exit status {running.returncode}")
    return outcome


def finish(command, environment=None):
    """The exit status of a program that, interrupted, takes down what it started."""
    running = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=ROOT, env=os.environ | (environment or {}))
    try:
        return running.wait()
    except BaseException:
        running.send_signal(signal.SIGINT)
        running.wait()
        raise


def pytest(tier, as_root=False):
    """The Python tests of a folder, which start a lab of their own."""
    report = ROOT / "build" / tier / "report.json"
    report.unlink(missing_ok=True)
    sudo = ["sudo", "--preserve-env"] if as_root and os.geteuid() != 0 else []
    command = [*sudo, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "pytest_report",
               "--verbose", "--override-ini=console_output_style=classic", "--tb=short",
               "--no-header", "--capture=no", "--durations=8", "--durations-min=20", str(ROOT / "tests" / tier)]
    tools = {"MATRIARCH_REPORT": str(report), "PYTHONPATH": str(ROOT / "tests" / "tools")}
    status = finish(command, tools)
    outcome = Outcome(tier)
    if report.exists():
        counts = json.loads(report.read_text())
        outcome.passed = counts["passed"]
        outcome.failures += counts["failed"] + [f"{name} (skipped)" for name in counts["skipped"]]
    if status != 0 and not outcome.failures:
        outcome.failures.append(f"pytest ended with exit status {status}")
    return outcome


def e2e(_build):
    return pytest("e2e")


def contract(_build):
    return pytest("contract", as_root=True)


def gauntlet(_build):
    """The short set, once each. Its budgets are for a machine that does nothing else."""
    results = ROOT / "build" / "gauntlet" / "results.json"
    results.unlink(missing_ok=True)
    status = finish([sys.executable, str(ROOT / "tests" / "gauntlet" / "gauntlet.py"), "--short", "--runs", "1", "--slack", "3"])
    outcome = Outcome("gauntlet")
    for case in json.loads(results.read_text())["cases"] if results.exists() else []:
        if case["verdict"] == "pass":
            outcome.passed += 1
        else:
            outcome.failures.append(f"{case['number']} {case['fault']}: {case['verdict']}")
    if status != 0 and not outcome.failures:
        outcome.failures.append(f"gauntlet.py ended with exit status {status}")
    return outcome


def unit(build):
    return ctest("unit", build, jobs=os.cpu_count())


def simulation(build):
    return ctest("simulation", build)


def integration(build):
    lab = Lab("int")
    try:
        lab.up("--api-only")
        return ctest("integration", build, lab.environment())
    finally:
        lab.down()


TIERS = {"unit": unit, "simulation": simulation, "integration": integration, "e2e": e2e,
         "contract": contract, "gauntlet": gauntlet}


def run(tier, *arguments):
    print(f"== {tier}", flush=True)
    began = time.monotonic()
    try:
        outcome = TIERS[tier](*arguments)
    except subprocess.CalledProcessError as error:
        outcome = Outcome(tier, failures=[f"'{' '.join(map(str, error.cmd))}' failed"])
    outcome.seconds = time.monotonic() - began
    return outcome


def summary(outcomes):
    print(f"\n{'tier':<14}{'passed':>8}{'failed':>8}{'seconds':>10}")
    for one in outcomes:
        print(f"{one.name:<14}{one.passed:>8}{len(one.failures):>8}{one.seconds:>10.1f}")
    failures = [f"{one.name}: {name}" for one in outcomes for name in one.failures]
    for name in failures:
        print(f"FAILED {name}")
    print(f"{sum(one.passed for one in outcomes)} passed, {len(failures)} failed", flush=True)
    return 1 if failures else 0


def interrupted(*_):
    raise KeyboardInterrupt  # so that every `finally` takes down what it started


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="dev")
    parser.add_argument("tiers", nargs="+", choices=TIERS)
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    build = ROOT / "build" / options.preset
    outcomes = []
    try:
        for tier in options.tiers:
            outcomes.append(run(tier, build))
    except KeyboardInterrupt:
        outcomes.append(Outcome("interrupted", failures=["the run was interrupted"]))
    return summary(outcomes)


sys.exit(main())
