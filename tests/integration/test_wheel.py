"""The wheel: it carries what it needs, nothing of whoever built it, and works from an empty folder.

Needs pip, and the package index (or a cache of it) for the build's own dependencies.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import not_here

SOURCES = (
    "LICENSE",
    "LICENSES",
    "README.md",
    "ansible.cfg",
    "inventory",
    "labtool",
    "playbooks",
    "pyproject.toml",
    "roles",
    "templates",
    "tests/testinfra",
)
SECRET = "5ec2e7" * 5 + "ab"


@pytest.fixture(scope="module")
def wheel(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the checkout whose owner has a lab in it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in SOURCES:
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (project / name).is_dir():
            shutil.copytree(project / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(project / name, target)
    lab = source / "inventory"
    (lab / "group_vars" / "flexisip" / "users.yml").write_text(f"md5: {SECRET}\n")
    (lab / ".labtool" / "log").mkdir(parents=True)
    (lab / ".labtool" / "log" / "deploy.log").write_text(SECRET)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", str(folder), str(source)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        if any("hatchling" in line for line in said):
            not_here(f"hatchling, which builds the wheel, cannot be had: {said[-1]}")
        pytest.fail(done.stdout + done.stderr)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_carries_what_it_needs(project: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder in ("playbooks", "roles", "templates"):
        for file in (project / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                assert f"labtool/ansible/{file.relative_to(project)}" in names
    assert {
        "labtool/ansible/ansible.cfg",
        "labtool/ansible/testinfra/conftest.py",
        "labtool/ansible/testinfra/test_server.py",
        "labtool/flexisip/settings.tsv",
        "labtool/py.typed",
    } <= names
    assert [name for name in names if "GPL-3.0" in name], "the callback plugin's licence"


def test_nothing_of_the_builders_lab_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        holding = [name for name in archive.namelist() if SECRET.encode() in archive.read(name)]
    assert holding == []


@dataclass(frozen=True)
class Installed:
    target: Path
    folder: Path

    def labtool(self, *arguments: str) -> str:
        """What the installed labtool says, in an empty folder."""
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("LABTOOL_", "ANSIBLE_", "PYTHON"))
        }
        done = subprocess.run(
            [sys.executable, "-m", "labtool", *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            env=environment | {"PYTHONPATH": str(self.target), "PYTHONDONTWRITEBYTECODE": "1"},
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Installed beside the dependencies that are here already, away from the checkout."""
    target, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("empty")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", str(target), str(wheel)], check=True)
    return Installed(target, folder)


def test_an_installed_labtool_makes_a_lab_and_shows_its_own_playbook(
    installed: Installed, project: Path
) -> None:
    installed.labtool("init", "--domain", "sip.example.test")
    words = shlex.split(installed.labtool("deploy", "--host", "203.0.113.5", "--show-command"))
    assert words[0] == f"ANSIBLE_CONFIG={installed.target}/labtool/ansible/ansible.cfg"
    assert words[-1] == f"{installed.target}/labtool/ansible/playbooks/deploy.yml"
    assert str(project) not in " ".join(words).replace(str(installed.target), "")


def test_the_demo_of_an_installed_labtool_holds(installed: Installed) -> None:
    """It renders by Ansible with the wheel's own roles, templates, filters and callback."""
    assert "Everything holds" in installed.labtool("demo", "--seconds", "0.5")
    (log,) = (installed.folder / "labtool-demo").rglob("*-render.log")
    assert str(installed.target) in log.read_text()


def test_the_suite_of_an_installed_labtool_is_found_and_collected(installed: Installed) -> None:
    suite = installed.target / "labtool" / "ansible" / "testinfra"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--collect-only", "-q", f"--rootdir={suite}"),
            *("-c", os.devnull, "-p", "no:cacheprovider", "--hosts=local://", str(suite)),
        ],
        capture_output=True,
        text=True,
        cwd=installed.folder,
        env=os.environ | {"PYTHONPATH": str(installed.target)},
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "test_server.py" in done.stdout
