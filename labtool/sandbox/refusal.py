"""Why the sandbox does not start, or has ended."""

from __future__ import annotations

from labtool.errors import LabtoolError

__all__ = ["SandboxRefusal"]


class SandboxRefusal(LabtoolError):
    """`text` is what Flexisip would say in the same place, or the sandbox's own words where the
    reason is its own; `returncode` is what the process ends with; `line` is that of the file to
    blame, where there is one."""

    def __init__(self, text: str, returncode: int = 1, line: int | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.returncode = returncode
        self.line = line
