"""Network namespaces: one for the control plane, one for each node.

The control plane's holds a bridge; each node's has one veth on it. None has an
uplink, so no packet can reach an address outside the lab. Interface names exist
only within these namespaces, so labs cannot clash.
"""

from pathlib import Path

from .settings import BRIDGE_IP, NODE_SUBNET_BITS, SERVICE_RANGE
from .shell import run

BRIDGE = "labbr0"


def node_ip(n):
    return f"198.18.0.{10 + n}"


def pod_subnet(n):
    return f"198.18.{128 + n}.0/24"


def node_netns(lab, n):
    return f"matriarch-{lab.name}-node{n}"


def netns_path(netns):
    return Path("/run/netns") / netns


def inside(netns):
    """The prefix that runs a command in a namespace. Unlike `ip netns exec` it leaves
    the mounts alone: that would remount /sys and lose the cgroups."""
    return ["nsenter", f"--net={netns_path(netns)}", "--"]


def create_control_plane(lab):
    netns = lab.control_plane_netns
    if netns_path(netns).exists():
        return
    ip = ["ip", "-n", netns]
    run("ip", "netns", "add", netns)
    run(*ip, "link", "set", "lo", "up")
    run(*ip, "link", "add", BRIDGE, "type", "bridge")
    run(*ip, "addr", "add", f"{BRIDGE_IP}/{NODE_SUBNET_BITS}", "dev", BRIDGE)
    run(*ip, "link", "set", BRIDGE, "up")
    # Any route will do: kube-proxy rewrites the destination before the packet leaves.
    run(*ip, "route", "add", SERVICE_RANGE, "dev", BRIDGE)
    sysctl(netns, "net/ipv4/ip_forward", 1)
    sysctl(netns, "net/ipv4/conf/all/send_redirects", 0)
    sysctl(netns, f"net/ipv4/conf/{BRIDGE}/send_redirects", 0)
    # What passes between two nodes is not this namespace's business.
    sysctl(netns, "net/bridge/bridge-nf-call-iptables", 0)


def create_node(lab, n):
    """Made anew at every power-on, as a booting machine has an empty network stack."""
    remove(node_netns(lab, n))
    netns, port = node_netns(lab, n), f"node{n}"
    control_plane = ["ip", "-n", lab.control_plane_netns]
    run("ip", "netns", "add", netns)
    # The last node's veth may still be there: the kernel removes namespaces in its own time.
    run(*control_plane, "link", "del", port, check=False)
    run(*control_plane, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", netns)
    run(*control_plane, "link", "set", port, "master", BRIDGE, "up")
    ip = ["ip", "-n", netns]
    run(*ip, "link", "set", "lo", "up")
    run(*ip, "addr", "add", f"{node_ip(n)}/{NODE_SUBNET_BITS}", "dev", "eth0")
    run(*ip, "link", "set", "eth0", "up")
    run(*ip, "route", "add", "default", "via", BRIDGE_IP)
    sysctl(netns, "net/ipv4/ip_forward", 1)
    # Answers of a pod on the same node must pass through conntrack, or a Service that
    # leads to a neighbour gets answers from an address that it never called.
    sysctl(netns, "net/bridge/bridge-nf-call-iptables", 1)
    run(*control_plane, "route", "replace", pod_subnet(n), "via", node_ip(n))


def sysctl(netns, name, value):
    path = f"/proc/sys/{name}"
    # Those of br_netfilter are missing where that module is not loaded.
    run(*inside(netns), "sh", "-c", f"[ ! -e {path} ] || echo {value} > {path}")


def set_link(lab, n, up):
    run("ip", "-n", lab.control_plane_netns, "link", "set", f"node{n}", "up" if up else "down")


def link_is_up(lab, n):
    shown = run("ip", "-n", lab.control_plane_netns, "-o", "link", "show", f"node{n}", check=False)
    return shown.returncode == 0 and ",UP" in shown.stdout.split(">")[0]


def remove(netns):
    if netns_path(netns).exists():
        run("ip", "netns", "del", netns)


def remove_all(lab):
    for netns in ([node_netns(lab, n) for n in range(1, 10)] + [lab.control_plane_netns]):
        remove(netns)


def left_over(lab):
    folder = Path("/run/netns")
    names = [path.name for path in folder.iterdir()] if folder.exists() else []
    wanted = [lab.control_plane_netns] + [node_netns(lab, n) for n in range(1, 10)]
    return [name for name in names if name in wanted]
