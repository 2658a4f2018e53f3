"""The JSON log: one object a line, for programs that watch the sandbox. It holds no secret."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import IO

from labtool.sandbox.refusal import SandboxRefusal
from labtool.sip.flow import Flow
from labtool.sip.message import Request

__all__ = ["Journal"]


class Journal:
    """Writes to a path (appended to), to an open text file, or, given None, nowhere.
    Raises SandboxRefusal for a path that cannot be opened.

    Every line has `time` (seconds since 1970) and `event`; the other fields depend on the event:
    listening, answer, registered, unregistered, expired, bad, closed, ban, fatal, error, stopped
    (docs/sandbox.md).
    """

    def __init__(self, target: str | Path | IO[str] | None) -> None:
        self._own = isinstance(target, (str, Path))
        self._file: IO[str] | None
        if isinstance(target, (str, Path)):
            try:
                self._file = Path(target).open("a", encoding="utf-8")  # noqa: SIM115
            except OSError as error:
                why = f"cannot write {target}: {error.strerror}"
                raise SandboxRefusal(why, 2) from error
        else:
            self._file = target

    @property
    def on(self) -> bool:
        return self._file is not None

    def write(self, event: str, **fields: object) -> None:
        """One line, at once."""
        if self._file is not None:
            line = {"time": round(time.time(), 6), "event": event, **fields}
            self._file.write(json.dumps(line, ensure_ascii=True) + "\n")
            self._file.flush()

    def answer(self, request: Request, flow: Flow, status: int, reason: str, why: str) -> None:
        """A request that the sandbox itself has answered."""
        if self._file is not None:
            headers = request.headers
            self.write(
                "answer",
                method=request.method,
                uri=request.uri,
                source=str(flow.remote),
                transport=flow.transport,
                call_id=headers.get("Call-ID"),
                cseq=headers.get("CSeq"),
                status=status,
                reason=reason,
                why=why,
                **{"from": headers.get("From"), "to": headers.get("To")},
            )

    def close(self) -> None:
        if self._own and self._file is not None:
            self._file.close()
        self._file = None
