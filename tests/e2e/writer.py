"""A pod that writes all the time and knows what it was promised: matriarch-writer."""

import json

from kube import KubeError, wait_for

PATH = "/opt/matriarch/bin/matriarch-writer"
BOOK = "/book/acknowledged"


def writer_pod(name, namespace, image, cluster, writer=1, host=None, every_ms=10, progress=0, uri="uri"):
    """Fits the restricted Pod Security profile. The book is in a folder of the pod: it has no shell
    and needs no volume."""
    arguments = ["run", "--book", BOOK, "--verify", "--writer", str(writer), "--every-ms", str(every_ms)]
    arguments += ["--host", host] if host else []
    arguments += ["--progress", str(progress)] if progress else []
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "matriarch-writer"}},
        "spec": {
            "restartPolicy": "Never", "automountServiceAccountToken": False,
            "enableServiceLinks": False, "terminationGracePeriodSeconds": 5,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532,
                                "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": [{"name": "book", "emptyDir": {}}],
            "containers": [{
                "name": "writer", "image": image, "imagePullPolicy": "IfNotPresent",
                "command": [PATH], "args": arguments,
                "env": [{"name": "MATRIARCH_WRITER_URI", "valueFrom": {
                    "secretKeyRef": {"name": f"{cluster}-app", "key": uri}}}],
                "volumeMounts": [{"name": "book", "mountPath": "/book"}],
                "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                    "capabilities": {"drop": ["ALL"]}},
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
            }],
        },
    }


# A busy machine lets everybody wait for a moment; only a longer silence is the database's.
STALL_MS = 2000


def interruptions(summary):
    """Outages that a planned change, or a fault elsewhere, must not cause."""
    return [one for one in summary["outages"] if one["error"] or one["ms"] > STALL_MS]


class Journalled:
    """What every writer tells, wherever it runs. A place adds `text()`, `ask()`, `stop_words` and
    `state()`."""

    stop_words = ("stop",)

    def __init__(self, name, number, book):
        self.name, self.number, self.book = name, number, book

    def journal(self):
        """What it printed, as objects."""
        lines = []
        for line in self.text().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                lines.append({"event": "said", "text": line})
        return lines

    def last(self, event):
        return next((one for one in reversed(self.journal()) if one["event"] == event), None)

    def verify(self, host=None):
        """Counts now, while it goes on writing: every id in the book must be in the table."""
        extra = ["--host", host, "--any-server"] if host else []
        done = self.ask("verify", "--book", self.book, "--writer", str(self.number), "--give-up", "30",
                        *extra, check=False)
        assert done.stdout.strip(), f"verify said nothing: {done.stderr}"
        return json.loads(done.stdout.strip().splitlines()[-1])

    def acknowledged(self):
        return self.verify()["acknowledged"]

    def wait_acknowledged(self, more, seconds=30):
        """Until it has written on; a fresh writer until its first row."""
        wait_for(f"{self.name} to start", lambda: self.last("started"), seconds, every=0.1,
                 state=lambda: (self.journal()[-3:], self.state()))
        if more > 1:
            before = self.acknowledged()
            wait_for(f"{self.name} to write {more} rows", lambda: self.acknowledged() >= before + more,
                     seconds, every=0.2)

    def outages(self):
        """The outages that ended: [{ms, host, timeline}]."""
        return [one for one in self.journal() if one["event"] == "outage-ended"]

    def stop(self):
        """Ends it, and answers (summary, verdict)."""
        self.ask(*self.stop_words)
        wait_for(f"{self.name} to count", lambda: self.last("verified"), 60, every=0.1,
                 state=lambda: self.journal()[-5:])
        return self.last("summary"), self.last("verified")


class Writer(Journalled):
    """One writer of a cluster in a pod: started, asked, stopped. Use it with `with`."""

    def __init__(self, kube, cluster, image, writer=1, service=False, **options):
        super().__init__(f"{cluster.name}-writer-{writer}", writer, BOOK)
        self.kube, self.cluster = kube, cluster
        host = f"{cluster.name}-master" if service else None
        self.manifest = writer_pod(self.name, cluster.namespace, image, cluster.name, writer, host,
                                   **options)
        self.begun = False

    def begin(self):
        """So that several start at the same time: what `with` does, without the wait."""
        self.remove()
        self.kube.create("pod", self.cluster.namespace, self.manifest)
        self.begun = True

    def __enter__(self):
        if not self.begun:
            self.begin()
        self.wait_acknowledged(1, 120)  # the kubelet and the scheduler may just have found the API again
        return self

    def __exit__(self, kind, *_):
        if kind is None or self.pod():
            self.remove()

    def pod(self):
        return self.kube.get("pod", self.cluster.namespace, self.name)

    def remove(self):
        self.kube.delete("pod", self.cluster.namespace, self.name, grace=0)
        wait_for(f"{self.name} to be gone", lambda: self.pod() is None, 30)

    def text(self):
        try:
            return self.kube.logs(self.cluster.namespace, self.name)
        except KubeError:
            return ""  # not started yet

    def state(self):
        return (self.pod() or {}).get("status") or {}

    def ask(self, *words, check=True):
        """The same program again, beside it in its pod."""
        return self.kube.execute(self.cluster.namespace, self.name, "writer", PATH, *words, check=check)
