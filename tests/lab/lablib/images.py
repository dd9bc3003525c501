"""Images without a registry: built by buildah, brought into nodes as archives.

All are kept in a store of the lab's own in the cache: the machine's images are left
alone. Base images are made by debootstrap when they are missing. What a lab builds
is stored under its own prefix, since two checkouts build different images of one name.
"""

import hashlib
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import apt
from .node import PAUSE_IMAGE
from .settings import HERE
from .shell import LabError, lock, progress, run, run_logged, step

BASES = {f"docker.io/library/debian:{release}-slim": release for release in ("bookworm", "trixie")}
POSTGRES_RELEASE = {"15": "bookworm", "17": "trixie"}


def full_name(name):
    """As containerd and Docker complete a short name."""
    first, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif not ("." in first or ":" in first or first == "localhost"):
        name = f"docker.io/{name}"
    return name if ":" in name.rsplit("/", 1)[-1] or "@" in name else f"{name}:latest"


class Store:
    def __init__(self, lab):
        self.lab = lab
        self.root = lab.cache / "images"
        self.log = lab.cache / "images.log"
        mounts = hashlib.sha256(str(self.root).encode()).hexdigest()[:10]
        # Below /run, since what it holds (mounts) does not outlive the machine's boot.
        self.buildah = ["buildah", "--root", self.root, "--runroot", f"/run/matriarch-images-{mounts}"]

    def own(self, name):
        return f"localhost/lab-{self.lab.name}/{full_name(name)}"

    def run(self, *argv, **options):
        return run(*self.buildah, *argv, **options)

    def id(self, stored):
        shown = self.run("images", "--quiet", "--no-trunc", stored, check=False)
        return shown.stdout.strip() if shown.returncode == 0 else None

    def find(self, name):
        """The stored name of an image: this lab's own build, else a shared one."""
        for stored in (self.own(name), full_name(name)):
            if self.id(stored):
                return stored
        raise LabError(f"no image {name}; build it with: lab image build -t {name} CONTEXT"
                       if "postgres" not in name else
                       f"no image {name}; build it with: lab image postgres {'|'.join(POSTGRES_RELEASE)}")

    def commit_folder(self, stored, folder, *config):
        """A folder as an image of one layer."""
        container = self.run("from", "scratch").stdout.strip()
        try:
            self.run("copy", "--quiet", container, folder, "/")
            self.run("config", *config, container)
            self.run("commit", "--quiet", container, stored)
        finally:
            self.run("rm", container)

    # Images that the lab makes itself.

    def ensure_pause(self):
        with lock(self.lab.cache / "images.lock", "making images"):
            if self.id(PAUSE_IMAGE):
                return
            with tempfile.TemporaryDirectory() as folder, step("made the pause image"):
                run("gcc", "-static", "-Os", "-s", "-o", f"{folder}/pause", HERE / "images" / "pause.c")
                os.chmod(folder, 0o755)
                self.commit_folder(PAUSE_IMAGE, folder, "--entrypoint", '["/pause"]', "--user", "65535")

    def ensure_base(self, release):
        stored = f"docker.io/library/debian:{release}-slim"
        with lock(self.lab.cache / "images.lock", "making images"):
            if not self.id(stored):
                with step(f"made {stored} by debootstrap"):
                    progress(f"  making {stored} (about a minute); progress in {self.log}")
                    self.make_base(release, stored)
        return stored

    def make_base(self, release, stored):
        # Not in /tmp, which may refuse device files or be small.
        folder = Path(tempfile.mkdtemp(prefix="debootstrap-", dir=self.lab.cache))
        try:
            root = folder / "root"
            run_logged(self.log, "debootstrap", "--variant=minbase", release, root,
                       *apt.mirror(), env=os.environ)
            for pattern in ("var/cache/apt/*", "var/lib/apt/lists/*", "var/log/*", "usr/share/doc/*",
                            "usr/share/man/*", "usr/share/locale/*", "usr/share/info/*"):
                for path in root.glob(pattern):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            # Packages put alternatives there and fail without.
            for section in ("man1", "man7"):
                (root / "usr/share/man" / section).mkdir()
            apt.slim(root)
            self.commit_folder(stored, root, "--cmd", "bash")
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def build_postgres(self, version):
        return self.build_stand_in("postgres", version, POSTGRES_RELEASE[version], f"VERSION={version}")

    def build_pgbouncer(self):
        """1.21 or newer: bookworm's is too old."""
        return self.build_stand_in("pgbouncer", "trixie", "trixie")

    def build_stand_in(self, program, tag, release, *build_args):
        """For an image that others publish: from Debian's packages, by images/PROGRAM.Dockerfile."""
        stored = full_name(f"{program}:{tag}")
        dockerfile = HERE / "images" / f"{program}.Dockerfile"
        # A second name tells by which Dockerfile it was made.
        recipe = hashlib.sha256(dockerfile.read_bytes()).hexdigest()[:10]
        made = f"localhost/lab/{program}:{tag}-{recipe}"
        base = self.ensure_base(release)
        with lock(self.lab.cache / "images.lock", "making images"):
            if not self.id(made):
                with step(f"made {stored}"):
                    progress(f"  making {stored}; progress in {self.log}")
                    self.build(made, dockerfile.parent, dockerfile, build_args=[f"BASE={base}", *build_args])
            self.run("tag", made, stored)
        return stored

    def build(self, stored, context, dockerfile, target=None, build_args=(), log=None):
        """An ordinary Dockerfile, offline: base images from the store, packages through
        the machine's own apt configuration, which is lent to the build and not kept."""
        for base, release in BASES.items():
            if base.removeprefix("docker.io/library/") in dockerfile.read_text():
                self.ensure_base(release)
        with tempfile.TemporaryDirectory() as loan:
            options = ["--isolation=chroot", "--pull-never", "--layers", "-t", stored, "-f", dockerfile]
            options += apt.loan(Path(loan), dockerfile_release(dockerfile, build_args))
            if "CCACHE_DIR" in dockerfile.read_text():
                options += ccache_options()
            for argument in build_args:
                options += ["--build-arg", argument]
            if target:
                options += ["--target", target]
            # The caller's environment: buildah hands proxies to RUN and keeps them out of the image.
            run_logged(log or self.log, *self.buildah, "bud", *options, context, env=os.environ)

    # Into the nodes.

    def load(self, name, nodes):
        """Imports an image into all nodes at once, except where the same one is already."""
        stored, name = self.find(name), full_name(name)
        image_id = self.id(stored)

        def record(node):
            """Which build of the image a node has: the name alone does not tell."""
            return node.folder / "images" / name.replace("/", "_")

        def missing(node):
            if not record(node).exists() or record(node).read_text() != image_id:
                return True
            return not node.ctr("images", "ls", "--quiet", f"name=={name}").stdout.strip()

        def import_into(node):
            node.ctr("images", "import", archive)
            record(node).parent.mkdir(exist_ok=True)
            record(node).write_text(image_id)

        wanting = [node for node in nodes if missing(node)]
        if not wanting:
            progress(f"  {name} is in every node already")
            return
        archive = self.lab.folder("images") / "import.tar"
        archive.unlink(missing_ok=True)
        with step(f"loaded {name} into {', '.join(node.name for node in wanting)}"):
            # Of the formats that containerd reads, the one whose layers are not compressed:
            # packing and unpacking for each node would take most of the time.
            self.run("push", "--quiet", stored, f"docker-archive:{archive}:{name}")
            with ThreadPoolExecutor() as pool:
                list(pool.map(import_into, wanting))
        archive.unlink()


def dockerfile_release(dockerfile, build_args):
    """The Debian release of an image build: the first base image that names one."""
    text = dockerfile.read_text() + " ".join(build_args)
    found = [(text.index(release), release) for release in BASES.values() if release in text]
    return min(found)[1] if found else "bookworm"


def ccache_options():
    """The machine's compiler cache, for Dockerfiles that say `ARG CCACHE_DIR`: as a build
    argument it is known to RUN, but not kept in the image."""
    if not shutil.which("ccache"):
        return []
    folder = run("ccache", "--get-config", "cache_dir", env=os.environ).stdout.strip()
    Path(folder).mkdir(parents=True, exist_ok=True)
    return [f"--volume={folder}:/ccache", "--build-arg", "CCACHE_DIR=/ccache"]
