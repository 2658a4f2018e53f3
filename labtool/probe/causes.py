"""Why a probe failed: every cause, its exit code, what it means and what cures it.

The exit codes are an interface (scripts and monitoring test for them): a number is never given
another meaning, a cause that goes leaves its number unused. Codes below 10 are labtool's own.
Sources of the Flexisip rows: measured on 2.5.2 and 2.3.4 (answers 401, 403, 404, 407), its public
tracker's recurring questions for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cause:
    """One reason for a failure.

    `name` and `exit_code` are stable. `explanation` says in a sentence what it means, `cure` what
    to do; both are for people who know little SIP.
    """

    name: str
    exit_code: int
    explanation: str
    cure: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "exit_code": self.exit_code,
            "explanation": self.explanation,
            "cure": self.cure,
        }


_ROWS = (
    # 10-19: nothing that speaks SIP was reached.
    Cause(
        "no-answer",
        10,
        "Nothing came back: a firewall or the cloud's security group drops the packets, the "
        "address or port is wrong, or the server does not listen on this transport.",
        "Open the SIP port for this transport (5060/udp and 5060/tcp, 5061/tcp for TLS) in the "
        "security group and the host's firewall, and see that the server runs and listens there.",
    ),
    Cause(
        "refused",
        11,
        "The machine answers, but nothing listens on this port with this transport.",
        "Start the server (systemctl status flexisip-proxy shows why it stopped) and compare the "
        "port and transport with its `transports` setting.",
    ),
    Cause(
        "unreachable",
        12,
        "There is no route to this address, or a router on the way says that it cannot be reached.",
        "Check the address and this machine's own network (VPN, IPv6, gateway).",
    ),
    Cause(
        "name-not-resolved",
        13,
        "This name has no address in DNS.",
        "Correct the name, add its A or AAAA record, or give the server's address.",
    ),
    Cause(
        "not-sip",
        14,
        "Something answers on this port, but it does not speak SIP.",
        "Check the port: 5060 is usual for SIP over UDP and TCP, 5061 for TLS.",
    ),
    Cause(
        "connection-closed",
        15,
        "The server took the connection and closed it before it answered.",
        "Look in the server's log for the reason; a proxy or a firewall in between may also do it.",
    ),
    Cause(
        "banned",
        16,
        "The server answered at first and then stopped: most likely its flood protection "
        "(Flexisip's DoSProtection: over 20 packets a second, for 2 minutes) banned this address.",
        "Wait two minutes and ask less often; everybody behind one NAT shares the ban, so raise "
        "module::DoSProtection/packet-rate-limit or put the class's address on its white list.",
    ),
    Cause(
        "local-error",
        17,
        "This machine could not send: its own address, port or permissions are in the way.",
        "Read the step's detail; another program may hold the port, or a local firewall forbids "
        "the packet.",
    ),
    # 20-29: SIP is spoken, the account does not get in.
    Cause(
        "wrong-password",
        20,
        "The server refused the password (Flexisip says the same for a user that it does not have, "
        "and for an account whose hash is of another domain or algorithm).",
        "Set the password again (labtool set-password), and see that user and domain are spelled "
        "as in the server's users file. A new account works once the server has re-read that file "
        "(Flexisip: cache-expire, 30 minutes by default).",
    ),
    Cause(
        "unknown-user",
        21,
        "The server says that it has no such user.",
        "Create the account (labtool add-user NAME) or correct its spelling.",
    ),
    Cause(
        "wrong-domain",
        22,
        "The server does not serve this domain: it refused before it asked for a password.",
        "Sign in as user@DOMAIN with the domain that the server serves (reg-domains and "
        "auth-domains in flexisip.conf), not its IP address; upper and lower case must agree.",
    ),
    Cause(
        "algorithm-unsupported",
        23,
        "The server asks for a digest algorithm that this account's secret, or this program, does "
        "not have.",
        "Keep both hashes for the account (md5 and sha256) and set available-algorithms=MD5 "
        "SHA-256, or give the password itself instead of a hash.",
    ),
    Cause(
        "no-answer-after-challenge",
        24,
        "The server asked for a password and then did not answer the request that carried it: the "
        "larger request is lost on the way, or the server is stuck.",
        "Try TCP; look for a middlebox that changes SIP (a router's SIP ALG) and in the server's "
        "log (a broken users file ends Flexisip at this very moment).",
    ),
    Cause(
        "not-registrar",
        25,
        "The server speaks SIP but does not take registrations.",
        "Turn on module::Registrar, and see that reg-domains has this domain.",
    ),
    Cause(
        "forbidden",
        26,
        "The server forbids the request, whatever the password.",
        "Look in the server's log: an address or user is not allowed to do this.",
    ),
    Cause(
        "open-server",
        27,
        "The server let somebody in with no password or a wrong one: anyone can use it.",
        "Turn on module::Authentication (enabled=true) and see that flexisip.conf is really read: "
        "Flexisip silently runs on its defaults where the file begins with a BOM.",
    ),
    Cause(
        "contact-missing",
        28,
        "The server accepted the registration, but the address that was registered is not in its "
        "answer.",
        "Look for a middlebox or NAT helper that changes Contact; calls to this user will not "
        "arrive.",
    ),
    Cause(
        "not-expired",
        29,
        "A registration was still there after its time had run out: calls would go to phones that "
        "are gone.",
        "Compare the clocks of the server and of its database, if it has one; see which of "
        "module::Registrar's min-expires and max-expires was applied.",
    ),
    # 30-39: TLS.
    Cause(
        "tls-not-spoken",
        30,
        "The port is open but does not speak TLS.",
        "Use the TLS port (5061), and see that `transports` has sips:... with a certificate that "
        "the server can read.",
    ),
    Cause(
        "tls-untrusted",
        31,
        "The server's certificate was issued by nobody that this machine trusts.",
        "Give the issuer's certificate (--ca-file), or put a publicly trusted certificate with its "
        "whole chain on the server.",
    ),
    Cause(
        "tls-expired",
        32,
        "The server's certificate is expired, or not valid yet.",
        "Renew it and restart the server; see that both clocks are right.",
    ),
    Cause(
        "tls-name",
        33,
        "The server's certificate is for another name.",
        "Connect by a name that is in the certificate, or issue one that holds this name.",
    ),
    Cause(
        "tls-handshake",
        34,
        "TLS is spoken, but the two sides found no common ground.",
        "Look at the step's detail: an old TLS version or cipher, or the server demands a client "
        "certificate.",
    ),
    # 40-59: SIP is spoken and says no.
    Cause(
        "loop",
        40,
        "The server sent the request to itself until it noticed (482, 483): it does not know that "
        "this name or address is its own.",
        "Add every name and address by which clients reach the server to `aliases` in [global].",
    ),
    Cause(
        "server-error",
        41,
        "The server met an error of its own (5xx).",
        "Read the server's log at this moment; Flexisip answers 500 where module::Authorization "
        "is on together with module::Authentication.",
    ),
    Cause(
        "redirected",
        42,
        "The server says that the answer is elsewhere (3xx).",
        "Aim at the address that it names.",
    ),
    Cause(
        "not-found",
        43,
        "The server knows nobody who is registered by this address (404, 410, 604).",
        "The one who is called must be signed in, on the same server and domain; Flexisip with the "
        "internal database forgets all registrations in a restart.",
    ),
    Cause(
        "busy",
        44,
        "The one who is called is busy (486, 600).",
        "Try again later.",
    ),
    Cause(
        "unavailable",
        45,
        "The one who is called did not answer or cannot be reached now (408, 480, 487).",
        "See that the client is running and its registration is fresh.",
    ),
    Cause(
        "declined",
        46,
        "The call was declined (603).",
        "Somebody or something on the called side refused it.",
    ),
    Cause(
        "not-acceptable",
        47,
        "The two sides have no codec or session parameters in common (488, 606, 415).",
        "Allow PCMU or PCMA on both sides.",
    ),
    Cause(
        "bad-request",
        48,
        "The server calls the request malformed or unsupported (400, 405, 416, 420, 421).",
        "If it is right by RFC 3261, something on the way changed it: look for a SIP ALG.",
    ),
    Cause(
        "unexpected-answer",
        49,
        "The server gave an answer that has no place here.",
        "The step's detail has it; the server's log may say why.",
    ),
    Cause(
        "too-large",
        50,
        "The server, or the way to it, does not take a message of this size (513, 413).",
        "Use TCP for large messages.",
    ),
    Cause(
        "no-challenge",
        51,
        "The server let a call through without asking who makes it.",
        "Turn on module::Authentication; otherwise strangers place calls at your cost.",
    ),
    # 60-69: a call that does not work although both are registered.
    Cause(
        "call-not-delivered",
        60,
        "The server took the call, but it never reached the one who is called, who is registered.",
        "The registered address cannot be reached from the server: NAT between them (the server "
        "must answer to where the packet came from), a firewall, or TCP without its connection.",
    ),
    Cause(
        "answer-lost",
        61,
        "The call was answered, but the answer never reached the caller.",
        "The way back through the server is broken: look at Via and Record-Route in a trace.",
    ),
    Cause(
        "ack-lost",
        62,
        "The caller's ACK never reached the one who answered: a phone would hang up after 32 s.",
        "Record-Route names an address that the caller cannot reach, or that the server does not "
        "know as its own: set transports (sip:PUBLIC;maddr=PRIVATE) and aliases.",
    ),
    Cause(
        "bye-lost",
        63,
        "One side hung up and the other was never told.",
        "As with a lost ACK: Record-Route must name an address that both sides can reach.",
    ),
    Cause(
        "answered-elsewhere",
        64,
        "Another device of the same user answered the call.",
        "Use accounts that no phone is signed in to.",
    ),
    Cause(
        "reinvite-lost",
        65,
        "The call stands, but a change of it (hold, resume) does not get through.",
        "As with a lost ACK: Record-Route must name an address that both sides can reach.",
    ),
    # 70-79: sound.
    Cause(
        "no-media",
        70,
        "The call stands, but no sound arrives in either direction.",
        "Open the media ports (module::MediaRelay/sdp-port-range, UDP) in the security group; in a "
        "cloud set force-public-ip-for-sdp-masquerading; with the relay off, private addresses in "
        "the SDP do this.",
    ),
    Cause(
        "one-way-media",
        71,
        "Sound arrives in one direction only.",
        "The address in the SDP of the silent side cannot be reached: turn on module::MediaRelay "
        "and open its ports; see that only one device between them rewrites SDP.",
    ),
    Cause(
        "wrong-tone",
        72,
        "Sound arrives, but it is not the sound that was sent.",
        "Two calls are mixed up, or the relay sends a side its own sound back.",
    ),
    Cause(
        "wrong-codec",
        73,
        "Sound arrives in a codec that was not agreed.",
        "Something rewrites the SDP without changing the sound; look at both offers in a trace.",
    ),
    Cause(
        "lossy-media",
        74,
        "More than a twentieth of the sound is lost on the way.",
        "Look for a full uplink or a Wi-Fi; a relay on a very small machine also drops packets.",
    ),
    Cause(
        "hold-ignored",
        75,
        "The call was put on hold, but the sound went on.",
        "Something on the way rewrites the SDP and loses a=sendonly: compare the re-INVITE as it "
        "was sent and as it arrived in a trace; only one device may rewrite SDP.",
    ),
)

CAUSES: dict[str, Cause] = {row.name: row for row in _ROWS}


def cause(name: str) -> Cause:
    """The cause of that name; KeyError where there is none."""
    return CAUSES[name]
