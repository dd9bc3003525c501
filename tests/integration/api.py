"""What the tests of real operators share: kubectl, applying objects, waiting with a deadline, a process."""

import json
import os
import pathlib
import shlex
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAB = os.environ.get("MATRIARCH_LAB", "")
KUBECTL = shlex.split(os.environ.get("KUBECTL") or f"{LAB} kubectl")
OPERATOR = os.environ.get("OPERATOR", str(ROOT / "build" / "dev" / "src" / "operator" / "matriarch-operator"))
CRD = ROOT / "crds" / "postgresclusters.matriarch.dev.yaml"


def run(*command, stdin=None, timeout=120, folder=None):
    return subprocess.run(list(map(str, command)), input=stdin, capture_output=True, text=True, timeout=timeout,
                          check=False, cwd=folder)


def must(*command, stdin=None, timeout=120, folder=None):
    done = run(*command, stdin=stdin, timeout=timeout, folder=folder)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stdout[-4000:]}{done.stderr}")
    return done.stdout


def kubectl(*arguments, **options):
    return must(*KUBECTL, *arguments, **options)


def get(kind, namespace, name):
    """The object, or None."""
    text = kubectl("get", kind, name, "-n", namespace, "--ignore-not-found", "-o", "json")
    return json.loads(text) if text.strip() else None


def apply(*objects, subresource=None):
    extra = ["--subresource", subresource] if subresource else []
    text = "\n---\n".join(map(json.dumps, objects))
    kubectl("apply", "--server-side", "--force-conflicts", *extra, "-f", "-", stdin=text)


def wait_for(what, condition, seconds=30, every=0.05, state=lambda: ""):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}: {state()}")
        time.sleep(every)
    return value


def install_crd():
    kubectl("apply", "--server-side", "--force-conflicts", "-f", CRD)
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", CRD)
    wait_for("the resource to be served", lambda: run(*KUBECTL, "get", "postgresclusters", "-A").returncode == 0)


class OperatorProcess:
    """A matriarch-operator; its log is a file."""

    def __init__(self, log, *arguments):
        self.log = pathlib.Path(log)
        with open(self.log, "w", encoding="utf-8") as out:
            self.process = subprocess.Popen(
                [OPERATOR, "--metrics-address=127.0.0.1:0", "--health-address=127.0.0.1:0", "--log-level=debug",
                 *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def stop(self):
        self.process.terminate()
        if self.process.wait(30) != 0:
            raise AssertionError(f"the operator ended with {self.process.returncode}: {self.log.read_text()[-3000:]}")
