"""What a finding is, and the table of all there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "notice"]


@dataclass(frozen=True)
class Kind:
    """A row of the catalogue. The texts hold {places} that the evidence fills in."""

    severity: Severity
    title: str
    cause: str
    cure: str


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, and the frames that show it.

    `frames` are frame numbers in view `view` (an index of Capture.views), in order; `call` is the
    number of the call that it is about, 0 for none.
    """

    id: str
    severity: Severity
    title: str
    cause: str
    cure: str
    frames: tuple[int, ...]
    view: int = 0
    call: int = 0
    facts: Mapping[str, object] = field(default_factory=dict)
    #: The other views that show it: (view, frames), where several were read together.
    others: tuple[tuple[int, tuple[int, ...]], ...] = ()


def finding(kind: str, frames: list[int], *, view: int = 0, call: int = 0, **facts: Any) -> Finding:
    """A finding of that kind, its texts filled in. The frames are sorted, and each named once."""
    row = CATALOGUE[kind]
    return Finding(
        kind,
        row.severity,
        row.title.format(**facts),
        row.cause.format(**facts),
        row.cure.format(**facts),
        tuple(sorted({frame for frame in frames if frame})),
        view,
        call,
        facts,
    )


CATALOGUE: dict[str, Kind] = {
    # Registration and authentication: RFC 3261 section 22, RFC 8760.
    "wrong-password": Kind(
        "error",
        "{user} is refused: wrong password or no such account",
        "{server} asked {user} for a password, got an answer to its challenge, and refused it "
        "({status} {reason}). The account does not exist there, or the password differs.",
        "Set the password of {user} anew on the server and in the client; the user name and the "
        "realm ({realm}) are part of the answer too.",
    ),
    "authentication-loop": Kind(
        "error",
        "{user} is asked for its password again and again",
        "{server} challenged {user} {times} times although each request carried an answer. The "
        "client answers with the wrong password, or not to the newest challenge.",
        "Set the password of {user} anew; if it is right, the client and the server disagree on "
        "the algorithm ({algorithms}).",
    ),
    "registration-refused": Kind(
        "error",
        "{user} cannot register: {status} {reason}",
        "{server} refused to register {user} with {status} {reason}, and did not ask for a "
        "password first: it is the request itself that it does not take (its domain, its source, "
        "or a limit).",
        "Compare the domain in {user} with the domains that the server is registrar of.",
    ),
    # Calls that do not come about: RFC 3261 sections 13, 17 and 21.
    "callee-unknown": Kind(
        "warning",
        "{callee} is not registered",
        "{server} answered the call with {status} {reason}: it knows no place where {callee} "
        "could be reached at that moment.",
        "See that {callee} exists on the server and that its client is running and registered; "
        "its own REGISTER shows why it is not.",
    ),
    "callee-unreachable": Kind(
        "error",
        "{callee} is registered, but cannot be reached",
        "{evidence} The registered address of {callee} leads nowhere: usually a NAT or firewall "
        "in front of that client has closed the path that its registration had opened.",
        "Let that client send keep-alives more often or register over TCP or TLS, and see that "
        "it is running.",
    ),
    "no-response": Kind(
        "error",
        "{target} does not answer",
        "{method} was sent {times} times to {target} over {transport}, and nothing at all came "
        "back. There is no SIP server at that address and port, or a firewall drops the packets.",
        "Check the address and port, that the service runs and listens on {transport}, and the "
        "firewalls on the way.",
    ),
    "codec-refused": Kind(
        "error",
        "No common codec: {callee} refused the offer ({status})",
        "{who} answered the offer with {status} {reason}. Offered were: {offered}. None of it "
        "(codec, or encryption of the media) was acceptable there.",
        "Enable a codec on both clients that the other has (PCMU and PCMA are in every one), and "
        "the same media encryption.",
    ),
    "loop": Kind(
        "error",
        "The request runs in a circle ({status} {reason})",
        "{who} gave up with {status} {reason}: the request came back to a server that had "
        "forwarded it, or passed more servers than Max-Forwards allows.",
        "Look at the routes: a server forwards the domain to itself or to one that sends it back.",
    ),
    "request-loop": Kind(
        "error",
        "{method} runs in a circle",
        "{method} for {uri} came to {who} {times} times, and had passed more servers each time "
        "({least} Via headers at first, {most} in the end): it comes back to where it has been.",
        "Look at the routes: a server forwards the domain to itself or to one that sends it back.",
    ),
    "nat-contact": Kind(
        "error",
        "{user} is called at an address behind its NAT ({host})",
        "{user} registered from {client}, with the private address {host} as its Contact. {server} "
        "takes that as it is: the call was sent there {times} times and nothing came back.",
        "Let the server use the address that a registration comes from (in flexisip.conf: "
        "[module::NatHelper] enabled=true), or a STUN server in the client.",
    ),
    "slow-setup": Kind(
        "warning",
        "It took {delay} s until {callee} rang",
        "{server} confirmed the call at once (100 Trying), but the first sign of {callee} came "
        "only after {delay} s. What happened meanwhile was beyond {server} and is not in this "
        "capture.",
        "Capture on the server at the same time. A known reason is an INVITE too big for UDP, "
        "which the server first tries to deliver over TCP.",
    ),
    "invite-too-big-for-udp": Kind(
        "warning",
        "The server lost {delay} s trying TCP for an INVITE too big for UDP",
        "The INVITE for {callee} is {size} bytes, more than the server sends in one UDP packet, "
        "so it tried TCP to {target} first ({times} connection attempts without an answer; "
        "behind a NAT there can be none) and fell back to UDP after {delay} s.",
        "Set udp-mtu=65535 in [global] of flexisip.conf, or let that client register over TCP or "
        "TLS; fewer codecs and ICE candidates make the INVITE smaller.",
    ),
    # In a call: RFC 3261 sections 12.1.1, 13.3.1.4 and 16.6.
    "ack-missing": Kind(
        "error",
        "The ACK does not arrive",
        "{who} sent {response} {times} times and {seen}. Without it the answering side has to "
        "give up after 32 s: the call drops then.{end}",
        "The ACK goes to the Contact and along the Record-Route of the answer: see that the "
        "address there can be reached from the caller, and that no firewall or NAT drops it.",
    ),
    "private-record-route": Kind(
        "error",
        "The server names the private address {host} for the rest of the call",
        "Its Record-Route or Contact says {host}, which {peer} cannot reach: it is not the address "
        "that the server answers from. ACK and BYE go there and are lost.",
        "Give the server its public address (in flexisip.conf: transports="
        "sip:PUBLIC-ADDRESS:5060;maddr={host}).",
    ),
    "missing-record-route": Kind(
        "error",
        "{server} did not record its route, and the rest of the call goes astray",
        "{server} passed on the answer of {callee} without a Record-Route. So {peer} sends what "
        "follows past it, straight to the Contact {host}, which it cannot reach: {method} went "
        "there {times} times and nothing came back.",
        "Let that server stay in the call (Record-Route, RFC 3261 section 16.6), as it must where "
        "phones are behind NATs.",
    ),
    "sip-alg": Kind(
        "warning",
        "Something on the way rewrites SIP ({times} messages)",
        "{label} is not the same at both ends of its way: {changes}. A NAT changes packets' "
        "addresses, not what is in them; a router with a SIP ALG does, and often wrongly.",
        "Switch the SIP ALG (“SIP helper”) of that router off, or use TLS, which it cannot read.",
    ),
    "call-forgotten": Kind(
        "error",
        "{who} no longer knows the call ({status} {reason})",
        "{method} within the call was answered with {status} {reason}. The call had been answered "
        "and not ended: {who} was restarted in the meantime, or lost its state.",
        "Look for a restart in the server's log at that time; calls do not survive one.",
    ),
    # Sound: RFC 3264, RFC 3550, RFC 8445.
    "private-address-in-sdp": Kind(
        "error",
        "No sound: a private address is announced for it ({host})",
        "{evidence} Nobody outside that private network can send sound there. {transports}",
        "{advice}",
    ),
    "wrong-port": Kind(
        "error",
        "{who} sends its sound to port {port}, which {peer} never announced",
        "{packets} packets of sound went to port {port} of {peer}. It had announced {announced}, and "
        "nothing ever came from port {port}: nobody listens there.",
        "The client or a box on the way misread the session description: update {who}'s client, and "
        "switch a SIP ALG off.",
    ),
    "ice-failed": Kind(
        "error",
        "No sound: ICE finds no way between {who} and {peer}",
        "{who} sent {times} connectivity checks (to {tried}), and not one was answered; no sound came "
        "either. Nothing gets through between the addresses that both sides offered.",
        "Let UDP pass at the firewalls in front of both, or give both a TURN server, or turn the "
        "server's media relay on (in flexisip.conf: [module::MediaRelay] enabled=true).",
    ),
    "one-way-audio": Kind(
        "error",
        "One-way sound: {title}",
        "{evidence}",
        "{advice}",
    ),
    "audio-stopped": Kind(
        "error",
        "The sound {direction} stopped in the middle of the call",
        "{evidence}",
        "Look for a restart or a crash of what carried the sound at that moment: {who}.",
    ),
    "packet-loss": Kind(
        "warning",
        "{percent} % of the sound from {source} to {target} is lost",
        "{evidence}",
        "Look at the network between the two: a congested or weak (wireless) link, or a rate "
        "limit. The side that reports the loss sits behind it.",
    ),
    "tls-alert": Kind(
        "error",
        "TLS between {client} and {server} failed: {alert}",
        "{who} ended the TLS connection with the alert {alert} ({number}). {meaning}",
        "{advice}",
    ),
    "scanner": Kind(
        "notice",
        "A scanner is at work: {agent} from {host}",
        "{host} calls itself {agent}, a tool that tries numbers and passwords; {times} of its "
        "requests are in this capture.",
        "Drop it at the firewall (fail2ban), and see that no account has a weak password.",
    ),
}
