"""The machine's apt configuration, lent to image builds: where it gets its packages
from, builds get theirs from, whatever mirror or proxy that is; nothing of it stays."""

import platform
import re
import shutil
from pathlib import Path

from .shell import run

COMPONENTS = ("main", "contrib", "non-free", "non-free-firmware")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Those settings of apt that say how to reach an archive, and that are not empty.
FETCHING = re.compile(r'Acquire::(http|https|Check-|Retries|Proxy|ForceIP|Max-)(?!.*CAInfo)\S* "[^"]')
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def sources():
    """(site, suite, component) of Debian's own archives in the machine's sources."""
    own = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    suites = [own] + [f"{own}-{part}" for part in ("updates", "security", "backports")]
    shown = run("apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT)",
                "Created-By: Packages").stdout
    found = sorted({tuple(line.split()) for line in shown.splitlines()})
    return own, [(site, suite, component) for site, suite, component in found
                 if suite in suites and component in COMPONENTS]


def mirror():
    """The mirror argument of debootstrap; none when only its default is known."""
    own, known = sources()
    return [site for site, suite, component in known if (suite, component) == (own, "main")][:1]


# What the official slim images configure: no caches, no translations, no manuals.
SLIM = """\
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
Acquire::Languages "none";
"""


def slim(root):
    # In the folder that a loan covers: the same source twice makes apt complain.
    (root / "etc/apt/sources.list").rename(root / "etc/apt/sources.list.d/debian.list")
    (root / "etc/apt/apt.conf.d/docker-clean").write_text(SLIM)
    (root / "etc/dpkg/dpkg.cfg.d/docker").write_text(
        "path-exclude /usr/share/doc/*\npath-include /usr/share/doc/*/copyright\n"
        "path-exclude /usr/share/man/*\npath-exclude /usr/share/locale/*\nforce-unsafe-io\n")


def loan(folder, release):
    """Options for buildah that put the machine's sources and ways of fetching over the image's.

    Whole folders that every Debian image has are mounted: a single file, if missing,
    would stay in the image as an empty one. They are copies and so may be written to,
    which some packages do on installation.
    """
    own, known = sources()
    if not known:
        return []  # not a Debian machine: the image's own sources will have to do
    parts = {name: folder / name for name in ("sources.list.d", "apt.conf.d", "keyrings")}
    for part in parts.values():
        part.mkdir()
    (parts["sources.list.d"] / "lent.list").write_text("".join(
        f"deb [signed-by={KEYRING}] {site} {suite.replace(own, release, 1)} {component}\n"
        for site, suite, component in known))
    settings = [line for line in run("apt-config", "dump").stdout.splitlines() if FETCHING.match(line)]
    if CERTIFICATES.exists():
        shutil.copy(CERTIFICATES, parts["keyrings"] / "lent-authorities.crt")
        settings.append('Acquire::https::CAInfo "/etc/apt/keyrings/lent-authorities.crt";')
    settings.append('APT::Sandbox::User "root";')  # the chroot of a build has no other
    (parts["apt.conf.d"] / "lent").write_text("\n".join(settings) + "\n" + SLIM)
    folder.chmod(0o755)
    return [f"--volume={part}:/etc/apt/{name}" for name, part in parts.items()]
