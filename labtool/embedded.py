"""The files that the embedded server reads: somebody's own, or those that a lab renders."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labtool import atomic, certificates, expectation, inventory, issuer, state
from labtool.errors import RequestError
from labtool.flexisip.releases import LATEST
from labtool.inventory import Lab


@contextlib.contextmanager
def configuration(
    lab: Path, given: str | None, *, public: bool, release: str | None
) -> Iterator[Path]:
    """The flexisip.conf to serve: `given`, or the lab's, for as long as the server runs.

    The lab's is for loopback unless `public`. Raises RequestError where there is neither.
    """
    if given is not None:
        if Path(given).is_dir():
            raise RequestError(f"The configuration {given} is a directory; name the file in it.")
        if not Path(given).is_file():
            raise RequestError(f"The configuration {given} is not there.")
        yield Path(given)
        return
    read = inventory.read(lab)
    with tempfile.TemporaryDirectory(prefix="labtool-") as folder:
        users = Path(folder) / "users.db.txt"
        conf = Path(folder) / "flexisip.conf"
        wanted = release or LATEST
        tls = _certificate(read, folder, wanted)
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
                tls=tls,
            ),
        )
        yield conf


def _certificate(lab: Lab, folder: str, release: str) -> Mapping[str, Any]:
    """The lab's certificate in this folder, as flexisip.conf names it; {} where it has no TLS.

    What labtool makes is made here too: for this machine, by the lab's own issuer.
    """
    if lab.options["flexisip_tls_on_server"] and certificates.wanted(lab.options):
        raise RequestError(
            "The lab's certificate is on its server (flexisip_tls_on_server), so the embedded server "
            "cannot have it. Give it another configuration: --conf FILE"
        )
    here = "sandbox"
    if certificates.wanted(lab.options) and certificates.is_own(lab.options):
        issuer.made(lab.path, here, (lab.domain, "localhost", "127.0.0.1", "::1"))
    for file in certificates.files(lab.options, lab.path, here, folder, release):
        atomic.write(Path(file["path"]), file["text"])
    return certificates.settings(lab.options, lab.path, here, folder)
