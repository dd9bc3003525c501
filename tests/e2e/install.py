"""Images and the operator: built, loaded into the lab, installed with Helm."""

import json
import os
import subprocess
from pathlib import Path

from kube import wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
CHART = ROOT / "charts" / "matriarch"
REPOSITORY = "docker.io/matriarch/matriarch"
POSTGRES = "docker.io/library/postgres:{}"
PGBOUNCER = "docker.io/library/pgbouncer:trixie"
# spec.pooler for SMALL.
POOLER = {"image": PGBOUNCER, "poolSize": 6, "resources": {"requests": {"cpu": "20m", "memory": "16Mi"}}}
NAMESPACE = "matriarch-system"


def build_images(lab, tag, versions=("15",), pooler=False, **arguments):
    """The operator's image, built with these arguments, PostgreSQL's (15 of Debian's bookworm, 17 of trixie), and
    PgBouncer's, in every node."""
    image = f"{REPOSITORY}:{tag}"
    lab("image", "build", "-t", image, *(f"--build-arg={name}={value}" for name, value in arguments.items()), ROOT)
    for version in versions:
        lab("image", "postgres", version, capture=True)
    if pooler:
        lab("image", "pgbouncer", capture=True)
    lab("load", image, *map(POSTGRES.format, versions), *([PGBOUNCER] if pooler else []))
    return image


class Operator:
    """A Helm release."""

    def __init__(self, kube, helm, image, namespace=NAMESPACE, release="matriarch"):
        self.kube, self.helm_path, self.namespace, self.release = kube, helm, namespace, release
        self.image = image

    def helm(self, *arguments, check=True, timeout=180):
        done = subprocess.run([self.helm_path, *map(str, arguments), "--namespace", self.namespace],
                              env=self.kube.environment, stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, timeout=timeout)
        assert not check or done.returncode == 0, f"helm {arguments}: {done.stdout}\n{done.stderr}"
        return done

    def values(self, image=None, **settings):
        repository, tag = (image or self.image).rsplit(":", 1)
        pairs = {"image.repository": repository, "image.tag": tag} | settings
        return [part for key, value in pairs.items() for part in
                (("--set-json", f"{key}={json.dumps(value)}") if isinstance(value, (dict, list)) else
                 ("--set", f"{key}={value}"))]

    def install(self, wait=True, **settings):
        self.kube.make_namespace(self.namespace, {"pod-security.kubernetes.io/enforce": "restricted"})
        self.upgrade(wait=wait, **settings)
        return self

    def upgrade(self, image=None, wait=True, **settings):
        settings = {key.replace("__", "."): value for key, value in settings.items()}
        self.helm("upgrade", "--install", self.release, CHART,
                  *(["--wait", "--timeout", "90s"] if wait else []), *self.values(image, **settings))

    def uninstall(self):
        self.helm("uninstall", self.release, "--ignore-not-found", "--wait", "--timeout", "60s")
        wait_for("the operator's pods to be gone", lambda: not self.pods(), 60, every=0.2)

    def pods(self):
        return self.kube.list("pod", self.namespace,
                              f"app.kubernetes.io/instance={self.release},app.kubernetes.io/component=operator")

    def running(self):
        return [pod for pod in self.pods() if not pod["metadata"].get("deletionTimestamp")]

    def lease(self):
        found = [one for one in self.kube.list("lease", self.namespace)
                 if (one["spec"].get("holderIdentity") or "").startswith(self.release)]
        return found[0] if found else None

    def leader(self):
        """The name of the pod that leads, or None. An identity may go on after the pod's name."""
        lease = self.lease()
        holder = lease["spec"]["holderIdentity"] if lease else ""
        return next((pod["metadata"]["name"] for pod in self.running()
                     if holder.startswith(pod["metadata"]["name"])), None)

    def wait_leader(self, other_than=None, seconds=60):
        return wait_for("an operator that leads",
                        lambda: self.leader() not in (None, other_than) and self.leader(), seconds,
                        state=self.lease)

    def get(self, pod, port, path):
        """An HTTP answer of one of its pods, through the API server."""
        name = pod if isinstance(pod, str) else pod["metadata"]["name"]
        return self.kube.request("GET", f"api/v1/namespaces/{self.namespace}/pods/{name}:{port}/proxy{path}")

    def metric(self, pod, name):
        for line in self.get(pod, 8080, "/metrics").splitlines():
            if line.startswith((name + " ", name + "{")):
                return float(line.rsplit(" ", 1)[1])
        return None

    def logs(self, pod):
        return self.kube.logs(self.namespace, pod["metadata"]["name"])


def keep():
    return bool(os.environ.get("MATRIARCH_KEEP"))
