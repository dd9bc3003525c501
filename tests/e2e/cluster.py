"""A PostgresCluster as tests and demo see it: its status, its routes, its instances, its faults."""

import json

from kube import condition, wait_for

CONTAINER = "postgres"
SOCKET = "/run/matriarch"

# A cluster that two cores carry.
SMALL = {
    "image": "docker.io/library/postgres:15",
    "slaves": 2,
    "storage": {"size": "256Mi"},
    "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
    # The caches of a test machine are warm: small buffers, and checkpoints that do not matter.
    "postgresql": {"parameters": {"shared_buffers": "32MB", "max_connections": "50"}},
    "database": {"name": "orders", "owner": "orders"},
    # A slave that was away is back in the read route at once, not after a minute of good conduct.
    "routing": {"holdSeconds": 1},
}

# The postmaster is the process that postmaster.pid names; no ps and no pkill are in the image. The
# time is printed where the kill happens: kubectl exec itself takes a tenth of a second.
KILL_POSTMASTER = """
data=$(psql -h %s -U postgres -Atqc 'show data_directory') && read -r pid < "$data/postmaster.pid" &&
date +%%s.%%N && kill -9 "$pid"
""" % SOCKET


class Cluster:
    def __init__(self, kube, namespace, name):
        self.kube = kube
        self.namespace = namespace
        self.name = name

    # What the API has.

    def object(self):
        return self.kube.get("pgc", self.namespace, self.name)

    @property
    def status(self):
        return (self.object() or {}).get("status") or {}

    @property
    def master(self):
        return self.status.get("master") or None

    @property
    def epoch(self):
        return self.status.get("epoch") or 0

    def condition(self, kind="Ready"):
        return condition(self.object(), kind)

    def record(self):
        """The authority record: (epoch, master, phase)."""
        lease = self.kube.get("lease", self.namespace, self.name)
        if lease is None:
            return None
        spec = lease["spec"]
        details = json.loads(lease["metadata"]["annotations"]["matriarch.dev/record"])
        return {"epoch": spec.get("leaseTransitions", 0), "phase": details.get("phase"),
                "master": (spec.get("holderIdentity") or "").split("/")[0]}

    def pods(self):
        return {pod["metadata"]["labels"]["matriarch.dev/instance"]: pod for pod in
                self.kube.list("pod", self.namespace, f"matriarch.dev/cluster={self.name}")
                if "matriarch.dev/instance" in pod["metadata"].get("labels", {})}

    def pod(self, instance):
        return self.pods().get(instance)

    def instances(self):
        return sorted(one["name"] for one in self.status.get("members", []))

    def position(self, which):
        """The instance at slave1, slave2, ..."""
        return next((one["name"] for one in self.status.get("members", [])
                     if one.get("position") == which), None)

    def routes(self):
        found = self.kube.get("configmap", self.namespace, f"{self.name}-routing")
        return json.loads(found["data"]["routes.json"]) if found else None

    def endpoints(self, service):
        """Addresses behind a Service of the cluster, as kube-proxy sees them."""
        slices = self.kube.list("slice", self.namespace,
                                f"kubernetes.io/service-name={self.name}-{service}")
        return sorted(address for one in slices for endpoint in one.get("endpoints") or []
                      if (endpoint.get("conditions") or {}).get("ready") is not False
                      for address in endpoint["addresses"])

    def host(self, service):
        """The name of one of the cluster's Services."""
        return f"{self.name}-{service}.{self.namespace}.svc"

    def address(self, instance):
        return self.pod(instance)["status"]["podIP"]

    def secret(self):
        """The application's Secret, base64 as it is."""
        return self.kube.get("secret", self.namespace, f"{self.name}-app")

    def history(self):
        return self.status.get("history") or []

    def events(self):
        return self.kube.events(self.namespace, self.name)

    # What users do.

    def apply(self, spec):
        return self.kube.apply({"apiVersion": "matriarch.dev/v1alpha1", "kind": "PostgresCluster",
                                "metadata": {"name": self.name, "namespace": self.namespace},
                                "spec": spec})

    def patch(self, spec):
        return self.kube.patch("pgc", self.namespace, self.name, {"spec": spec})

    def delete(self, seconds=60):
        self.kube.delete("pgc", self.namespace, self.name)
        wait_for(f"{self.name} and its pods to be gone",
                 lambda: self.object() is None and not self.pods(), seconds, every=0.2,
                 state=lambda: sorted(self.pods()))

    # Waiting.

    def describe(self):
        status = self.status
        ready = condition({"status": status}, "Ready")
        members = ", ".join(f"{one['name']} {one.get('role')} {one.get('state')}"
                            for one in status.get("members", []))
        return f"{status.get('phase')}: {ready.get('message') or status.get('message')} [{members}]"

    def is_ready(self):
        """Ready, for the spec that is there now, with every instance in the routes: the status."""
        thing = self.object()
        status = (thing or {}).get("status") or {}
        if (condition(thing, "Ready").get("status") != "True"
                or status.get("observedGeneration") != thing["metadata"]["generation"]):
            return None
        routes = self.routes()
        well = (routes and routes.get("master")
                and routes["master"]["instance"] == status["master"]
                and len(routes["slaves"]) == thing["spec"]["slaves"]
                and all(one["state"] == "ready" for one in routes["slaves"]))
        return status if well else None

    def wait_ready(self, seconds=90):
        return wait_for(f"{self.name} to be ready", self.is_ready, seconds, every=0.1,
                        state=self.describe)

    def wait_new_master(self, former, epoch, seconds=60):
        """Until another instance is master, and the epoch rose; answers the status."""
        def changed():
            status = self.status
            return (status.get("master") not in (None, "", former)
                    and status.get("epoch", 0) > epoch and status)
        return wait_for(f"another master than {former}", changed, seconds, state=self.describe)

    def wait_condition(self, kind, status, words=(), seconds=60):
        """Until that condition has that status and names all the words; answers it."""
        def says():
            found = self.condition(kind)
            text = f"{found.get('reason')} {found.get('message')}"
            return found if found.get("status") == status and all(w in text for w in words) else None
        return wait_for(f"condition {kind}={status} of {self.name} with {words}", says, seconds,
                        every=0.1, state=lambda: (self.object() or {}).get("status"))

    def wait_event(self, words, seconds=30):
        """Until an event about the cluster has all the words; answers it."""
        def found():
            for one in self.events():
                text = f"{one.get('reason')} {one.get('note')}"
                if all(word in text for word in words):
                    return one
            return None
        return wait_for(f"an event of {self.name} with {words}", found, seconds, every=0.1,
                        state=lambda: [f"{e.get('reason')}: {e.get('note')}" for e in self.events()][-5:])

    # PostgreSQL, by the socket in the instance's own container.

    def sql(self, instance, statement, database="postgres", check=True):
        done = self.kube.execute(self.namespace, f"{instance}-0", CONTAINER, "psql", "-h", SOCKET,
                                 "-U", "postgres", "-d", database, "-XAtqc", statement, check=check)
        return done.stdout.strip()

    # Faults.

    def kill_postmaster(self, instance):
        """Answers when that was, by the pod's clock (seconds since 1970)."""
        done = self.kube.execute(self.namespace, f"{instance}-0", CONTAINER, "sh", "-c", KILL_POSTMASTER)
        return float(done.stdout.strip())

    def delete_pod(self, instance, grace=None):
        self.kube.delete("pod", self.namespace, f"{instance}-0", grace)

    def crash_container(self, instance, lab):
        """SIGKILL to PID 1, from the node: inside its own PID namespace a PID 1 is immune."""
        pod = self.pod(instance)
        container = next(one["containerID"] for one in pod["status"]["containerStatuses"]
                         if one["name"] == CONTAINER).removeprefix("containerd://")
        number = pod["spec"]["nodeName"].removeprefix("node")
        lab("node-run", number, "--", "ctr", "--namespace", "k8s.io", "tasks", "kill",
            "--signal", "SIGKILL", container)
