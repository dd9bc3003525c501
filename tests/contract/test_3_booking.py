"""The booking system of docs/examples/booking is moved over: the keys of its compose file, its names,
its ports and its data."""

from dataclasses import dataclass
from urllib.parse import quote

import pytest
import yaml
from arena import merged
from clients import EXAMPLES
from cluster import SMALL, Cluster
from kube import wait_for
from programs import secret

FOLDER = EXAMPLES / "booking"
OURS = ("postgres-master", "postgres-slave1", "postgres-slave2", "postgres")
ROLE = "select case when pg_is_in_recovery() then 'slave' else 'master' end"
TUNING = ("wal_buffers", "max_wal_size", "checkpoint_completion_target", "max_parallel_workers",
          "max_parallel_workers_per_gather")


def services():
    """Those of the compose file that are no databases."""
    every = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    return {name: one for name, one in every.items() if name not in OURS}


def objects(namespace):
    """kubernetes.yaml, small enough for two cores, with an image that is here and has psql."""
    found = list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text().replace("NAMESPACE", namespace)))
    for one in found:
        if one["kind"] == "PostgresCluster":
            small = {key: SMALL[key] for key in ("storage", "resources", "postgresql", "routing")}
            one["spec"] = merged(one["spec"], small)
        if one["kind"] == "Deployment":
            container = one["spec"]["template"]["spec"]["containers"][0]
            container |= {"image": SMALL["image"], "command": ["sleep", "3600"]}
            # Where the data comes from.
            container["env"] = [{"name": "OLD_URL", "valueFrom": {"secretKeyRef": {"name": "orders-app", "key": "uri"}}}]
    return found


@dataclass
class Service:
    """A container of the moved system."""
    kube: object
    namespace: str
    pod: str

    def run(self, script):
        return self.kube.execute(self.namespace, self.pod, "reservations", "sh", "-euc", script).stdout.strip()

    def role(self, how):
        """Who answers psql with these words."""
        return self.run(f'{how} -XAtq -c "{ROLE}"')


@pytest.fixture(scope="module")
def booking(arena, orders):
    arena.kube.apply(objects(arena.namespace), arena.namespace)
    cluster = Cluster(arena.kube, arena.namespace, "booking")
    cluster.wait_ready(120)
    yield cluster
    arena.kube.run("delete", "deployment", "reservations", "--namespace", arena.namespace)
    cluster.delete()


@pytest.fixture(scope="module")
def service(arena, booking):
    def running():
        pods = arena.kube.list("pod", arena.namespace, "app=reservations")
        return next((pod["metadata"]["name"] for pod in pods if pod["status"].get("phase") == "Running"), None)
    return Service(arena.kube, arena.namespace, wait_for("the pod of reservations", running, 60, every=0.2))


def test_every_key_that_a_service_reads_is_in_its_environment(service):
    has = set(service.run("env | cut -d= -f1").split())
    for name, one in services().items():
        assert set(one["environment"]) - has == set(), name


@pytest.mark.parametrize("position, role", [("MASTER", "master"), ("SLAVE1", "slave"), ("SLAVE2", "slave")])
def test_the_keys_of_each_position_lead_there(position, role, service, booking):
    db, old = f"$DB_{position}", f"$POSTGRES_{position}"
    assert service.role(f'PGPASSWORD="{db}_PASSWORD" psql -h "{db}_HOST" -p "{db}_PORT" -U "{db}_USER" '
                        f'-d "{db}_NAME"') == role
    # The host is what the image says.
    assert service.role(f'PGPASSWORD="{old}_PASSWORD" psql -h "postgres-{position.lower()}" -p "{old}_PORT" '
                        f'-U "{old}_USER" -d "{old}_DB"') == role


def test_the_urls_and_the_keys_of_the_single_database_lead_to_the_right_role(service):
    assert service.role('psql "$DATABASE_URL"') == "master"
    assert service.role('psql "$DATABASE_REPLICA_URL"') == "slave"
    assert service.role('psql "$DB_URL"') == "master"
    assert service.role('PGPASSWORD="$POSTGRES_PASSWORD" psql -h postgres -p "$POSTGRES_PORT" -U "$POSTGRES_USER" '
                        '-d "$POSTGRES_DB"') == "master"


def test_the_ports_outside_lead_to_the_right_role(booking, look):
    login = f"booking:{quote(secret(booking)['password'], safe='')}"
    node = "198.18.0.11"
    answers = look([f"postgresql://{login}@{node}:{port}/booking" for port in (30432, 30433, 30434)])
    assert [one["role"] for one in answers] == ["master", "slave", "slave"]


def test_data_comes_over_from_a_single_database(service, booking, orders):
    orders.sql(orders.master, "set role orders; drop table if exists rooms; "
                              "create table rooms as select id, 'room ' || id as name from generate_series(1, 1000) id",
               "orders")
    service.run('pg_dump --no-owner --no-acl -t rooms "$OLD_URL" | psql -v ON_ERROR_STOP=1 -1 -q "$DATABASE_URL"')
    assert service.run('psql -XAtq "$DATABASE_URL" -c "select count(*) from rooms"') == "1000"
    assert booking.sql(booking.master, "select tableowner from pg_tables where tablename = 'rooms'", "booking") == "booking"


def test_master_and_slaves_are_tuned_as_before(booking):
    """The compose file's command lines."""
    every = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    for name, instance in (("postgres-master", booking.master), ("postgres-slave1", booking.position("slave1"))):
        settings = dict(word.split("=") for word in every[name]["command"].split() if "=" in word)
        for key in set(settings) & set(TUNING):
            assert booking.sql(instance, f"show {key}") == settings[key], (name, key)
