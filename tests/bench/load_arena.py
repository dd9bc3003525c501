"""Where loads are measured: a cluster whose instances have a fixed share of a core, and a table to read from.

On a machine of few cores more instances would otherwise not be more CPU.
"""

from arena import Arena, merged
from cluster import SMALL
from install import POOLER
from load import Load
from report import percentile

ROWS = 100_000
TABLE = (f"create table if not exists items (id int primary key, price int, words text); "
         f"insert into items select n, n % 1000, repeat('x', 80) from generate_series(1, {ROWS}) n on conflict do nothing; "
         "analyze items")
READ = f"\\set id random(1, {ROWS})\nselect price, words from items where id = :id;\n"
WRITE = f"\\set id random(1, {ROWS})\nupdate items set price = price + 1 where id = :id;\n"
SHARE = "250m"  # of a core, for each instance
WARMING = 2  # seconds of a load that are not counted


class LoadArena(Arena):
    purpose = namespace = "loads"
    settings = {}
    pooler = True

    def bring_up(self, spec):
        """A cluster of that shape with poolers, all ready, and with the table; answers it."""
        self.bring_to(spec)
        if "pooler" in spec:
            self.cluster.wait_condition("PoolerReady", "True", ["AllReady"], 60)
        self.cluster.sql(self.cluster.master, f"set role orders; {TABLE}", "orders")
        return self.cluster

    def load(self, service, port, database, script, clients, seconds, rate=0, **options):
        host = self.cluster.host(service) if service else None
        return Load(self.lab, self.cluster, host, port, database, clients, seconds, script, rate,
                    options.pop("protocol", "prepared"), **options)


def shape(slaves, connections, share=SHARE, more=()):
    return merged(SMALL, {
        "slaves": slaves,
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"cpu": share, "memory": "3Gi"}},
        "postgresql": {"parameters": {"shared_buffers": "64MB", "max_connections": str(connections)}},
        "pooler": POOLER | {"poolSize": 8, "maxClientConnections": 2000}, **dict(more)})


def figures(load, seconds):
    """(a second, p50 ms, p99 ms) of a load that must not fail."""
    errors, done = load.end()
    if errors:
        raise RuntimeError(f"the load failed: {errors[:3]}")
    counted = [took for at, took in done if at >= done[0][0] + WARMING]
    if not counted:
        raise RuntimeError(f"nothing was done after the first two seconds: give it more than {seconds} (--seconds)")
    return len(counted) / (seconds - WARMING), percentile(counted, 0.5), percentile(counted, 0.99)
