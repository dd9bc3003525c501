"""The health API of a real operator: tokens, rights and certificates by a real API server.

The operator has the chart's account and rights, and stands by: another identity holds its Lease, so it
answers from what is published, which the tests write. What it says is compared with
docs/health-api.yaml by schemathesis, which the first run installs into HEALTH_VENV. Needs a running API
server, as the tests of the chart do; OPERATOR names the binary.
    python3 -m unittest -v test_health       (in this folder)
"""

import base64
import contextlib
import datetime
import http.client
import json
import os
import pathlib
import shlex
import shutil
import socket
import ssl
import sys
import tempfile
import threading
import unittest
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from api import KUBECTL, LAB, ROOT, OperatorProcess, apply, get, install_crd, kubectl, must, run, wait_for  # noqa: E402

CHART = ROOT / "charts" / "matriarch"
HELM = shlex.split(os.environ.get("HELM") or f"{LAB} helm")
VENV = pathlib.Path(os.environ.get("HEALTH_VENV", ROOT / "build" / "dev" / "health-venv"))
RUN = uuid.uuid4().hex[:6]
RELEASE = f"matriarch-{RUN}"
HOME, SHOP, OTHER = (f"health-{RUN}-{name}" for name in ("home", "shop", "other"))
CLUSTER = f"{SHOP}/orders"
PAGES = ("/health/database", "/api/v2/database/health", "/api/v2/database/pool-metrics",
         "/api/v2/database/replica-lag")
TEST = "/api/v2/database/test-connection"
READER = f"{RELEASE}-health-reader"


class Database:
    """Something that answers an encryption request as PostgreSQL does."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.socket.accept()
                with peer:
                    if len(peer.recv(8)) == 8:
                        peer.sendall(b"N")

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()


class Operator(OperatorProcess):
    """A matriarch-operator process with the chart's account."""

    def __init__(self, folder, *arguments):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        folder = pathlib.Path(folder)
        super().__init__(folder / f"operator-{self.port}.log", f"--kubeconfig={folder / 'kubeconfig'}",
                         f"--leader-election-namespace={HOME}", f"--health-api-address=127.0.0.1:{self.port}",
                         f"--health-api-service={RELEASE}-health", *arguments)

    def request(self, method, path, token=None, trust=None):
        """(status, headers, JSON)."""
        tls = ssl.create_default_context(cadata=trust or ca())
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=30, context=tls)
        with contextlib.closing(connection):
            connection.request(method, path, headers={"Authorization": f"Bearer {token}"} if token else {})
            answer = connection.getresponse()
            body = answer.read()
        return answer.status, answer.headers, json.loads(body)

    def get(self, path, token=None, cluster=CLUSTER, method="GET"):
        query = f"?cluster={cluster}" if cluster else ""
        return self.request(method, path + query, token)


def ca():
    """What clients trust."""
    data = get("secret", HOME, f"{RELEASE}-health-tls")["data"]
    return base64.b64decode(data["ca.crt"]).decode()


def account(name, namespace=SHOP):
    """A ServiceAccount of that name, and a token of it."""
    apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}})
    return token_of(name, namespace)


def token_of(name, namespace=SHOP, *arguments):
    return kubectl("create", "token", name, "-n", namespace, *arguments).strip()


def bind(name):
    """Lets an account of SHOP see the health of the clusters there."""
    apply({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
           "metadata": {"name": name, "namespace": SHOP},
           "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": READER},
           "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": SHOP}]})


def publish(namespace, database):
    """A cluster as a leader would have left it: status and routes."""
    cluster = {"apiVersion": "matriarch.dev/v1alpha1", "kind": "PostgresCluster",
               "metadata": {"name": "orders", "namespace": namespace}}
    apply({**cluster, "spec": {"slaves": 2}})
    members = [{"name": f"orders-{n}", "ready": True, "state": "running", "role": "master" if n == 1 else "slave"}
               for n in (1, 2, 3)]
    apply({**cluster, "status": {"master": "orders-1", "epoch": 1, "members": members}}, subresource="status")
    slaves = [{"instance": f"orders-{n + 1}", "pod": f"pod-{n + 1}", "host": f"orders-{n + 1}", "address": "127.0.0.1",
               "port": database.port if n == 1 else 1, "position": n, "state": "ready" if n == 1 else "lagging",
               "lagMs": 500 * n, "lagBytes": None, "weight": 100} for n in (1, 2)]
    routes = {"epoch": 1, "sequence": 1, "timeline": 1, "slaves": slaves,
              "master": {"instance": "orders-1", "pod": "pod-1", "host": "orders-1", "address": "127.0.0.1",
                         "port": database.port},
              "reads": {"strategy": "round_robin", "maxLagMs": 10000, "fallbackToMaster": True}}
    apply({"apiVersion": "v1", "kind": "ConfigMap", "data": {"routes.json": json.dumps(routes)},
           "metadata": {"name": "orders-routing", "namespace": namespace,
                        "labels": {"matriarch.dev/cluster": "orders"}}})


def operators_kubeconfig(path):
    """The API server that the tests use, with the token of the operator's account."""
    view = json.loads(kubectl("config", "view", "--minify", "--flatten", "-o", "json"))
    view["users"] = [{"name": view["users"][0]["name"], "user": {"token": token_of(RELEASE, HOME)}}]
    path.write_text(json.dumps(view))


def schemathesis():
    """Its program, installed at the first use."""
    program = VENV / "bin" / "st"
    wanted = pathlib.Path(__file__).with_name("requirements.txt").read_text()
    stamp = VENV / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(VENV, ignore_errors=True)
        must(sys.executable, "-m", "venv", VENV)
        must(VENV / "bin" / "python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
             "-r", pathlib.Path(__file__).with_name("requirements.txt"), timeout=240)
        stamp.write_text(wanted)
    return program


def setUpModule():
    global FOLDER, DATABASE, OPERATOR_ONE, READER_TOKEN, STRANGER_TOKEN
    FOLDER = tempfile.TemporaryDirectory(prefix="matriarch-health-")
    unittest.addModuleCleanup(FOLDER.cleanup)
    folder = pathlib.Path(FOLDER.name)
    install_crd()
    for name in (HOME, SHOP, OTHER):
        kubectl("create", "namespace", name)
        unittest.addModuleCleanup(run, *KUBECTL, "delete", "namespace", name, "--wait=false")
    must(*HELM, "install", RELEASE, CHART, "--namespace", HOME, "--set", "crds.enabled=false")
    unittest.addModuleCleanup(run, *HELM, "uninstall", RELEASE, "--namespace", HOME)
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    apply({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
           "metadata": {"name": "matriarch-operator", "namespace": HOME},
           "spec": {"holderIdentity": "somebody-else", "leaseDurationSeconds": 3600, "acquireTime": now,
                    "renewTime": now, "leaseTransitions": 1}})
    DATABASE = Database()
    unittest.addModuleCleanup(DATABASE.close)
    for name in (SHOP, OTHER):
        publish(name, DATABASE)
        unittest.addModuleCleanup(run, *KUBECTL, "delete", "postgresclusters", "--all", "-n", name, "--wait=false")
    operators_kubeconfig(folder / "kubeconfig")
    # So many that the tests are never too many.
    OPERATOR_ONE = Operator(folder, "--health-api-rate=10000", "--health-api-burst=10000")
    unittest.addModuleCleanup(OPERATOR_ONE.stop)
    READER_TOKEN, STRANGER_TOKEN = account("reader"), account("stranger")
    bind("reader")
    wait_for("the operator's certificate", lambda: get("secret", HOME, f"{RELEASE}-health-tls"))
    wait_for("an answer", answers)


def answers():
    with contextlib.suppress(OSError):
        return OPERATOR_ONE.get(PAGES[0], READER_TOKEN)[0] == 200
    return False


class GivenAStandby(unittest.TestCase):
    maxDiff = None

    def ask(self, *arguments, **options):
        return OPERATOR_ONE.get(*arguments, **options)

    def test_WhenAnAccountMay_ThenEveryPageAnswersWhatIsPublished(self):
        for page in PAGES:
            self.assertEqual(self.ask(page, READER_TOKEN)[0], 200, page)
        _, _, health = self.ask("/health/database", READER_TOKEN)
        self.assertEqual(health["status"], "degraded")
        self.assertEqual(health["replicas"], {"total": 2, "healthy": 1, "unhealthy": 1})
        _, headers, lag = self.ask("/api/v2/database/replica-lag", READER_TOKEN)
        self.assertEqual(headers["Content-Type"], "application/json")
        self.assertEqual(lag["replicas"][0], {"replica_name": "orders-2", "lag_seconds": 0.5, "healthy": True,
                                              "last_checked": None})

    def test_WhenConnectionsAreTested_ThenOnesOfRealServersAnswer(self):
        status, _, tests = self.ask(TEST, READER_TOKEN, method="POST")
        self.assertEqual(status, 200)
        self.assertEqual([(one["name"], one["healthy"]) for one in tests["results"]],
                         [("orders-1", True), ("orders-2", True), ("orders-3", False)])
        self.assertIn("refused", tests["results"][2]["error"])
        self.assertGreater(tests["results"][0]["response_time_ms"], 0)

    def test_WhenNoTokenIsShown_ThenItIs401(self):
        for page in PAGES:
            status, headers, _ = self.ask(page)
            self.assertEqual((status, headers["WWW-Authenticate"]), (401, "Bearer"), page)
        self.assertEqual(self.ask(TEST, method="POST")[0], 401)

    def test_WhenATokenIsNotKnownToTheApiServer_ThenItIs401(self):
        gone = account("gone")
        kubectl("delete", "serviceaccount", "gone", "-n", SHOP)
        for token in ("nonsense", gone, token_of("reader", SHOP, "--audience", "https://elsewhere")):
            self.assertEqual(self.ask(PAGES[0], token)[0], 401)

    def test_WhenAnAccountMayNot_ThenItIs403(self):
        for page in PAGES:
            self.assertEqual(self.ask(page, STRANGER_TOKEN)[0], 403, page)
        self.assertEqual(self.ask(PAGES[0], STRANGER_TOKEN, cluster=f"{SHOP}/nothing")[0], 403)
        self.assertEqual(self.ask(PAGES[0], READER_TOKEN, cluster=f"{OTHER}/orders")[0], 403, "of its namespace alone")

    def test_WhenARightIsGivenAndTaken_ThenItCountsWithinSeconds(self):
        token = account("guest")
        self.assertEqual(self.ask(PAGES[0], token)[0], 403)
        bind("guest")
        wait_for("the right to count", lambda: self.ask(PAGES[0], token)[0] == 200)
        kubectl("delete", "rolebinding", "guest", "-n", SHOP)
        wait_for("the right to be gone", lambda: self.ask(PAGES[0], token)[0] == 403)

    def test_WhenSeveralClustersExist_ThenOneMustBeNamed(self):
        status, _, answer = self.ask(PAGES[0], READER_TOKEN, cluster=None)
        self.assertEqual(status, 400)
        self.assertIn("?cluster=namespace/name", answer["error"])
        self.assertEqual(self.ask(PAGES[0], READER_TOKEN, cluster=f"{SHOP}/nothing")[0], 404)

    def test_WhenItsLogIsRead_ThenNoTokenIsInIt(self):
        self.ask(PAGES[0], READER_TOKEN)
        self.ask(PAGES[0], "nonsense-0815")
        log = OPERATOR_ONE.log.read_text()
        for secret in (READER_TOKEN, STRANGER_TOKEN, "nonsense-0815"):
            self.assertNotIn(secret, log)
        self.assertIn("health API has a certificate", log)


class GivenAnotherOperator(unittest.TestCase):
    def start(self, *arguments):
        operator = Operator(FOLDER.name, *arguments)
        self.addCleanup(operator.stop)

        def listens():
            with contextlib.suppress(OSError):
                operator.get(PAGES[0])
                return True
            return False
        self.listens = listens
        return operator

    def test_WhenItStarts_ThenItServesTheSameCertificate(self):
        before = ca()
        operator = self.start()
        wait_for("an answer", lambda: self.listens() and operator.get(PAGES[0], READER_TOKEN)[0] == 200)
        self.assertEqual(ca(), before)

    def test_WhenItsAnswersAreComparedWithTheSchema_ThenTheyConform(self):
        # Of one namespace, so that no cluster need be named, and a caller who may see all that is made up.
        operator = self.start(f"--watch-namespaces={SHOP}", "--health-api-rate=10000", "--health-api-burst=10000")
        token = account("auditor")
        apply({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
               "metadata": {"name": f"{RELEASE}-auditor"},
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": READER},
               "subjects": [{"kind": "ServiceAccount", "name": "auditor", "namespace": SHOP}]})
        self.addCleanup(run, *KUBECTL, "delete", "clusterrolebinding", f"{RELEASE}-auditor")
        wait_for("an answer", lambda: self.listens() and operator.get(PAGES[0], token, None)[0] == 200)
        trust = pathlib.Path(FOLDER.name) / "ca.crt"
        trust.write_text(ca())
        must(schemathesis(), "run", ROOT / "docs" / "health-api.yaml", "--no-color",
             "--url", f"https://localhost:{operator.port}", "--tls-verify", trust,
             "--header", f"Authorization: Bearer {token}", "--checks", "all",
             "--max-examples", "25", "--seed", "1", timeout=200, folder=FOLDER.name)

    def test_WhenAnonymousCallersAreAllowed_ThenTheyAreLimitedToTheirShare(self):
        operator = self.start("--health-api-anonymous", "--health-api-rate=0.1", "--health-api-burst=20")
        wait_for("an answer", lambda: self.listens() and operator.get(PAGES[0])[0] == 200)
        self.assertEqual(operator.get("/api/v2/database/replica-lag")[0], 401)
        last = [operator.get(PAGES[0]) for _ in range(20)][-1]
        self.assertEqual(last[0], 429)
        self.assertGreaterEqual(int(last[1]["Retry-After"]), 1)

    def test_WhenACertificateIsGivenAndReplaced_ThenTheNewOneIsServedWithoutARestart(self):
        folder = pathlib.Path(FOLDER.name) / "own"
        folder.mkdir()

        def certificate():
            must("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2",
                 "-keyout", folder / "new.key", "-out", folder / "new.crt")
            for kind in ("key", "crt"):
                (folder / f"new.{kind}").rename(folder / f"tls.{kind}")
            return (folder / "tls.crt").read_text()

        def serves(trust):
            with contextlib.suppress(OSError):
                return operator.request("GET", PAGES[0], trust=trust)[0] == 401
            return False

        first = certificate()
        operator = self.start(f"--health-api-tls={folder}")
        wait_for("the given certificate", lambda: serves(first))
        second = certificate()
        wait_for("the second certificate", lambda: serves(second))
        self.assertFalse(serves(first))


if __name__ == "__main__":
    unittest.main()
