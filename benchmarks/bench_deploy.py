"""A second `labtool deploy` against a second run of the obvious playbook, on one container.

Ours looks at the host, renders, compares eleven things and registers as two users over two
transports; theirs is seven plain tasks with Ansible's default settings. The limit is 0.7.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.paired import paired, ratio, report, timed

LIMIT = 0.7
RUNS = 5
HERE = Path(__file__).parent


def main() -> int:
    """Prints both times and the ratio; 1 where it is over the limit, 0 where there is no Docker."""
    from tests.integration import images
    from tests.integration.container import Container, KeyPair
    from tests.integration.controller import Controller
    from tests.integration.engine import Unavailable, ensure
    from tests.integration.repository import Repository, SigningKey
    from tests.integration.standin.package import build

    try:
        engine = ensure()
        image = images.build(engine, ["debian12"], print)["debian12"]
        key = SigningKey()
    except Unavailable as why:
        print(f"not measured: {why}")
        return 0
    with contextlib.ExitStack() as stack:
        stack.callback(key.remove)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        repository = Repository(engine.gateway(), key, [build(folder)])
        stack.enter_context(repository)
        login = KeyPair.generate()
        controller = Controller(folder, login.write(folder / "id"))
        hosts = [Container(engine, image, login) for _ in range(2)]
        for host in hosts:
            stack.callback(host.remove)
        ours_host, theirs_host = hosts
        controller.knows(*hosts)

        first = timed(
            lambda: _checked(controller.deploy(ours_host, "--repo-url", repository.url()))
        )
        for name in ("flexisip.conf", "users.db.txt"):
            (folder / name).write_text(ours_host.read(f"/etc/flexisip/{name}"))
        command = _obvious(folder, theirs_host.address, controller, repository.url())
        obvious_first = timed(command)

        def again() -> None:
            said = _checked(controller.run("deploy", "--json")).last("deployed")
            assert said["changed"] == 0, said

        mine, theirs = paired(again, command, RUNS)
        report("first: labtool deploy", [first])
        report("first: the obvious playbook", [obvious_first])
        report("again: labtool deploy, proved", mine)
        report("again: the obvious playbook", theirs)
        found = ratio(mine, theirs)
        tasks = len(_checked(controller.run("deploy", "--json")).tasks)
        print(f"{'ratio, again':<34} {found:.2f} (at most {LIMIT})")
        print(f"{'tasks of a second deployment':<34} {tasks} (fewer than 20)")
        added = _checked(controller.run("add-user", "carol", "--json"))
        print(f"{'tasks of add-user':<34} {len(added.tasks)} (at most 5)")
        return found > LIMIT or tasks >= 20 or len(added.tasks) > 5


def _checked(ran):  # type: ignore[no-untyped-def]
    assert ran.returncode == 0, ran.output
    return ran


def _obvious(folder: Path, address: str, controller, url: str):  # type: ignore[no-untyped-def]
    inventory = folder / "obvious-hosts.yml"
    arguments = f"-o UserKnownHostsFile={controller.known_hosts}"
    inventory.write_text(
        json.dumps(
            {
                "flexisip": {
                    "hosts": {address: {}},
                    "vars": {
                        "ansible_user": "root",
                        "ansible_ssh_private_key_file": str(controller.identity),
                        "ansible_ssh_common_args": arguments,
                    },
                }
            }
        )
    )
    argv = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        "-i",
        str(inventory),
        "-e",
        json.dumps({"url": url, "files": str(folder)}),
        str(HERE / "obvious.yml"),
    ]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}

    def run() -> None:
        done = subprocess.run(
            argv, cwd=folder, env=clean, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return run


if __name__ == "__main__":
    sys.exit(main())
