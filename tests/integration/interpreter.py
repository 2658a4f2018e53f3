"""A Python 3.6 of this machine, put into an image: what Ansible meets on Ubuntu 18.04."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from .engine import DockerError, Engine

HOME = "opt/python3.6"
COMMAND = "/usr/local/bin/python3.6"
# Parts of a standard library that no Ansible module imports.
UNUSED = {"test", "tests", "__pycache__", "site-packages", "ensurepip", "idlelib", "tkinter"}
UNUSED |= {"lib2to3", "turtledemo", "distutils"}
# `libssl.so.3 => /lib/x86_64-linux-gnu/libssl.so.3 (0x...)`, as ldd prints it.
LDD_LINE = re.compile(r"^\s*(\S+) => (/\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Interpreter:
    """A Python 3.6 on this machine: its executable and its prefix."""

    executable: Path
    prefix: Path

    @property
    def fingerprint(self) -> str:
        """Changes when the interpreter does."""
        state = self.executable.stat()
        return f"{self.prefix} {state.st_size} {state.st_mtime_ns}"

    def put_into(self, engine: Engine, container: str) -> str | None:
        """Copy it into a container that runs; the path of it there, None if it can't run there.

        Libraries that the image lacks come along in /usr/local/lib; none that it has is replaced.
        """
        known = engine.run("exec", container, "ldconfig", "-p").split()
        libraries = {
            name: path for name, path in self._libraries().items() if name not in set(known)
        }
        engine.run("cp", "-", f"{container}:/", stdin=self._tar(libraries))
        engine.run("exec", container, "ldconfig")
        try:
            said = engine.run(
                "exec", container, COMMAND, "-c", "import ssl, zlib, ctypes, sys; print(sys.prefix)"
            )
        except DockerError:
            # Built against a newer libc than the image has: leave it out.
            engine.run("exec", container, "rm", "-rf", f"/{HOME}", COMMAND)
            return None
        assert said.strip() == f"/{HOME}", said
        return COMMAND

    def _tar(self, libraries: dict[str, Path]) -> bytes:
        def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
            if UNUSED & set(Path(member.name).parts) or "/config-" in member.name:
                return None
            member.uid = member.gid = 0
            member.uname = member.gname = "root"
            return member

        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            tar.add(self.executable.resolve(), f"{HOME}/bin/python3.6", filter=plain)
            tar.add(self.prefix / "lib/python3.6", f"{HOME}/lib/python3.6", filter=plain)
            for name, path in libraries.items():
                tar.add(path.resolve(), f"usr/local/lib/{name}", filter=plain)
            link = tarfile.TarInfo(COMMAND.lstrip("/"))
            link.type, link.linkname = tarfile.SYMTYPE, f"/{HOME}/bin/python3.6"
            tar.addfile(link)
        return buffer.getvalue()

    def _libraries(self) -> dict[str, Path]:
        """Every shared library of it and its modules, by the name that the loader asks for."""
        modules = sorted((self.prefix / "lib/python3.6/lib-dynload").glob("*.so"))
        wanted = [str(one) for one in modules if not one.name.startswith("_tkinter")]
        said = subprocess.run(
            ["ldd", str(self.executable), *wanted], capture_output=True, text=True, check=False
        ).stdout
        return {name: Path(path) for name, path in LDD_LINE.findall(said)}


def find_python36() -> Interpreter | None:
    """A Python 3.6 under pyenv or on PATH that really runs, or None."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = sorted(pyenv.glob("versions/3.6.*/bin/python3.6"), reverse=True)
    if found := shutil.which("python3.6"):
        candidates.append(Path(found))
    for candidate in candidates:
        # A pyenv shim is on PATH even where its version is not switched on: then it fails.
        done = subprocess.run(
            [str(candidate), "-c", "import sys; print(sys.executable, sys.base_prefix, sep='\\n')"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            executable, prefix = done.stdout.splitlines()
            return Interpreter(Path(executable), Path(prefix))
    return None
