"""Faults below Kubernetes: processes, control groups and packets of the lab's pods, from outside.

All in the lab's own namespaces. A process is found by its pod's control group and signalled by its
number on this machine, within a millisecond; kubectl exec would take a hundred.
"""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from kube import wait_for
from lablib import cgroups, network
from lablib.settings import settings

TABLE = "gauntlet"
LATE = Path(__file__).resolve().parent / "late.py"
KILL_POINTS = "/dev/shm/kill-points"  # in the operator's container, writable whatever its image


class Process:
    def __init__(self, pid):
        self.pid = pid
        status = (Path("/proc") / str(pid) / "status").read_text()
        self.fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        self.name = self.fields["Name"]
        self.parent = int(self.fields["PPid"])
        self.inner = int(self.fields["NSpid"].split()[-1])  # its number in its container
        self.command = (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()

    def __repr__(self):
        return f"{self.pid} {self.command[:60]}"


def alive(pid):
    with contextlib.suppress(OSError, KeyError):
        return Process(pid).fields["State"][0] not in "ZX"
    return False


def gateway_of(pod):
    return ".".join(pod["status"]["podIP"].split(".")[:3]) + ".1"


class Machine:
    def __init__(self, lab):
        self.lab = lab
        self.settings = settings(lab.name)

    # Processes.

    def group(self, pod):
        """The control group of a pod, in the tree that has the freezer."""
        node = int(pod["spec"]["nodeName"].removeprefix("node"))
        wanted = "pod" + pod["metadata"]["uid"]
        for folder, names, _ in os.walk(cgroups.freezer(self.settings, node)):
            for name in names:
                if name == wanted:
                    return Path(folder) / name
        raise AssertionError(f"no control group of {pod['metadata']['name']}")

    def processes(self, pod):
        return self.processes_below(self.group(pod))

    @staticmethod
    def processes_below(group):
        found = []
        for folder, _, files in os.walk(group):
            if "cgroup.procs" not in files:
                continue
            for pid in (Path(folder) / "cgroup.procs").read_text().split():
                with contextlib.suppress(OSError, KeyError):
                    found.append(Process(int(pid)))
        return found

    def find(self, pod, what, test):
        """The first process that passes; waits a moment, since a restart takes one."""
        def look():
            return next((one for one in self.processes(pod) if test(one)), None)
        return wait_for(f"{what} in {pod['metadata']['name']}", look, 10,
                        state=lambda: self.processes(pod)).pid

    def postmaster(self, pod):
        every = {one.pid: one for one in self.processes(pod)}
        return self.find(pod, "a postmaster", lambda one: one.name == "postgres" and (
            one.parent not in every or every[one.parent].name != "postgres"))

    def child(self, pod, title):
        """A process of PostgreSQL by its title: walwriter, walreceiver, ..."""
        return self.find(pod, title, lambda one: one.name == "postgres" and title in one.command)

    def agent(self, pod):
        """PID 1 of the container. Not the warden, which has another number."""
        return self.find(pod, "an agent", lambda one: one.inner == 1 and "matriarch-agent" in one.command)

    def operator(self, pod):
        return self.find(pod, "an operator", lambda one: "matriarch-operator" in one.command)

    @staticmethod
    def kill(pid, number=signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    @contextlib.contextmanager
    def armed(self, operator, point):
        """That operator dies when it comes to that kill point, once (src/operator/kill_points.h).
        Gives a function that tells whether it did: it has removed the file, and is no more."""
        owner = os.stat(f"/proc/{operator}")
        folder = Path(f"/proc/{operator}/root{KILL_POINTS}")
        folder.mkdir(exist_ok=True)
        os.chown(folder, owner.st_uid, owner.st_gid)  # it removes the file before it dies
        # Through an open folder: the process, and with it its /proc, is soon no more.
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.close(os.open(point, os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=opened))
            yield lambda: point not in os.listdir(opened) and not alive(operator)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(point, dir_fd=opened)
            os.close(opened)

    @contextlib.contextmanager
    def stopped(self, pid):
        self.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            self.kill(pid, signal.SIGCONT)

    # Control groups.

    def freeze(self, pod, frozen=True):
        group = self.group(pod)
        if cgroups.is_v2():
            (group / "cgroup.freeze").write_text(str(int(frozen)))
            word = f"frozen {int(frozen)}"
            wait_for(word, lambda: word in (group / "cgroup.events").read_text(), 10)
        else:
            word = "FROZEN" if frozen else "THAWED"

            def reached():
                (group / "freezer.state").write_text(word)
                return (group / "freezer.state").read_text().strip() == word
            wait_for(f"{group} {word}", reached, 10, every=0.005)

    @contextlib.contextmanager
    def frozen(self, pod):
        self.freeze(pod)
        try:
            yield
        finally:
            with contextlib.suppress(AssertionError, OSError):  # the pod may be gone
                self.freeze(pod, False)

    def thaw_everything(self):
        cgroups.thaw_all(self.settings)

    # Packets, in a pod's own network namespace: the same wherever its peers are.

    def inside(self, pod, *command, input=None, check=True):
        pid = self.processes(pod)[0].pid
        return subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "--", *map(str, command)],
                              input=input, text=True, capture_output=True, check=check)

    @contextlib.contextmanager
    def rules(self, pod, rules):
        """nft rules for what comes in and goes out. The pod's own gateway is its kubelet, which
        is left alone: its probes are not part of the network's faults."""
        gateway = gateway_of(pod)
        text = f"table inet {TABLE} {{\n"
        for chain, hook, field in (("received", "input", "saddr"), ("sent", "output", "daddr")):
            text += f" chain {chain} {{ type filter hook {hook} priority -300; policy accept;\n"
            text += f'  iifname "lo" accept\n  ip {field} {gateway} accept\n' if hook == "input" else (
                f'  oifname "lo" accept\n  ip {field} {gateway} accept\n')
            text += "".join(f"  {rule}\n" for rule in rules.get(chain, [])) + " }\n"
        text += "}\n"
        self.clear(pod)
        self.inside(pod, "nft", "-f", "-", input=text)
        try:
            yield
        finally:
            self.clear(pod)

    def clear(self, pod):
        with contextlib.suppress(AssertionError, IndexError):  # the pod may be gone
            self.inside(pod, "nft", "delete", "table", "inet", TABLE, check=False)

    @contextlib.contextmanager
    def cut(self, pod, peers=None, port=None, receives=True, sends=True):
        """Drops what passes between a pod and its peers (all, if none are named)."""
        addresses = "" if peers is None else "{ " + ", ".join(one["status"]["podIP"] for one in peers) + " }"

        def drop(way):
            rule = f"ip {way} {addresses} " if addresses else ""
            if port is None:
                return [rule + "drop"]
            return [rule + f"tcp dport {port} drop", rule + f"tcp sport {port} drop"]
        with self.rules(pod, {"received": drop("saddr") if receives else [],
                              "sent": drop("daddr") if sends else []}):
            yield

    @contextlib.contextmanager
    def lossy(self, pod, percent):
        drop = f"numgen random mod 100 < {percent} counter drop"
        with self.rules(pod, {"received": [drop], "sent": [drop]}):
            yield

    @contextlib.contextmanager
    def delayed(self, pod, ms):
        """What it sends arrives that much later."""
        pid, address = self.processes(pod)[0].pid, pod["status"]["podIP"]
        with subprocess.Popen(["nsenter", f"--net=/proc/{pid}/ns/net", "--", sys.executable, LATE, str(ms), address,
                               gateway_of(pod)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as late:
            try:
                assert late.stdout.readline().strip() == b"late", "packets could not be delayed"
                yield
            finally:
                late.stdin.close()

    # Nodes and the control plane.

    @contextlib.contextmanager
    def node(self, number, do, undo):
        self.lab("node", number, do)
        try:
            yield
        finally:
            self.lab("node", number, undo, check=False)

    @contextlib.contextmanager
    def control_plane(self, component, do, undo):
        self.lab(component, do)
        try:
            yield
        finally:
            self.lab(component, undo, check=False)
            self.wait_api()

    def wait_api(self, seconds=60):
        def answers():
            return self.lab("kubectl", "get", "--raw", "/readyz", "--request-timeout=3s", check=False, capture=True,
                            stderr=subprocess.DEVNULL).stdout.strip() == "ok"
        wait_for("the API server", answers, seconds, every=0.3)

    def heal(self, nodes=3):
        """Undoes whatever a case that broke off may have left."""
        self.thaw_everything()
        for component in ("etcd", "kube-apiserver"):
            name = component.removeprefix("kube-")
            for action in ("resume", "start"):
                self.lab(name, action, check=False, capture=True, stderr=subprocess.DEVNULL)
        self.lab("up", check=False, capture=True, stderr=subprocess.DEVNULL)
        for number in range(1, nodes + 1):
            self.lab("node", number, "heal", check=False, capture=True, stderr=subprocess.DEVNULL)
            self.lab("kubectl", "uncordon", f"node{number}", check=False, capture=True, stderr=subprocess.DEVNULL)
        self.wait_api()

    def netns(self, node=None):
        name = network.node_netns(self.settings, node) if node else self.settings.control_plane_netns
        return network.inside(name)


class Ambush(threading.Thread):
    """Waits for a short-lived program in an instance's pod (also one that is not there yet), and
    strikes at its first appearance. Use it with `with`; `sprung` tells whether it came."""

    def __init__(self, machine, find_pod, program, strike):
        super().__init__(daemon=True)
        self.machine, self.find_pod, self.program, self.strike = machine, find_pod, program, strike
        self.sprung, self.over = threading.Event(), False

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over = True

    def run(self):
        group = None
        while not self.over:
            try:
                group = group if group and group.exists() else self.machine.group(self.find_pod())
                found = next((one for one in self.machine.processes_below(group) if one.name == self.program), None)
                if found:
                    self.strike(found.pid)
                    self.sprung.set()
                    return
                time.sleep(0.005)
            except (AssertionError, LookupError, TypeError, ValueError, OSError, http.client.HTTPException):
                time.sleep(0.05)  # no such pod, or none that runs


def until(test, seconds, every=0.002):
    """A tight wait, for what lasts only a moment. Answers what `test` found, or None."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = test()
        if found:
            return found
        time.sleep(every)
    return None
