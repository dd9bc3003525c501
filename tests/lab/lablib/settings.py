"""What a lab is called, where it lives and which addresses it uses.

Every name outside the lab's own folder (network namespaces, cgroups) carries the
lab's name, so that labs of several checkouts run side by side. The addresses are
the same in all labs: no lab's network is connected to anything else.
"""

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from .shell import LabError

HERE = Path(__file__).resolve().parent.parent  # tests/lab

KUBERNETES_VERSION = "1.34.4"
HELM_VERSION = "3.19.4"

# 198.18.0.0/15 is set aside for tests (RFC 2544) and never routed.
BRIDGE_IP = "198.18.0.1"
NODE_SUBNET_BITS = 24
POD_RANGE = "198.18.128.0/17"
SERVICE_RANGE = "198.19.0.0/18"  # room for a thousand clusters
API_SERVICE_IP = "198.19.0.1"
API_PORT = 6443
MAX_NODES = 9
LOCAL_DISKS_PER_NODE = 8


@dataclass(frozen=True)
class Settings:
    name: str
    state: Path
    cache: Path

    def folder(self, *parts):
        path = self.state.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def log(self, component):
        return self.folder("logs") / f"{component}.log"

    @property
    def pki(self):
        return self.state / "pki"

    @property
    def kubeconfig(self):
        """For the machine's own side, through a port on 127.0.0.1."""
        return self.state / "kubeconfig"

    @property
    def inside_kubeconfig(self):
        """For clients within the lab's network."""
        return self.state / "inside.kubeconfig"

    @property
    def cgroup(self):
        return f"matriarch-{self.name}"

    @property
    def control_plane_netns(self):
        return f"matriarch-{self.name}-cp"

    # What `up` decided and later commands must know.

    def load(self):
        try:
            return json.loads((self.state / "lab.json").read_text())
        except FileNotFoundError:
            return {}

    def save(self, **changes):
        self.state.mkdir(parents=True, exist_ok=True)
        facts = self.load() | changes
        partial = self.state / "lab.json.partial"
        partial.write_text(json.dumps(facts, indent=1) + "\n")
        partial.replace(self.state / "lab.json")

    def require_up(self, full=False):
        facts = self.load()
        if not facts.get("mode"):
            raise LabError(f"the lab {self.name} is not up; start it with: lab up")
        if full and facts["mode"] != "full":
            raise LabError(f"the lab {self.name} has no nodes (it was started with --api-only)")
        return facts


def default_name():
    """The checkout's folder name, and a hash of its path since folder names repeat."""
    checkout = HERE.parent.parent
    base = re.sub(r"[^a-z0-9]+", "-", checkout.name.lower()).strip("-")[:12] or "lab"
    return f"{base}-{hashlib.sha256(str(checkout).encode()).hexdigest()[:6]}"


def settings(name=None):
    name = name or os.environ.get("LAB_NAME") or default_name()
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?", name):
        raise LabError(f"lab name {name!r}: use at most 24 of a-z, 0-9 and - inside")
    state = Path(os.environ.get("MATRIARCH_STATE") or "/var/tmp/matriarch")
    cache = Path(os.environ.get("MATRIARCH_CACHE") or Path.home() / ".cache" / "matriarch")
    return Settings(name, state.absolute() / name, cache.absolute())
