"""The command line: what each command takes, and who needs to be root for it."""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from . import binaries, controlplane, images, lab as labs, network, storage
from .process import MARK, Daemon
from .settings import HERE, MAX_NODES, settings
from .shell import LabError, progress, step

EPILOG = """\
State is kept below MATRIARCH_STATE (/var/tmp/matriarch), built programs and images
below MATRIARCH_CACHE (~/.cache/matriarch). LAB_NAME is the default of --name."""


def main():
    own, passed_on = split(sys.argv[1:])
    arguments = parser().parse_args(own)
    arguments.passed_on = passed_on
    try:
        lab = settings(arguments.name)
        if arguments.root(arguments) and os.geteuid() != 0:
            become_root(lab, arguments)
        return arguments.command(lab, arguments) or 0
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except PermissionError as error:
        print(f"lab: {error}; was this lab started by another user?", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted; repeat the command, or clean up with: lab down", file=sys.stderr)
        return 130


def split(words):
    """What is the lab's own, and what is kubectl's or helm's: their options look like ours."""
    for at, word in enumerate(words):
        if word in ("kubectl", "helm") and words[at - 1:at] != ["--name"]:
            return words[:at + 1], words[at + 1:]
        if not word.startswith("-") and words[at - 1:at] != ["--name"]:
            break
    return words, []


def become_root(lab, arguments):
    """Namespaces, mounts and cgroups take root. The programs are built before, as the
    caller, so that his Go cache stays his."""
    if not shutil.which("sudo"):
        raise LabError("this needs root; run it as root or install sudo")
    if arguments.command is up:
        binaries.ensure(lab)
    kept = [f"MATRIARCH_STATE={lab.state.parent}", f"MATRIARCH_CACHE={lab.cache}", f"LAB_NAME={lab.name}"]
    kept += [f"{key}={value}" for key, value in os.environ.items()
             if key in ("CCACHE_DIR", "PATH") or key.lower().endswith("_proxy")]
    os.execvp("sudo", ["sudo", "env", *kept, str(HERE / "lab"), *sys.argv[1:]])


def up(lab, arguments):
    labs.up(lab, arguments.nodes, arguments.api_only)
    progress(f"use it with: eval \"$({HERE / 'lab'} --name {lab.name} env)\"")


def down(lab, arguments):
    labs.down(lab)


def status(lab, arguments):
    text, well = labs.status(lab)
    print(text)
    return 0 if well else 3


def env(lab, arguments):
    print(labs.environment(lab))


def pass_on(lab, arguments):
    lab.require_up()
    os.environ["KUBECONFIG"] = str(lab.kubeconfig)
    name = arguments.program
    os.execv(binaries.path(lab, name), [name, *arguments.passed_on])


def load(lab, arguments):
    lab.require_up(full=True)
    with labs.own_lock(lab):
        for name in arguments.images:
            images.Store(lab).load(name, [one for one in labs.nodes(lab) if one.state() != "off"])


def node(lab, arguments):
    one = labs.node(lab, arguments.n)
    since = time.time()
    started = False
    with labs.own_lock(lab):
        if arguments.action == "on":
            started = one.power_on()
        elif arguments.action == "off":
            one.power_off()
        elif arguments.action in ("freeze", "thaw"):
            one.freeze(arguments.action == "freeze")
        else:
            one.cut(arguments.action == "cut")
    if started:
        with step(f"{one.name} Ready again"):
            one.wait_ready(since)


def run(lab, arguments):
    """With the lab's DNS, so that Services have their names."""
    lab.require_up(full=True)
    environment = {"KUBECONFIG": str(lab.inside_kubeconfig), MARK: str(lab.state)}
    resolver = os.path.realpath("/etc/resolv.conf")
    command = [*network.inside(lab.control_plane_netns), "unshare", "--mount", "sh", "-c",
               f'mount --bind "{lab.state / "resolv.conf"}" "{resolver}" && exec "$@"', "sh",
               *command_of(arguments)]
    os.execvpe(command[0], command, {**without_proxies(), **environment})


def node_run(lab, arguments):
    command = labs.node(lab, arguments.n).enter(*command_of(arguments))
    os.execvpe(command[0], command, {**without_proxies(), MARK: str(lab.state)})


def command_of(arguments):
    command = arguments.rest[1:] if arguments.rest[:1] == ["--"] else arguments.rest
    if not command:
        raise LabError("which command? For example: lab run -- curl http://NAME.NAMESPACE.svc.cluster.local")
    return command


def without_proxies():
    return {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}


def image_build(lab, arguments):
    store = images.Store(lab)
    context = Path(arguments.context)
    dockerfile = Path(arguments.file or context / "Dockerfile")
    if not dockerfile.is_file():
        raise LabError(f"no Dockerfile at {dockerfile}; name it with -f")
    tag = arguments.tag.replace("/", "_").replace(":", "_")
    log = lab.cache / "logs" / f"image-{lab.name}-{tag}.log"
    log.unlink(missing_ok=True)
    progress(f"  building {arguments.tag}; progress in {log}")
    with step(f"built {arguments.tag}"):
        store.build(store.own(arguments.tag), context, dockerfile, arguments.target,
                    arguments.build_arg, log)


def image_postgres(lab, arguments):
    print(images.Store(lab).build_postgres(arguments.version))


def image_pgbouncer(lab, arguments):
    print(images.Store(lab).build_pgbouncer())


def act(component):
    def command(lab, arguments):
        lab.require_up()
        controlplane.act(lab, component, arguments.action)
    return command


def disks(lab, arguments):
    lab.require_up(full=True)
    print("\n".join(storage.recycle(lab)))


def logs(lab, arguments):
    known = {path.stem: path for path in (lab.state / "logs").glob("*.log")}
    for one in labs.nodes(lab):
        known |= {f"{one.name}/{path.stem}": path for path in (one.folder / "logs").glob("*.log")}
    if arguments.component is None:
        for name, path in sorted(known.items()):
            print(f"{name:24} {path}")
    elif arguments.component in known:
        os.execvp("tail", ["tail", "-n", str(arguments.lines), *(["-F"] if arguments.follow else []),
                           str(known[arguments.component])])
    else:
        raise LabError(f"no log of {arguments.component}; there are: {', '.join(sorted(known))}")


def always(arguments):
    return True


def never(arguments):
    return False


def full_only(arguments):
    return not arguments.api_only


def parser():
    top = argparse.ArgumentParser(prog="lab", description=sys.modules["__main__"].__doc__, epilog=EPILOG,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--name", help="which lab (default: one for each checkout)")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(name, command, text, root=never):
        one = commands.add_parser(name, help=text, description=text)
        one.set_defaults(command=command, root=root)
        return one

    one = add("up", up, "start the lab, or what is missing of it", full_only)
    one.add_argument("--nodes", type=int, choices=range(1, MAX_NODES + 1), default=3, metavar="N")
    one.add_argument("--api-only", action="store_true", help="etcd and kube-apiserver on 127.0.0.1, no root")
    add("down", down, "end and remove the lab", is_full)
    add("status", status, "what runs; exit status 0 if all is well", is_full)
    add("env", env, "print the environment for: eval \"$(lab env)\"")
    for name in ("kubectl", "helm"):
        one = add(name, pass_on, f"run {name} on this lab; all that follows is {name}'s")
        one.set_defaults(program=name)
    one = add("load", load, "bring images into every node", always)
    one.add_argument("images", nargs="+", metavar="IMAGE")
    one = add("node", node, "faults of a node: power, freezing, network", always)
    one.add_argument("n", type=int)
    one.add_argument("action", choices=("off", "on", "freeze", "thaw", "cut", "heal"))
    one = add("run", run, "run a command in the lab's network, where Services and pods are reachable", always)
    one.add_argument("rest", nargs=argparse.REMAINDER, metavar="-- CMD")
    one = add("node-run", node_run, "run a command within a node", always)
    one.add_argument("n", type=int)
    one.add_argument("rest", nargs=argparse.REMAINDER, metavar="-- CMD")
    one = add("apiserver", act("kube-apiserver"), "faults of the API server", is_full)
    one.add_argument("action", choices=("stop", "start", "kill", "restart", "pause", "resume"))
    one = add("etcd", act("etcd"), "faults of etcd", is_full)
    one.add_argument("action", choices=("stop", "start", "kill", "restart", "pause", "resume"))
    add("recycle", disks, "wipe the released volumes of class lab-local and offer them again", always)
    one = add("logs", logs, "show a component's log; without a name, list them")
    one.add_argument("component", nargs="?")
    one.add_argument("-n", "--lines", default=100, type=int)
    one.add_argument("-f", "--follow", action="store_true")

    image = commands.add_parser("image", help="make images without a registry").add_subparsers(
        required=True, metavar="COMMAND")
    one = image.add_parser("build", help="build a Dockerfile, offline, through the machine's apt configuration")
    one.set_defaults(command=image_build, root=always)
    one.add_argument("-t", "--tag", required=True, metavar="NAME")
    one.add_argument("-f", "--file", metavar="DOCKERFILE")
    one.add_argument("--target")
    one.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    one.add_argument("context")
    one = image.add_parser("postgres", help="make a small image like the official one")
    one.set_defaults(command=image_postgres, root=always)
    one.add_argument("version", choices=images.POSTGRES_RELEASE)
    one = image.add_parser("pgbouncer", help="make a small image of PgBouncer, from Debian's trixie")
    one.set_defaults(command=image_pgbouncer, root=always)
    return top


def is_full(arguments):
    """Root only for a lab that root started."""
    return settings(arguments.name).load().get("mode") == "full"
