"""A Kubernetes as tests and demo see it: JSON in and out, and waiting with a deadline.

All goes through one `kubectl proxy` (any kind of kubeconfig works, and no process is started for
each look, which on two cores would disturb what is measured); only apply and the like are kubectl itself.
"""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import websocket

# kind -> (API, plural); cluster-wide ones are marked by None as namespace.
KINDS = {
    "pgc": ("apis/matriarch.dev/v1alpha1", "postgresclusters"),
    "pod": ("api/v1", "pods"),
    "service": ("api/v1", "services"),
    "secret": ("api/v1", "secrets"),
    "configmap": ("api/v1", "configmaps"),
    "pvc": ("api/v1", "persistentvolumeclaims"),
    "serviceaccount": ("api/v1", "serviceaccounts"),
    "namespace": ("api/v1", "namespaces"),
    "node": ("api/v1", "nodes"),
    "statefulset": ("apis/apps/v1", "statefulsets"),
    "deployment": ("apis/apps/v1", "deployments"),
    "slice": ("apis/discovery.k8s.io/v1", "endpointslices"),
    "lease": ("apis/coordination.k8s.io/v1", "leases"),
    "event": ("apis/events.k8s.io/v1", "events"),
    "pdb": ("apis/policy/v1", "poddisruptionbudgets"),
    "crd": ("apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
}
# Of an exec: the first byte of each message (v4.channel.k8s.io).
CHANNELS = STDOUT, STDERR, STATUS = 1, 2, 3
NOT_RUN = 255  # the exit code of a command whose end is not known
CLUSTER_WIDE = {"namespace", "node", "crd"}


class WaitFailed(AssertionError):
    """What was waited for did not come; the text says what was there instead."""


class KubeError(AssertionError):
    def __init__(self, code, what, text):
        super().__init__(f"{what}: HTTP {code}: {text[:500]}")
        self.code = code
        self.text = text


def wait_for(what, condition, seconds, every=0.05, state=None):
    """Polls until `condition()` is truthy, and answers that. `state()` explains a failure."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            detail = f"; now: {state()}" if state else f"; last answer: {value!r}"
            raise WaitFailed(f"waited {seconds:g} s in vain for {what}{detail}")
        time.sleep(every)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


@dataclass
class Executed:
    """What a command in a container said, and how it ended."""

    stdout: str
    stderr: str
    returncode: int


def executed(said):
    """From what an exec said by channel; the last one is a Status."""
    out, errors, status = (said[one].decode(errors="replace") for one in CHANNELS)
    status = json.loads(status or "{}")
    if status.get("status") == "Success":
        return Executed(out, errors, 0)
    for cause in status.get("details", {}).get("causes", []):
        if cause.get("reason") == "ExitCode":
            return Executed(out, errors, int(cause["message"]))
    return Executed(out, errors + status.get("message", ""), NOT_RUN)


class Kube:
    """One cluster. Close it: it has a process."""

    def __init__(self, kubectl="kubectl", kubeconfig=None):
        self.kubectl = kubectl
        self.environment = os.environ | ({"KUBECONFIG": str(kubeconfig)} if kubeconfig else {})
        self.folder = tempfile.TemporaryDirectory(prefix="matriarch-kube-")
        self.socket = str(Path(self.folder.name) / "api")
        # Its filter refuses exec; the socket is in a folder that is closed to others.
        self.proxy = subprocess.Popen(
            [kubectl, "proxy", f"--unix-socket={self.socket}", "--disable-filter"], env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wait_for("kubectl proxy", lambda: os.path.exists(self.socket) or self.proxy.poll() is not None, 20)
        if self.proxy.poll() is not None:
            raise KubeError(0, "kubectl proxy", self.proxy.stderr.read())

    def close(self):
        self.proxy.terminate()
        self.proxy.wait()
        self.folder.cleanup()

    # The API itself.

    def request(self, method, path, body=None, content_type="application/json", timeout=30):
        with contextlib.closing(UnixConnection(self.socket, timeout)) as connection:
            data = None if body is None else (body if isinstance(body, str) else json.dumps(body))
            connection.request(method, "/" + path, data, {"Content-Type": content_type})
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        if answer.status >= 400:
            raise KubeError(answer.status, f"{method} {path}", text)
        return text

    @staticmethod
    def path(kind, namespace=None, name=None, sub=None):
        api, plural = KINDS[kind]
        parts = [api] + ([] if kind in CLUSTER_WIDE or namespace is None else ["namespaces", namespace])
        return "/".join(parts + [plural] + [part for part in (name, sub) if part])

    def get(self, kind, namespace, name):
        """The object, or None."""
        try:
            return json.loads(self.request("GET", self.path(kind, namespace, name)))
        except KubeError as error:
            if error.code == 404:
                return None
            raise

    def list(self, kind, namespace=None, selector=""):
        query = f"?labelSelector={selector.replace('=', '%3D').replace(',', '%2C')}" if selector else ""
        return json.loads(self.request("GET", self.path(kind, namespace) + query))["items"]

    def create(self, kind, namespace, body):
        return json.loads(self.request("POST", self.path(kind, namespace), body))

    def patch(self, kind, namespace, name, change, sub=None):
        return json.loads(self.request("PATCH", self.path(kind, namespace, name, sub), change,
                                       "application/merge-patch+json"))

    def delete(self, kind, namespace, name, grace=None):
        """Harmless if it is not there."""
        query = "" if grace is None else f"?gracePeriodSeconds={grace}"
        try:
            self.request("DELETE", self.path(kind, namespace, name) + query)
        except KubeError as error:
            if error.code != 404:
                raise

    def logs(self, namespace, pod, container=None, previous=False):
        query = "?" + "&".join(([f"container={container}"] if container else []) +
                               (["previous=true"] if previous else []))
        return self.request("GET", self.path("pod", namespace, pod, "log") + query)

    def execute(self, namespace, pod, container, *command, check=True, timeout=60):
        """Runs it in the container, as kubectl exec does, in a third of the time."""
        query = urlencode([("container", container), ("stdout", "true"), ("stderr", "true")] +
                          [("command", str(word)) for word in command])
        ended = executed(self.hear(self.path("pod", namespace, pod, f"exec?{query}"), timeout))
        if check and ended.returncode != 0:
            raise KubeError(ended.returncode, f"{' '.join(map(str, command))} in {pod}", ended.stderr)
        return ended

    def hear(self, path, timeout):
        """What an exec says, by channel; a failure of the way to it counts as said, too."""
        said = {channel: b"" for channel in CHANNELS}
        with contextlib.closing(UnixConnection(self.socket, timeout)) as connection:
            try:
                connection.connect()
                stream = websocket.create_connection(f"ws://localhost/{path}", socket=connection.sock, timeout=timeout,
                                                     subprotocols=["v4.channel.k8s.io"])
                while not said[STATUS]:
                    kind, data = stream.recv_data()
                    if kind == websocket.ABNF.OPCODE_CLOSE:
                        break
                    said[data[0]] += data[1:]
            except (websocket.WebSocketException, OSError) as error:
                said[STDERR] += str(error).encode()
        return said

    def events(self, namespace, about):
        """Events about an object of that name, oldest first."""
        found = [one for one in self.list("event", namespace)
                 if (one.get("regarding") or {}).get("name") == about]
        return sorted(found, key=lambda one: one.get("eventTime") or one["metadata"]["creationTimestamp"])

    # kubectl.

    def run(self, *arguments, check=True, input=None, timeout=120):
        done = subprocess.run([self.kubectl, *map(str, arguments)], input=input, text=True,
                              capture_output=True, timeout=timeout, env=self.environment,
                              **({} if input is not None else {"stdin": subprocess.DEVNULL}))
        if check and done.returncode != 0:
            raise KubeError(done.returncode, "kubectl " + " ".join(map(str, arguments)), done.stderr)
        return done

    def apply(self, what, namespace=None, check=True):
        """An object, a list of them, or a path."""
        scope = ["--namespace", namespace] if namespace else []
        if isinstance(what, Path):
            return self.run("apply", *scope, "-f", what, check=check)
        items = what if isinstance(what, list) else [what]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        return self.run("apply", *scope, "-f", "-", input=text, check=check)

    def make_namespace(self, name, labels=None):
        self.apply({"apiVersion": "v1", "kind": "Namespace",
                    "metadata": {"name": name, "labels": labels or {}}})

    def remove_namespace(self, name, seconds=90):
        self.delete("namespace", None, name)
        wait_for(f"namespace {name} to be gone", lambda: self.get("namespace", None, name) is None,
                 seconds, every=0.3, state=lambda: self.get("namespace", None, name)["status"])


def condition(thing, kind):
    """The condition of that type of an object, or {}."""
    found = ((thing or {}).get("status") or {}).get("conditions") or []
    return next((one for one in found if one["type"] == kind), {})
