"""A lab on disk: a plain Ansible inventory that labtool reads, checks and writes.

    inventory/
      hosts.yml                       the group `flexisip`, one entry a host
      group_vars/flexisip/lab.yml     the options (labtool.options)
      group_vars/flexisip/users.yml   the accounts, as digest hashes, 0600

hosts.yml and lab.yml are written by people, so changes to them keep their comments (ruamel.yaml);
users.yml is labtool's own and is written whole.
"""

from __future__ import annotations

import io
import re
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from labtool import atomic, options
from labtool.errors import LabtoolError, RequestError
from labtool.flexisip.names import check_domain, check_host, check_user

GROUP = "flexisip"
ACCOUNTS = "flexisip_users_accounts"
_HASHES = {"md5": 32, "sha256": 64}
# What sshd's machines take for a login, and neither OpenSSH for an option nor Ansible for a template.
_LOGIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*")

USERS_HEADER = """\
# The lab's SIP accounts, written by labtool: add-user, remove-user, set-password.
# A password is kept only as its digest hash, H(name:domain:password); treat it like the password.
"""


@dataclass(frozen=True)
class Host:
    """A machine of the lab: the name it has in hosts.yml and how SSH reaches it."""

    name: str
    address: str
    port: int | None = None
    user: str | None = None
    local: bool = False
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Account:
    """A SIP account: its HA1 hashes by users.db.txt's names (md5, sha256), never the password."""

    name: str
    domain: str
    hashes: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Lab:
    """What an inventory directory says. `options` has every default filled in."""

    path: Path
    hosts: tuple[Host, ...]
    options: Mapping[str, Any]
    accounts: tuple[Account, ...]

    @property
    def domain(self) -> str:
        """The SIP domain. Raises RequestError where the lab names none."""
        domain = self.options.get("flexisip_domain")
        if not domain:
            raise RequestError(
                f"{lab_file(self.path)}: flexisip_domain is missing. "
                "Name the SIP domain there or with --domain, for example sip.example.test."
            )
        return str(domain)

    def host(self, name: str | None) -> Host:
        """The host of that name, or the only one. Raises RequestError where that is not clear."""
        if name is None:
            if len(self.hosts) == 1:
                return self.hosts[0]
            if not self.hosts:
                raise RequestError(
                    f"The lab {self.path} has no host yet. Run: labtool deploy --host ADDRESS"
                )
            names = ", ".join(host.name for host in self.hosts)
            raise RequestError(
                f"The lab {self.path} has several hosts; name one by --host: {names}"
            )
        for host in self.hosts:
            if name in (host.name, host.address):
                return host
        raise RequestError(
            f"The lab {self.path} has no host {name}. Run: labtool deploy --host {name}"
        )

    def account(self, name: str) -> Account:
        """The account of that name. Raises RequestError where there is none."""
        for account in self.accounts:
            if account.name == name:
                return account
        raise RequestError(f"The lab {self.path} has no user {name}. See: labtool list-users")

    def stale_accounts(self) -> tuple[Account, ...]:
        """Accounts whose password was hashed for another domain than the lab now has."""
        return tuple(account for account in self.accounts if account.domain != self.domain)


def hosts_file(lab: Path) -> Path:
    return lab / "hosts.yml"


def lab_file(lab: Path) -> Path:
    return lab / "group_vars" / GROUP / "lab.yml"


def users_file(lab: Path) -> Path:
    return lab / "group_vars" / GROUP / "users.yml"


def exists(lab: Path) -> bool:
    """Whether this directory holds a lab."""
    try:
        return hosts_file(lab).exists() or lab_file(lab).exists()
    except OSError as error:
        raise RequestError(f"The lab {lab} cannot be read: {error.strerror}") from error


def read(path: Path) -> Lab:
    """Read and check a lab. Raises RequestError, one sentence, for the first thing wrong in it."""
    if not exists(path):
        raise RequestError(f"There is no lab in {path}. Make one with: labtool init -i {path}")
    return Lab(
        path=path,
        hosts=_read_hosts(hosts_file(path)),
        options=read_options(lab_file(path)),
        accounts=read_accounts(users_file(path)),
    )


def read_options(path: Path) -> dict[str, Any]:
    """The options of a lab.yml, with every default filled in. Raises RequestError."""
    return options.check(_mapping(path, optional=True), where=str(path))


def _mapping(path: Path, *, optional: bool = False) -> dict[Any, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if optional:
            return {}
        raise RequestError(f"{path} is missing.") from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RequestError(f"{path} cannot be read: {why}") from error
    kind: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader = kind(text)
    try:
        node = loader.get_single_node()
        _check_repeated(node)
        value = None if node is None else loader.construct_document(node)
    except _NOT_YAML as error:
        raise _not_yaml(path, error) from error
    finally:
        loader.dispose()
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RequestError(
            f"{path} must hold `name: value` lines, but holds {type(value).__name__}."
        )
    return value


# Beside its own errors PyYAML lets those of its conversions through: `2024-99-99`, `!!bool x`.
_NOT_YAML = (yaml.YAMLError, ValueError, KeyError, AttributeError, RecursionError)


def _not_yaml(path: Path, error: Exception) -> RequestError:
    """The sentence for an error of PyYAML or ruamel.yaml."""
    mark = getattr(error, "problem_mark", None)
    line = f" at line {mark.line + 1}" if mark else ""
    problem = getattr(error, "problem", None)
    if isinstance(error, RecursionError):
        problem = "nested too deeply"
    elif problem is None:
        problem = "a value does not fit its type, such as a date that does not exist"
    return RequestError(f"{path} is not valid YAML{line}: {' '.join(problem.split())}")


def _check_repeated(top: Any) -> None:
    """Refuse a name that stands twice: Ansible takes the last, and such a file cannot be edited."""
    seen: set[int] = set()
    waiting = [top]
    while waiting:
        node = waiting.pop()
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
            continue
        names = set()
        for key, value in node.value:
            waiting.append(value)
            if isinstance(key, yaml.ScalarNode):
                if key.value in names:
                    problem = f"{key.value!r} stands there twice"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
                names.add(key.value)


def check_login(name: Any) -> str:
    """The name of a login by SSH, as it is. Raises RequestError."""
    if not isinstance(name, str) or _LOGIN.fullmatch(name) is None:
        raise RequestError(f"the login {name!r} is not a name such as root")
    return name


def _read_hosts(path: Path) -> tuple[Host, ...]:
    top = _mapping(path, optional=True)
    group = top.get(GROUP, {}) or {}
    if not isinstance(group, dict):
        raise RequestError(f"{path}: the group {GROUP} must hold `hosts:`.")
    entries = group.get("hosts", {}) or {}
    shared = group.get("vars", {}) or {}
    if not isinstance(entries, dict) or not isinstance(shared, dict):
        raise RequestError(f"{path}: {GROUP}: hosts: must hold one `NAME:` line a host.")
    hosts = []
    for name, own in entries.items():
        if not isinstance(name, str):
            raise RequestError(f"{path}: the host {name!r} must be in quotes.")
        variables = {**shared, **own} if isinstance(own, dict) else shared
        address = variables.get("ansible_host", name)
        user = variables.get("ansible_user")
        try:
            check_host(name)
            check_host(str(address))
            if user is not None:
                check_login(user)
        except RequestError as error:
            raise RequestError(f"{path}: {error}") from error
        if not isinstance(own, (dict, type(None))):
            raise RequestError(f"{path}: the host {name} must hold `variable: value` lines.")
        port = variables.get("ansible_port")
        if port is not None and not (type(port) is int and 1 <= port <= 65535):
            raise RequestError(f"{path}: the host {name}: ansible_port must be a port, 1 to 65535.")
        local = variables.get("ansible_connection") == "local"
        hosts.append(Host(name, str(address), port, user, local, variables))
    return tuple(hosts)


def read_accounts(path: Path) -> tuple[Account, ...]:
    """The accounts of a users.yml; none where there is no such file. Raises RequestError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    known = _as_written(text)
    return known if known is not None else _read_accounts(path)


# users.yml as write_accounts writes it: read without a YAML parser, which takes eight seconds for
# 100,000 accounts, and an operation reads them several times. What does not match goes to YAML.
_NAME = r"(?:([A-Za-z][A-Za-z0-9_.-]*)|'((?:[^'\n]|'')*)')"
_HEX = r"'?([0-9a-f]{{{0}}})'?"
_ENTRY = re.compile(
    rf"  {_NAME}:\n    domain: '?([a-z0-9.-]+)'?\n"
    rf"(?:    md5: {_HEX.format(32)}\n)?(?:    sha256: {_HEX.format(64)}\n)?"
)


@lru_cache(maxsize=4)
def _as_written(text: str) -> tuple[Account, ...] | None:
    """The accounts of a text that is exactly what `_written` makes of them; None for another."""
    head = _head()
    if not text.startswith(head):
        return None
    accounts: dict[str, Account] = {}
    position, match, count = len(head), _ENTRY.match, 0
    while (found := match(text, position)) is not None:
        plain, quoted, domain, md5, sha256 = found.groups()
        name = plain or quoted.replace("''", "'")
        hashes = {key: value for key, value in (("md5", md5), ("sha256", sha256)) if value}
        accounts[name] = Account(name, sys.intern(domain), hashes)
        position, count = found.end(), count + 1
    made = tuple(accounts.values())
    try:
        for domain in {account.domain for account in made}:
            check_domain(domain)
        for name in accounts:
            check_user(name)
    except RequestError:
        return None
    whole = position == len(text) and count == len(made) and all(one.hashes for one in made)
    return made if whole and _written(made) == text else None


def _read_accounts(path: Path) -> tuple[Account, ...]:
    top = _mapping(path, optional=True)
    for name in top:
        if name != ACCOUNTS:
            raise RequestError(f"{path}: unknown option {name!r}; this file holds only {ACCOUNTS}.")
    entries = top.get(ACCOUNTS) or {}
    if not isinstance(entries, dict):
        raise RequestError(f"{path}: {ACCOUNTS} must hold one `NAME:` entry an account.")
    accounts = []
    for name, entry in entries.items():
        # Ansible would have another key than we: `no` is False, and 0123 is 83.
        if not isinstance(name, str):
            raise RequestError(f"{path}: the user {name!r} must be in quotes.")
        # The hashes themselves are never quoted in a message.
        try:
            check_user(name)
        except RequestError as error:
            raise RequestError(f"{path}: {error}") from error
        if not isinstance(entry, dict) or not isinstance(entry.get("domain"), str):
            raise RequestError(f"{path}: the user {name} needs domain, md5 and sha256.")
        options.check_one("flexisip_domain", entry["domain"], where=f"{path}: the user {name}")
        hashes = {key: value for key, value in entry.items() if key != "domain"}
        for key, value in hashes.items():
            length = _HASHES.get(key)
            if length is None:
                raise RequestError(f"{path}: the user {name}: unknown key {key!r}.")
            if not isinstance(value, str) or not re.fullmatch(rf"[0-9a-f]{{{length}}}", value):
                raise RequestError(
                    f"{path}: the user {name}: {key} must be {length} hexadecimal digits in quotes."
                )
        if not hashes:
            raise RequestError(f"{path}: the user {name} has no hash; give one of md5, sha256.")
        accounts.append(Account(name, entry["domain"], hashes))
    return tuple(accounts)


# --- writing ---------------------------------------------------------------------------------


def write_accounts(lab: Lab, accounts: tuple[Account, ...]) -> Lab:
    """Write users.yml whole, 0600, atomically. Returns the lab as it now is."""
    ordered = tuple(sorted(accounts, key=lambda account: account.name))
    _write(users_file(lab.path), _written(ordered))
    return replace(lab, accounts=ordered)


def _head() -> str:
    return f"---\n{USERS_HEADER}{ACCOUNTS}:\n"


def _written(accounts: tuple[Account, ...]) -> str:
    """users.yml of these accounts, as PyYAML would write it but for the time that it takes."""
    if not accounts:
        return f"---\n{USERS_HEADER}{ACCOUNTS}: {{}}\n"
    lines = [_head()]
    for account in accounts:
        lines.append(f"  {_scalar(account.name)}:\n    domain: {_scalar(account.domain)}\n")
        lines += [f"    {key}: {_scalar(value)}\n" for key, value in account.hashes.items()]
    return "".join(lines)


# A text that YAML 1.1 takes for one as it stands: begins with a letter and is no word such as `no`;
# or hexadecimal digits with a letter among them (0b... and 0x... are numbers to it).
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*|(?!0b)(?=[0-9]*[a-f])[0-9a-f]{32}(?:[0-9a-f]{32})?")
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])


def _scalar(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    quoted = text.replace("'", "''")
    return f"'{quoted}'"


def add_host(lab: Lab, host: Host) -> Lab:
    """Add the host to hosts.yml, or change its entry, keeping comments and everything else."""
    variables: dict[str, Any] = {}
    if host.address != host.name:
        variables["ansible_host"] = host.address
    if host.port is not None:
        variables["ansible_port"] = host.port
    if host.user is not None:
        variables["ansible_user"] = host.user
        if host.user != "root":
            variables["ansible_become"] = True
    if host.local:
        variables["ansible_connection"] = "local"
    if key := host.variables.get("ansible_ssh_private_key_file"):
        variables["ansible_ssh_private_key_file"] = key

    def change(top: Any) -> None:
        group = _sub(top, GROUP)
        entries = _sub(group, "hosts")
        entry = _sub(entries, _quoted(host.name))
        entry.update(_quoted(variables))

    path = hosts_file(lab.path)
    _edit(path, change)
    return replace(lab, hosts=_read_hosts(path))


def set_options(lab: Lab, values: Mapping[str, Any]) -> Lab:
    """Set options in lab.yml, keeping comments and everything else.

    Raises RequestError for an unknown option or a wrong value, before anything is written.
    """
    path = lab_file(lab.path)
    options.check(values, where=str(path))
    _edit(path, lambda top: top.update(_quoted(values)))
    return replace(lab, options=options.check(_mapping(path), where=str(path)))


def _sub(mapping: Any, key: str) -> Any:
    """The mapping under a key, made where there is none (`hosts:` with nothing behind it)."""
    if mapping.get(key) is None:
        mapping[key] = {}
    return mapping[key]


def _quoted(value: Any) -> Any:
    """The value with quotes around each text that Ansible's YAML 1.1 reads as something else.

    ruamel.yaml writes YAML 1.2, where `on`, `no` and `1_000` are texts.
    """
    from ruamel.yaml.scalarstring import SingleQuotedScalarString

    if isinstance(value, Mapping):
        return {_quoted(key): _quoted(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_quoted(one) for one in value]
    reader: Any = yaml.SafeLoader("")
    text = "tag:yaml.org,2002:str"
    if isinstance(value, str) and reader.resolve(yaml.ScalarNode, value, (True, False)) != text:
        return SingleQuotedScalarString(value)
    return value


def _edit(path: Path, change: Any) -> None:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 4096
    editor.indent(mapping=2, sequence=4, offset=2)
    editor.explicit_start = True
    try:
        before, mode = "", 0o644
        if path.exists():
            before, mode = path.read_text(encoding="utf-8"), stat.S_IMODE(path.stat().st_mode)
        top = editor.load(before)
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}") from error
    except (YAMLError, *_NOT_YAML) as error:
        raise _not_yaml(path, error) from error
    if top is None:
        top = editor.map() if hasattr(editor, "map") else {}
        if before.strip():
            # Only comments so far: ruamel has nothing to hang them on, so keep them as they are.
            stream = io.StringIO()
            change(top)
            editor.explicit_start = False
            editor.dump(top, stream)
            _write(path, before.rstrip("\n") + "\n" + stream.getvalue(), mode=mode)
            return
    change(top)
    stream = io.StringIO()
    editor.dump(top, stream)
    if stream.getvalue() != before:
        _write(path, stream.getvalue(), mode=mode)


def _write(path: Path, text: str, *, mode: int = 0o600) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, text, mode=mode)
    except OSError as error:
        raise LabtoolError(f"{path} cannot be written: {error.strerror}") from error


def initialise(path: Path, *, domain: str | None = None) -> list[Path]:
    """Write a commented lab directory; never overwrites. Returns the files that were made.

    Raises RequestError where the directory holds a lab already or cannot be written.
    """
    made = []
    try:
        if path.exists() and not path.is_dir():
            raise RequestError(f"{path} is a file; name a directory for the lab.")
        for file in (hosts_file(path), lab_file(path), users_file(path)):
            if file.exists():
                raise RequestError(f"{file} exists already, and is left as it is.")
        for file, text in ((hosts_file(path), HOSTS_STUB), (lab_file(path), lab_stub(domain))):
            file.parent.mkdir(parents=True, exist_ok=True)
            atomic.write(file, text, mode=0o644)
            made.append(file)
        ignore = path / ".gitignore"
        if not ignore.exists():
            atomic.write(ignore, GITIGNORE_STUB, mode=0o644)
            made.append(ignore)
    except OSError as error:
        raise RequestError(f"The lab {path} cannot be written: {error.strerror}") from error
    return made


HOSTS_STUB = """\
---
# The machines of this lab. `labtool deploy --host ADDRESS` adds one here.
# It is a plain Ansible inventory; any of Ansible's variables may stand behind a host:
#
# flexisip:
#   hosts:
#     203.0.113.5:
#       ansible_user: root
#       ansible_port: 22
flexisip:
  hosts: {}
"""

GITIGNORE_STUB = """\
# Labtool's own files and the password hashes do not belong in a repository.
/.labtool/
/group_vars/flexisip/users.yml
"""


def lab_stub(domain: str | None = None) -> str:
    """A lab.yml that names every option, commented, with its default."""
    lines = ["---", "# What this lab is to be. labtool checks this file before it does anything."]
    for option in options.OPTIONS:
        lines.append("")
        lines += [f"# {line}" for line in option.text.splitlines()]
        value = option.example if option.default in (None, "", {}) else _inline(option.default)
        setting = f"{option.name}: {value}".rstrip()
        if option.name == "flexisip_domain" and domain is not None:
            lines.append(f"{option.name}: {_inline(domain)}")
        else:
            lines.append(f"# {setting}")
    return "\n".join(lines) + "\n"


def _inline(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
