"""Up, down and status: the parts in their order.

`up` can be repeated: it starts what is missing and leaves alone what runs. `down`
works from names, not from memory, so it also cleans up after an `up` that was killed.
"""

import os
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor

from . import api, binaries, cgroups, network, storage
from .controlplane import ControlPlane
from .images import Store
from .node import PAUSE_IMAGE, Node
from .process import daemons, kill_marked, marked_pids
from .settings import API_PORT, BRIDGE_IP, POD_RANGE, SERVICE_RANGE
from .shell import LabError, lock, progress, require_programs, step

NEEDED = ("ip", "nsenter", "unshare", "nft", "containerd", "ctr", "runc", "buildah", "gcc")


def nodes(lab):
    return [Node(lab, n) for n in range(1, lab.load().get("nodes", 0) + 1)]


def node(lab, n):
    facts = lab.require_up(full=True)
    if not 1 <= n <= facts["nodes"]:
        raise LabError(f"no node {n}; this lab has 1 to {facts['nodes']}")
    return Node(lab, n)


def own_lock(lab):
    """Beside the lab's folder, not in it: `down` removes that. The folder above is for the
    labs of all users, as /var/tmp is."""
    if not lab.state.parent.exists():
        lab.state.parent.mkdir(parents=True)
        lab.state.parent.chmod(0o1777)
    return lock(lab.state.parent / f"{lab.name}.lock", f"lab {lab.name}")


def up(lab, count, api_only):
    began = time.monotonic()
    mode = "api" if api_only else "full"
    known = lab.load()
    if known.get("mode", mode) != mode:
        raise LabError(f"the lab {lab.name} is up {'with' if api_only else 'without'} nodes; "
                       "take it down first (lab down), or use another --name")
    count = 0 if api_only else max(count, known.get("nodes", 0))
    require_programs("openssl", *(() if api_only else NEEDED))
    progress(f"lab {lab.name}: Kubernetes with "
             + ("etcd and kube-apiserver only" if api_only else f"{count} nodes"))
    binaries.ensure(lab)
    if not api_only:
        Store(lab).ensure_pause()
    started = time.monotonic()
    with own_lock(lab):
        if not binaries.folder(lab).exists() or not known.get("mode"):
            lab.save(binaries=str(binaries.wanted(lab)))
        lab.save(mode=mode, nodes=count)
        if not api_only:
            network.create_control_plane(lab)
        ControlPlane(lab).start()
        control_plane_ready = time.monotonic() - started
        if not api_only:
            start_nodes(lab)
    give_to_caller(lab)
    summary = f"control plane ready after {control_plane_ready:.1f} s"
    if not api_only:
        summary += f", {count} nodes Ready after {time.monotonic() - started:.1f} s"
    progress(f"{summary} (in all {time.monotonic() - began:.1f} s)")


def start_nodes(lab):
    since = time.time()
    every = nodes(lab)
    started = [one for one in every if one.power_on()]
    for one in every:
        if one.state() != "on":  # frozen or cut by an earlier fault
            one.freeze(False)
            one.cut(False)
    with step("containerd of every node"):
        for one in every:
            one.wait_runtime()
    Store(lab).load(PAUSE_IMAGE, every)
    for one in every:
        storage.create_local_volumes(lab, one.n)
    with step("every node Ready"):
        for one in every:
            one.wait_ready(since if one in started else 0)


def give_to_caller(lab):
    """Under sudo, the kubeconfig is for who called it."""
    if "SUDO_UID" in os.environ:
        os.chown(lab.kubeconfig, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))


def down(lab):
    with own_lock(lab), step(f"lab {lab.name} is down"):
        full = lab.load().get("mode") == "full" or os.geteuid() == 0
        if full:
            for n in range(1, 10):
                cgroups.thaw_all(lab, n)
        every = daemons(lab)
        # Nodes first and at once; then the rest, clients before servers.
        for daemon in every:
            if daemon.name.startswith("node"):
                daemon.stop(signal.SIGKILL)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda daemon: daemon.stop(signal.SIGKILL), every))
        kill_marked(lab)
        if full:
            network.remove_all(lab)
            cgroups.remove_all(lab)
        remove_folder(lab)
        (lab.state.parent / f"{lab.name}.lock").unlink(missing_ok=True)


def remove_folder(lab):
    """Never across a mount: what is still mounted is not the lab's to delete."""
    mounted = [line.split()[4] for line in open("/proc/self/mountinfo", encoding="utf-8")]
    inside = [path for path in mounted if path.startswith(f"{lab.state}/")]
    if inside:
        raise LabError(f"still mounted below {lab.state}: {', '.join(inside)}; unmount it first")
    if lab.state.exists():
        shutil.rmtree(lab.state)


def status(lab):
    """The text that `lab status` prints, and whether all is well."""
    facts = lab.load()
    if not facts.get("mode"):
        left = network.left_over(lab) + cgroups.left_over(lab) + marked_pids(lab)
        remains = f", with remains {left}; remove them with: lab down" if left else ""
        return f"lab {lab.name}: down{remains}", False
    lines = [f"lab {lab.name}: {facts['mode']}, folder {lab.state}"]
    well = api.ready(lab)
    lines.append(f"  API      https://127.0.0.1:{facts.get('port')}  {'ready' if well else 'NOT ready'}")
    for daemon in daemons(lab):
        pid = daemon.pid()
        well = well and bool(pid)
        lines.append(f"  {daemon.name:24} " + (f"pid {pid}" if pid else f"ENDED; see: lab logs {daemon.name}"))
    for one in nodes(lab):
        condition, _ = api.node_condition(lab, one.name)
        well = well and condition == "True"
        lines.append(f"  {one.name:24} {one.state()}, Ready: {condition}, {network.node_ip(one.n)}, "
                     f"pods {network.pod_subnet(one.n)}")
    return "\n".join(lines), well


def environment(lab):
    """Lines for eval "$(lab env)"."""
    facts = lab.require_up()
    pairs = {"KUBECONFIG": lab.kubeconfig, "LAB_NAME": lab.name}
    if facts["mode"] == "full":
        pairs |= {"LAB_INSIDE_KUBECONFIG": lab.inside_kubeconfig, "LAB_API_IP": BRIDGE_IP,
                  "LAB_API_PORT": API_PORT, "LAB_POD_RANGE": POD_RANGE, "LAB_SERVICE_RANGE": SERVICE_RANGE}
    else:
        pairs["LAB_ETCD"] = f"http://127.0.0.1:{facts['etcd_port']}"
    return "\n".join(f"export {name}={value}" for name, value in pairs.items())
