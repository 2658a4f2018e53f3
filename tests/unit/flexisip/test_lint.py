"""What is wrong in a file, and the file that would be right."""

from __future__ import annotations

from pathlib import Path

import pytest
from flexisip_recordings import RELEASES, truth
from hypothesis import given
from hypothesis import strategies as st

from labtool.errors import RequestError
from labtool.flexisip.findings import Finding, Severity
from labtool.flexisip.intent import Intent, render, settings_for
from labtool.flexisip.lint import Kind, Report, exists_here, fix, kind_of, lint

REPORT_CONF = """[global]
debug=true
aliases=localhost sip.example.test

[module::Registrar]
enabled=true
reg-domains=sip.example.test

[module::Authentication]
enabled=true
auth-domains=sip.example.test
db-implementation=file
datasource=/etc/flexisip/users.db.txt
"""
REPORT_USERS = "version:1\n\ntest@sip.example.test clrtxt:test;\n"


def only(report: Report, severity: Severity) -> list[Finding]:
    return [finding for finding in report.findings if finding.severity is severity]


def users_finding(line: str) -> Finding:
    [finding] = only(lint(f"version:1\n{line}\n", kind=Kind.USERS), Severity.REFUSES)
    assert finding.line == 2
    return finding


def conf_findings(content: str, release: str = "2.5.2") -> list[Finding]:
    head = "[module::Authentication]\nenabled=true\nauth-domains=a\nfile-path=/u\ncache-expire=5\n"
    head += "[module::Registrar]\nreg-domains=a\n"
    report = lint(content + head, kind=Kind.CONF, release=release)
    return list(report.findings)


# ------------------------------------------------------------------------------ the first report


@pytest.mark.parametrize("release", RELEASES)
def test_the_report_has_two_errors_each_explained_and_its_fixed_pair_starts(release: str) -> None:
    [conf_error] = lint(REPORT_CONF, release=release).errors
    assert conf_error.line == 2
    assert conf_error.fix == "log-level=debug"
    assert conf_error.text.endswith("Did you mean 'default-servers'?")
    [users_error] = lint(REPORT_USERS, release=release).errors
    assert users_error.line == 3
    assert users_error.fix == "test@sip.example.test clrtxt:test ;"
    assert "ended prematurely at char 11" in users_error.text
    for content in (REPORT_CONF, REPORT_USERS):
        assert not lint(content, release=release).starts
        right = lint(fix(content, release=release), release=release)
        assert right.starts
        assert not right.errors
    assert "file-path=/etc/flexisip/users.db.txt" in fix(REPORT_CONF, release=release)


@pytest.mark.parametrize("release", RELEASES)
def test_the_reports_fixed_configuration_also_works(release: str) -> None:
    without = REPORT_CONF.replace("reg-domains=sip.example.test\n", "")
    corrected = lint(fix(without, release=release), release=release)
    assert [f.severity for f in corrected.findings] == []
    assert "[module::Registrar]\nreg-domains=sip.example.test\n" in fix(without, release=release)


def test_a_line_without_an_equals_sign_is_shown_as_the_fix_writes_it() -> None:
    content = "[global]\nbogus key\n"
    [finding] = only(lint(content, kind=Kind.CONF), Severity.IGNORED)
    assert finding.fix == "# bogus key"
    assert fix(content, kind=Kind.CONF) == "[global]\n# bogus key\n"


def test_authentication_that_is_off_is_turned_on_where_its_domain_is_known() -> None:
    corrected = fix("[module::Registrar]\nreg-domains=a.test\n")
    report = lint(corrected)
    assert report.starts
    assert not report.findings, corrected


def test_what_stands_above_the_version_line_is_kept() -> None:
    report = lint("a@b md5:" + "0" * 32 + " ;\n", kind=Kind.USERS)
    assert [f.fix for f in report.errors] == ["version:1"]
    assert fix("a@b md5:" + "0" * 32 + " ;\n") == "version:1\na@b md5:" + "0" * 32 + " ;\n"


@pytest.mark.parametrize("release", ["2.0.0", "2.3.4", "2.5.2", "2.7.0"])
def test_nothing_is_found_in_what_labtool_writes(release: str) -> None:
    for intent in (
        Intent("sip.example.test"),
        Intent("a.test", public_address="203.0.113.5", private_address="10.0.0.4"),
        Intent("a.test", loopback=True),
    ):
        assert lint(render(settings_for(intent, release)), release=release).findings == ()


def test_a_report_is_plain_data_for_programs() -> None:
    data = lint(REPORT_CONF).to_dict()
    assert data["starts"] is False
    findings = data["findings"]
    assert isinstance(findings, list)
    assert {"line", "severity", "message", "fix"} <= findings[0].keys()


# ----------------------------------------------------------------------------- which file it is


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        ("version:1\n", "", Kind.USERS),
        ("# c\nversion:1\n", "", Kind.USERS),
        ("a@b clrtxt:c ;\n", "", Kind.USERS),
        ("\ufeff[global]\n", "", Kind.CONF),
        ("a=b\n", "", Kind.CONF),
        ("", "users.db.txt", Kind.USERS),
        ("", "flexisip.conf", Kind.CONF),
    ],
)
def test_the_content_tells_which_file_it_is(content: str, name: str, kind: Kind) -> None:
    assert kind_of(content, name) is kind


def test_a_file_that_tells_nothing_is_asked_about() -> None:
    with pytest.raises(RequestError, match="--conf or --users"):
        lint("hello\n")


def test_a_release_that_is_none_is_refused() -> None:
    with pytest.raises(RequestError, match="not a release"):
        lint("[global]\n", release="latest")
    with pytest.raises(RequestError, match=r"older than 2\.0"):
        lint("[global]\n", release="1.0.13")


def test_only_on_the_servers_own_machine_a_file_must_be_there(tmp_path: Path) -> None:
    conf = (
        f"[module::Authentication]\nenabled=true\nauth-domains=a.test\nfile-path={tmp_path}/none\n"
    )
    assert lint(conf).starts
    here = lint(conf, exists=exists_here)
    assert here.refusal is not None
    assert here.refusal.text == f"failed to open file '{tmp_path}/none'"
    assert exists_here(str(tmp_path)) is True
    assert exists_here("DIR/users.txt") is None


def test_a_certificate_that_is_missing_on_the_servers_machine_is_told(tmp_path: Path) -> None:
    conf = (
        f"[global]\ntls-certificates-file={tmp_path}/a\ntls-certificates-private-key={tmp_path}/b\n"
    )
    assert [f.line for f in only(lint(conf, exists=exists_here), Severity.BROKEN)][:2] == [2, 3]
    assert lint(conf, exists=exists_here).starts


def test_a_plugin_that_may_be_installed_is_no_reason_not_to_start() -> None:
    assert lint("[global]\nplugins=external-auth\n").starts
    assert not lint("[global]\nplugins=external-auth\n", exists=exists_here).starts


@pytest.mark.parametrize(("release", "longest"), [("2.3.4", 2046), ("2.4.0", 20478)])
def test_a_line_that_is_longer_than_the_release_reads_goes_on_as_another(
    release: str, longest: int
) -> None:
    # Source: the reader's buffer, and the changelog of 2.4.0: values "can now be 10x larger".
    value = "aliases="
    whole = value + "a" * (longest - len(value))
    assert not [f for f in lint(f"[global]\n{whole}\n", release=release).findings if f.line == 2]
    cut = lint(f"[global]\n{whole}ab=c\n", release=release)
    assert cut.refusal is not None
    assert "Unsupported parameter 'b'" in cut.refusal.text
    lost = lint(f"[global]\n{whole}abc\n", release=release)
    assert lost.starts
    assert any("longer than this release reads" in f.message for f in lost.findings)


# ------------------------------------------------------------------------------------ users.db.txt


@pytest.mark.parametrize(
    ("line", "why", "right"),
    [
        ("a@b clrtxt:c;", "White space", "a@b clrtxt:c ;"),
        ("a@b clrtxt:c", "must end with", "a@b clrtxt:c ;"),
        (" a@b clrtxt:c ;", "begin with white space", "a@b clrtxt:c ;"),
        ("  # a", "first column", "# a"),
        ("# a (b)", "comment must not hold", "# a [b]"),
        ("a@b clrtxt:c ; # hi", "line of its own", "a@b clrtxt:c ;"),
        ("a@b clrtxt:c ; a 1 x", "At most two", "a@b clrtxt:c ; a 1"),
        ("a@b sha-256:00 ;", "without a hyphen", "a@b sha256:00 ;"),
        ("a@b clrtxt=c ;", "A colon", "a@b clrtxt:c ;"),
        ("a@b c ;", "lacks its kind", "a@b clrtxt:c ;"),
        ("a@b sha1:00 ;", "no password that Flexisip knows", None),
        ("a&b@b clrtxt:c ;", "user name has an ampersand", None),
        ("a@ clrtxt:c ;", "part of it is missing", None),
        ("nothing", "This is no account", None),
        ("al ice@d.test clrtxt:x ;", "user name has a space as its character 3", None),
        ("alice@d .test clrtxt:x ;", "cannot have a space", None),
    ],
)
def test_a_bad_line_is_explained_and_put_right(line: str, why: str, right: str | None) -> None:
    finding = users_finding(line)
    assert why in finding.message
    assert finding.fix == right


@pytest.mark.parametrize("password", ["te$t", "te;st", "te st", "pä", "te#t"])
def test_a_password_that_the_file_cannot_hold_is_kept_as_its_hash_and_not_shown(
    password: str,
) -> None:
    finding = users_finding(f"a@b clrtxt:{password} ;")
    assert finding.fix is not None
    assert finding.fix.startswith("a@b md5:")
    assert password not in finding.message + finding.fix
    assert lint(f"version:1\n{finding.fix}\n").starts


def test_every_bad_line_is_told_and_not_only_the_first() -> None:
    report = lint("version:1\na@b clrtxt:c;\nok@b md5:0 ;\nb@b clrtxt:c;\n")
    assert [f.line for f in report.errors] == [2, 4]


def test_an_account_under_an_upper_case_kind_only_is_put_right() -> None:
    report = lint("version:1\na@sip.b MD5:00 ;\n", release="2.3.4")
    [finding] = report.errors
    assert finding.fix == "a@sip.b md5:00 ;"
    assert report.refusal is not None
    assert report.refusal.returncode == -6


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("b.test clrtxt:c ;", "nobody can sign in"),
        ("a%20b@b clrtxt:c ;", "never signs in"),
        ("a@B.test clrtxt:c ;", "another one"),
        ("a@b md5:00 ;", "32 hex digits"),
        ("a@b clrtxt:c ; other", "digest user name"),
    ],
)
def test_an_account_that_cannot_sign_in_is_told(line: str, why: str) -> None:
    [finding] = only(lint(f"version:1\n{line}\n"), Severity.BROKEN)
    assert why in finding.message


def test_of_two_lines_for_one_account_the_first_is_told_as_ignored() -> None:
    [finding] = only(lint("version:1\na@b clrtxt:c ;\na@b clrtxt:d ;\n"), Severity.IGNORED)
    assert (finding.line, finding.fix) == (2, "")
    assert fix("version:1\na@b clrtxt:c ;\na@b clrtxt:d ;\n") == "version:1\na@b clrtxt:d ;\n"


def test_an_account_that_cannot_be_put_right_is_left_out_and_named() -> None:
    corrected = fix("version:1\na@b sha1:0 ;\n")
    assert "a@b" in corrected
    assert lint(corrected).starts


@given(st.binary(max_size=80))
def test_no_users_file_makes_it_crash_and_every_fixed_one_starts(content: bytes) -> None:
    for data in (content, b"version:1\n" + content, b"version:1\na@b clrtxt:" + content + b" ;\n"):
        for release in RELEASES:
            assert lint(data, kind=Kind.USERS, release=release).starts == (
                not lint(data, kind=Kind.USERS, release=release).errors
            )
            corrected = fix(data, kind=Kind.USERS, release=release)
            assert lint(corrected, kind=Kind.USERS, release=release).starts, corrected


# ---------------------------------------------------------------------------------- flexisip.conf


@pytest.mark.parametrize(
    ("content", "release", "why", "right"),
    [
        ("[global]\nlog_level=debug\n", "2.5.2", "log-level is meant", "log-level=debug"),
        ("[global]\nlog-level=info\n", "2.5.2", "The levels are", "log-level=message"),
        ("[module::Router]\nfork-late=yes\n", "2.5.2", "true or false", "fork-late=true"),
        ("[module::Router]\nfork-late=true\r\n", "2.5.2", "carriage return", "fork-late=true"),
        ("[module::Router]\nfork-late=true # c\n", "2.5.2", "A comment behind", "fork-late=true"),
        (
            "[module::NatHelper]\ncontact-correction-param=x\n",
            "2.3.4",
            "it came with 2.4.0",
            "# contact-correction-param=x",
        ),
        ("[global]\nuse-maddr=true\n", "2.5.2", "it went after 2.4", "# use-maddr=true"),
        ("[global]\nudp-mtu=99999999999\n", "2.5.2", "it is a number", "udp-mtu=1460"),
        ("[module::Registrar]\nmax-expires=-5\n", "2.5.2", "a number", "max-expires=86400"),
        ("[module::Registrar]\nmax-expires=2500ms\n", "2.5.2", "a number", "max-expires=3"),
        (
            "[module::Authentication]\navailable-algorithms=MD5 SHA-1\n",
            "2.5.2",
            "dropped",
            "available-algorithms=MD5",
        ),
        ("[global]\nlog-level=loud\n", "2.5.2", "The levels are", "log-level=error"),
        (
            "[global]\ntransports=sip:a:1;transport=tls\n",
            "2.5.2",
            "the scheme is sips:",
            "transports=sips:a:1",
        ),
        ("[global]\n; a = b\n", "2.5.2", "Only # begins a comment", "# ;=b"),
    ],
)
def test_a_refused_setting_is_explained_and_put_right(
    content: str, release: str, why: str, right: str | None
) -> None:
    [finding] = [f for f in conf_findings(content, release) if f.severity is Severity.REFUSES]
    assert why in finding.message
    assert finding.fix == right
    assert finding.line == 2
    assert finding.text


@pytest.mark.parametrize(
    ("content", "severity", "why"),
    [
        ("a=b\n", Severity.IGNORED, "before the first"),
        ("[global\naliases=a\n", Severity.IGNORED, "lacks its ]"),
        ("[]\n", Severity.IGNORED, "without a name"),
        ("[global]\naliases=\n", Severity.IGNORED, "the default, localhost, holds"),
        ("[global]\naliases: a\n", Severity.IGNORED, "no ="),
        ("[global]\naliases=a # b\n", Severity.BROKEN, "A comment behind"),
        ('[global]\naliases="a"\n', Severity.BROKEN, "Quotes"),
        ("[global]\naliases==a\n", Severity.BROKEN, "second equals sign"),
        ("[module::Router]\nfork=true\n", Severity.DEPRECATED, "does nothing"),
        ("[module::Authorization]\nenabled=true\n", Severity.BROKEN, "500"),
    ],
)
def test_what_starts_and_is_not_meant_so_is_told(
    content: str, severity: Severity, why: str
) -> None:
    assert any(f.severity is severity and why in f.message for f in conf_findings(content))


def test_a_server_without_authentication_is_told_as_open_to_all() -> None:
    for content in ("", "[module::Authentication]\nenabled=false\n"):
        [finding] = lint(content, kind=Kind.CONF).errors
        assert finding.severity is Severity.INSECURE


def test_a_byte_order_mark_is_told_and_taken_away() -> None:
    content = "\ufeff" + REPORT_CONF.replace("debug=true\n", "")
    assert any("byte-order mark" in f.message for f in lint(content).findings)
    assert not fix(content).startswith("\ufeff")


def test_of_two_keys_the_first_goes_since_the_last_one_counted() -> None:
    assert fix("[global]\naliases=a\naliases=b\n") == "[global]\naliases=b\n"


@given(st.binary(max_size=80))
def test_no_configuration_makes_it_crash(content: bytes) -> None:
    for data in (content, b"[global]\n" + content, b"[module::Router]\nfork-late=" + content):
        for release in RELEASES:
            report = lint(data, kind=Kind.CONF, release=release)
            refuses = [f for f in report.findings if f.severity is Severity.REFUSES]
            assert report.starts == (not refuses)
            fix(data, kind=Kind.CONF, release=release)


def test_lint_agrees_with_every_generated_file(shared: Path) -> None:
    for row in truth(shared, "conf"):
        report = lint(
            row["content"],
            kind=Kind.CONF,
            release=row["release"],
            exists=lambda path: path == "DIR/users.txt",
            overridden=["global/transports"],
        )
        assert report.starts == row["starts"]
        assert report.starts == (not only(report, Severity.REFUSES)), row
    for row in truth(shared, "users"):
        report = lint(
            row["content"],
            kind=Kind.USERS,
            release=row["release"],
            auth_domains=["sip.example.test"],
        )
        assert report.starts == row["starts"], row
        assert report.starts == (not only(report, Severity.REFUSES)), row


def test_most_generated_files_can_be_put_right(shared: Path) -> None:
    """A fixed users file always starts; of the configurations all but those that only name a
    wrong file or value which nobody can guess."""
    for row in truth(shared, "users"):
        corrected = fix(row["content"], kind=Kind.USERS, release=row["release"])
        assert lint(corrected, kind=Kind.USERS, release=row["release"]).starts, row
    failed = [
        row
        for row in truth(shared, "conf")
        if not lint(
            fix(row["content"], kind=Kind.CONF, release=row["release"]),
            kind=Kind.CONF,
            release=row["release"],
            overridden=["global/transports"],
        ).starts
    ]
    assert len(failed) < 25
