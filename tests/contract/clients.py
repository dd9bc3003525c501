"""The example programs of docs/examples: how each is built, once, into the cache, and how it is run.

A build is named by its sources, so that a changed program or a changed dependency is another build.
"""

import hashlib
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from lablib.settings import settings
from lablib.shell import lock, progress, run_logged

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "docs" / "examples"
JDBC_DRIVER = "/usr/share/java/postgresql.jar"  # libpostgresql-jdbc-java


@dataclass(frozen=True)
class Client:
    name: str  # its folder
    ways: str  # how it finds the master: "URI" (it dials every instance) or "Service"
    build: Callable  # (folder, log): makes there what it needs
    command: Callable  # (folder, cluster) -> words

    @property
    def sources(self):
        return sorted(path for path in (EXAMPLES / self.name).iterdir() if path.is_file())

    @property
    def table(self):
        return "visits_" + self.name.replace("-", "_")

    def installed(self):
        """The folder that it is built in."""
        lab = settings()
        digest = hashlib.sha256()
        for path in self.sources:
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        place = lab.cache / "examples" / f"{self.name}-{digest.hexdigest()[:10]}"
        with lock(lab.cache / "examples.lock", "building the examples"):
            if not place.exists():
                progress(f"  building {self.name} into the cache")
                partial = place.with_name(place.name + ".partial")
                shutil.rmtree(partial, ignore_errors=True)
                shutil.copytree(EXAMPLES / self.name, partial)
                self.build(partial, lab.cache / "logs" / f"example-{self.name}.log")
                partial.rename(place)
        return place


def python(folder, log):
    run_logged(log, sys.executable, "-m", "venv", folder / "venv")
    run_logged(log, folder / "venv" / "bin" / "python3", "-m", "pip", "install", "--disable-pip-version-check",
               "-r", folder / "requirements.txt")


def go(folder, log):
    run_logged(log, "go", "build", "-o", "main", ".", cwd=folder)


def node(folder, log):
    run_logged(log, "npm", "ci", "--no-audit", "--no-fund", cwd=folder)


def java(folder, log):
    run_logged(log, "javac", "Main.java", cwd=folder)


def c(folder, log):
    run_logged(log, "sh", "-c", 'cc -Wall -Wextra -Werror -I "$(pg_config --includedir)" -o main main.c -lpq', cwd=folder)


def run_python(folder, _):
    return [folder / "venv" / "bin" / "python3", folder / "main.py"]


CLIENTS = (
    Client("sqlalchemy-asyncpg", "Service", python, run_python),
    Client("sqlalchemy-psycopg", "Service", python, run_python),
    Client("go-pgx", "URI", go, lambda folder, _: [folder / "main"]),
    Client("node-pg", "Service", node, lambda folder, _: ["node", folder / "main.js"]),
    # Small and soon started: it shares two cores with everything else.
    Client("jdbc", "URI", java, lambda folder, _: ["java", "-Xmx64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
                                                   "-cp", f"{folder}:{JDBC_DRIVER}", "Main"]),
    Client("libpq", "URI", c, lambda folder, cluster: [folder / "main", cluster]),
)
BY_NAME = {one.name: one for one in CLIENTS}
