"""The known failures of such a server: a table. Each row with the symptom as users see it, how it
is tested, the cure, and where it is known from.

`how` says what the test needs: `server` (SSH to the host), `network` (the ports, seen from here),
`dns`, `login` (an account), `call` (two accounts and `--call`); `ask` cannot be tested honestly
from outside a phone or a router, so its row says what to ask or to look at. `hides` names rows that
only follow from this one and are then told beside it, not as findings of their own.

Sources: "measured" is on Flexisip 2.5.2 and 2.3.4; numbers with # are issues of its public tracker.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from labtool.errors import RequestError

HOWS = ("server", "network", "dns", "login", "call", "ask")

# What cannot be when nothing answers, or is seen through what does not answer.
_NO_ANSWER = ("port-closed", "not-listening", "not-answering", "login-failed", "call-failed")
_DOWN = ("not-running", "crashing", "conf-not-loaded", "log-errors", *_NO_ANSWER)
_LOGIN = ("login-refused", "login-failed", "call-failed")
# What Flexisip's own defaults do where the settings of flexisip.conf are passed over.
_DEFAULTS = ("alias-missing", "slow-call", "slow-users", "wrong-domain", "no-sound", "call-drops")


@dataclass(frozen=True)
class Row:
    id: str
    symptom: str
    how: str
    test: str
    cure: str
    source: str
    hides: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        return {
            "id": self.id,
            "symptom": self.symptom,
            "how": self.how,
            "test": self.test,
            "cure": self.cure,
            "source": self.source,
        }


ROWS: tuple[Row, ...] = (
    # --- the package ---------------------------------------------------------------------------
    Row(
        "package-missing",
        "There is no Flexisip on the host at all.",
        "server",
        "dpkg knows no installed bc-flexisip, and its program is not there.",
        "Install it: labtool deploy.",
        "measured; #123, #183",
        hides=("not-enabled", "no-restart", "conf-missing", "repository", *_DOWN),
    ),
    Row(
        "package-broken",
        "apt complains at every installation; the server does not start after an upgrade.",
        "server",
        "dpkg has the package half installed, unpacked or not configured.",
        "Let dpkg finish: dpkg --configure -a, then apt-get -f install.",
        "dpkg's manual; #109, #142, #205",
        hides=("libraries-missing", *_DOWN),
    ),
    Row(
        "package-other-system",
        "The package does not install, or the server does not start after it was installed.",
        "server",
        "The installed release was never built for this distribution, or for this processor "
        "(packages are for amd64 only).",
        "Use a distribution that the release was packaged for, and the package of its own suite.",
        "Flexisip's CI files; #15, #109, #142, #222",
    ),
    Row(
        "libraries-missing",
        "The server does not start: error while loading shared libraries.",
        "server",
        "ldd on the program finds a library that is not there; or the journal says so.",
        "Install the package's dependencies (apt-get -f install); the component `stable` must be on.",
        "#109, #142, #205",
        hides=_DOWN,
    ),
    Row(
        "repository",
        "apt-get update fails, or upgrades of Flexisip never come.",
        "server",
        "A source of Linphone's packages lacks its key, names another distribution's suite, leaves "
        "out the component stable, or has no candidate for bc-flexisip.",
        "Deploy again with the right suite, or name a mirror with --repo-url.",
        "#15, #123, #183, #205; stable must always be on: read in the project's instructions",
    ),
    # --- the service ---------------------------------------------------------------------------
    Row(
        "not-running",
        "No phone signs in; nothing answers on the SIP port.",
        "server",
        "systemd says that flexisip-proxy is not active.",
        "Read why in its journal, then start it.",
        "measured",
        hides=_NO_ANSWER,
    ),
    Row(
        "crashing",
        "Phones lose their registration again and again; calls break off.",
        "server",
        "systemd restarts the service over and over (NRestarts), or it died of a signal.",
        "Read the journal for the last words; a broken users file kills it at the next login.",
        "measured (SIGABRT on 2.5.2)",
        hides=("log-errors",),
    ),
    Row(
        "conf-missing",
        "The server does not start, or starts with its defaults.",
        "server",
        "There is no flexisip.conf.",
        "Deploy again; or restore the file from a backup.",
        "measured",
        hides=("drift", *_DOWN),
    ),
    Row(
        "conf-refused",
        "The server does not start, or will not after the next restart: Unsupported parameter, "
        "several entrances, invalid value.",
        "server",
        "flexisip.conf is judged as the installed release would judge it (see labtool lint).",
        "Correct the line that is named; labtool lint --fix writes the corrected file.",
        "measured; #81",
        hides=("drift", "database", "conf-not-loaded", *_DOWN),
    ),
    Row(
        "users-refused",
        "The server does not start, or dies at the next login: Parsing of Authdb file ended "
        "prematurely.",
        "server",
        "users.db.txt is judged as the installed release would judge it; or it is missing.",
        "Deploy again, or correct the line that is named (labtool lint --fix).",
        "measured (fatal at a re-read, too); #13, #81, #141",
        hides=("users-differ", *_DOWN, *_LOGIN),
    ),
    Row(
        "conf-broken",
        "The server runs, but does not do what flexisip.conf was meant to say.",
        "server",
        "flexisip.conf has lines that are passed over, or values that mean something else.",
        "Correct the line that is named (see labtool lint).",
        "measured",
        hides=("drift", *_DEFAULTS, *_LOGIN),
    ),
    Row(
        "conf-not-loaded",
        "A change of flexisip.conf has no effect.",
        "server",
        "flexisip.conf was written after the server was started.",
        "Restart the server; with db-implementation=internal phones register anew within minutes.",
        "measured (there is no reload)",
    ),
    Row(
        "drift",
        "The server does not behave as the lab says.",
        "server",
        "flexisip.conf on the host is not what the lab renders for the installed release.",
        "labtool deploy --check --diff shows the difference, labtool deploy puts it right.",
        "labtool's own",
    ),
    Row(
        "users-differ",
        "A new user cannot sign in; a removed one still can; an old password still works.",
        "server",
        "users.db.txt on the host has other accounts or hashes than the lab.",
        "labtool deploy writes the lab's accounts to the server.",
        "labtool's own",
        hides=_LOGIN,
    ),
    Row(
        "users-broken",
        "One account never signs in, whatever the password.",
        "server",
        "users.db.txt is read, but has accounts that can never log in.",
        "Correct the line that is named (see labtool lint).",
        "measured",
        hides=_LOGIN,
    ),
    Row(
        "not-enabled",
        "After a reboot of the machine nothing answers.",
        "server",
        "The unit is not enabled (the package does not enable it).",
        "systemctl enable flexisip-proxy",
        "measured",
    ),
    Row(
        "no-restart",
        "One day the server is gone, and stays away until somebody starts it.",
        "server",
        "The unit has no Restart= (it comes without one up to Flexisip 2.5).",
        "Deploy with labtool, which adds a drop-in with Restart=always.",
        "measured on 2.5.2; #232",
        hides=("drift",),
    ),
    Row(
        "open-server",
        "Strangers place calls through the server; any password works.",
        "server",
        "Authentication is off, or flexisip.conf is ignored (a byte-order mark, keys before the "
        "first section, an empty file) and the defaults leave it off; from outside, a REGISTER "
        "without a password is accepted.",
        "Turn on module::Authentication, and save the file without a byte-order mark.",
        "measured on 2.5.2",
        hides=("drift", "conf-broken", *_DEFAULTS, *_LOGIN),
    ),
    Row(
        "slow-users",
        "A new user is refused for up to half an hour; so is a new password.",
        "server",
        "cache-expire is over a minute (its default is 1800 s).",
        "Set cache-expire=5 in [module::Authentication].",
        "measured",
        hides=("drift",),
    ),
    Row(
        "cannot-bind",
        "The server does not start: Cannot assign requested address.",
        "server",
        "transports names an address that is not one of the machine's own, or the journal says so.",
        "In a cloud: transports=sip:PUBLIC:5060;maddr=PRIVATE, which labtool deploy writes.",
        "measured; #174, #220",
        hides=("drift", "call-drops", *_DOWN),
    ),
    Row(
        "port-taken",
        "The server does not start: Address already in use.",
        "server",
        "Another program listens on a port that transports names.",
        "Stop that program (often Asterisk, Kamailio or a second Flexisip), or take another port.",
        "measured",
        hides=("not-sip", "answers-error", *_DOWN, *_LOGIN),
    ),
    Row(
        "stun-port-taken",
        "The log says: Could not bind STUN server.",
        "server",
        "Another program has UDP 3478, and stun-server is enabled.",
        "Turn one of the two off: [stun-server] enabled=false.",
        "measured",
        hides=("log-errors",),
    ),
    Row(
        "database",
        "The server does not start, or every login is refused: the accounts are in a database.",
        "server",
        "db-implementation=soci, and the journal or log says that the backend is missing or that "
        "the database cannot be reached.",
        "Install the backend (libsoci-mysql), or keep the accounts in a file.",
        "#50, #224, #226; the text of a build without it measured",
        hides=(*_DOWN, *_LOGIN),
    ),
    Row(
        "redis-down",
        "Every login answers 500; the log grows by tens of thousands of lines a second.",
        "server",
        "Registrations are kept in a Redis on the host that does not listen; or the log says that "
        "Redis cannot be reached or refuses the password.",
        "Start Redis, or set db-implementation=internal in [module::Registrar].",
        "measured on 2.5.2",
        hides=("log-errors", "answers-error", "drift", *_LOGIN),
    ),
    Row(
        "log-errors",
        "Something in the server goes wrong now and then.",
        "server",
        "The log has errors since the start that are neither noise nor another row's.",
        "Read them in their place in the log.",
        "measured: the noise of a healthy server is known",
    ),
    Row(
        "noise",
        "The log has warnings that frighten: Cannot open domain registration configuration file, "
        "iptables, setrlimit, PulseAudio.",
        "server",
        "Known lines of a healthy server are passed over. This is never a finding.",
        "Nothing: they are harmless.",
        "measured; #2, #29",
    ),
    # --- the machine -----------------------------------------------------------------------------
    Row(
        "disk-full",
        "The server stops logging, users cannot be changed, upgrades fail.",
        "server",
        "Under 100 MB, or under 1,000 files, are free where Flexisip, apt or the journal write.",
        "Make room: apt-get clean, journalctl --vacuum-size=100M; set log-level=message.",
        "strerror(ENOSPC)",
        hides=_DOWN,
    ),
    Row(
        "memory",
        "The server is killed under load, or everything is slow.",
        "server",
        "Under 40 MB are available and there is no swap, or the kernel has killed flexisip for it "
        "since the boot.",
        "Take a machine with more memory, or add swap. An idle server needs 18 MB.",
        "measured (18 MB resident)",
        hides=("crashing", "not-running"),
    ),
    Row(
        "clock",
        "Certificates are not valid yet, apt refuses its repositories, logs cannot be compared.",
        "server",
        "The host's clock and this machine's differ by more than a minute.",
        "timedatectl set-ntp true on the one that is wrong.",
        "apt's and OpenSSL's messages",
    ),
    Row(
        "open-files",
        "Under load new connections are refused.",
        "server",
        "The server has nine tenths of its open files in use, or the log says: Too many open files.",
        "Raise LimitNOFILE= in a drop-in of the unit.",
        "strerror(EMFILE)",
        hides=("log-errors",),
    ),
    # --- the way to the server -------------------------------------------------------------------
    Row(
        "name-unknown",
        "The phone says: host not found.",
        "network",
        "The name has no address by this machine's resolver.",
        "Correct the name, add its A record, or use the address.",
        "RFC 3263",
        hides=("host-unreachable", "dns-missing", *_NO_ANSWER),
    ),
    Row(
        "host-unreachable",
        "Nothing at all answers.",
        "network",
        "No route, or neither a SIP port nor, where it was tried, SSH gives any answer.",
        "See that the machine runs (the cloud's console), and that the address is right.",
        "ICMP; the system's own errors",
        hides=("security-group", *_NO_ANSWER),
    ),
    Row(
        "not-listening",
        "Phones of one transport cannot sign in; the others can.",
        "server",
        "The service runs, but has no socket on a port and transport that it is to serve.",
        "Correct transports in [global] and restart the server.",
        "measured",
        hides=("drift", "port-closed"),
    ),
    Row(
        "port-closed",
        "The phone says at once: connection refused, or service unavailable.",
        "network",
        "The machine answers that nothing listens on the SIP port (ICMP, or TCP reset).",
        "See on the host whether the server runs, and on which ports (systemctl status; ss -lntup).",
        "RFC 9293, RFC 1122",
        hides=("login-failed", "call-failed"),
    ),
    Row(
        "host-firewall",
        "Nobody can sign in, although the server runs.",
        "server",
        "The server listens, the port does not answer from here, and the host's own rules (iptables, "
        "nftables) drop or reject it.",
        "Open the port in the host's firewall (ufw allow 5060), and write it where that keeps its rules: "
        "what iptables or nft add is gone after a reboot.",
        "the manuals of iptables and nftables",
        hides=("security-group", "port-closed", "not-answering", "login-failed", "call-failed"),
    ),
    Row(
        "security-group",
        "Nobody can sign in, although the server runs and the machine answers SSH.",
        "network",
        "The server listens, the host's own firewall lets the port through as far as can be read, "
        "and nothing comes back from it here: something on the way drops it.",
        "Open UDP and TCP 5060 and the sound's UDP ports in the cloud's security group.",
        "the first deployment of this project; clouds' manuals",
        hides=("login-failed", "call-failed", "not-answering"),
    ),
    Row(
        "not-answering",
        "The connection comes about, but the phone waits for ever.",
        "network",
        "TCP connects, or packets wait in the server's queue, but no SIP answer comes.",
        "Restart the server, and read its log: it hangs, or is too busy.",
        "measured (a stopped process)",
        hides=("login-failed", "call-failed"),
    ),
    Row(
        "not-sip",
        "The phone reports a protocol error.",
        "network",
        "What answers on the SIP port does not speak SIP, or not by this transport (TLS on TCP's port, "
        "or the other way round).",
        "Correct the port, or move the other program (ss -lntup on the host names it).",
        "RFC 3261 section 7; #118 (the wrong port for TLS)",
        hides=("login-failed", "call-failed"),
    ),
    Row(
        "answers-error",
        "Every request is answered with an error.",
        "network",
        "OPTIONS to the server itself is answered with an error that a working server does not give.",
        "Read the server's log at this moment.",
        "measured (OPTIONS answers 200); #187",
    ),
    # --- DNS -------------------------------------------------------------------------------------
    Row(
        "dns-missing",
        "Phones that were given only the domain do not find the server.",
        "dns",
        "The domain has neither A, AAAA nor SRV records (names that no public DNS has, such as "
        "sip.example.test, are passed over: phones of such a lab are given the address as proxy).",
        "Add an A record for the domain, or enter the server's address as proxy in each phone.",
        "RFC 3263",
    ),
    Row(
        "dns-other-host",
        "Some phones sign in and others do not; or they reach an old machine.",
        "dns",
        "A record of the domain leads to an address that is not this host's.",
        "Correct the record, and wait until its time to live is over.",
        "RFC 3263",
        hides=("dns-ipv6",),
    ),
    Row(
        "dns-ipv6",
        "Phones with IPv6 wait for long, or do not sign in.",
        "dns",
        "The domain has an AAAA record of this host, but the server does not listen on IPv6.",
        "Let it listen there (transports=sip:*), or remove the record.",
        "RFC 3263, RFC 8305",
    ),
    Row(
        "dns-service",
        "Phones try the wrong port or transport first.",
        "dns",
        "An SRV or NAPTR record names a transport or port that the server does not serve, or a "
        "target without an address.",
        "Correct or remove the record.",
        "RFC 3263 section 4; RFC 2782; RFC 3403",
    ),
    # --- TLS -------------------------------------------------------------------------------------
    Row(
        "tls-files",
        "Phones cannot connect by TLS; the server runs all the same.",
        "server",
        "transports has sips:, but certificate or key is missing, or they do not belong together "
        "(the server starts on both).",
        "Put both files in place (tls-certificates-file, tls-certificates-private-key), restart.",
        "measured on 2.5.2; #118, #143",
        hides=("not-sip", "not-answering", "answers-error", "log-errors", *_LOGIN),
    ),
    Row(
        "tls-expired",
        "Phones refuse the server from one day to the next.",
        "network",
        "The certificate that the server shows is expired, or not valid yet.",
        "Renew it and restart the server.",
        "RFC 5280 section 4.1.2.5; #151",
    ),
    Row(
        "tls-name",
        "Phones refuse the certificate: name mismatch.",
        "network",
        "The certificate that the server shows holds neither the SIP domain nor a wildcard for it.",
        "Issue one with the SIP domain among its names (subjectAltName).",
        "RFC 5922 section 7; #118",
    ),
    Row(
        "tls-self-signed",
        "Phones refuse the certificate: unknown issuer.",
        "network",
        "The certificate that the server shows is signed by itself, or by an issuer that this machine "
        "does not trust (nor --ca-file).",
        "Take one of a public issuer, or give phones the issuer's certificate as trusted.",
        "RFC 5280 section 6",
    ),
    # --- signing in ------------------------------------------------------------------------------
    Row(
        "wrong-domain",
        "403 Domain forbidden: the phone signs in as user@ADDRESS, or in another spelling.",
        "login",
        "The lab's domain is not in auth-domains and reg-domains; or a REGISTER is refused before "
        "a password is asked for.",
        "In the phone: the SIP domain as domain, the address only as proxy. Case matters.",
        "measured; #152",
        hides=("drift", "alias-missing", *_LOGIN),
    ),
    Row(
        "algorithm",
        "403 Forbidden for a password that is right; or MicroSIP signs in and Linphone does not.",
        "login",
        "An account has hashes of algorithms only that available-algorithms does not offer; or a "
        "REGISTER finds no algorithm in common.",
        "Keep both hashes of each account and set available-algorithms=MD5 SHA-256.",
        "measured; #249",
        hides=("drift", "users-broken", *_LOGIN),
    ),
    Row(
        "login-refused",
        "403 Forbidden, or the phone asks for the password again.",
        "login",
        "A REGISTER with the account's password is refused.",
        "Set the password again (labtool set-password), and compare user and domain letter by letter.",
        "measured; #33, #108, #249",
        hides=("call-failed",),
    ),
    Row(
        "banned",
        "It worked, then everybody in the room was cut off; minutes later it works again.",
        "network",
        "The iptables chain FLEXISIP holds this machine's address or a private one (strangers are "
        "only noted), or the server answers and then falls silent.",
        "Wait two minutes; set packet-rate-limit=100 in [module::DoSProtection].",
        "measured (2 minutes, 20 packets a second); #105, #154",
        hides=("not-answering", "login-failed", "call-failed", "security-group", "port-closed"),
    ),
    Row(
        "login-failed",
        "The phone does not sign in.",
        "login",
        "A REGISTER fails for a reason that is no other row's.",
        "Read the probe's own cause, which is shown.",
        "labtool probe",
    ),
    # --- calls -----------------------------------------------------------------------------------
    Row(
        "alias-missing",
        "482 Loop Detected, or a call to a user of the domain ends in silence and 408.",
        "server",
        "A name or address by which clients reach the server is not in aliases; or a request is "
        "answered 482.",
        "Add it to aliases in [global].",
        "measured; #187, #258, #262",
        hides=("drift", "call-failed"),
    ),
    Row(
        "callee-missing",
        "404 Not Found on a call, although the other phone looks signed in.",
        "call",
        "A call between two accounts that were registered a moment before is answered 404.",
        "The phone that is called signs in anew: on the same server and domain; registrations are "
        "forgotten in a restart with db-implementation=internal.",
        "measured; #70",
    ),
    Row(
        "no-sound",
        "The call stands, and one side or both hear nothing.",
        "server",
        "MediaRelay is off against the lab's wish; the host is behind a 1:1 NAT and the relay "
        "announces its private address; the host's firewall drops the sound's ports; with --call, "
        "sound is missing.",
        "Turn on module::MediaRelay, in a cloud with force-public-ip-for-sdp-masquerading, and open "
        "sdp-port-range (UDP) in the security group.",
        "measured; #7, #44, #106, #176, #223, #234",
        hides=("drift",),
    ),
    Row(
        "call-drops",
        "The call drops after 32 seconds.",
        "server",
        "The host is behind a 1:1 NAT, and transports does not announce the public address, so that "
        "Record-Route leads phones to the private one; with --call, an ACK or BYE is lost.",
        "transports=sip:PUBLIC:5060;maddr=PRIVATE, which labtool deploy writes.",
        "measured; #23, #54, #70, #133, #162, #169, #179, #202",
        hides=("drift",),
    ),
    Row(
        "slow-call",
        "It takes five seconds until the other phone rings.",
        "server",
        "udp-mtu is under 4,000 bytes (its default is 1460): an INVITE with ICE is larger, is tried "
        "over TCP first, and that fails behind a NAT.",
        "Set udp-mtu=65535 in [global].",
        "measured: 5.0 s; RFC 3261 section 18.1.1; #192",
        hides=("drift",),
    ),
    Row(
        "call-failed",
        "Calls do not come about.",
        "call",
        "A call between two accounts fails for a reason that is no other row's.",
        "Read the probe's own cause, which is shown.",
        "labtool probe",
    ),
    Row(
        "sip-alg",
        "One home router's phones fail in odd ways: calls drop after 32 s, no incoming calls.",
        "ask",
        "Not testable from here: a router that rewrites SIP sits at the phone's end. Compare a trace "
        "of the phone's side with one of the server's: Via and Contact differ.",
        "Turn off SIP ALG (SIP helper) in the router, or use TLS, which it cannot read.",
        "#54, #133, #169",
    ),
    Row(
        "push",
        "A phone with the app closed does not ring.",
        "ask",
        "Not testable from here: push needs an app of one's own with its own keys at Apple and "
        "Google. The public Linphone app is woken by its own makers' servers only.",
        "Let the app run in the background, or build one's own with its push certificates.",
        "#61, #160, #196",
    ),
)

BY_ID: dict[str, Row] = {row.id: row for row in ROWS}


def row(id: str) -> Row:
    """The row of that id. Raises RequestError where there is none."""
    if id in BY_ID:
        return BY_ID[id]
    near = difflib.get_close_matches(id, BY_ID, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise RequestError(
        f"The doctor knows nothing of {id!r}.{hint} All rows: labtool doctor --explain all"
    )
