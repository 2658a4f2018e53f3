# Copyright (c) 2026 the labtool authors
# SPDX-License-Identifier: GPL-3.0-or-later
# (imports Ansible, which is GPL-3.0-or-later; the rest of labtool is MIT and only reads what this writes)
"""Ansible's own output, with *** for the secrets of flexisip.conf in a --diff."""

from __future__ import annotations

import sys
from pathlib import Path

from ansible.plugins.callback.default import CallbackModule as Default

# In a checkout that is not installed, labtool is two folders up.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from labtool.masking import masked_diff

DOCUMENTATION = """
    name: labtool_output
    type: stdout
    short_description: Ansible's default output, without secrets in its differences
    description:
      - As C(default); passwords in a difference of flexisip.conf are shown as C(***).
    extends_documentation_fragment:
      - default_callback
      - result_format_callback
"""


class CallbackModule(Default):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "labtool_output"

    def _get_diff(self, difflist):
        return super()._get_diff(masked_diff(difflist))

    def _dump_results(self, result, *args, **kwargs):
        # With -vvv a result is shown with its difference.
        if "diff" in result:
            result = {**result, "diff": masked_diff(result["diff"])}
        return super()._dump_results(result, *args, **kwargs)
