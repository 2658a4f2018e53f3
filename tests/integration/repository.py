"""A signed apt repository on the Docker bridge, laid out like the one that serves bc-flexisip.

`http://GATEWAY:PORT/snapshots/{debian,ubuntu}` with `dists/SUITE/`, component `stable`, the key at
`pubkey.gpg`. It can be made wrong in every way that such a repository goes wrong.
"""

from __future__ import annotations

import gzip
import hashlib
import http.server
import subprocess
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from types import TracebackType

from .engine import install
from .leftovers import end_gpg, gpg_home

SUITES = {
    "debian": ("bullseye", "bookworm", "trixie"),
    "ubuntu": ("bionic", "jammy", "noble"),
}
COMPONENT = "stable"
ARCHITECTURE = "amd64"


class SigningKey:
    """An OpenPGP key in a GnuPG home of its own. `expired`: it was valid for a day, long ago."""

    def __init__(self, *, expired: bool = False) -> None:
        install({"gnupg": "gpg"})
        self._home = gpg_home()
        self._then = ["--faked-system-time", "20200101T000000!"] if expired else []
        try:
            owner = "labtool test repository <repository@labtool.invalid>"
            life = "1d" if expired else "0"
            self._gpg("--passphrase", "", "--quick-gen-key", owner, "rsa3072", "sign", life)
            listed = self._gpg("--with-colons", "--list-keys").decode().splitlines()
            self.fingerprint = next(x for x in listed if x.startswith("fpr:")).split(":")[9]
            self.binary = self._gpg("--export")
            self.armored = self._gpg("--armor", "--export")
        except BaseException:
            self.remove()
            raise

    def inline(self, data: bytes) -> bytes:
        """The text with its signature around it, as in InRelease."""
        return self._gpg("--digest-algo", "SHA512", "--clear-sign", stdin=data)

    def detached(self, data: bytes) -> bytes:
        """The signature alone, armored, as in Release.gpg."""
        return self._gpg("--digest-algo", "SHA512", "--armor", "--detach-sign", stdin=data)

    def remove(self) -> None:
        """End the agent and delete the private key."""
        end_gpg(self._home)

    def _gpg(self, *arguments: str, stdin: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", str(self._home), "--batch", "--yes", "--quiet"]
        command += [*self._then, "--pinentry-mode", "loopback", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"gpg {' '.join(arguments)}: {done.stderr.decode()}")
        return done.stdout


@dataclass(frozen=True)
class Asked:
    """A request that was made of the repository, and the status that it got."""

    path: str
    status: int


@dataclass
class Repository:
    """Serves packages over HTTP while it is open (a context manager).

    Change what it offers by `publish`, `offer_key` and `withdraw`; `requests` tells what was asked.
    """

    address: str
    key: SigningKey
    debs: list[Path]
    requests: list[Asked] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._server = http.server.ThreadingHTTPServer((self.address, 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.reset()

    def __enter__(self) -> Repository:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, distribution: str = "debian") -> str:
        """What stands in a source line, for `debian` or `ubuntu`."""
        return f"http://{self.address}:{self._server.server_address[1]}/snapshots/{distribution}"

    def source(self, suite: str, keyring: str, distribution: str = "debian") -> str:
        """The line of a sources.list."""
        options = f"arch={ARCHITECTURE} signed-by={keyring}"
        return f"deb [{options}] {self.url(distribution)} {suite} {COMPONENT}\n"

    def reset(self) -> None:
        """As it should be: all suites, signed by `key`, which is on offer."""
        self._files.clear()
        self.publish()
        self.offer_key(self.key)
        self.requests.clear()

    def publish(
        self,
        *,
        signed_by: SigningKey | None = None,
        unsigned: bool = False,
        valid_days: int | None = None,
        debs: Iterable[Path] | None = None,
    ) -> None:
        """Write all suites anew: signed by another key, not at all, or no longer valid.

        `valid_days` from today, negative for what has expired; None: for ever, as the real one is.
        `debs` replaces the packages on offer.
        """
        if debs is not None:
            self.debs = list(debs)
        key = None if unsigned else signed_by or self.key
        packages = b"".join(self._entry(deb) for deb in self.debs)
        indices = {
            f"{COMPONENT}/binary-{ARCHITECTURE}/Packages": packages,
            f"{COMPONENT}/binary-{ARCHITECTURE}/Packages.gz": gzip.compress(packages, mtime=0),
        }
        for distribution, suites in SUITES.items():
            root = f"/snapshots/{distribution}"
            for deb in self.debs:
                self._files[f"{root}/{_pool(deb)}"] = deb.read_bytes()
            for suite in suites:
                release = _release(suite, indices, valid_days)
                place = f"{root}/dists/{suite}"
                self._files |= {f"{place}/{name}": data for name, data in indices.items()}
                self._files[f"{place}/Release"] = release
                self._files.pop(f"{place}/InRelease", None)
                self._files.pop(f"{place}/Release.gpg", None)
                if key:
                    self._files[f"{place}/InRelease"] = key.inline(release)
                    self._files[f"{place}/Release.gpg"] = key.detached(release)

    def offer_key(self, key: SigningKey | bytes, *, armored: bool = True) -> None:
        """Put a key, or bytes that are none, at pubkey.gpg; keyring.gpg has it in binary."""
        for distribution in SUITES:
            root = f"/snapshots/{distribution}"
            if isinstance(key, bytes):
                self._files[f"{root}/pubkey.gpg"] = self._files[f"{root}/keyring.gpg"] = key
            else:
                self._files[f"{root}/pubkey.gpg"] = key.armored if armored else key.binary
                self._files[f"{root}/keyring.gpg"] = key.binary

    def withdraw(self, suite: str) -> None:
        """Serve that suite no longer: 404, as the public repository does with old ones."""
        for path in [path for path in self._files if f"/dists/{suite}/" in path]:
            del self._files[path]

    def asked_for(self, end: str) -> int:
        """How many requests were for a path that ends so."""
        return sum(one.path.endswith(end) for one in self.requests)

    def _entry(self, deb: Path) -> bytes:
        """A package's paragraph of the Packages file."""
        control = subprocess.run(
            ["dpkg-deb", "--field", str(deb)], capture_output=True, check=True
        ).stdout
        data = deb.read_bytes()
        added = (
            f"Filename: {_pool(deb)}\nSize: {len(data)}\n"
            f"SHA256: {hashlib.sha256(data).hexdigest()}\n\n"
        )
        return control.rstrip() + b"\n" + added.encode()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        repository = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                data = repository._files.get(self.path)
                status = 404 if data is None else 200
                repository.requests.append(Asked(self.path, status))
                self.send_response(status)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on the terminal; `requests` has it."""

        return Handler


def _release(suite: str, indices: dict[str, bytes], valid_days: int | None) -> bytes:
    now = datetime.now(timezone.utc)
    # An expired release is one that was made in time, not one from the future.
    made = now + timedelta(days=min(valid_days or 0, 0) - 1)
    lines = [
        "Origin: labtool test repository",
        "Label: labtool test repository",
        f"Suite: {suite}",
        f"Codename: {suite}",
        f"Date: {_date(made)}",
        *(
            []
            if valid_days is None
            else [f"Valid-Until: {_date(now + timedelta(days=valid_days))}"]
        ),
        f"Architectures: {ARCHITECTURE}",
        f"Components: {COMPONENT}",
        "Description: packages that labtool's tests built",
        "SHA256:",
        *(f" {hashlib.sha256(data).hexdigest()} {len(data)} {n}" for n, data in indices.items()),
    ]
    return ("\n".join(lines) + "\n").encode()


def _date(when: datetime) -> str:
    return format_datetime(when, usegmt=True)


def _pool(deb: Path) -> str:
    return f"pool/{COMPONENT}/b/bc-flexisip/{deb.name}"
