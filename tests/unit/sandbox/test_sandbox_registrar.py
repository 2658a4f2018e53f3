"""What REGISTER does (RFC 3261 section 10.3, RFC 3327, RFC 5626)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sandbox_lab import DOMAIN, Lab, Phone

from labtool.sip.message import Response

Make = Callable[..., Lab]
ALICE = f"alice@{DOMAIN}"


@pytest.fixture
def phone(lab: Make) -> Phone:
    return lab().phone()


def contacts(response: Response) -> list[tuple[str, str | None]]:
    return [(str(c.uri), c.params.get("expires")) for c in response.contacts]


def test_the_answer_lists_every_contact_with_its_time(phone: Phone) -> None:
    phone.register(contact="<sip:alice@127.0.0.1:7001>")
    final = phone.register(("Expires", "300"), contact="<sip:alice@127.0.0.1:7002>")
    assert contacts(final) == [
        ("sip:alice@127.0.0.1:7001", "600"),
        ("sip:alice@127.0.0.1:7002", "300"),
    ]


def test_a_register_without_contact_only_asks(phone: Phone) -> None:
    phone.register(contact="<sip:alice@127.0.0.1:7001>")
    final = phone.ask(phone.build("REGISTER", f"sip:{DOMAIN}")).final
    assert final is not None
    assert contacts(final) == [("sip:alice@127.0.0.1:7001", "600")]


def test_the_same_contact_is_renewed_and_not_doubled(phone: Phone) -> None:
    phone.register(contact="<sip:alice@127.0.0.1:7001;transport=UDP>")
    final = phone.register(("Expires", "700"), contact="<sip:alice@127.0.0.1:7001;transport=udp>")
    assert [expires for _, expires in contacts(final)] == ["700"]


def test_expires_0_takes_one_contact_away(phone: Phone) -> None:
    phone.register(contact="<sip:alice@127.0.0.1:7001>")
    phone.register(contact="<sip:alice@127.0.0.1:7002>")
    final = phone.register(contact="<sip:alice@127.0.0.1:7001>;expires=0")
    assert [uri for uri, _ in contacts(final)] == ["sip:alice@127.0.0.1:7002"]


def test_a_star_takes_all_away(phone: Phone) -> None:
    phone.register(contact="<sip:alice@127.0.0.1:7001>")
    final = phone.register(("Expires", "0"), contact="*")
    assert (final.status, contacts(final)) == (200, [])


def test_release_2_3_4_refuses_a_star(lab: Make) -> None:
    phone = lab(options={"release": "2.3.4"}).phone()
    final = phone.register(("Expires", "0"), contact="*")
    assert (final.status, final.reason) == (400, "Invalid contact")


@pytest.mark.parametrize("release", ["2.0.0", "2.3.4", "2.4.0", "2.7.0"])
def test_every_release_keeps_a_contact_for_the_time_that_was_asked(lab: Make, release: str) -> None:
    phone = lab(options={"release": release}).phone()
    phone.register(("Expires", "300"), contact="<sip:alice@127.0.0.1:7001>")
    final = phone.ask(phone.build("REGISTER", f"sip:{DOMAIN}")).final
    assert final is not None
    assert contacts(final) == [("sip:alice@127.0.0.1:7001", "300")]


def test_a_star_that_is_not_alone_or_not_0_is_refused(phone: Phone) -> None:
    assert phone.register(contact="*").status == 400
    assert phone.register(("Expires", "0"), contact="*, <sip:alice@127.0.0.1:7001>").status == 400


def test_too_short_a_time_is_refused_with_the_shortest(phone: Phone) -> None:
    final = phone.register(("Expires", "59"))
    assert (final.status, final.headers.get("Min-Expires")) == (423, "60")
    assert phone.register(("Expires", "60")).status == 200


def test_too_long_a_time_is_cut(lab: Make) -> None:
    final = lab(reg__max_expires="1000").phone().register(("Expires", "999999999"))
    assert contacts(final)[0][1] == "1000"


@pytest.mark.parametrize(("text", "seconds"), [("", "600"), ("soon", "400")])
def test_the_default_time(text: str, seconds: str, lab: Make) -> None:
    phone = lab(reg__default_expires="600").phone()
    headers = [("Contact", f"<{phone.contact}>")] + ([("Expires", text)] if text else [])
    final = phone.ask(phone.build("REGISTER", f"sip:{DOMAIN}", *headers)).final
    assert final is not None
    if final.status == 200:
        assert contacts(final)[0][1] == seconds
    else:
        assert str(final.status) == seconds


def test_a_contact_is_forgotten_when_its_time_is_over(phone: Phone) -> None:
    phone.register(contact="<sip:alice@127.0.0.1:7001>")
    registrar = phone.lab.sandbox.registrar
    assert registrar.counts == (1, 1)
    now = registrar._now
    registrar._now = lambda: now() + 601
    assert registrar.lookup(ALICE) == []
    phone.register(contact="<sip:alice@127.0.0.1:7001>")
    registrar._now = lambda: now() + 2000
    assert [aor for aor, _ in registrar.purge()] == [ALICE]
    assert registrar.counts == (0, 0)


def test_a_device_that_moved_replaces_its_old_contact(phone: Phone) -> None:
    device = ';+sip.instance="<urn:uuid:1>";reg-id=1'
    phone.register(contact=f"<sip:alice@127.0.0.1:7001>{device}")
    final = phone.register(contact=f"<sip:alice@127.0.0.1:7002>{device}")
    assert [uri for uri, _ in contacts(final)] == ["sip:alice@127.0.0.1:7002"]
    second_flow = device.replace("reg-id=1", "reg-id=2")
    final = phone.register(contact=f"<sip:alice@127.0.0.1:7003>{second_flow}")
    assert len(contacts(final)) == 2


def test_an_overtaken_register_changes_nothing(phone: Phone) -> None:
    phone.cseq = 10
    phone.register(contact="<sip:alice@127.0.0.1:7001>")
    phone.cseq = 1
    final = phone.register(("Expires", "0"), contact="<sip:alice@127.0.0.1:7001>")
    assert (final.status, final.reason) == (400, "Replayed CSeq")
    assert len(phone.lab.sandbox.registrar.lookup(ALICE)) == 1


def test_one_bad_contact_spoils_all(phone: Phone) -> None:
    final = phone.register(contact="<sip:alice@127.0.0.1:7001>, <tel:+331>")
    assert (final.status, final.reason) == (400, "Invalid contact")
    assert phone.lab.sandbox.registrar.counts == (0, 0)


def test_the_number_of_contacts_is_bounded(lab: Make) -> None:
    phone = lab(reg__max_contacts_by_aor="3").phone()
    for port in range(7001, 7006):
        final = phone.register(contact=f"<sip:alice@127.0.0.1:{port}>")
    assert [uri[-4:] for uri, _ in contacts(final)] == ["7003", "7004", "7005"]
    many = ", ".join(f"<sip:alice@127.0.0.1:{port}>" for port in range(7001, 7020))
    assert phone.register(contact=many).status == 403


def test_path_is_kept_and_given_back(phone: Phone) -> None:
    path = "<sip:edge.example.test;lr>"
    final = phone.register(("Path", path), ("Supported", "path"))
    assert final.headers.all("Path") == [path]
    assert phone.lab.sandbox.registrar.lookup(ALICE)[0].path == (path,)


def test_the_service_route_of_the_configuration_is_told(lab: Make) -> None:
    final = lab(reg__service_route="<sip:127.0.0.1;lr>").phone().register()
    assert final.headers.get("Service-Route") == "<sip:127.0.0.1;lr>"


def test_a_domain_that_is_not_registered_here_is_not_taken(lab: Make) -> None:
    phone = lab(reg__reg_domains="other.example.test").phone()
    assert phone.register().status in (404, 482)


def test_a_thousand_contacts_of_a_hundred_users_are_found_again(lab: Make) -> None:
    made = lab(auth__enabled="false")
    phone = made.phone()
    for number in range(100):
        request = phone.build(
            "REGISTER",
            f"sip:{DOMAIN}",
            *[("Contact", ", ".join(f"<sip:u@127.0.0.1:{6000 + i}>" for i in range(10)))],
            to=f"sip:u{number}@{DOMAIN}",
        )
        request.headers.set("From", f"<sip:u{number}@{DOMAIN}>;tag=x")
        phone.send(request)
    made.wait(lambda: made.sandbox.registrar.counts == (100, 1000))
    assert len(made.sandbox.registrar.lookup(f"u57@{DOMAIN}")) == 10
