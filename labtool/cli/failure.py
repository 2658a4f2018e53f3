"""How an error is shown: what failed, the host's own words, the likely cure, where the log is."""

from __future__ import annotations

import sys

from labtool.errors import LabtoolError


def show(error: LabtoolError) -> None:
    """One error on stderr."""
    from labtool.operation import PlayFailed

    if not isinstance(error, PlayFailed):
        print(f"labtool: {error}", file=sys.stderr)
        return
    failure = error.failure
    where = f" on {failure.host}" if failure.host else ""
    print(f"labtool: {failure.task or 'Ansible'} failed{where}.", file=sys.stderr)
    for line in failure.message.splitlines()[:40]:
        print(f"  | {line}", file=sys.stderr)
    if error.cure is not None:
        print(f"Likely cause: {error.cure.cause}", file=sys.stderr)
        print(f"Cure: {error.cure.cure}", file=sys.stderr)
    print(f"The full Ansible log: {error.outcome.log}", file=sys.stderr)


def print_json(error: LabtoolError) -> None:
    """One error as the last line of `--json`, on stdout."""
    import json

    print(json.dumps(to_dict(error), ensure_ascii=False))


def to_dict(error: LabtoolError) -> dict[str, object]:
    """The same for `--json`."""
    from labtool.operation import PlayFailed

    shown: dict[str, object] = {"event": "error", "exit_code": error.exit_code, "error": str(error)}
    if isinstance(error, PlayFailed):
        shown |= {
            "task": error.failure.task,
            "host": error.failure.host,
            "cause": error.cure.cause if error.cure else None,
            "cure": error.cure.cure if error.cure else None,
            "log": str(error.outcome.log),
        }
    return shown
