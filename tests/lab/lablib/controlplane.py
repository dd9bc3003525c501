"""etcd, kube-apiserver, controller-manager, scheduler, DNS, and the way in.

With nodes they live in the control plane's network namespace on fixed ports, and the
machine reaches the API server through a port of its loopback. Without nodes
(`--api-only`) etcd and kube-apiserver listen on free ports of 127.0.0.1 and need
neither namespaces nor root.
"""

import signal
import socket

from . import api, binaries, network, pki
from .process import Daemon
from .settings import API_PORT, BRIDGE_IP, HERE, POD_RANGE, SERVICE_RANGE
from .shell import run, step

ADDRESS_OF_VOLUMES = "/tmp/hostpath_pv"  # written into Kubernetes' host path provisioner


def free_ports(count):
    """Held open together, so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class ControlPlane:
    def __init__(self, lab):
        self.lab = lab
        self.facts = lab.load()
        self.full = self.facts.get("mode") == "full"
        self.prefix = network.inside(lab.control_plane_netns) if self.full else []

    def choose_ports(self):
        """Kept in the lab's state: a kubeconfig stays valid while the lab exists."""
        if "port" not in self.facts:
            if self.full:
                (port,) = free_ports(1)
                self.lab.save(port=port, etcd_port=2379, etcd_peer_port=2380)
            else:
                port, client, peer = free_ports(3)
                self.lab.save(port=port, etcd_port=client, etcd_peer_port=peer)
            self.facts = self.lab.load()

    def start(self):
        lab = self.lab
        pki.create_authority(lab)
        pki.server_certificate(lab)
        self.choose_ports()
        admin = pki.admin_certificate(lab)
        pki.kubeconfig(lab, lab.kubeconfig, f"https://127.0.0.1:{self.facts['port']}", admin)
        self.start_etcd()
        self.start_apiserver()
        if self.full:
            pki.kubeconfig(lab, lab.inside_kubeconfig, pki.INSIDE, admin)
            self.start_forward()
        with step("kube-apiserver ready"):
            self.wait_ready()
        if self.full:
            self.start_controllers()

    def start_etcd(self):
        client = f"http://127.0.0.1:{self.facts['etcd_port']}"
        peer = f"http://127.0.0.1:{self.facts['etcd_peer_port']}"
        Daemon(self.lab, "etcd").start(
            *self.prefix, binaries.path(self.lab, "etcd"),
            "--name=lab", f"--data-dir={self.lab.folder('etcd')}",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=lab={peer}",
            # A lab outlives no power failure, and syncing costs most of etcd's time.
            "--unsafe-no-fsync", "--log-level=warn")

    def start_apiserver(self):
        lab = self.lab
        certificate, key = pki.server_certificate(lab)
        client_certificate, client_key = pki.certificate(
            lab, "kubelet-client", "kube-apiserver-kubelet-client", "system:masters")
        flags = [
            f"--etcd-servers=http://127.0.0.1:{self.facts['etcd_port']}",
            f"--client-ca-file={lab.pki / 'ca.crt'}",
            f"--tls-cert-file={certificate}", f"--tls-private-key-file={key}",
            f"--service-account-key-file={lab.pki / 'service-accounts.key'}",
            f"--service-account-signing-key-file={lab.pki / 'service-accounts.key'}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--authorization-mode=Node,RBAC", "--allow-privileged=true", "--profiling=false",
            f"--kubelet-client-certificate={client_certificate}",
            f"--kubelet-client-key={client_key}",
        ]
        if self.full:
            flags += [
                f"--advertise-address={BRIDGE_IP}", f"--secure-port={API_PORT}",
                "--enable-admission-plugins=NodeRestriction",
                "--kubelet-preferred-address-types=InternalIP",  # node names have no DNS entry
                "--endpoint-reconciler-type=lease",
            ]
        else:
            flags += [
                "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
                f"--secure-port={self.facts['port']}",
                f"--cert-dir={lab.folder('pki')}",
                # No controller makes the default service account, and pods want one.
                "--disable-admission-plugins=ServiceAccount",
                "--endpoint-reconciler-type=none",
            ]
        Daemon(lab, "kube-apiserver").start(
            *self.prefix, binaries.path(lab, "kube-apiserver"), *flags)

    def start_forward(self):
        """The listening socket is opened here, on the machine's loopback, and inherited by
        a process inside the lab's namespace: the only connection between the two."""
        daemon = Daemon(self.lab, "lab-forward")
        if daemon.pid():
            return
        with socket.create_server(("127.0.0.1", self.facts["port"]), backlog=512) as listener:
            daemon.start(*self.prefix, binaries.path(self.lab, "lab-forward"), listener.fileno(),
                         f"127.0.0.1:{API_PORT}", pass_fds=(listener.fileno(),))

    def wait_ready(self, seconds=90):
        Daemon(self.lab, "kube-apiserver").wait(lambda: api.ready(self.lab), "/readyz", seconds)

    def start_controllers(self):
        """Only once the API answers: kube-controller-manager exits if it does not."""
        lab = self.lab
        config = pki.component_kubeconfig(lab, "controller-manager", pki.CONTROLLER_MANAGER)
        volumes = lab.folder("volumes")
        run("mkdir", "-p", ADDRESS_OF_VOLUMES)
        Daemon(lab, "lab-open-volumes").start(binaries.path(lab, "lab-open-volumes"), volumes)
        Daemon(lab, "kube-controller-manager").start(
            *self.prefix, "unshare", "--mount", "sh", "-c",
            f'mount --bind "{volumes}" {ADDRESS_OF_VOLUMES} && exec "$@"', "sh",
            binaries.path(lab, "kube-controller-manager"),
            f"--kubeconfig={config}", "--use-service-account-credentials", "--leader-elect=false",
            f"--root-ca-file={lab.pki / 'ca.crt'}",
            f"--service-account-private-key-file={lab.pki / 'service-accounts.key'}",
            f"--cluster-signing-cert-file={lab.pki / 'ca.crt'}",
            f"--cluster-signing-key-file={lab.pki / 'ca.key'}",
            # Each node has its range from the start, and the routes are laid by hand.
            "--allocate-node-cidrs=false", f"--cluster-cidr={POD_RANGE}",
            "--enable-hostpath-provisioner=true",
            # A lost node is noticed sooner than the default of 50 s, for the tests' sake.
            "--pvclaimbinder-sync-period=2s",
            "--node-monitor-period=2s", "--node-monitor-grace-period=20s",
            "--kube-api-qps=100", "--kube-api-burst=200",
            "--bind-address=127.0.0.1", "--profiling=false")
        config = pki.component_kubeconfig(lab, "scheduler", pki.SCHEDULER)
        Daemon(lab, "kube-scheduler").start(
            *self.prefix, binaries.path(lab, "kube-scheduler"), f"--kubeconfig={config}",
            "--leader-elect=false", "--bind-address=127.0.0.1", "--profiling=false")
        run(binaries.path(lab, "kubectl"), f"--kubeconfig={lab.kubeconfig}", "apply",
            "--server-side", "--force-conflicts", "-f", HERE / "manifests")
        self.start_dns()
        self.start_proxy()

    def start_dns(self):
        """A plain process on the bridge's address, for nodes, pods and `lab run`. Nothing
        but the cluster's own names is answered: it forwards to nobody."""
        lab = self.lab
        config = pki.component_kubeconfig(lab, "coredns", pki.DNS)
        corefile = lab.state / "Corefile"
        corefile.write_text(f"""\
.:53 {{
    bind {BRIDGE_IP}
    errors
    ready {BRIDGE_IP}:8181
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {config}
        ttl 5
    }}
}}
""")
        (lab.state / "resolv.conf").write_text(
            f"nameserver {BRIDGE_IP}\nsearch svc.cluster.local cluster.local\noptions ndots:5\n")
        Daemon(lab, "coredns").start(
            *self.prefix, binaries.path(lab, "coredns"), "-conf", corefile)

    def start_proxy(self):
        """Makes Services reachable from the control plane's namespace: for webhooks and
        for `lab run`. It borrows node1's identity, since without a Node object kube-proxy
        waits half a minute before it does anything."""
        config = pki.component_kubeconfig(self.lab, "kube-proxy", pki.PROXY)
        Daemon(self.lab, "kube-proxy").start(
            *self.prefix, binaries.path(self.lab, "kube-proxy"), f"--kubeconfig={config}",
            *proxy_flags("node1"))


def proxy_flags(node):
    return [f"--hostname-override={node}", "--proxy-mode=nftables", f"--cluster-cidr={POD_RANGE}",
            # The machine's connection tracking table is not the lab's to resize.
            "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0"]


SIGNALS = {"pause": signal.SIGSTOP, "resume": signal.SIGCONT}


def act(lab, component, action):
    """What `lab apiserver …` and `lab etcd …` do; each returns when it has happened."""
    plane = ControlPlane(lab)
    daemon = Daemon(lab, component)
    start = plane.start_apiserver if component == "kube-apiserver" else plane.start_etcd
    if action in SIGNALS:
        daemon.send(SIGNALS[action])
    if action in ("stop", "restart"):
        daemon.stop()
    if action == "kill":
        daemon.stop(signal.SIGKILL)
    if action in ("start", "restart"):
        start()
        if component == "kube-apiserver":
            plane.wait_ready()
