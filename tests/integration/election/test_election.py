"""When a real operator works and leads: soon after an outage of the API, and not before it has read everything.

Needs a running API server, as the tests of the chart do; OPERATOR names the binary.
    python3 -m unittest -v test_election     (in this folder)
"""

import contextlib
import json
import pathlib
import socket
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from api import KUBECTL, OperatorProcess, apply, get, install_crd, kubectl, run, wait_for  # noqa: E402

LEASE = "matriarch-operator"
AWAY = 26  # seconds: client-go would ask again after 25 to 50 s then
READS = ["persistentvolumeclaims", "services", "configmaps", "secrets"]


class Door:
    """A TCP port that leads to another one, once it is open."""

    def __init__(self, host, port):
        self.target = (host, port)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.listener = None
        self.sockets = []

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                one, _ = self.listener.accept()
                other = socket.create_connection(self.target)
                self.sockets += [one, other]
                for source, sink in ((one, other), (other, one)):
                    threading.Thread(target=self.copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def copy(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def close(self):
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
        for one in self.sockets:
            one.close()


class GivenAnOperator(unittest.TestCase):
    def setUp(self):
        install_crd()
        self.namespace = f"election-{uuid.uuid4().hex[:6]}"
        kubectl("create", "namespace", self.namespace)
        self.addCleanup(run, *KUBECTL, "delete", "namespace", self.namespace, "--wait=false")
        folder = tempfile.TemporaryDirectory(prefix="matriarch-election-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.view = json.loads(kubectl("config", "view", "--minify", "--flatten", "-o", "json"))

    def start(self):
        path = self.folder / "kubeconfig"
        path.write_text(json.dumps(self.view))
        one = OperatorProcess(self.folder / "log", f"--kubeconfig={path}", f"--watch-namespaces={self.namespace}",
                              f"--leader-election-namespace={self.namespace}")
        self.addCleanup(one.stop)
        return one

    def leads(self):
        lease = get("lease", self.namespace, LEASE)
        return bool(lease and lease["spec"].get("holderIdentity"))

    def test_WhenTheApiWasAwayAtItsStart_ThenItDecidesSoonAfterItsReturn(self):
        cluster = self.view["clusters"][0]["cluster"]
        server = urllib.parse.urlsplit(cluster["server"])
        door = Door(server.hostname, server.port)
        self.addCleanup(door.close)
        cluster["server"] = f"https://{server.hostname}:{door.port}"
        operator = self.start()
        time.sleep(AWAY)  # the fault: its length is what is tested
        self.assertIsNone(operator.process.poll(), operator.log.read_text())
        apply({"apiVersion": "matriarch.dev/v1alpha1", "kind": "PostgresCluster",
               "metadata": {"name": "seen", "namespace": self.namespace},
               "spec": {"external": {"master": {"name": "a", "host": "127.0.0.1", "port": 1},
                                     "credentialsSecret": "none"}, "database": {"name": "a"}}})
        self.addCleanup(run, *KUBECTL, "delete", "postgresclusters", "--all", "-n", self.namespace, "--wait=false")
        door.open()
        wait_for("a word about a cluster", lambda: (get("postgrescluster", self.namespace, "seen") or {}).get("status"), 8,
                 state=operator.log.read_text)

    def test_WhenItMayNotReadEverything_ThenItDoesNotLeadUntilItMay(self):
        self.account_that_reads(READS)
        operator = self.start()
        wait_for("its Pods to be refused", lambda: "list pods" in operator.log.read_text(), 20, state=operator.log.read_text)
        time.sleep(2)  # nobody holds the Lease: it would have taken it at once
        self.assertFalse(self.leads(), "it keeps the Lease from one that could work")
        self.let_read(["*"])
        wait_for("the operator to lead", self.leads, 20, state=operator.log.read_text)

    def account_that_reads(self, resources):
        named = {"name": "operator", "namespace": self.namespace}
        apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named},
              {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": named,
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"},
               "subjects": [{"kind": "ServiceAccount", **named}]})
        self.let_read(resources)
        token = kubectl("create", "token", "operator", "-n", self.namespace).strip()
        self.view["users"] = [{"name": self.view["users"][0]["name"], "user": {"token": token}}]

    def let_read(self, resources):
        apply({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
               "metadata": {"name": "operator", "namespace": self.namespace}, "rules": [
                   {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]},
                   {"apiGroups": ["*"], "resources": resources, "verbs": ["get", "list", "watch"]}]})


if __name__ == "__main__":
    unittest.main()
