"""Busy clients: pgbench in the lab's network, or in a pod."""

import base64
import re
import subprocess
import tempfile
import time
from pathlib import Path

from kube import wait_for
from lab_client import LAB

TABLE = "create table if not exists busy (id bigserial primary key, client int, at timestamptz default now())"
WRITE = "insert into busy (client) values (:client_id) returning id;\n"
# Three statements, so that a change of master may fall between two of them.
TRANSACTION = "begin;\n" + WRITE + "select count(*) from busy where id > 1000000000;\ncommit;\n"


class InLab:
    """This machine's pgbench, in the lab's network."""

    folder = "/"  # where its files are for us
    pgbench = "/usr/lib/postgresql/15/bin/pgbench"

    def __init__(self, lab):
        self.enter = [str(LAB), "--name", lab.name, "run", "--"]


class InPod:
    """The pgbench and the libpq of a pod's image, in its network and with its files. `process` is one of the pod."""

    def __init__(self, process, version):
        self.folder = f"/proc/{process}/root"
        self.pgbench = f"/usr/lib/postgresql/{version}/bin/pgbench"
        self.enter = ["nsenter", f"--target={process}", "--mount", "--net", "--"]


def secret_of(cluster):
    """The application's Secret, as text."""
    return {key: base64.b64decode(value).decode() for key, value in cluster.secret()["data"].items()}


def libpq_environment(secret, **options):
    return {"PGUSER": secret["username"], "PGPASSWORD": secret["password"], "PGSSLMODE": "require",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"} | options


class Load:
    """So many clients for so long; then `errors` and the times of all transactions. Use it with `with`.

    `database` may be a whole URI, then without host and port. `options` are libpq's, as environment variables."""

    def __init__(self, lab, cluster, host, port, database, clients, seconds, script=TRANSACTION, rate=0,
                 protocol="extended", place=None, **options):
        place = place or InLab(lab)
        self.folder = tempfile.TemporaryDirectory(prefix="matriarch-load-", dir=Path(place.folder, "tmp"))
        path = Path(self.folder.name)
        (path / "script").write_text(script)
        inside = Path("/tmp", path.name)
        self.environment = libpq_environment(secret_of(cluster), **options)
        self.command = [*place.enter, place.pgbench, "--no-vacuum", f"--protocol={protocol}",
                        "--client", str(clients), "--jobs", "2", "--time", str(seconds), "--progress", "1",
                        "--log", f"--log-prefix={inside}/log", f"--file={inside}/script",
                        *(["--rate", str(rate)] if rate else []),
                        *(["--host", host, "--port", str(port)] if host else []), database]
        # "prepared" for single statements only: pgbench itself stands still while it prepares one, with its other
        # clients in the middle of transactions.
        self.seconds, self.path, self.process = seconds, path, None

    def __enter__(self):
        self.output = open(self.path / "output", "w+")
        self.process = subprocess.Popen(self.command, env=self.environment, stdin=subprocess.DEVNULL,
                                        stdout=self.output, stderr=subprocess.STDOUT, start_new_session=True)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(20)
        self.output.close()
        self.folder.cleanup()

    @property
    def text(self):
        return (self.path / "output").read_text()

    def wait_busy(self):
        wait_for("the clients to be busy", lambda: re.search(r"progress: [2-9]\.\d s, [1-9]", self.text), 30,
                 state=lambda: self.text[-1000:])

    def end(self):
        """Answers (errors, transactions): what pgbench said of failures, and [(end in s since 1970, ms)]."""
        self.process.wait(self.seconds + 60)
        errors = [line for line in self.text.splitlines()
                  if re.search(r"error|abort|FATAL|failed: [1-9]", line) and "failed transactions: 0 " not in line]
        if self.process.returncode:
            errors.append(f"exit code {self.process.returncode}")
        done = []
        for log in self.path.glob("log.*"):
            for line in log.read_text().splitlines():
                _, _, took, _, second, micro = line.split()[:6]
                done.append((int(second) + int(micro) / 1e6, int(took) / 1000))
        return errors, sorted(done)


def longest_silence(transactions):
    """Milliseconds in which no transaction ended."""
    times = [at for at, _ in transactions]
    return round(max((b - a for a, b in zip(times, times[1:])), default=0) * 1000)


def request_id():
    return f"t{time.time_ns()}"
