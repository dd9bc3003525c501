"""The health API as an application asks it: through its Service, by HTTPS, with a ServiceAccount's token."""

import base64
import json
import subprocess
import tempfile

from lab_client import LAB

HOST = "matriarch-health.matriarch-system.svc"


class Health:
    """One caller in a namespace. Use it with `with`: his account and his right go with it."""

    def __init__(self, kube, lab, namespace, name, may=True):
        self.kube, self.lab, self.namespace, self.name, self.may = kube, lab, namespace, name, may

    def __enter__(self):
        meta = {"name": self.name, "namespace": self.namespace}
        self.kube.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}, self.namespace)
        if self.may:
            self.kube.apply({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": meta,
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                            "name": "matriarch-health-reader"},
                "subjects": [{"kind": "ServiceAccount", "name": self.name, "namespace": self.namespace}]})
        self.token = self.kube.run("create", "token", self.name, "-n", self.namespace).stdout.strip()
        self.authority = tempfile.NamedTemporaryFile("w", suffix=".crt")
        data = self.kube.get("secret", "matriarch-system", "matriarch-health-tls")["data"]
        self.authority.write(base64.b64decode(data["ca.crt"]).decode())
        self.authority.flush()
        return self

    def __exit__(self, *_):
        self.authority.close()
        self.kube.run("delete", "serviceaccount", self.name, "-n", self.namespace)
        if self.may:
            self.kube.run("delete", "rolebinding", self.name, "-n", self.namespace)

    def ask(self, path, cluster, method="GET", token=True, address=None):
        """(HTTP status, JSON), of whichever operator the Service leads to, or of the pod with that address."""
        where = ["--resolve", f"{HOST}:8443:{address}"] if address else []
        url = f"https://{HOST}{':8443' if address else ''}{path}"
        command = [LAB, "--name", self.lab.name, "run", "--", "curl", "--silent", "--show-error", "--max-time", "10",
                   "--cacert", self.authority.name, "--request", method, "--write-out", "\n%{http_code}", *where,
                   *(["--header", f"Authorization: Bearer {self.token}"] if token else []),
                   f"{url}{'&' if '?' in path else '?'}cluster={cluster.namespace}/{cluster.name}"]
        done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=30)
        assert done.returncode == 0, f"curl {url}: {done.stderr}"
        body, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(body)
