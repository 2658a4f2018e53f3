"""Running a playbook: its command and environment as values, and what its events amount to."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtool import operation, playbook, resources
from labtool.errors import UnreachableError
from labtool.inventory import Host
from labtool.operation import Access, PlayFailed
from labtool.playbook import Failure, Outcome, Play

# --- the command ------------------------------------------------------------------------------


def test_the_command_of_a_plain_play() -> None:
    assert playbook.command(Play(Path("deploy.yml"), Path("inventory"))) == [
        sys.executable,
        "-m",
        "ansible",
        "playbook",
        "-i",
        "inventory",
        "deploy.yml",
    ]


def test_the_command_of_a_play_with_everything() -> None:
    play = Play(
        playbook=Path("/p/deploy.yml"),
        inventory=Path("/l/in ventory"),
        limit="203.0.113.5",
        check=True,
        diff=True,
        skip_tags=("proof", "slow"),
        verbosity=3,
        variables={"a": 1},
        secrets={"ansible_become_password": "hush"},
    )
    assert playbook.command(play, ["@/tmp/vars.json"]) == [
        sys.executable,
        "-m",
        "ansible",
        "playbook",
        "-i",
        "/l/in ventory",
        "--limit",
        "203.0.113.5",
        "--check",
        "--diff",
        "--skip-tags",
        "proof",
        "--skip-tags",
        "slow",
        "-vvv",
        "-e",
        "@/tmp/vars.json",
        "/p/deploy.yml",
    ]


def test_the_environment_of_a_play(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    monkeypatch.delenv("LABTOOL_KNOWN_HOSTS", raising=False)
    base = {"PATH": "/bin", "HOME": "/h", "ANSIBLE_CHECK_MODE_MARKERS": "1", "LC_ALL": "de_DE"}
    assert playbook.environment(Play(Path("p"), Path("i")), base) == {
        "PATH": "/bin",
        "HOME": "/h",
        "ANSIBLE_CONFIG": str(project / "ansible.cfg"),
        "ANSIBLE_CALLBACKS_ENABLED": "labtool_events",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
        "PYTHONPATH": str(project),
        "LC_ALL": "C.UTF-8",
    }


def test_a_connection_and_known_hosts_of_ones_own_are_passed_to_ssh(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LABTOOL_KNOWN_HOSTS", "/a folder/known")
    play = Play(Path("p"), Path("i"), control_path="/run/x/%C")
    found = playbook.environment(play, {"PYTHONPATH": "/mine"})
    assert found["ANSIBLE_SSH_COMMON_ARGS"] == "-o 'UserKnownHostsFile=/a folder/known'"
    assert found["ANSIBLE_SSH_ARGS"] == (
        "-o ControlMaster=auto -o ControlPersist=60s -o ControlPath=/run/x/%C"
    )
    assert found["PYTHONPATH"].endswith(os.pathsep + "/mine")


def test_the_command_that_is_shown_can_be_typed_and_holds_no_secret() -> None:
    play = Play(
        Path("/p/deploy.yml"),
        Path("inventory"),
        limit="h",
        variables={"port": 5060, "text": "a b", "empty": ""},
        secrets={"ansible_become_password": "hush"},
    )
    shown = playbook.shown(play)
    config = resources.ansible_root() / "ansible.cfg"
    assert shown == (
        f"ANSIBLE_CONFIG={config} ansible-playbook -i inventory --limit h /p/deploy.yml"
        """ -e '{"port": 5060}' -e '{"text": "a b"}'"""
    )
    assert "hush" not in repr(play)


# --- variables are data -----------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def plain(value: Any) -> Any:
    """What Ansible makes of a value with texts marked as data."""
    if isinstance(value, Mapping):
        if set(value) == {"__ansible_unsafe"}:
            assert isinstance(value["__ansible_unsafe"], str)
            return value["__ansible_unsafe"]
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    assert not isinstance(value, str), "a text that Ansible would evaluate"
    return value


@given(value=JSON)
def test_every_text_among_variables_is_marked_as_data(value: Any) -> None:
    assert plain(playbook.unsafe(value)) == value


# --- what events amount to --------------------------------------------------------------------


def result(outcome: str, name: str = "T", **more: Any) -> dict[str, Any]:
    return {
        "event": "result",
        "outcome": outcome,
        "host": "h",
        "name": name,
        "changed": False,
        "ignored": False,
        "seconds": 0.1,
        **more,
    }


def stats(**counts: int) -> dict[str, Any]:
    zero = dict.fromkeys(("ok", "failures", "unreachable", "changed", "skipped", "rescued"), 0)
    return {"event": "stats", "hosts": {"h": {**zero, **counts}}}


def outcome(*events: Mapping[str, Any], returncode: int = 0, log: Path | None = None) -> Outcome:
    return playbook.outcome(events, returncode, 1.5, log or Path("/nonexistent.log"))


def test_a_play_that_went_well() -> None:
    found = outcome(
        {"event": "play", "name": "P"},
        {"event": "task", "name": "A"},
        result("ok", "A", changed=True),
        {"event": "task", "name": "B"},
        result("skipped", "B"),
        stats(ok=1, changed=1),
    )
    assert found == Outcome(0, 1, 2, ("h",), ("A",), (), 1.5, Path("/nonexistent.log"))
    assert found.ok


def test_where_no_host_matched_the_play_failed_although_ansible_ended_with_0(
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    log.write_text("[WARNING]: Could not match supplied host pattern, ignoring: x\nskipping\n")
    found = outcome({"event": "no_hosts"}, {"event": "stats", "hosts": {}}, log=log)
    assert not found.ok
    assert "Could not match supplied host pattern" in found.failures[0].message


def test_a_play_without_stats_did_not_end() -> None:
    found = outcome({"event": "task", "name": "A"}, result("ok", "A"))
    assert not found.ok
    assert found.failures == (Failure("", "", "Ansible ended with 0"),)


def test_a_crash_has_ansibles_last_words(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("$ ansible-playbook\nERROR! 'hots' is not a valid attribute for a Play\n\nx\n")
    found = outcome(returncode=4, log=log)
    assert not found.ok
    assert found.failures[0].message == "ERROR! 'hots' is not a valid attribute for a Play"


def test_a_failed_task_is_told_with_all_its_words() -> None:
    failed = result("failed", "Install", msg="It failed", stderr="E: disk full", stdout="It failed")
    found = outcome(failed, stats(failures=1), returncode=2)
    assert found.failures == (Failure("h", "Install", "It failed\nE: disk full"),)


def test_an_unreachable_host_is_told_apart_from_a_failed_task() -> None:
    found = outcome(result("unreachable", msg="timed out"), stats(unreachable=1), returncode=4)
    assert found.failures == (Failure("h", "T", "timed out", unreachable=True),)
    assert PlayFailed(found).exit_code == UnreachableError.exit_code == 3


def test_a_failure_that_was_ignored_or_rescued_is_none() -> None:
    assert outcome(result("failed", ignored=True), stats(ok=1)).ok
    assert outcome(result("failed", msg="x"), stats(ok=1, rescued=1)).ok


def test_a_rescue_that_fails_itself_is_a_failure() -> None:
    first, second = result("failed", "A", msg="one"), result("failed", "Rescue", msg="two")
    found = outcome(first, second, stats(failures=1, rescued=1), returncode=2)
    assert not found.ok
    assert PlayFailed(found).failure.message == "two"


@pytest.mark.parametrize("returncode", [99, 130, -2, -15])
def test_an_interrupted_play_says_so(returncode: int) -> None:
    found = outcome(stats(ok=1), returncode=returncode)
    assert found.interrupted
    assert not found.ok


@given(st.integers(min_value=1, max_value=255))
def test_no_exit_code_of_ansible_but_0_is_well(returncode: int) -> None:
    found = outcome(result("ok"), stats(ok=1), returncode=returncode)
    assert not found.ok
    assert found.failures


# --- real plays, on this machine --------------------------------------------------------------

HOSTS = """\
flexisip:
  hosts:
    localhost: {ansible_connection: local, ansible_python_interpreter: "%s"}
    gone: {ansible_host: 127.0.0.1, ansible_port: 1}
"""
PLAY = """\
- hosts: flexisip
  gather_facts: false
  tasks:
    - name: Show a value
      ansible.builtin.debug:
        msg: "{{ value }}"
    - name: Use a secret
      ansible.builtin.command:
        argv: [printf, "%s", "{{ secret }}"]
      no_log: true
    - name: Write a file
      ansible.builtin.copy:
        content: "{{ value }} {{ listed[0].text }}"
        dest: "{{ folder }}/written"
        mode: "0600"
    - name: Never
      ansible.builtin.debug:
      when: false
    - name: Hold
      block:
        - name: Fail with a secret
          ansible.builtin.fail:
            msg: "{{ secret }}"
          no_log: true
      rescue:
        - name: Go on
          ansible.builtin.debug:
            msg: rescued
    - name: Ask this machine
      ansible.builtin.raw: echo; echo out; echo err >&2
      changed_when: false
"""
REACH = "- hosts: all\n  gather_facts: false\n  tasks: [{ansible.builtin.raw: 'true'}]\n"
SECRET = "s3cr3t-{{ 7*7 }}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("play")
    (path / "hosts.yml").write_text(HOSTS % sys.executable)
    (path / "play.yml").write_text(PLAY)
    return path


def play_of(folder: Path, limit: str = "localhost", **more: Any) -> Play:
    return Play(folder / "play.yml", folder / "hosts.yml", limit, **more)


Played = tuple[Outcome, list[Any], str]


@pytest.fixture(scope="module")
def played(folder: Path) -> Played:
    events: list[Any] = []
    log = folder / "log" / "play.log"
    play = play_of(
        folder,
        variables={
            "value": "{{ 7*7 }} %}",
            "listed": [{"text": "{{ lookup('env', 'HOME') }}"}],
            "folder": str(folder),
        },
        secrets={"secret": SECRET},
    )
    # What a person has set for Ansible does not reach our play.
    before = dict(os.environ)
    os.environ["ANSIBLE_CHECK_MODE"] = "True"
    try:
        done = playbook.run(play, log=log, on_event=events.append)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return done, events, log.read_text()


def results(played: Played) -> dict[str, Any]:
    return {event["name"]: event for event in played[1] if event["event"] == "result"}


def test_a_play_reports_each_task_as_it_happens(played: Played) -> None:
    done, events, log = played
    assert done.ok, log
    assert (done.tasks, done.changed, done.hosts) == (7, 2, ("localhost",))
    assert done.changed_tasks == ("Use a secret", "Write a file")
    assert [event["event"] for event in events][:3] == ["play", "task", "result"]
    assert events[-1]["event"] == "stats"
    assert results(played)["Never"]["outcome"] == "skipped"
    assert results(played)["Ask this machine"]["stdout"].split() == ["out"]
    assert results(played)["Ask this machine"]["stderr"].split() == ["err"]


def test_a_text_with_braces_stays_a_text(played: Played, folder: Path) -> None:
    assert results(played)["Show a value"]["msg"] == "{{ 7*7 }} %}"
    assert (folder / "written").read_text() == "{{ 7*7 }} %} {{ lookup('env', 'HOME') }}"


def test_a_secret_is_in_no_event_and_not_in_the_log(played: Played) -> None:
    _, events, log = played
    for text in ("s3cr3t", "7*7 }}'", "s3cr3t-49"):
        assert text not in json.dumps(events).replace("{{ 7*7 }} %}", "")
        assert text not in log.replace("{{ 7*7 }} %}", "")


@pytest.mark.parametrize("check", [True, False])
def test_a_difference_shows_that_a_password_changes_and_neither_of_the_two(
    folder: Path, tmp_path: Path, check: bool
) -> None:
    (tmp_path / "conf").write_text("[module::Registrar]\nredis-auth-password=old-9\nport=1\n")
    (tmp_path / "play.yml").write_text(
        "- hosts: flexisip\n  gather_facts: false\n  tasks:\n"
        "    - ansible.builtin.copy:\n        content: '{{ text }}'\n        dest: '{{ file }}'\n"
    )
    events: list[Any] = []
    done = playbook.run(
        Play(
            tmp_path / "play.yml",
            folder / "hosts.yml",
            "localhost",
            check=check,
            diff=True,
            verbosity=4,
            variables={"file": str(tmp_path / "conf")},
            secrets={"text": "[module::Registrar]\nredis-auth-password=new-9\nport=2\n"},
        ),
        log=tmp_path / "log",
        on_event=events.append,
    )
    said = (tmp_path / "log").read_text()
    assert done.ok, said
    assert "+redis-auth-password=*** (another value)" in said
    assert "+port=2" in said
    assert "redis-auth-password=*** (another value)" in json.dumps(events)
    for secret in ("old-9", "new-9"):
        assert secret not in said
        assert secret not in json.dumps(events)


def test_a_task_that_hides_its_words_says_that_it_does(played: Played) -> None:
    failed = results(played)["Fail with a secret"]
    assert failed["outcome"] == "failed"
    assert "hidden" in playbook.message_of(failed)


def test_the_log_is_for_its_owner_alone_and_begins_with_the_command(
    played: Played, folder: Path
) -> None:
    assert (folder / "log" / "play.log").stat().st_mode & 0o777 == 0o600
    assert (folder / "log").stat().st_mode & 0o777 == 0o700
    assert played[2].startswith("$ ANSIBLE_CONFIG=")
    assert "PLAY RECAP" in played[2]


def test_the_file_of_variables_is_gone_afterwards(played: Played, folder: Path) -> None:
    import tempfile

    left = list(Path(tempfile.gettempdir()).glob("labtool-*.json"))
    assert not [file for file in left if "s3cr3t" in file.read_text(errors="replace")]


@pytest.mark.parametrize(
    ("limit", "play", "words", "unreachable"),
    [
        ("nobody", PLAY, "leaves us with no hosts to target", False),
        ("localhost", PLAY.replace("flexisip", "nobody"), "Could not match supplied host", False),
        ("gone", REACH, "port 1: Connection refused", True),
        ("localhost", "- hots: x", "ERROR!", False),
        (
            "localhost",
            PLAY.replace("{{ value }}", "{{ missing }}"),
            "'missing' is undefined",
            False,
        ),
    ],
)
def test_a_play_that_fails_is_told_in_the_words_of_ansible(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    play: str,
    words: str,
    unreachable: bool,
) -> None:
    monkeypatch.setenv("LABTOOL_KNOWN_HOSTS", str(tmp_path / "known"))
    (tmp_path / "play.yml").write_text(play)
    done = playbook.run(
        Play(tmp_path / "play.yml", folder / "hosts.yml", limit), log=tmp_path / "log"
    )
    assert not done.ok
    assert words in done.failures[-1].message
    assert done.failures[-1].unreachable == unreachable


def test_an_interruption_goes_on_to_the_caller_after_the_play_has_ended(
    folder: Path, tmp_path: Path
) -> None:
    ended = tmp_path / "ended"
    (tmp_path / "play.yml").write_text(
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n"
        f"    - ansible.builtin.raw: sleep 0.3; touch {ended}\n"
    )

    def interrupt(event: Any) -> None:
        if event["event"] == "task":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        playbook.run(
            Play(tmp_path / "play.yml", folder / "hosts.yml"),
            log=tmp_path / "log",
            on_event=interrupt,
        )
    assert ended.exists()


# --- an operation -----------------------------------------------------------------------------


class Silence:
    def __init__(self) -> None:
        self.said: list[str] = []

    def phase(self, text: str) -> None:
        self.said.append(text)

    note = phase

    def event(self, event: Any) -> None: ...

    def result(self, result: Any) -> None: ...


def test_an_operation_that_fails_has_the_task_the_words_the_cure_and_the_log(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "play.yml").write_text(
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - name: Install\n"
        "      ansible.builtin.fail: {msg: 'E: No space left on device'}\n"
    )
    host = Host("localhost", "localhost", local=True)
    with pytest.raises(PlayFailed) as failed:
        operation.run(
            Play(tmp_path / "play.yml", folder / "hosts.yml"),
            host,
            Access(),
            Silence(),
            log_folder=tmp_path / "log",
        )
    assert str(failed.value) == "“Install” failed on localhost: E: No space left on device"
    assert failed.value.cure is not None
    assert failed.value.cure.cause == "The host's disk is full."
    assert failed.value.outcome.log.is_file()
    assert failed.value.exit_code == 1


def test_old_logs_are_removed_and_the_newest_kept(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"20260101-0000{number:02}-deploy.log").write_text("")
    new = operation.new_log(tmp_path, "deploy")
    kept = sorted(file.name for file in tmp_path.iterdir())
    assert len(kept) == 29
    assert kept[-1] == "20260101-000039-deploy.log"
    assert new.name.endswith("-deploy.log")


def test_two_plays_in_one_second_have_a_log_each(tmp_path: Path) -> None:
    first = operation.new_log(tmp_path, "users")
    first.write_text("first")
    assert operation.new_log(tmp_path, "users") != first


def test_access_never_shows_a_password() -> None:
    assert "hush" not in repr(Access("hush", "hush"))


def test_the_farewell_of_ssh_is_not_taken_for_a_lost_connection() -> None:
    farewell = "no room\r\nShared connection to 192.0.2.1 closed.\r\n"
    ended = {"msg": "non-zero return code", "rc": 1, "stderr": farewell}
    assert playbook.message_of(ended) == "non-zero return code\nno room"
    killed = {"msg": "MODULE FAILURE", "rc": 1, "stderr": farewell}
    assert "Shared connection" in playbook.message_of(killed)
