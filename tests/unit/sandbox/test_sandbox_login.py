"""Who may sign in, as recorded from Flexisip 2.5.2 and 2.3.4."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sandbox_lab import DOMAIN, Lab, users_file

from labtool import __version__
from labtool.sip.digest import Challenge, Password
from labtool.sip.message import Response

Make = Callable[..., Lab]


def asked(response: Response | None) -> list[Challenge]:
    assert response is not None
    names = ("WWW-Authenticate", "Proxy-Authenticate")
    return [Challenge.parse(v) for name in names for v in response.headers.lines(name)]


def test_a_user_registers_after_one_challenge(lab: Make) -> None:
    phone = lab().phone()
    exchange = phone.ask(
        phone.build("REGISTER", f"sip:{DOMAIN}", ("Contact", "<sip:a@127.0.0.1:9>"))
    )
    assert exchange.first is not None
    assert exchange.first.status == 401
    assert exchange.final is not None
    assert (exchange.final.status, exchange.final.reason) == (200, "Registration successful")
    assert exchange.final.headers.get("Server") == f"labtool-sandbox/{__version__}"


def test_it_never_calls_itself_flexisip(lab: Make) -> None:
    phone = lab().phone()
    final = phone.ask(phone.build("OPTIONS", f"sip:{DOMAIN}")).final
    assert final is not None
    assert b"Flexisip" not in final.to_bytes()


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_either_algorithm_of_the_file_serves(algorithm: str, lab: Make) -> None:
    phone = lab().phone()
    assert phone.register(algorithm=algorithm).status == 200


@pytest.mark.parametrize("algorithms", ["MD5", "SHA-256", "MD5 SHA-256", "SHA-256 MD5"])
def test_there_is_a_challenge_for_each_algorithm_in_the_order_of_the_setting(
    algorithms: str, lab: Make
) -> None:
    phone = lab(auth__available_algorithms=algorithms).phone()
    first = phone.ask(phone.build("REGISTER", f"sip:{DOMAIN}"), login=False).final
    found = asked(first)
    assert [challenge.algorithm for challenge in found] == algorithms.split()
    assert {challenge.realm for challenge in found} == {DOMAIN}
    assert all(challenge.qop == ("auth",) for challenge in found)


def test_clear_text_serves_both_algorithms_and_the_last_line_of_a_user_wins(lab: Make) -> None:
    made = lab(auth__cache_expire="0")
    rows = f"version:1\nalice@{DOMAIN} clrtxt:old ;\nalice@{DOMAIN} clrtxt:new ;\n"
    made.users.write_text(rows)
    phone = made.phone()
    phone.secret = Password("new")
    assert phone.register(algorithm="SHA-256").status == 200
    phone.secret = Password("old")
    assert phone.register().status == 403


@pytest.mark.parametrize("user", ["alice", "nobody"])
def test_a_wrong_password_and_an_unknown_user_are_forbidden(user: str, lab: Make) -> None:
    phone = lab().phone(user)
    phone.secret = Password("wrong")
    final = phone.register()
    assert (final.status, final.reason) == (403, "Forbidden")


def test_with_no_403_a_wrong_password_is_asked_again(lab: Make) -> None:
    phone = lab(auth__no_403="true").phone()
    phone.secret = Password("wrong")
    assert phone.register().status == 401


@pytest.mark.parametrize("domain", ["other.example.test", "SIP.EXAMPLE.TEST", "127.0.0.1"])
def test_another_domain_is_forbidden_without_a_challenge(domain: str, lab: Make) -> None:
    phone = lab().phone()
    phone.aor = f"sip:alice@{domain}"
    final = phone.ask(phone.build("REGISTER", f"sip:{domain}")).final
    assert final is not None
    assert (final.status, final.reason) == (403, "Domain forbidden")


def test_a_hash_whose_algorithm_is_not_available_is_of_no_use(lab: Make) -> None:
    made = lab(auth__available_algorithms="MD5", auth__cache_expire="0")
    text = users_file(alice="wonderland")
    made.users.write_text(text.replace(text[text.index("md5:") : text.index("sha256:")], ""))
    assert made.phone().register().status == 403


def test_the_digest_user_is_the_user_id_where_the_file_has_one(lab: Make) -> None:
    made = lab(auth__cache_expire="0")
    made.users.write_text(f"version:1\nalice@{DOMAIN} clrtxt:wonderland ; ident\n")
    assert made.phone().register().status == 403
    phone = made.phone()
    phone.user = "ident"
    assert phone.register().status == 200


def test_nobody_registers_for_another_user(lab: Make) -> None:
    phone = lab().phone("alice")
    request = phone.build("REGISTER", f"sip:{DOMAIN}", to=f"sip:bob@{DOMAIN}")
    final = phone.ask(request).final
    assert final is not None
    assert final.status == 403


def test_a_stolen_from_does_not_help(lab: Make) -> None:
    phone = lab().phone("alice")
    phone.aor = f"sip:bob@{DOMAIN}"
    assert phone.register().status == 403


def test_the_same_credentials_twice_are_stale(lab: Make) -> None:
    phone = lab().phone()
    request = phone.build("REGISTER", f"sip:{DOMAIN}")
    first = phone.send(request)
    phone.lab.wait(lambda: first.final)
    assert first.final is not None
    again = phone.authorised(request, first.final)
    value = again.headers.get("Authorization")
    statuses = []
    for number in (10, 11):
        copy = again.copy()
        copy.headers.set("CSeq", f"{number} REGISTER")
        copy.headers.remove("Via")
        copy.headers.set("Authorization", value or "")
        final = phone.ask(copy, login=False).final
        assert final is not None
        statuses.append(final.status)
    assert statuses == [200, 401]
    assert asked(final)[0].stale


def test_a_nonce_of_another_server_is_stale_for_who_knows_the_password(lab: Make) -> None:
    phone = lab().phone()
    foreign = Challenge(DOMAIN, "0123456789abcdef0123456789abcdef01", "MD5")
    asked_before = Response(401, None, [("WWW-Authenticate", str(foreign))])
    request = phone.build("REGISTER", f"sip:{DOMAIN}")
    final = phone.ask(phone.authorised(request, asked_before), login=False).final
    assert asked(final)[0].stale
    phone.secret = Password("wrong")
    final = phone.ask(phone.authorised(request, asked_before), login=False).final
    assert final is not None
    assert final.status == 403


def test_trusted_hosts_are_not_asked(lab: Make) -> None:
    phone = lab(auth__trusted_hosts="127.0.0.1").phone()
    assert phone.register(login=False).status == 200


def test_the_realm_may_be_set(lab: Make) -> None:
    phone = lab(auth__realm="the-lab").phone()
    first = phone.ask(phone.build("REGISTER", f"sip:{DOMAIN}"), login=False).final
    assert asked(first)[0].realm == "the-lab"


def test_without_authentication_the_server_is_open_and_says_so(lab: Make) -> None:
    made = lab(auth__enabled="false")
    assert made.phone().register(login=False).status == 200
    assert any("anyone may register" in text for _, text in made.logged)


# -- the users file -----------------------------------------------------------------------------


def test_a_new_user_waits_until_the_cache_expires(prepared: Make) -> None:
    made = prepared(auth__cache_expire="1")
    made.start()
    made.users.write_text(users_file(alice="changed"))
    phone = made.phone()
    assert phone.register().status == 200
    made.sandbox._accounts._last_read -= 1
    assert phone.register().status == 403
    phone.secret = Password("changed")
    assert phone.register().status == 200


def test_a_challenge_alone_does_not_read_the_file(lab: Make) -> None:
    made = lab(auth__cache_expire="0")
    made.users.unlink()
    phone = made.phone()
    first = phone.ask(phone.build("REGISTER", f"sip:{DOMAIN}"), login=False).final
    assert first is not None
    assert first.status == 401
    assert made.sandbox.fatal is None


@pytest.mark.parametrize("release", ["2.5.2", "2.3.4"])
@pytest.mark.parametrize("content", [None, f"version:1\nalice@{DOMAIN} clrtxt:a;\n"])
def test_a_users_file_that_breaks_ends_the_server_at_the_next_login(
    content: str | None, release: str, prepared: Make
) -> None:
    made = prepared(auth__cache_expire="0")
    ended: list[object] = []
    made.start(release=release, on_fatal=ended.append)
    phone = made.phone()
    made.users.unlink()
    if content is not None:
        made.users.write_text(content)
    request = phone.build("REGISTER", f"sip:{DOMAIN}")
    first = phone.send(request)
    made.wait(lambda: first.final)
    assert first.final is not None
    second = phone.send(phone.authorised(request, first.final))
    made.wait(lambda: ended)
    assert second.final is None
    fatal = made.sandbox.fatal
    assert fatal is not None
    assert fatal.returncode == (134 if release == "2.5.2" else 255)
    assert ("open" in fatal.text) if content is None else ("prematurely" in fatal.text)
    assert any(level == "error" and "fatal" in text for level, text in made.logged)
    with_same_port = made.sandbox.address()
    made.loop.run_until(lambda: False, 0.01)
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((with_same_port.host, with_same_port.port))


def test_no_secret_is_in_the_json_log(prepared: Make, tmp_path: Path) -> None:
    made = prepared()
    log = tmp_path / "log.jsonl"
    made.start(json_log=log)
    assert made.phone().register().status == 200
    text = log.read_text()
    assert '"event": "registered"' in text
    for secret in users_file(alice="wonderland").split():
        assert secret.partition(":")[2] not in text or ":" not in secret or secret == "version:1"
    assert "Digest" not in text
