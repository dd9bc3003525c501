"""A control group for each node: the kubelet's root, and the whole node's freezer.

Version 1 has a tree for each controller, version 2 a single one; in both a node is
/matriarch-LAB/nodeN, with a leaf `system` for the node's own programs, because a
group of version 2 that hands controllers down may not hold processes itself.
"""

import os
from pathlib import Path

from .shell import LabError, wait_until

V2_ROOT = Path("/sys/fs/cgroup")
# Those that the kubelet insists on, and io.
V2_WANTED = {"cpu", "cpuset", "hugetlb", "io", "memory", "pids"}


def is_v2():
    return (V2_ROOT / "cgroup.controllers").exists()


def trees():
    """The mount points of all hierarchies (of a hybrid set-up the version 2 one too,
    since runc makes its groups there as well)."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = line.split(" - ", 1)
        if after.split()[0] in ("cgroup", "cgroup2"):
            found.append(Path(before.split()[4]))
    if not found:
        raise LabError("no cgroup file system is mounted")
    return found


def create_node(lab, n):
    if is_v2():
        hand_down_controllers(V2_ROOT)
        for group in (V2_ROOT / lab.cgroup, V2_ROOT / lab.cgroup / f"node{n}"):
            group.mkdir(exist_ok=True)
            hand_down_controllers(group)
    for tree in trees():
        group = tree
        for part in (lab.cgroup, f"node{n}", "system"):
            group = group / part
            group.mkdir(exist_ok=True)
            if not is_v2():
                copy_cpuset(group)


def copy_cpuset(group):
    """A new cpuset of version 1 is empty, and an empty one accepts no process."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        own = group / name
        if own.exists() and not own.read_text().strip():
            own.write_text((group.parent / name).read_text())


def hand_down_controllers(group):
    have = set((group / "cgroup.controllers").read_text().split())
    given = set((group / "cgroup.subtree_control").read_text().split())
    missing = (V2_WANTED & have) - given
    if not missing:
        return
    request = " ".join(f"+{name}" for name in sorted(missing))
    try:
        (group / "cgroup.subtree_control").write_text(request)
    except OSError:
        # The root of a container is no real root: its processes are in the way, and
        # have to move into a leaf first (as every Docker-in-Docker does it).
        leaf = group / "init"
        leaf.mkdir(exist_ok=True)
        for pid in (group / "cgroup.procs").read_text().split():
            try:
                (leaf / "cgroup.procs").write_text(pid)
            except OSError:
                pass  # ended meanwhile, or a kernel thread
        (group / "cgroup.subtree_control").write_text(request)


def freezer(lab, n=None):
    tree = V2_ROOT if is_v2() else V2_ROOT / "freezer"
    group = tree / lab.cgroup
    return group / f"node{n}" if n else group


def join_file(lab, n):
    """Where a node's first process writes its pid, so that the freezer holds it all."""
    return freezer(lab, n) / "system" / "cgroup.procs"


def freeze(lab, n, frozen):
    group = freezer(lab, n)
    if is_v2():
        (group / "cgroup.freeze").write_text("1" if frozen else "0")
        word = f"frozen {int(frozen)}"
        wait_until(lambda: word in (group / "cgroup.events").read_text(), f"{group}: {word}", 10)
    else:
        word = "FROZEN" if frozen else "THAWED"
        def reached():
            # Written again each time: freezing has to be asked for until it is complete.
            (group / "freezer.state").write_text(word)
            return (group / "freezer.state").read_text().strip() == word
        wait_until(reached, f"{group}: {word}", 10)


def is_frozen(lab, n):
    group = freezer(lab, n)
    try:
        if is_v2():
            return "frozen 1" in (group / "cgroup.events").read_text()
        return (group / "freezer.state").read_text().strip() != "THAWED"
    except FileNotFoundError:
        return False


def thaw_all(lab, n=None):
    """Also single pods that a test froze: a frozen process of version 1 cannot even die."""
    top = freezer(lab, n)
    for folder, _, files in os.walk(top):
        for name, word in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
            if name in files:
                try:
                    (Path(folder) / name).write_text(word)
                except FileNotFoundError:
                    pass  # removed meanwhile


def remove_all(lab, n=None):
    """Removes the lab's groups, or a node's, waiting for the last processes in them to be gone."""
    for tree in trees():
        top = tree / lab.cgroup / (f"node{n}" if n else "")
        wait_until(lambda: remove_tree(top), f"the processes in {top} to end", 20)


def remove_tree(top):
    for folder, _, _ in os.walk(top, topdown=False):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            pass
        except OSError:
            return False  # busy: a process is still on its way out
    return True


def left_over(lab):
    return [str(tree / lab.cgroup) for tree in trees() if (tree / lab.cgroup).exists()]
