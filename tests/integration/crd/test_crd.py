"""What the API server itself makes of a PostgresCluster: defaults, refusals, messages, scale.

Needs a running API server: of the lab that MATRIARCH_LAB and LAB_NAME name, else the one of
KUBECONFIG; KUBECTL may name the kubectl. Works in a namespace of its own, which it removes.
    python3 -m unittest -v test_crd          (in this folder)
"""

import copy
import functools
import json
import os
import pathlib
import shlex
import subprocess
import time
import unittest
import urllib.error
import urllib.request
import uuid

import cases

ROOT = pathlib.Path(__file__).resolve().parents[3]
CRD = ROOT / "crds" / "postgresclusters.matriarch.dev.yaml"
NAMESPACE = f"crd-{uuid.uuid4().hex[:8]}"
LAB = os.environ.get("MATRIARCH_LAB", "")
KUBECTL = shlex.split(os.environ.get("KUBECTL") or f"{LAB} kubectl")


def kubectl(*arguments, stdin=None):
    return subprocess.run([*KUBECTL, *arguments], input=stdin, capture_output=True, text=True,
                          timeout=60, check=False)


def must(*arguments, stdin=None):
    done = kubectl(*arguments, stdin=stdin)
    if done.returncode:
        raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def cluster(spec, name="orders"):
    return {"apiVersion": "matriarch.dev/v1alpha1", "kind": "PostgresCluster",
            "metadata": {"name": name, "namespace": NAMESPACE}, "spec": copy.deepcopy(spec)}


class Proxy:
    """kubectl proxy: hundreds of cases by HTTP take the time of a few kubectls."""

    def __init__(self):
        self.process = subprocess.Popen([*KUBECTL, "proxy", "--port=0"], text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        self.address = "http://" + line.rpartition(" on ")[2].strip()

    def send(self, verb, item, dry=True):
        """Creates or replaces: (the object as stored, None), or (None, the API server's message)."""
        path = f"/apis/matriarch.dev/v1alpha1/namespaces/{NAMESPACE}/postgresclusters"
        name = item["metadata"]["name"]
        if verb == "replace":
            item["metadata"]["resourceVersion"] = self.get(f"{path}/{name}")["metadata"]["resourceVersion"]
            path += f"/{name}"
        query = "?fieldValidation=Strict" + ("&dryRun=All" if dry else "")
        request = urllib.request.Request(self.address + path + query, json.dumps(item).encode(),
                                         {"Content-Type": "application/json"},
                                         method={"create": "POST", "replace": "PUT"}[verb])
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer), None
        except urllib.error.HTTPError as error:
            return None, json.load(error)["message"]

    def get(self, path):
        with urllib.request.urlopen(self.address + path, timeout=30) as answer:
            return json.load(answer)

    def stop(self):
        self.process.terminate()
        self.process.communicate()


def send(verb, item, dry=True):
    return PROXY.send(verb, item, dry)


def setUpModule():
    global PROXY
    must("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    must("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRD))
    must("create", "namespace", NAMESPACE)
    deadline = time.monotonic() + 30
    while kubectl("get", "postgresclusters", "-n", NAMESPACE).returncode:
        if time.monotonic() > deadline:
            raise AssertionError("the API server does not serve postgresclusters")
    PROXY = Proxy()


def tearDownModule():
    PROXY.stop()
    kubectl("delete", "postgresclusters", "--all", "-n", NAMESPACE, "--wait=false")
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


class GivenACluster(unittest.TestCase):
    maxDiff = None

    def test_WhenItIsWellFormed_ThenItIsAccepted(self):
        for name, spec in cases.ACCEPTED:
            with self.subTest(name):
                accepted, message = send("create", cluster(spec))
                self.assertIsNotNone(accepted, message)

    def test_WhenItIsMalformed_ThenTheMessageSaysWhatToDo(self):
        for name, spec, expected in cases.REFUSED:
            with self.subTest(name):
                accepted, message = send("create", cluster(spec))
                self.assertIsNone(accepted, f"accepted, but must be refused with: {expected}")
                self.assertIn(expected, message)
                self.assertNotIn("evaluating rule", message, "a rule broke instead of judging")

    def test_WhenNothingIsSaid_ThenDefaultsAreFilledIn(self):
        accepted, message = send("create", cluster({}))
        self.assertIsNotNone(accepted, message)
        for path, expected in cases.DEFAULTS:
            with self.subTest(path):
                found = functools.reduce(lambda at, key: (at or {}).get(key), path.split("."),
                                         accepted["spec"])
                self.assertEqual(found, expected)

    def test_WhenItHasAName_ThenServicesCanBeNamedAfterIt(self):
        for name, expected in cases.NAMES:
            with self.subTest(name):
                accepted, message = send("create", cluster({}, name))
                if expected is None:
                    self.assertIsNotNone(accepted, message)
                else:
                    self.assertIsNone(accepted)
                    self.assertIn(expected, message)

    def test_WhenItChanges_ThenOnlyWhatCanChangeMay(self):
        for number, (name, before, after, expected) in enumerate(cases.CHANGES):
            with self.subTest(name):
                created, message = send("create", cluster(before, f"change-{number}"), dry=False)
                self.assertIsNotNone(created, message)
                replaced, message = send("replace", cluster(after, f"change-{number}"))
                if expected is None:
                    self.assertIsNotNone(replaced, message)
                else:
                    self.assertIsNone(replaced, f"accepted, but must be refused with: {expected}")
                    self.assertIn(expected, message)


class GivenAStoredCluster(unittest.TestCase):
    def setUp(self):
        self.name = f"stored-{uuid.uuid4().hex[:6]}"
        created, message = send("create", cluster({}, self.name), dry=False)
        self.assertIsNotNone(created, message)

    def get(self, *arguments):
        return must("get", "pgc", self.name, "-n", NAMESPACE, *arguments)

    def patch_status(self, status):
        must("patch", "pgc", self.name, "-n", NAMESPACE, "--subresource=status", "--type=merge",
             "-p", json.dumps({"status": status}))

    def test_WhenItIsScaled_ThenTheNumberOfSlavesChanges(self):
        must("scale", "pgc", self.name, "-n", NAMESPACE, "--replicas=4")
        self.assertEqual(json.loads(self.get("-o", "json"))["spec"]["slaves"], 4)
        refused = kubectl("scale", "pgc", self.name, "-n", NAMESPACE, "--replicas=16")
        self.assertIn("less than or equal to 15", refused.stderr)

    def test_WhenTheStatusIsWritten_ThenColumnsAndScaleShowIt(self):
        now = "2024-05-01T10:00:00Z"
        status = {
            "observedGeneration": 1, "phase": "Running", "message": "", "master": "x-1", "epoch": 7,
            "timeline": 3, "systemIdentifier": "7339000000000000001", "readyInstances": 3,
            "instances": 3, "slaves": 2, "selector": "matriarch.dev/cluster=x",
            "members": [{"name": "x-1", "role": "master", "state": "serving", "ready": True,
                         "pod": "x-1-0", "node": "n1", "timeline": 3},
                        {"name": "x-2", "role": "slave", "position": "slave1", "lagBytes": 0,
                         "lagMs": 0, "message": ""}],
            "routing": {"epoch": 7, "sequence": 12},
            "history": [{"time": now, "epoch": 7, "from": "x-2", "to": "x-1",
                         "reason": "PostmasterDied", "proof": "ConfirmedFence", "durationMs": 412,
                         "steps": [{"name": "fence", "durationMs": 30}], "loss": "none",
                         "lossBytes": 0, "message": ""}],
            "failoverRequest": {"id": "1", "state": "Done", "message": ""},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Serving", "message": "",
                            "lastTransitionTime": now, "observedGeneration": 1}],
        }
        self.patch_status(status)
        stored = json.loads(self.get("-o", "json"))
        self.assertEqual(stored["status"], status)  # nothing was pruned
        header, row = self.get("-o", "wide").splitlines()
        self.assertEqual(header.split(), ["NAME", "READY", "MASTER", "EPOCH", "SLAVES", "UP",
                                          "PHASE", "AGE", "TIMELINE"])
        self.assertEqual(row.split()[1:7], ["True", "x-1", "7", "2", "3", "Running"])
        scale = json.loads(self.get("-o", "json", "--subresource=scale"))
        self.assertEqual(scale["status"], {"replicas": 2, "selector": "matriarch.dev/cluster=x"})

    def test_WhenTheSpecIsSentWithTheStatus_ThenOnlyTheStatusIsTaken(self):
        must("patch", "pgc", self.name, "-n", NAMESPACE, "--subresource=status", "--type=merge",
             "-p", '{"spec":{"slaves":9},"status":{"phase":"Running"}}')
        stored = json.loads(self.get("-o", "json"))
        self.assertEqual((stored["spec"]["slaves"], stored["status"]["phase"]), (2, "Running"))

    def test_WhenTenChangesOfMasterAreKept_ThenAnEleventhIsRefused(self):
        with self.assertRaisesRegex(AssertionError, "must have at most 10 items"):
            self.patch_status({"history": [{"epoch": n} for n in range(11)]})

    def test_WhenListedByShortNameOrCategory_ThenItIsFound(self):
        self.assertIn(self.name, must("get", "database", "-n", NAMESPACE, "-o", "name"))


if __name__ == "__main__":
    unittest.main()
