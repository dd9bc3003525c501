#!/usr/bin/python3
"""The local Kubernetes (tests/lab) as tests, demo and tools use it: by its command line.

As a program: lab_client.py PROGRAM builds what the lab needs, unless it is there, and prints the
path of kubectl, helm or another of its programs.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LAB = ROOT / "tests" / "lab" / "lab"
sys.dont_write_bytecode = True  # the checkout stays clean, also when run as root
sys.path.insert(0, str(LAB.parent))

from lablib import binaries  # noqa: E402
from lablib.settings import default_name, settings  # noqa: E402


def program(name):
    """The path of kubectl, helm, ..., built if need be."""
    lab = settings()
    binaries.ensure(lab)
    return str(binaries.path(lab, name))


def lab_name(purpose):
    """One lab for each checkout and purpose, so that checkouts run side by side.

    LAB_NAME names another one: two runs of one checkout need that.
    """
    return f"{os.environ.get('LAB_NAME') or default_name()}"[:24 - len(purpose) - 1] + f"-{purpose}"


class Lab:
    def __init__(self, purpose):
        self.name = lab_name(purpose)

    def __call__(self, *arguments, check=True, capture=False, **options):
        """Runs `lab ARGUMENTS`. Its own lines of progress go to standard error."""
        command = [str(LAB), "--name", self.name, *map(str, arguments)]
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(command, check=check, text=True,
                              stdout=subprocess.PIPE if capture else None, **options)

    def up(self, *arguments):
        self("up", *arguments)
        return self

    def down(self):
        self("down", check=False)

    def environment(self):
        """What `eval "$(lab env)"` would add to the environment, and where the lab is."""
        lines = self("env", capture=True).stdout.splitlines()
        pairs = dict(line.removeprefix("export ").split("=", 1) for line in lines)
        tools = {"MATRIARCH_LAB": str(LAB), "KUBECTL": program("kubectl"), "HELM": program("helm")}
        return {key: value.strip("'\"") for key, value in pairs.items()} | tools


if __name__ == "__main__":
    print(program(sys.argv[1]))
