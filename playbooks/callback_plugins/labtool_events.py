# Copyright (c) 2026 the labtool authors
# SPDX-License-Identifier: GPL-3.0-or-later
# (imports Ansible, which is GPL-3.0-or-later; the rest of labtool is MIT and only reads what this writes)
"""Writes what a play does as one JSON object a line to the descriptor LABTOOL_EVENTS_FD names."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from ansible.plugins.callback import CallbackBase

# In a checkout that is not installed, labtool is two folders up.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from labtool.masking import masked_diff

DOCUMENTATION = """
    name: labtool_events
    type: aggregate
    short_description: progress of a play as JSON lines
    description:
      - Writes one JSON object a line to the file descriptor in C(LABTOOL_EVENTS_FD).
      - Does nothing where that is not set. Results of tasks with C(no_log) arrive censored.
"""

# What of a task's result is passed on. `invocation` (all arguments) is not.
# `censored` is what Ansible says in place of the words of a task with no_log.
KEPT = (
    "msg",
    "stderr",
    "stdout",
    "censored",
    "rc",
    "diff",
    "skip_reason",
    "attempts",
    "exception_text",
)


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "labtool_events"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        descriptor = os.environ.get("LABTOOL_EVENTS_FD", "")
        self._stream = None
        self._started = {}
        if descriptor.isdigit():
            try:
                self._stream = os.fdopen(int(descriptor), "w", encoding="utf-8")
            except OSError:
                self.disabled = True
        else:
            self.disabled = True

    def _emit(self, event, **fields):
        if self._stream is None:
            return
        try:
            self._stream.write(
                json.dumps({"event": event, "time": time.time(), **fields}, default=str) + "\n"
            )
            self._stream.flush()
        except OSError:
            # labtool is gone; the play goes on, and its log says what happened.
            self._stream = None

    def v2_playbook_on_play_start(self, play):
        self._emit("play", name=play.get_name())

    def v2_playbook_on_no_hosts_matched(self):
        self._emit("no_hosts")

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._started[task._uuid] = time.time()
        self._emit(
            "task",
            name=task.get_name().rpartition(" : ")[2],
            role=task._role.get_name() if task._role else None,
            path=task.get_path(),
        )

    v2_playbook_on_handler_task_start = lambda self, task: self.v2_playbook_on_task_start(
        task, False
    )

    def _result(self, outcome, result, ignored=False):
        kept = {key: result._result[key] for key in KEPT if key in result._result}
        if "diff" in kept:
            kept["diff"] = masked_diff(kept["diff"])
        self._emit(
            "result",
            outcome=outcome,
            host=result._host.get_name(),
            name=result._task.get_name().rpartition(" : ")[2],
            changed=bool(result._result.get("changed", False)),
            ignored=ignored,
            seconds=round(time.time() - self._started.get(result._task._uuid, time.time()), 3),
            **kept,
        )

    def v2_runner_on_ok(self, result):
        self._result("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._result("failed", result, ignored=ignore_errors)

    def v2_runner_on_unreachable(self, result):
        self._result("unreachable", result)

    def v2_runner_on_skipped(self, result):
        self._result("skipped", result)

    def v2_playbook_on_stats(self, stats):
        self._emit("stats", hosts={host: stats.summarize(host) for host in sorted(stats.processed)})
