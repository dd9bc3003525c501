"""PostgreSQL servers as a provider would run them: nothing of ours is in their way."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import psycopg2

BIN = pathlib.Path(os.environ.get("PG_BIN", "/usr/lib/postgresql/15/bin"))
USER, PASSWORD, DATABASE = "app", "not-a-secret-0815", "shop"
# PostgreSQL refuses to run as root.
AS = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []


def address():
    """One of this machine that is not loopback, which no EndpointSlice may hold."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: only the route is looked up
        return probe.getsockname()[0]


def free_port():
    with socket.create_server(("", 0)) as free:
        return free.getsockname()[1]


def must(*command):
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


class Server:
    inside = ()  # a command that runs others in another network
    host, listen = "127.0.0.1", "*"

    def __init__(self, folder, name, port=None):
        self.name, self.port = name, port or free_port()
        self.data = pathlib.Path(folder) / name
        self.log = pathlib.Path(folder) / f"{name}.log"

    def configure(self):
        with open(self.data / "postgresql.auto.conf", "a", encoding="utf-8") as conf:
            conf.write(f"port={self.port}\nlisten_addresses='{self.listen}'\nunix_socket_directories=''\nfsync=off\n"
                       "shared_buffers=16MB\nmax_connections=30\nwal_keep_size=128MB\n")
        (self.data / "pg_hba.conf").write_text("host all all all scram-sha-256\nhost replication all all trust\n")

    def make(self):
        """A master of its own."""
        secret = self.data.with_suffix(".pw")
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        must(*AS, BIN / "initdb", "-D", self.data, "-U", "admin", "--auth=scram-sha-256", f"--pwfile={secret}",
             "--no-sync", "-E", "UTF8", "--locale=C")
        self.configure()
        self.start()
        self.sql(f"create role {USER} login password '{PASSWORD}'")
        self.sql(f"create database {DATABASE} owner {USER}")
        return self

    def clone(self, master):
        """A slave of it."""
        must(*self.inside, *AS, BIN / "pg_basebackup", "-D", self.data, "-R", "-X", "stream", "-c", "fast",
             "-d", f"host={master.host} port={master.port} user=admin")
        self.configure()
        self.start()
        return self

    def start(self):
        must(*self.inside, *AS, BIN / "pg_ctl", "-D", self.data, "-l", self.log, "-w", "-t", "30", "start")
        return self

    def stop(self, mode="immediate"):
        with contextlib.suppress(AssertionError):
            must(*self.inside, *AS, BIN / "pg_ctl", "-D", self.data, "-w", "-m", mode, "stop")

    def sql(self, statement, database="postgres", user="admin"):
        connection = psycopg2.connect(host=self.host, port=self.port, user=user, password=PASSWORD, dbname=database,
                                      connect_timeout=5)
        with contextlib.closing(connection):
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def clone_again(self, master):
        shutil.rmtree(self.data)
        return self.clone(master)

    def processes(self):
        """The postmaster, then its children."""
        parent = (self.data / "postmaster.pid").read_text().split()[0]
        return [int(one) for one in [parent, *must("pgrep", "--parent", parent).split()]]

    def freeze(self):
        for one in self.processes():
            os.kill(one, signal.SIGSTOP)

    def thaw(self):
        for one in self.processes():
            os.kill(one, signal.SIGCONT)

    def follow(self, master):
        self.sql(f"alter system set primary_conninfo = 'host={master.host} port={master.port} user=admin'")
        self.sql("select pg_reload_conf()")

    def promote(self):
        """Answers the moment at which it accepts writes."""
        self.sql("select pg_promote(true, 30)")
        return time.monotonic()


@contextlib.contextmanager
def folder():
    path = pathlib.Path("/tmp") / f"matriarch-external-{os.getpid()}"
    path.mkdir()
    if AS:
        shutil.chown(path, "postgres", "postgres")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
