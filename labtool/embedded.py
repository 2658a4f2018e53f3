"""The files that the embedded server reads: somebody's own, or those that a lab renders."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from labtool import atomic, expectation, inventory, state
from labtool.errors import RequestError
from labtool.flexisip.releases import LATEST


@contextlib.contextmanager
def configuration(
    lab: Path, given: str | None, *, public: bool, release: str | None
) -> Iterator[Path]:
    """The flexisip.conf to serve: `given`, or the lab's, for as long as the server runs.

    The lab's is for loopback unless `public`. Raises RequestError where there is neither.
    """
    if given is not None:
        if not Path(given).is_file():
            raise RequestError(f"The configuration {given} is not there.")
        yield Path(given)
        return
    read = inventory.read(lab)
    with tempfile.TemporaryDirectory(prefix="labtool-") as folder:
        users = Path(folder) / "users.db.txt"
        conf = Path(folder) / "flexisip.conf"
        wanted = release or LATEST
        atomic.write(users, expectation.users_file(read, wanted))
        atomic.write(
            conf,
            expectation.configuration(
                read,
                wanted,
                state.Addresses(str(read.options["flexisip_public_address"]), "", ()),
                users_file=str(users),
                log_directory=folder,
                loopback=not public,
            ),
        )
        yield conf
