"""A node: containerd, kubelet and kube-proxy in namespaces that can be switched off.

Everything it has runs below one `unshare` process, in one pid namespace: killing that
takes kubelet, containerd and all containers in one instant, as pulling the plug does.
Its folders stay, as a disk does.
"""

import json
import math
import shlex
import signal
import time
from pathlib import Path

from . import api, binaries, cgroups, network, pki
from .controlplane import proxy_flags
from .process import Daemon
from .settings import BRIDGE_IP, HERE
from .shell import LabError, run, tail, wait_until

PAUSE_IMAGE = "localhost/lab/pause:1"


class Node:
    def __init__(self, lab, n):
        self.lab = lab
        self.n = n
        self.name = f"node{n}"
        self.folder = lab.state / "nodes" / self.name
        self.daemon = Daemon(lab, self.name)

    def power_on(self):
        """Starts the node over its folders; True unless it was on already."""
        if self.daemon.pid():
            return False
        network.create_node(self.lab, self.n)
        # As on a machine that boots: for each group of a former pod the kubelet waits three seconds.
        cgroups.remove_all(self.lab, self.n)
        cgroups.create_node(self.lab, self.n)
        cgroups.freeze(self.lab, self.n, False)
        self.write_configuration()
        self.daemon.start(
            "sh", "-c", f'echo $$ > {cgroups.join_file(self.lab, self.n)} && exec "$@"', "sh",
            *network.inside(network.node_netns(self.lab, self.n)),
            "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child",
            HERE / "lablib" / "node-init.sh", self.name, self.folder,
            binaries.folder(self.lab), self.lab.folder("volumes"))
        return True

    def power_off(self):
        """The link goes first: else the dying processes' last packets get out, and the
        empty namespace still answers connections with resets, which no dead machine does."""
        if self.daemon.pid():
            network.set_link(self.lab, self.n, False)
            cgroups.thaw_all(self.lab, self.n)
            self.daemon.stop(signal.SIGKILL)

    def freeze(self, frozen):
        self.require_on()
        cgroups.freeze(self.lab, self.n, frozen)

    def cut(self, cut):
        self.require_on()
        network.set_link(self.lab, self.n, not cut)

    def require_on(self):
        if not self.daemon.pid():
            raise LabError(f"{self.name} is off; switch it on with: lab node {self.n} on")

    def state(self):
        if not self.daemon.pid():
            return "off"
        if cgroups.is_frozen(self.lab, self.n):
            return "frozen"
        return "on" if network.link_is_up(self.lab, self.n) else "cut"

    def init_pid(self):
        """The node's first process as seen from outside: the only child of unshare."""
        self.require_on()
        pid = self.daemon.pid()
        children = Path(f"/proc/{pid}/task/{pid}/children")
        return wait_until(lambda: children.read_text().split(), f"{self.name} to start", 5)[0]

    def enter(self, *argv):
        """The command line that runs argv within the node."""
        return ["nsenter", f"--target={self.init_pid()}", "--mount", "--net", "--pid", "--uts",
                "--ipc", "--", *argv]

    def ctr(self, *argv, **options):
        return run(*self.enter("ctr", "--namespace=k8s.io", *argv), **options)

    def wait_runtime(self, seconds=60):
        def answers():
            self.require_on()
            return self.ctr("version", check=False).returncode == 0
        try:
            wait_until(answers, f"containerd of {self.name}", seconds)
        except LabError as error:
            raise LabError(f"{error}\n{tail(self.log('containerd'))}\n"
                           f"the log: {self.log('containerd')}") from None

    def wait_ready(self, since, seconds=90):
        """Ready by a report made after `since`: an old one may outlive a short power-off.
        Reports are stamped in whole seconds, so the second of `since` itself does not count."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(math.ceil(since)))
        def ready():
            status, heartbeat = api.node_condition(self.lab, self.name)
            return status == "True" and heartbeat >= moment
        try:
            wait_until(ready, f"{self.name} to be Ready", seconds, every=0.2)
        except LabError as error:
            raise LabError(f"{error}\n{tail(self.log('kubelet'))}\n"
                           f"the log: {self.log('kubelet')}") from None

    def log(self, program):
        return self.folder / "logs" / f"{program}.log"

    def write_configuration(self):
        folder, lab = self.folder, self.lab
        for part in ("cni-conf", "logs"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "address").write_text(network.node_ip(self.n))
        (folder / "resolv.conf").write_text("")
        (folder / "kubelet.yaml").write_text(json.dumps(self.kubelet_configuration(), indent=1))
        (folder / "containerd.toml").write_text(CONTAINERD)
        (folder / "cni-conf" / "10-lab.conflist").write_text(
            json.dumps(cni_configuration(self.n), indent=1))
        (folder / "kube-proxy.flags").write_text(shlex.join(proxy_flags(self.name)))
        pki.kubeconfig(lab, folder / "kubelet.kubeconfig", pki.INSIDE, pki.certificate(
            lab, self.name, f"system:node:{self.name}", "system:nodes"))
        pki.kubeconfig(lab, folder / "kube-proxy.kubeconfig", pki.INSIDE, pki.certificate(
            lab, "kube-proxy", pki.PROXY))

    def kubelet_configuration(self):
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": network.node_ip(self.n),
            "authentication": {
                "anonymous": {"enabled": False}, "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.lab.pki / "ca.crt")}},
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.lab.cgroup}/{self.name}",
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,  # lowering it takes a capability that some machines lack
            "clusterDNS": [BRIDGE_IP],
            "clusterDomain": "cluster.local",
            "resolvConf": str(self.folder / "resolv.conf"),
            "maxPods": 60,
            "serializeImagePulls": False,
            "registryPullQPS": 0,
            "eventRecordQPS": 0,
            # A lost node is noticed sooner than by default, a returned one believed sooner.
            "nodeStatusUpdateFrequency": "2s",
            "nodeStatusReportFrequency": "4s",
            "nodeLeaseDurationSeconds": 20,
            "syncFrequency": "10s",
            # The disk is the machine's: its filling up is no reason to evict or to forget images.
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "evictionHard": {"nodefs.available": "0%", "nodefs.inodesFree": "0%",
                             "imagefs.available": "0%", "imagefs.inodesFree": "0%"},
        }


def cni_configuration(n):
    return {
        "cniVersion": "0.4.0", "name": "lab", "plugins": [
            {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True,
             "ipam": {"type": "host-local", "ranges": [[{"subnet": network.pod_subnet(n)}]],
                      "routes": [{"dst": "0.0.0.0/0"}]}},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ]}


CONTAINERD = f"""\
version = 2
disabled_plugins = [
    "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

[plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "{PAUSE_IMAGE}"
    # Lowering the score of the sandbox takes CAP_SYS_RESOURCE, which some machines lack.
    restrict_oom_score_adj = true
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
        runtime_type = "io.containerd.runc.v2"
        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
            SystemdCgroup = false
    [plugins."io.containerd.grpc.v1.cri".cni]
        bin_dir = "/usr/lib/cni"
        conf_dir = "/etc/cni/net.d"
"""
