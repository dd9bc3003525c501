"""Topologies that others run: real PostgreSQL servers, promoted by hand, and a real operator that follows.

Needs a running API server, as the tests of the chart do; OPERATOR names the binary. One cluster is used by
the tests of GivenATopology in the order of their numbers: each begins where the one before ended.
    python3 -m unittest -v test_external     (in this folder)
"""

import base64
import json
import os
import pathlib
import sys
import time
import unittest
import uuid

import psycopg2

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from api import KUBECTL, OperatorProcess, apply, get, install_crd, kubectl, must, run, wait_for  # noqa: E402
from servers import DATABASE, PASSWORD, USER, Server, address, folder  # noqa: E402

NAMESPACE = f"external-{uuid.uuid4().hex[:6]}"
HOST = address()
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


def endpoint(server, **changes):
    return {"name": server.name, "host": HOST, "port": server.port, **changes}


def topology(master, *slaves, **changes):
    return {"external": {"master": master, "slaves": list(slaves), "credentialsSecret": "login",
                         "sslMode": "prefer", **changes},
            "database": {"name": DATABASE}, "routing": {"holdSeconds": 0}}


def make(name, spec):
    apply({"apiVersion": "matriarch.dev/v1alpha1", "kind": "PostgresCluster",
           "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec})


def secret(name, **data):
    apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE},
           "stringData": data})


def status(name):
    return (get("postgrescluster", NAMESPACE, name) or {}).get("status") or {}


def condition(name, kind):
    return next((one for one in status(name).get("conditions", []) if one["type"] == kind), {})


def wait_condition(name, kind, holds, *words):
    def says():
        one = condition(name, kind)
        text = f"{one.get('reason')} {one.get('message')}"
        return one if one.get("status") == holds and all(word in text for word in words) else None
    return wait_for(f"{kind}={holds} of {name} with {words}", says, state=lambda: json.dumps(status(name), indent=1))


def routes(name="shop"):
    found = get("configmap", NAMESPACE, f"{name}-routing")
    return json.loads(found["data"]["routes.json"]) if found else None


def master(name="shop"):
    found = routes(name)
    return found["master"]["instance"] if found and found["master"] else None


def readers(name="shop"):
    return sorted(one["instance"] for one in (routes(name) or {"slaves": []})["slaves"] if one["state"] == "ready")


def behind(service):
    """(address, port) of all that a Service leads to."""
    listed = json.loads(kubectl("get", "endpointslices", "-n", NAMESPACE, "-o", "json", "-l",
                                f"kubernetes.io/service-name={service}"))["items"]
    return sorted((one_address, one["ports"][0]["port"]) for one in listed for target in one.get("endpoints") or []
                  for one_address in target["addresses"])


def setUpModule():
    global A, B, C, OPERATOR, FOLDER
    place = folder()
    FOLDER = place.__enter__()
    unittest.addModuleCleanup(place.__exit__, None, None, None)
    A = Server(FOLDER, "a")
    unittest.addModuleCleanup(A.stop)
    A.make()
    B, C = Server(FOLDER, "b"), Server(FOLDER, "c")
    for one in (B, C):
        unittest.addModuleCleanup(one.stop)
        one.clone(A)
    install_crd()
    kubectl("create", "namespace", NAMESPACE)
    unittest.addModuleCleanup(run, *KUBECTL, "delete", "namespace", NAMESPACE, "--wait=false")
    secret("login", username=USER, password=PASSWORD)
    unittest.addModuleCleanup(run, *KUBECTL, "delete", "postgresclusters", "--all", "-n", NAMESPACE, "--wait=false")
    OPERATOR = OperatorProcess(pathlib.Path("/tmp") / f"{NAMESPACE}.log", f"--watch-namespaces={NAMESPACE}",
                               f"--leader-election-namespace={NAMESPACE}")
    unittest.addModuleCleanup(OPERATOR.log.unlink)
    unittest.addModuleCleanup(OPERATOR.stop)


class GivenATopology(unittest.TestCase):
    maxDiff = None

    def test_1_WhenItIsNamed_ThenItIsRoutedToLikeAnyCluster(self):
        make("shop", topology(endpoint(A), endpoint(B), endpoint(C)))
        wait_for("the routes", lambda: master() == "a" and readers() == ["b", "c"], state=lambda: (routes(), status("shop")))
        self.assertEqual(routes()["epoch"], 1)
        self.assertEqual([(one["position"], one["instance"], one["host"], one["port"]) for one in routes()["slaves"]],
                         [(1, "b", HOST, B.port), (2, "c", HOST, C.port)])
        wait_condition("shop", "Ready", "True")
        wait_for("the Services", lambda: behind("shop-slaves") == sorted([(HOST, B.port), (HOST, C.port)]),
                 state=lambda: behind("shop-slaves"))
        self.assertEqual(behind("shop-master"), [(HOST, A.port)])
        self.assertEqual(behind("shop-slave1"), [(HOST, B.port)])
        service = get("service", NAMESPACE, "shop-master")
        self.assertEqual(service["spec"]["ports"][0]["port"], 5432)
        pods = kubectl("get", "statefulsets,leases,persistentvolumeclaims", "-n", NAMESPACE, "-o", "name",
                       "-l", "matriarch.dev/cluster=shop")
        self.assertEqual(pods, "", "nothing is built")

    def test_2_WhenTheUrisOfTheSecretAreUsed_ThenTheyLeadToTheDatabases(self):
        data = wait_for("the Secret", lambda: (get("secret", NAMESPACE, "shop-app") or {}).get("data"))
        data = {key: base64.b64decode(value).decode() for key, value in data.items()}
        for key, recovering in (("uri", False), ("read_uri", True)):
            with psycopg2.connect(data[key]) as connection, connection.cursor() as cursor:
                cursor.execute("select pg_is_in_recovery(), current_user, current_database()")
                self.assertEqual(cursor.fetchone(), (recovering, USER, DATABASE), key)
        services = FOLDER / "pg_service.conf"
        services.write_text(get("configmap", NAMESPACE, "shop-routing")["data"]["pg_service.conf"])
        os.environ["PGSERVICEFILE"] = str(services)
        self.addCleanup(os.environ.pop, "PGSERVICEFILE")
        with psycopg2.connect(service="shop_replica", password=PASSWORD) as connection, connection.cursor() as cursor:
            cursor.execute("select pg_is_in_recovery()")
            self.assertEqual(cursor.fetchone(), (True,))

    def test_3_WhenReplayStandsStill_ThenTheSlaveLeavesTheReads(self):
        make("shop", topology(endpoint(A), endpoint(B), endpoint(C)) |
             {"routing": {"holdSeconds": 0, "maxLagMs": 1000}})
        C.sql("select pg_wal_replay_pause()")
        A.sql("create table visits (n int)", DATABASE)
        wait_for("c to lag", lambda: readers() == ["b"], state=routes)
        lagging = next(one for one in routes()["slaves"] if one["instance"] == "c")
        self.assertEqual((lagging["state"], lagging["position"]), ("lagging", 2))
        C.sql("select pg_wal_replay_resume()")
        wait_for("c to be back", lambda: readers() == ["b", "c"], state=routes)

    def test_4_WhenTheProviderFailsOver_ThenTheRoutesFollowWithinTwoSeconds(self):
        epoch = routes()["epoch"]
        A.stop()
        promoted = B.promote()
        wait_for("the new master", lambda: master() == "b", every=0.01, state=lambda: (routes(), status("shop")))
        took = time.monotonic() - promoted
        wait_for("its Service", lambda: behind("shop-master") == [(HOST, B.port)], state=lambda: behind("shop-master"))
        print(f"\nfrom pg_promote's answer to the routes: {took:.2f} s", file=sys.stderr)
        self.assertLess(took, 2)
        self.assertEqual(routes()["epoch"], epoch + 1)
        self.assertEqual([one["instance"] for one in routes()["slaves"]], ["a", "c"])
        wait_condition("shop", "EndpointsReachable", "False", "a:")
        told = wait_for("its history", lambda: status("shop").get("history"))[0]
        self.assertEqual((told["from"], told["to"], told["reason"]), ("a", "b", "ProviderFailover"))
        C.follow(B)
        wait_for("c to follow", lambda: readers() == ["c"], state=lambda: (routes(), status("shop")))

    def test_5_WhenTheOldMasterComesBackAsOne_ThenWritesStayWhereTheyAre(self):
        A.start()
        wait_condition("shop", "OneMaster", "False", "a accepts writes too", "writes go to b alone")
        self.assertEqual(master(), "b")
        self.assertEqual(behind("shop-master"), [(HOST, B.port)])
        self.assertNotIn("a", readers())
        B.stop()
        wait_condition("shop", "OneMaster", "False", "NoSuccessor")
        time_of_loss = time.monotonic()
        while time.monotonic() < time_of_loss + 2:
            self.assertIn(master(), ("b", None), "a was a rival before: it is no successor")
        B.start()
        wait_condition("shop", "OneMaster", "False", "writes go to b alone")
        A.stop()
        wait_condition("shop", "OneMaster", "True", "b alone accepts writes")

    def test_6_WhenTheMasterIsFrozen_ThenTheRoutesFollowAndItsReturnChangesNothing(self):
        A.clone_again(B)
        wait_for("both slaves", lambda: readers() == ["a", "c"], state=lambda: (routes(), status("shop")))
        B.freeze()
        promoted = A.promote()
        wait_for("the new master", lambda: master() == "a", every=0.01, state=lambda: (routes(), status("shop")))
        took = time.monotonic() - promoted
        B.thaw()
        print(f"\nfrozen master: from pg_promote's answer to the routes: {took:.2f} s", file=sys.stderr)
        self.assertLess(took, 2)
        wait_condition("shop", "OneMaster", "False", "b accepts writes too, on an older timeline", "writes go to a alone")
        A.stop()
        wait_condition("shop", "OneMaster", "False", "NoSuccessor")
        self.assertIn(master(), ("a", None))
        A.start()
        B.stop()
        B.clone_again(A)
        C.follow(A)
        wait_for("both slaves", lambda: readers() == ["b", "c"], state=lambda: (routes(), status("shop")))

    def test_7_WhenTheOperatorStartsAgain_ThenItKnowsWhoIsMaster(self):
        global OPERATOR
        before = routes()
        OPERATOR.process.terminate()
        OPERATOR.process.wait(30)
        OPERATOR.__init__(OPERATOR.log, f"--watch-namespaces={NAMESPACE}", f"--leader-election-namespace={NAMESPACE}")
        wait_for("a look", lambda: "leads" in OPERATOR.log.read_text())
        C.sql("select pg_wal_replay_pause()")
        A.sql("create table more (n int)", DATABASE)
        make("shop", topology(endpoint(A), endpoint(B), endpoint(C)) |
             {"routing": {"holdSeconds": 0, "maxLagMs": 1001}})
        wait_for("another sequence", lambda: routes()["sequence"] > before["sequence"], state=routes)
        self.assertEqual((master(), routes()["epoch"]), ("a", before["epoch"]))
        C.sql("select pg_wal_replay_resume()")


class GivenBadInput(unittest.TestCase):
    """The other routes stay right. A is master by now, as in the beginning."""

    @classmethod
    def setUpClass(cls):
        for one in (A, C):
            if one.sql("select pg_is_in_recovery()")[0][0] != (one is C):
                raise AssertionError("run the tests of GivenATopology first")

    def make_bad(self, name, **changes):
        make(name, topology(endpoint(A), endpoint(C, **changes)))
        self.addCleanup(kubectl, "delete", "postgrescluster", name, "-n", NAMESPACE, "--wait=false")
        wait_for("the other routes", lambda: master(name) == "a", state=lambda: status(name))

    def test_WhenAHostDoesNotResolve_ThenItIsSaid(self):
        self.make_bad("nohost", host="nowhere.invalid")
        wait_condition("nohost", "EndpointsReachable", "False", "HostNotFound", "c:", "nowhere.invalid")
        self.assertEqual(readers("nohost"), [])

    def test_WhenThePasswordIsWrong_ThenItIsSaidWithoutIt(self):
        secret("wrong", username=USER, password="something-else-4711")
        self.make_bad("nopass", credentialsSecret="wrong")
        said = wait_condition("nopass", "EndpointsReachable", "False", "AccessRefused", "c:")
        self.assertNotIn("4711", said["message"])
        log = OPERATOR.log.read_text()
        self.assertNotIn("4711", log)
        self.assertNotIn(PASSWORD, log)
        secret("wrong", username=USER, password=PASSWORD)
        wait_condition("nopass", "EndpointsReachable", "True")

    def test_WhenTheSecretIsMissing_ThenItIsSaid(self):
        self.make_bad("nosecret", credentialsSecret="missing")
        wait_condition("nosecret", "EndpointsReachable", "False", "SecretMissing", "c:", "Secret missing")

    def test_WhenTheCaHasEnded_ThenItIsSaid(self):
        old = os.environ | {"LD_PRELOAD": FAKETIME, "FAKETIME": "-400d"}
        must("env", f"LD_PRELOAD={old['LD_PRELOAD']}", f"FAKETIME={old['FAKETIME']}", "openssl", "req", "-x509",
             "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=old", "-days", "30",
             "-keyout", FOLDER / "old.key", "-out", FOLDER / "old.crt")
        apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "old-ca", "namespace": NAMESPACE},
               "data": {"ca.crt": (FOLDER / "old.crt").read_text()}})
        self.make_bad("oldca", sslMode="verify-full", ca={"configMapName": "old-ca"})
        wait_condition("oldca", "EndpointsReachable", "False", "CaExpired", "c:", "ConfigMap old-ca")

    def test_WhenAWeightNamesNoSlave_ThenTheOthersCount(self):
        spec = topology(endpoint(A), endpoint(C))
        spec["routing"]["weights"] = {"slave1": 50, "slave2": 70}
        make("weights", spec)
        self.addCleanup(kubectl, "delete", "postgrescluster", "weights", "-n", NAMESPACE, "--wait=false")
        wait_condition("weights", "ReadsRouted", "False", "spec.routing.weights.slave2 names no slave",
                       "spec.external.slaves is 1")
        wait_for("the other routes", lambda: readers("weights") == ["c"], state=lambda: status("weights"))
        self.assertEqual(routes("weights")["slaves"][0]["weight"], 50)

    def test_WhenItCanNeverMakeSense_ThenTheApiServerRefusesIt(self):
        for changes, words in (
                ({"routing": {"maxLagMs": 0}}, "spec.routing.maxLagMs"),
                ({"routing": {"strategy": "best"}}, "spec.routing.strategy"),
                (topology(endpoint(A), endpoint(A, port=1)), "every endpoint is named once"),
                (topology(endpoint(A, host="a b")), "DNS name or an IP address"),
                (topology(endpoint(A), ca={}), "either a Secret")):
            with self.subTest(words), self.assertRaises(AssertionError) as refused:
                make("refused", topology(endpoint(A)) | changes)
            self.assertIn(words, str(refused.exception))

    def test_WhenItIsOnlyValidated_ThenNothingIsWritten(self):
        make("check", topology(endpoint(A), endpoint(C, host="nowhere.invalid"), validateOnly=True))
        self.addCleanup(kubectl, "delete", "postgrescluster", "check", "-n", NAMESPACE, "--wait=false")
        wait_condition("check", "EndpointsReachable", "False", "HostNotFound", "c:")
        wait_condition("check", "OneMaster", "True", "a alone")
        wait_condition("check", "Ready", "False", "nothing is routed")
        made = kubectl("get", "configmaps,secrets,services,endpointslices", "-n", NAMESPACE, "-o", "name",
                       "-l", "matriarch.dev/cluster=check")
        self.assertEqual(made, "")
        self.assertEqual(status("check")["phase"], "Validating")


if __name__ == "__main__":
    unittest.main()
