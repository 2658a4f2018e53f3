"""Images of bare machines under systemd: Debian by debootstrap, or any public image.

An image is tagged by the hash of its recipe: built once a machine, again when the recipe changes.
`python -m tests.integration.images [NAME...]` builds ahead (each takes about a minute).
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .engine import BUILD_PACKAGES, DockerError, Engine, Unavailable, ensure, install, machine_lock
from .interpreter import Interpreter, find_python36
from .leftovers import labels

Report = Callable[[str], None]

# What a rented virtual machine has, and what SSH and Ansible need on it; nothing of SIP.
PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "logrotate",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
)

# Runs as root inside the new image. A machine's identity (host keys, machine-id) is made anew by
# each start; Docker's own images forbid services to start (policy-rc.d), a machine does not; the
# timers would take apt's lock in the middle of a test.
PREPARE = """\
set -eu
missing=
for package in {packages}; do
    dpkg-query -W -f '${{Status}}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing="$missing $package"
done
if [ -n "$missing" ]; then
    apt-get -q update
    DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends $missing
fi
rm -f /etc/ssh/ssh_host_* /usr/sbin/policy-rc.d
: > /etc/machine-id
systemctl mask apt-daily.timer apt-daily-upgrade.timer getty.target console-getty.service
"""

UBUNTU_1804_OS_RELEASE = """\
NAME="Ubuntu"
VERSION="18.04.6 LTS (Bionic Beaver)"
ID=ubuntu
ID_LIKE=debian
PRETTY_NAME="Ubuntu 18.04.6 LTS"
VERSION_ID="18.04"
HOME_URL="https://www.ubuntu.com/"
SUPPORT_URL="https://help.ubuntu.com/"
BUG_REPORT_URL="https://bugs.launchpad.net/ubuntu/"
VERSION_CODENAME=bionic
UBUNTU_CODENAME=bionic
"""

UBUNTU_1804_LSB_RELEASE = """\
DISTRIB_ID=Ubuntu
DISTRIB_RELEASE=18.04
DISTRIB_CODENAME=bionic
DISTRIB_DESCRIPTION="Ubuntu 18.04.6 LTS"
"""

AS_UBUNTU_1804 = f"""\
set -eu
rm -f /etc/os-release
cat > /etc/os-release <<'END'
{UBUNTU_1804_OS_RELEASE}END
cat > /etc/lsb-release <<'END'
{UBUNTU_1804_LSB_RELEASE}END
"""


@dataclass(frozen=True)
class Recipe:
    """How an image is made: from a Debian suite, or from a public image that is pulled."""

    name: str
    suite: str | None = None
    public: str | None = None
    dressed_as_ubuntu1804: bool = False


@dataclass(frozen=True)
class Image:
    """An image that is ready to start. `interpreter` is an extra Python for Ansible, if any."""

    name: str
    reference: str
    interpreter: str | None = None


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("debian12", suite="bookworm"),
        Recipe("debian13", suite="trixie"),
        # Debian 12's packages under Ubuntu 18.04's name, and its Python 3.6 where this machine has
        # one: runs what our roles do on 18.04. It is not 18.04; CI at large runs that.
        Recipe("debian12-as-ubuntu1804", suite="bookworm", dressed_as_ubuntu1804=True),
    )
}


def recipe(name: str) -> Recipe:
    """The recipe of that name; any other name is a public image, such as `ubuntu:18.04`."""
    return RECIPES.get(name) or Recipe(name, public=name)


def selected() -> list[str]:
    """The images to test on: LABTOOL_TEST_IMAGES (comma-separated), by default all of ours."""
    asked = os.environ.get("LABTOOL_TEST_IMAGES", "")
    return [name.strip() for name in asked.split(",") if name.strip()] or list(RECIPES)


def build(engine: Engine, names: Sequence[str], report: Report) -> dict[str, Image]:
    """The images of those names, two built at a time where they are missing.

    Raises Unavailable when one can't be built here, DockerError when building fails.
    """
    with machine_lock("images"):
        recipes = [recipe(name) for name in names]
        suites = sorted({one.suite for one in recipes if one.suite})
        with ThreadPoolExecutor(max_workers=2) as pool:
            bases = dict(
                zip(suites, pool.map(lambda one: _base(engine, one, report), suites), strict=True)
            )
        return {one.name: _image(engine, one, bases, report) for one in recipes}


def _image(engine: Engine, made: Recipe, bases: dict[str, str], report: Report) -> Image:
    script = PREPARE.format(packages=" ".join(PACKAGES))
    python = find_python36() if made.dressed_as_ubuntu1804 else None
    if made.dressed_as_ubuntu1804:
        script += AS_UBUNTU_1804
    if made.suite:
        base = bases[made.suite]
    else:
        assert made.public
        base = made.public
        _pull(engine, base, report)
    reference = (
        f"labtool-test/{_repository_name(made.name)}:"
        f"{_digest(base, script, python.fingerprint if python else '')}"
    )
    if not _exists(engine, reference):
        report(f"preparing the image {made.name}")
        _commit(engine, base, script, python, reference)
    kept = json.loads(engine.run("image", "inspect", reference))[0]["Config"]["Labels"] or {}
    return Image(made.name, reference, kept.get("labtool.interpreter"))


def _base(engine: Engine, suite: str, report: Report) -> str:
    """Debian of that suite with PACKAGES, by debootstrap."""
    mirror = debian_mirror()
    reference = f"labtool-test/base-{suite}:{_digest(suite, *PACKAGES, mirror or '')}"
    if _exists(engine, reference):
        return reference
    if os.geteuid() != 0:
        raise Unavailable(
            f"the Debian image ({suite}) is not built yet and debootstrap needs root: run "
            "`sudo python3 -m tests.integration.images` once, or name a public image in "
            "LABTOOL_TEST_IMAGES, such as ubuntu:22.04"
        )
    install(BUILD_PACKAGES)
    report(f"building Debian {suite} by debootstrap (about a minute, once on this machine)")
    with tempfile.TemporaryDirectory(prefix=f"labtool-{suite}-") as folder:
        root = Path(folder) / "root"
        command = [
            "debootstrap",
            "--variant=minbase",
            f"--include={','.join(PACKAGES)}",
            suite,
            str(root),
            *([mirror] if mirror else []),
        ]
        # Nothing of this must survive a power cut, so dpkg need not fsync.
        environment = {**os.environ, "DPKG_FORCE": "unsafe-io", "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=1200, check=False
        )
        if done.returncode:
            log = root / "debootstrap" / "debootstrap.log"
            said = log.read_text(errors="replace") if log.exists() else done.stdout + done.stderr
            raise Unavailable(f"debootstrap {suite} failed:\n" + "\n".join(said.splitlines()[-15:]))
        shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)
        _import(engine, root, reference)
    return reference


def _import(engine: Engine, root: Path, reference: str) -> None:
    """Make an image of a tree of files."""
    tar = subprocess.Popen(
        ["tar", "-C", str(root), "--one-file-system", "-c", "."], stdout=subprocess.PIPE
    )
    try:
        done = subprocess.run(
            engine.command("import", "-", reference),
            stdin=tar.stdout,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    finally:
        assert tar.stdout
        tar.stdout.close()
        status = tar.wait(timeout=60)
    if done.returncode or status:
        raise DockerError(f"docker import {reference}: {done.stderr.strip() or f'tar: {status}'}")


def _commit(
    engine: Engine, base: str, script: str, python: Interpreter | None, reference: str
) -> None:
    """Run `script` in a container of `base`, add `python`, and keep the outcome as `reference`."""
    container = engine.run("run", "--detach", *labels("build"), base, "sleep", "1200").strip()
    changes = ["--change", 'CMD ["/sbin/init"]']
    try:
        engine.run("exec", "-i", container, "sh", stdin=script.encode(), timeout_s=900)
        if python and (path := python.put_into(engine, container)):
            changes += ["--change", f"LABEL labtool.interpreter={path}"]
        engine.run("stop", "--time", "0", container)
        engine.run("commit", *changes, container, reference, timeout_s=300)
    finally:
        engine.run("rm", "--force", container)


def _pull(engine: Engine, public: str, report: Report) -> None:
    if _exists(engine, public):
        return
    report(f"pulling {public}")
    try:
        engine.run("pull", "--quiet", public, timeout_s=600)
    except DockerError as why:
        raise Unavailable(f"the image {public} can't be pulled here: {why}") from why


def _exists(engine: Engine, reference: str) -> bool:
    return bool(engine.run("images", "--quiet", reference).strip())


def debian_mirror() -> str | None:
    """The Debian mirror that this machine's apt uses; None leaves it to debootstrap's default."""
    if platform.freedesktop_os_release().get("ID") != "debian" or not shutil.which("apt-get"):
        return None
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    own = platform.freedesktop_os_release().get("VERSION_CODENAME")
    for line in listed.stdout.splitlines():
        uri, _, release = line.partition(" ")
        if release == own and uri.rstrip("/").endswith("/debian"):
            return uri
    return None


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _repository_name(name: str) -> str:
    return name.replace(":", "-").replace("/", "-")


def main(arguments: Sequence[str]) -> int:
    try:
        engine = ensure()
        names = list(arguments) or selected()
        for image in build(engine, names, lambda text: print(text, flush=True)).values():
            extra = f" with {image.interpreter}" if image.interpreter else ""
            print(f"{image.name}: {image.reference}{extra}")
    except (Unavailable, DockerError) as why:
        print(f"no images: {why}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
