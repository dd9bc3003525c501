"""The Helm chart and the manifests, as a real API server takes them.

Needs a running API server: of the lab that MATRIARCH_LAB and LAB_NAME name, else the one of
KUBECONFIG; HELM and KUBECTL may name the programs. Works in namespaces of its own, which it
removes; the release's cluster-wide objects bear the release's name, which is random too.
    python3 -m unittest -v test_chart        (in this folder)
"""

import json
import os
import pathlib
import shlex
import subprocess
import tempfile
import time
import unittest
import uuid

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
CHART = ROOT / "charts" / "matriarch"
LAB = os.environ.get("MATRIARCH_LAB", "")
KUBECTL = shlex.split(os.environ.get("KUBECTL") or f"{LAB} kubectl")
HELM = shlex.split(os.environ.get("HELM") or f"{LAB} helm")
RUN = uuid.uuid4().hex[:6]
RELEASE = f"matriarch-{RUN}"
HOME, FIRST, SECOND = (f"chart-{RUN}-{name}" for name in ("home", "first", "second"))
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"

VALUE_SETS = {
    "defaults": {},
    "one namespace": {"watchNamespaces": [FIRST]},
    "no rights beyond the namespaces": {
        "watchNamespaces": [FIRST, SECOND], "crds": {"enabled": False},
        "flowSchema": {"enabled": False}, "health": {"enabled": False},
        "rbac": {"aggregateClusterRoles": False}},
    "a single replica": {"replicaCount": 1},
    "own account and names": {
        "fullnameOverride": f"own-{RUN}", "serviceAccount": {"create": False, "name": "default"},
        "rbac": {"create": False}},
    "everything set": {
        "image": {"repository": "example/matriarch", "digest": "sha256:" + "a" * 64},
        "imagePullSecrets": [{"name": "registry"}], "commonLabels": {"team": "db"},
        "commonAnnotations": {"example.com/a": "b"}, "podLabels": {"tier": "control"},
        "podAnnotations": {"example.com/c": "d"}, "priorityClassName": "system-cluster-critical",
        "config": {"logFormat": "console", "logLevel": "debug", "maxConcurrentReconciles": 8},
        "additionalArgs": ["--example=1"], "additionalEnv": [{"name": "A", "value": "b"}],
        "additionalVolumes": [{"name": "more", "emptyDir": {}}],
        "additionalVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        "health": {"anonymous": True, "rateLimit": {"perSecond": 0.5, "burst": 1},
                   "tls": {"secretName": "own"},
                   "service": {"type": "NodePort", "port": 8443, "annotations": {"a": "b"}}},
        "affinity": {"nodeAffinity": {}}, "podDisruptionBudget": {"minAvailable": "50%"},
        "topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "matriarch"}}}],
        "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap",
                          "metadata": {"name": "extra-{{ .Release.Name }}", "namespace": HOME}}]},
}

BAD_VALUES = [
    ({"replicas": 3}, "additional properties 'replicas' not allowed"),
    ({"replicaCount": 0}, "minimum: got 0, want 1"),
    ({"health": {"rateLimit": {"perSecond": 0}}}, "/health/rateLimit/perSecond"),
    ({"config": {"logLevel": "loud"}}, "/config/logLevel"),
    ({"watchNamespaces": "shop"}, "/watchNamespaces"),
    ({"serviceAccount": {"create": False}}, "serviceAccount.name is needed"),
    ({"service": {"enabled": False}, "monitoring": {"serviceMonitor": {"enabled": True}}},
     "monitoring.serviceMonitor needs service.enabled"),
]

MONITORING = {"monitoring": {name: {"enabled": True}
                             for name in ("serviceMonitor", "podMonitor", "prometheusRule")}}


def run(*command, stdin=None):
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120,
                          check=False)


def kubectl(*arguments, stdin=None):
    return run(*KUBECTL, *arguments, stdin=stdin)


def must(done):
    if done.returncode:
        raise AssertionError(f"{' '.join(done.args)}: {done.stderr}")
    return done.stdout


def helm(verb, *arguments, values=None):
    """Values are JSON, which is YAML."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values or {}, file)
        file.flush()
        chosen = [] if values is None else ["--values", file.name]
        return run(*HELM, verb, *arguments, "--namespace", HOME, *chosen)


def template(values, *arguments):
    return helm("template", RELEASE, str(CHART), "--kube-version", "1.29.0", *arguments, values=values)


def may(verb, resource, *where):
    """Whether the operator's account has a right."""
    # Asked of the API server: `kubectl auth can-i` looks resources up in its own cache, which knows
    # nothing of a CRD that was just made.
    resource, _, group = resource.partition(".")
    resource, _, subresource = resource.partition("/")
    attributes = {"verb": verb, "resource": resource, "group": group, "subresource": subresource}
    if where[0] == "-n":
        attributes["namespace"] = where[1]
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
              "spec": {"user": f"system:serviceaccount:{HOME}:{RELEASE}",
                       "groups": ["system:serviceaccounts", f"system:serviceaccounts:{HOME}",
                                  "system:authenticated"],
                       "resourceAttributes": attributes}}
    answer = must(kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(review)))
    return json.loads(answer)["status"].get("allowed", False)


def soon(ask, *arguments, seconds=10):
    """Rights that were just granted take a moment to reach the API server's authorizer."""
    end = time.monotonic() + seconds
    while not (answer := ask(*arguments)) and time.monotonic() < end:
        time.sleep(0.1)
    return answer


def setUpModule():
    for name in (HOME, FIRST, SECOND):
        must(kubectl("create", "namespace", name))
        must(kubectl("label", "namespace", name, RESTRICTED))


def tearDownModule():
    for name in (HOME, FIRST, SECOND):
        kubectl("delete", "namespace", name, "--wait=false")


class GivenTheChart(unittest.TestCase):
    def test_WhenItIsLinted_ThenItIsClean(self):
        must(helm("lint", str(CHART), "--strict"))

    def test_WhenItIsRendered_ThenTheApiServerTakesEveryObject(self):
        for name, values in VALUE_SETS.items():
            with self.subTest(name):
                # A CRD that another test has installed belongs to that release.
                # The test's pod would need its account to exist: see the restricted profile below.
                rendered = must(template(values | {"crds": {"enabled": False}}, "--skip-tests"))
                must(kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-",
                             stdin=rendered))

    def test_WhenMonitoringIsOn_ThenTheMonitorsAndAlertsAreThere(self):
        rendered = must(template(MONITORING))
        for kind in ("ServiceMonitor", "PodMonitor", "PrometheusRule"):
            self.assertIn(f"kind: {kind}\n", rendered)
        for alert in ("PostgreSQLReplicaLagHigh", "PostgreSQLReplicaDown",
                      "ConnectionPoolUtilizationHigh"):
            self.assertIn(f"- alert: {alert}\n", rendered)

    def test_WhenTheAlertsAreTried_ThenPrometheusItselfAgrees(self):
        rules = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
        rendered = next(one for one in yaml.safe_load_all(must(template(MONITORING)))
                        if one and one["kind"] == "PrometheusRule")
        self.assertEqual(rendered["spec"], rules)
        tests = pathlib.Path(__file__).with_name("alerts_test.yaml")
        must(run("promtool", "test", "rules", str(tests)))

    def test_WhenAValueIsWrong_ThenTheMessageNamesIt(self):
        for values, expected in BAD_VALUES:
            with self.subTest(expected):
                done = template(values)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(expected, done.stderr)

    def test_WhenItIsPackaged_ThenTheCrdIsInside(self):
        with tempfile.TemporaryDirectory() as folder:
            must(run(*HELM, "package", str(CHART), "--destination", folder))
            archive, = pathlib.Path(folder).glob("matriarch-*.tgz")
            rendered = must(run(*HELM, "template", "x", str(archive), "--kube-version", "1.29.0"))
            self.assertIn("kind: CustomResourceDefinition", rendered)
            self.assertIn("helm.sh/resource-policy: keep", rendered)

    def test_WhenManifestsAreMadeFromIt_ThenTheStoredOnesAreCurrent(self):
        # The script finds the lab's helm in the cache.
        must(run(str(ROOT / "tests" / "tools" / "render-manifests.sh"), "--check"))


class GivenARelease(unittest.TestCase):
    """CRDs are left to the tests of the CRD, which share the API server."""

    def install(self, **values):
        values = {"crds": {"enabled": False}} | values
        must(helm("install", RELEASE, str(CHART), values=values))
        self.addCleanup(lambda: helm("uninstall", RELEASE))

    def deployment(self):
        return json.loads(must(kubectl("get", "deployment", RELEASE, "-n", HOME, "-o", "json")))

    def test_WhenItIsUpgradedAndRolledBack_ThenTheDeploymentStays(self):
        self.install()
        before = self.deployment()
        must(helm("upgrade", RELEASE, str(CHART),
                  values={"crds": {"enabled": False}, "replicaCount": 3, "podLabels": {"a": "b"}}))
        self.assertEqual(self.deployment()["spec"]["replicas"], 3)
        must(helm("rollback", RELEASE, "1"))
        after = self.deployment()
        self.assertEqual(after["metadata"]["uid"], before["metadata"]["uid"])
        self.assertEqual(after["spec"]["template"], before["spec"]["template"])

    def test_WhenItWatchesEverything_ThenItHasWhatItNeedsAndNoMore(self):
        self.install()
        for verb, resource in (("list", "postgresclusters.matriarch.dev"), ("watch", "secrets"),
                               ("patch", "leases.coordination.k8s.io"), ("watch", "nodes"),
                               ("create", "endpointslices.discovery.k8s.io"),
                               ("create", "tokenreviews.authentication.k8s.io"),
                               ("create", "subjectaccessreviews.authorization.k8s.io")):
            self.assertTrue(soon(may, verb, resource, "-A"), f"{verb} {resource}")
        for verb, resource in (("create", "postgresclusters.matriarch.dev"), ("create", "pods"),
                               ("create", "pods/exec"), ("patch", "nodes"),
                               ("escalate", "roles.rbac.authorization.k8s.io"),
                               ("create", "clusterroles.rbac.authorization.k8s.io")):
            self.assertFalse(may(verb, resource, "-A"), f"{verb} {resource}")

    def test_WhenItIsLimitedToANamespace_ThenItHasNoRightsElsewhere(self):
        self.install(watchNamespaces=[FIRST])
        for verb, resource in (("list", "postgresclusters.matriarch.dev"), ("watch", "secrets"),
                               ("create", "leases.coordination.k8s.io")):
            self.assertTrue(soon(may, verb, resource, "-n", FIRST), f"{verb} {resource}")
            self.assertFalse(may(verb, resource, "-n", SECOND), f"{verb} {resource}")
            self.assertFalse(may(verb, resource, "-A"), f"{verb} {resource}")
        self.assertTrue(soon(may, "update", "leases.coordination.k8s.io", "-n", HOME))
        self.assertFalse(may("get", "secrets", "-n", HOME))
        self.assertFalse(may("list", "nodes", "-A"))

    def test_WhenItGrantsAgentsTheirLease_ThenItNeedsNoEscalation(self):
        self.install(watchNamespaces=[FIRST])

        def role(verbs):
            return json.dumps({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                "metadata": {"name": "orders", "namespace": FIRST},
                "rules": [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
                           "resourceNames": ["orders"], "verbs": verbs}]})

        account = f"system:serviceaccount:{HOME}:{RELEASE}"
        must(kubectl("apply", "--server-side", "--as", account, "-f", "-",
                     stdin=role(["get", "update", "patch"])))
        refused = kubectl("apply", "--server-side", "--as", account, "-f", "-",
                          stdin=role(["deletecollection"]))
        self.assertIn("attempting to grant RBAC permissions not currently held", refused.stderr)

    def test_WhenTheOperatorRenewsALease_ThenItHasThePriorityOfLeaderElection(self):
        self.install()
        account = f"system:serviceaccount:{HOME}:{RELEASE}"
        schema = json.loads(must(kubectl("get", "flowschema", f"{RELEASE}-leases", "-o", "json")))
        # The API server learns of a new schema by a watch.
        for _ in range(50):
            shown = kubectl("get", "leases", "none", "-n", HOME, "-v=8", "--as", account,
                            "--as-group=system:serviceaccounts", "--as-group=system:authenticated")
            if schema["metadata"]["uid"].lower() in shown.stderr.lower():
                return
        self.fail("requests of the operator do not match the flow schema")

    def test_WhenItIsInstalled_ThenItsPodsPassTheRestrictedProfile(self):
        self.install()
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", "namespace": HOME},
               "spec": self.deployment()["spec"]["template"]["spec"]}
        must(kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod)))
        test = must(template({"crds": {"enabled": False}}, "--show-only", "templates/tests/check.yaml"))
        must(kubectl("create", "--dry-run=server", "-n", HOME, "-f", "-", stdin=test))


class GivenTheManifests(unittest.TestCase):
    def test_WhenExamplesAreApplied_ThenTheyAreValid(self):
        must(kubectl("apply", "--server-side", "--force-conflicts", "-f",
                     str(ROOT / "crds" / "postgresclusters.matriarch.dev.yaml")))
        must(kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd",
                     "postgresclusters.matriarch.dev"))
        for path in sorted((ROOT / "manifests" / "examples").glob("*.yaml")):
            with self.subTest(path.name):
                must(kubectl("apply", "--dry-run=server", "--validate=strict", "-n", FIRST, "-f", str(path)))

    def test_WhenInstallIsApplied_ThenItIsValid(self):
        # Objects of a namespace that a dry run does not make can't be tried: use one that exists.
        text = (ROOT / "manifests" / "install.yaml").read_text()
        objects = [part for part in text.split("\n---\n") if "kind: Namespace\n" not in part]
        text = "\n---\n".join(objects).replace("namespace: matriarch-system", f"namespace: {HOME}")
        must(kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-",
                     stdin=text))


if __name__ == "__main__":
    unittest.main()
