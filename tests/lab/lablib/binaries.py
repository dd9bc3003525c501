"""Kubernetes, etcd, CoreDNS and Helm: built from Go modules, once, into the cache.

The folder's name holds versions and a hash of the sources, so that a checkout with
other versions builds its own and never disturbs a running lab. Nothing is written
to the source tree.
"""

import hashlib
import os
import shutil
import threading
from pathlib import Path

from .settings import HELM_VERSION, HERE, KUBERNETES_VERSION
from .shell import LabError, lock, progress, run_logged, step

SOURCES = HERE / "k8s"
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler",
              "kubelet", "kube-proxy", "kubectl", "lab-forward", "lab-open-volumes")


def wanted(lab):
    """The folder for the sources as they are now."""
    content = hashlib.sha256()
    for path in sorted(SOURCES.rglob("*")):
        if path.suffix in (".go", ".mod", ".sum"):
            content.update(path.relative_to(SOURCES).as_posix().encode() + b"\0")
            content.update(path.read_bytes())
    return lab.cache / f"kubernetes-{KUBERNETES_VERSION}-{content.hexdigest()[:10]}"


def folder(lab):
    """The folder that the lab was started from: a running lab keeps it when sources change."""
    return Path(lab.load().get("binaries") or wanted(lab))


def helm_folder(lab):
    return lab.cache / f"helm-{HELM_VERSION}"


def path(lab, program):
    return (helm_folder(lab) if program == "helm" else folder(lab)) / program


def ensure(lab):
    """Builds what the cache lacks; several minutes at first, nothing later."""
    places = [(wanted(lab), build_kubernetes), (helm_folder(lab), build_helm)]
    if all(place.exists() for place, _ in places):
        return
    with lock(lab.cache / "build.lock", "building Kubernetes"):
        for place, build in places:
            if place.exists():
                continue
            partial = place.with_name(place.name + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            build(partial, place.name + ".log")
            partial.rename(place)


def build_kubernetes(target, log_name):
    major, minor, _ = KUBERNETES_VERSION.split(".")
    version = "k8s.io/component-base/version"
    stamp = (f"-s -w -X {version}.gitVersion=v{KUBERNETES_VERSION} "
             f"-X {version}.gitMajor={major} -X {version}.gitMinor={minor}")
    log = target.parent / log_name
    go(log, "Kubernetes and etcd (cold: about 6 minutes on 2 cores)",
       "build", "-trimpath", "-ldflags", stamp, "-o", target / "kubernetes", ".")
    go(log, "CoreDNS", "build", "-trimpath", "-ldflags", "-s -w", "-o", target / "coredns", "./coredns")
    for name in COMPONENTS:
        (target / name).symlink_to("kubernetes")


def build_helm(target, log_name):
    go(target.parent / log_name, "Helm (cold: about 2 minutes)", "install", "-trimpath",
       "-ldflags", "-s -w", f"helm.sh/helm/v3/cmd/helm@v{HELM_VERSION}", GOBIN=str(target))


def go(log, what, *arguments, **environment):
    if not shutil.which("go"):
        raise LabError("no Go toolchain on PATH; run: tests/setup.sh lab")
    progress(f"  building {what}; progress in {log}")
    # Distributions set GOTOOLCHAIN=local; auto fetches the version that the modules ask for.
    env = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false",
                        "GOTOOLCHAIN": "auto"} | environment
    done = threading.Event()
    threading.Thread(target=tell_time, args=(what, done), daemon=True).start()
    try:
        with step(f"built {what}"):
            run_logged(log, "go", *arguments, cwd=SOURCES, env=env)
    finally:
        done.set()


def tell_time(what, done):
    """A sign of life every half a minute, for whoever watches a first run."""
    seconds = 0
    while not done.wait(30):
        seconds += 30
        progress(f"  … {seconds} s, still building {what.split(' (')[0]}")
