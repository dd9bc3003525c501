"""An example program as a process: in the lab's network, where Services have their names, with the
ConfigMap and the Secret as its environment, as `envFrom` would give it."""

import base64
import os
import re
import subprocess
import tempfile
from pathlib import Path

from journal import Journal
from kube import wait_for
from lab_client import LAB, ROOT

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # what a shell and older kubelets take as one
LOGS = ROOT / "build" / "contract"


def config_map(cluster):
    return cluster.kube.get("configmap", cluster.namespace, f"{cluster.name}-routing")["data"]


def secret(cluster):
    return {key: base64.b64decode(value).decode() for key, value in cluster.secret()["data"].items()}


def keys_of(cluster):
    """What a container with `envFrom` both of them has."""
    both = config_map(cluster) | secret(cluster)
    return {key: value for key, value in both.items() if NAME.fullmatch(key)}


class Program:
    """One of them, running. Use it with `with`."""

    def __init__(self, client, lab, cluster, seconds, **changes):
        self.client, self.folder = client, tempfile.TemporaryDirectory(prefix="matriarch-contract-")
        services = Path(self.folder.name) / "pg_service.conf"
        services.write_text(config_map(cluster)["pg_service.conf"])
        self.environment = os.environ | keys_of(cluster) | {
            "PGSERVICEFILE": str(services), "TABLE": client.table, "RUN_SECONDS": str(seconds)} | changes
        self.command = [LAB, "--name", lab.name, "run", "--", *client.command(client.installed(), cluster.name)]
        LOGS.mkdir(parents=True, exist_ok=True)
        # What libpq and run-time systems say by themselves is on standard error.
        self.log, self.errors = (LOGS / f"{client.name}.{kind}" for kind in ("log", "errors"))
        self.process = None

    def __enter__(self):
        with open(self.log, "wb") as out, open(self.errors, "wb") as errors:
            self.process = subprocess.Popen(list(map(str, self.command)), env=self.environment, stdout=out, stderr=errors,
                                            stdin=subprocess.DEVNULL, start_new_session=True)
        return self

    def __exit__(self, *_):
        self.stop()
        self.folder.cleanup()

    def stop(self):
        """All of its processes; what it printed stays."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, 15)
        self.process.wait(20)

    @property
    def text(self):
        """All that it printed."""
        return self.log.read_text(errors="replace") + self.errors.read_text(errors="replace")

    @property
    def journal(self):
        """Without a last line that is not whole yet."""
        return Journal.of(self.log.read_text(errors="replace").rpartition("\n")[0])

    def wait(self, what, condition, seconds):
        """Until the journal passes; a program that ended never will."""
        def look():
            assert self.process.poll() is None, f"{self.client.name} ended: {self.text[-2000:]}"
            return condition(self.journal)
        return wait_for(f"{self.client.name}: {what}", look, seconds, every=0.2, state=lambda: self.text[-1000:])
