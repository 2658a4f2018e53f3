"""The findings in English, and the phrases that fill their {places}."""

from __future__ import annotations

from labtool.trace.findings.text import Text

FINDINGS: dict[str, Text] = {
    # Registration and authentication: RFC 3261 section 22, RFC 8760.
    "wrong-password": Text(
        title="{user} is refused: wrong password or no such account",
        cause=(
            "{server} asked {user} for a password, got an answer to its challenge, and refused it "
            "({status} {reason}). The account does not exist there, or the password differs."
        ),
        cure=(
            "Set the password of {user} anew on the server and in the client; the user name and the "
            "realm ({realm}) are part of the answer too."
        ),
    ),
    "authentication-loop": Text(
        title="{user} is asked for its password again and again",
        cause=(
            "{server} challenged {user} {times} times although each request carried an answer. The "
            "client answers with the wrong password, or not to the newest challenge."
        ),
        cure=(
            "Set the password of {user} anew; if it is right, the client and the server disagree on "
            "the algorithm ({algorithms})."
        ),
    ),
    "registration-refused": Text(
        title="{user} cannot register: {status} {reason}",
        cause="{server} refused to register {user} with {status} {reason}{why}",
        cure="{advice}",
    ),
    # Calls that do not come about: RFC 3261 sections 13, 17 and 21.
    "callee-unknown": Text(
        title="{callee} is not registered",
        cause=(
            "{server} answered the call with {status} {reason}: it knows no place where {callee} "
            "could be reached at that moment."
        ),
        cure=(
            "See that {callee} exists on the server and that its client is running and registered; "
            "its own REGISTER shows why it is not."
        ),
    ),
    "callee-unreachable": Text(
        title="{callee} is registered, but cannot be reached",
        cause=(
            "{evidence} The registered address of {callee} leads nowhere: usually a NAT or firewall "
            "in front of that client has closed the path that its registration had opened."
        ),
        cure=(
            "Let that client send keep-alives more often or register over TCP or TLS, and see that "
            "it is running."
        ),
    ),
    "no-response": Text(
        title="{target} does not answer",
        cause=("{method} was sent {times} times to {target} over {transport}, and {seen}"),
        cure=(
            "Check the address and port, that the service runs and listens on {transport}, and the "
            "firewalls and security groups on the way."
        ),
    ),
    "codec-refused": Text(
        title="No common codec: {callee} refused the offer ({status})",
        cause=(
            "{who} answered the offer with {status} {reason}. Offered were: {offered}. None of it "
            "(codec, or encryption of the media) was acceptable there."
        ),
        cure=(
            "Enable a codec on both clients that the other has (PCMU and PCMA are in every one), and "
            "the same media encryption."
        ),
    ),
    "call-refused": Text(
        title="The call to {callee} was refused: {status} {reason}",
        cause="{who} answered the INVITE with {status} {reason}{behind}. {why}",
        cure="{advice}",
    ),
    "loop": Text(
        title="The request runs in a circle ({status} {reason})",
        cause=(
            "{who} gave up with {status} {reason}: the request came back to a server that had "
            "forwarded it, or passed more servers than Max-Forwards allows."
        ),
        cure="Look at the routes: a server forwards the domain to itself or to one that sends it back.",
    ),
    "request-loop": Text(
        title="{method} runs in a circle",
        cause=(
            "{method} for {uri} came to {who} {times} times, and had passed more servers each time "
            "({least} Via headers at first, {most} in the end): it comes back to where it has been."
        ),
        cure="Look at the routes: a server forwards the domain to itself or to one that sends it back.",
    ),
    "nat-contact": Text(
        title="{user} is called at an address behind its NAT ({host})",
        cause=(
            "{user} registered from {client}, with the private address {host} as its Contact. {server} "
            "takes that as it is: the call was sent there {times} times and nothing came back."
        ),
        cure=(
            "Let the server use the address that a registration comes from (in flexisip.conf: "
            "[module::NatHelper] enabled=true), or a STUN server in the client."
        ),
    ),
    "slow-setup": Text(
        title="It took {delay} s until {callee} rang",
        cause=(
            "{server} confirmed the call at once (100 Trying), but the first sign of {callee} came "
            "only after {delay} s. What happened meanwhile was beyond {server} and is not in this "
            "capture."
        ),
        cure=(
            "Capture on the server at the same time. A known reason is an INVITE too big for UDP, "
            "which the server first tries to deliver over TCP."
        ),
    ),
    "invite-too-big-for-udp": Text(
        title="The server lost {delay} s trying TCP for an INVITE too big for UDP",
        cause=(
            "The INVITE for {callee} is {size} bytes, more than the server sends in one UDP packet, "
            "so it tried TCP to {target} first ({times} connection attempts without an answer; "
            "behind a NAT there can be none) and fell back to UDP after {delay} s."
        ),
        cure=(
            "Set udp-mtu=65535 in [global] of flexisip.conf, or let that client register over TCP or "
            "TLS; fewer codecs and ICE candidates make the INVITE smaller."
        ),
    ),
    # In a call: RFC 3261 sections 12.1.1, 13.3.1.4 and 16.6.
    "ack-missing": Text(
        title="The ACK does not arrive",
        cause=(
            "{who} sent {response} {times} times and {seen}. Without it the answering side has to "
            "give up after 32 s: the call drops then.{end}"
        ),
        cure="{advice}",
    ),
    "private-record-route": Text(
        title="The server names the private address {host} for the rest of the call",
        cause=(
            "Its Record-Route or Contact says {host}, which {peer} cannot reach: it is not the address "
            "that the server answers from. ACK and BYE go there and are lost."
        ),
        cure=(
            "Give the server its public address (in flexisip.conf: transports="
            "sip:PUBLIC-ADDRESS:5060;maddr={host})."
        ),
    ),
    "missing-record-route": Text(
        title="{server} did not record its route, and the rest of the call goes astray",
        cause=(
            "{server} passed on the answer of {callee} without a Record-Route. So {peer} sends what "
            "follows past it, straight to the Contact {host}, which it cannot reach: {method} went "
            "there {times} times and nothing came back."
        ),
        cure=(
            "Let that server stay in the call (Record-Route, RFC 3261 section 16.6), as it must where "
            "phones are behind NATs."
        ),
    ),
    "sip-alg": Text(
        title="Something on the way rewrites SIP ({times} messages)",
        cause=(
            "{label} is not the same at both ends of its way: {changes}. A NAT changes packets' "
            "addresses, not what is in them; a router with a SIP ALG does, and often wrongly."
        ),
        cure="Switch the SIP ALG (“SIP helper”) of that router off, or use TLS, which it cannot read.",
    ),
    "call-forgotten": Text(
        title="{who} no longer knows the call ({status} {reason})",
        cause=(
            "{method} within the call was answered with {status} {reason}. The call had been answered "
            "and not ended: {who} was restarted in the meantime, or lost its state."
        ),
        cure="Look for a restart in the server's log at that time; calls do not survive one.",
    ),
    # Sound: RFC 3264, RFC 3550, RFC 8445.
    "private-address-in-sdp": Text(
        title="No sound: a private address is announced for it ({host})",
        cause="{evidence} Nobody outside that private network can send sound there.{transports}",
        cure="{advice}",
    ),
    "wrong-port": Text(
        title="{who} sends its sound to port {port}, which {peer} never announced",
        cause=(
            "{packets} packets of sound went to port {port} of {peer}. It had announced {announced}, and "
            "nothing ever came from port {port}: nobody listens there."
        ),
        cure=(
            "The client or a box on the way misread the session description: update {who}'s client, and "
            "switch a SIP ALG off."
        ),
    ),
    "ice-failed": Text(
        title="No sound: ICE finds no way between {who} and {peer}",
        cause=(
            "{who} sent {times} connectivity checks (to {tried}), and not one was answered; no sound came "
            "either. Nothing gets through between the addresses that both sides offered."
        ),
        cure=(
            "Let UDP pass at the firewalls in front of both, or give both a TURN server, or turn the "
            "server's media relay on (in flexisip.conf: [module::MediaRelay] enabled=true)."
        ),
    ),
    "one-way-audio": Text(
        title="One-way sound: {title}",
        cause="{evidence}",
        cure="{advice}",
    ),
    "audio-stopped": Text(
        title="The sound {direction} stopped in the middle of the call",
        cause="{evidence}",
        cure="{advice}",
    ),
    "packet-loss": Text(
        title="{percent} % of the sound from {source} to {target} is lost",
        cause="{evidence}",
        cure=(
            "Look at the network between the two: a congested or weak (wireless) link, or a rate "
            "limit. The side that reports the loss sits behind it."
        ),
    ),
    "tls-alert": Text(
        title="TLS between {client} and {server} failed: {alert}",
        cause="{who} ended the TLS connection with the alert {alert} ({number}). {meaning}",
        cure="{advice}",
    ),
    "scanner": Text(
        title="A scanner is at work: {agent} from {host}",
        cause=(
            "{host} calls itself {agent}, a tool that tries numbers and passwords; {times} of its "
            "requests are in this capture."
        ),
        cure="Drop it at the firewall (fail2ban), and see that no account has a weak password.",
    ),
}

PHRASES: dict[str, str] = {
    # together: where a thing was lost, and what follows from it
    "this-is-why": "Because of this: {symptom}.",
    "sound-lost-between": "Seen from both ends: {sent} packets left {source} ({here}), {arrived} "
    "arrived at {target} ({there}). They are lost between the two, in the network or at a NAT or "
    "firewall in front of one of them.",
    "message-lost-beyond": "Seen from both ends: {method} left {source} {times} times towards {target} "
    "({here}), which answered it, and none arrived at the other end ({there}): it is lost beyond "
    "{target}.",
    "message-lost-on-the-way": "Seen from both ends: {method} left {source} {times} times towards "
    "{target} ({here}), and none arrived at the other end ({there}).",
    "sound-left-elsewhere": "{sent} packets of sound left {source} ({here}): they are lost on the way.",
    "message-lost-between": "Seen from both ends: {method} left {source} {times} times towards "
    "{target} ({here}), and none arrived where it should have ({there}). It is lost between the two.",
    # callee-unreachable
    "invite-unanswered": "The INVITE was sent {times} times to {target}, and nothing came back.",
    "invite-given-up": "{who} took the call (100 Trying), waited {waited} s without any sign of "
    "{callee}, and gave up with 408.",
    # no-response
    "nothing-at-all": "nothing at all came back. There is no SIP server at that address and port, or a "
    "firewall drops the packets.",
    "nothing-to-the-bye": "nothing came back, though the call was answered over the same way: what "
    "answered it is gone, or something began to drop the packets. The other end may not know that the "
    "call is over.",
    "said-closed": "no SIP came back, only the word that the port is closed (ICMP port unreachable, "
    "{count} times): the machine is there, and no SIP server listens on it.",
    # registration-refused
    "unasked": ", and did not ask for a password first: it is the request itself that it does not take "
    "(its domain, its source, or a limit).",
    "compare-domain": "Compare the domain in {user} with the domains that the server is registrar of.",
    "with-status": ". {why}",
    # call-refused: RFC 3261 section 21
    "or-behind-it": ", of its own accord or for one that it asked",
    "status-403": "It understood the request and does not allow it; a password was not the question.",
    "status-403-cure": "Look for what it allows: the domain, the address that the caller comes from, "
    "and who may call whom. Its log names the rule.",
    "status-415": "It does not take this kind of body (Content-Type or Content-Encoding).",
    "status-415-cure": "See the Accept header of the answer for what it takes.",
    "status-420": "The request requires an extension that it does not know.",
    "status-420-cure": "Compare the Unsupported header of the answer with Require and Proxy-Require of "
    "the request, and switch that extension off in the caller's client.",
    "status-484": "The number is not complete.",
    "status-484-cure": "Dial it whole, with the prefix that the server wants.",
    "status-500": "Something went wrong within it.",
    "status-500-cure": "Look in its log at that time.",
    "status-501": "It cannot do what the request asks for.",
    "status-501-cure": "Look in its log and configuration for the method and the module that serves it.",
    "status-502": "It got an answer that it could not use from the next server.",
    "status-502-cure": "Capture between it and the next server.",
    "status-503": "It cannot serve requests now: overloaded, under maintenance, or without something "
    "that it needs (a next server that cannot be reached, a database).",
    "status-503-cure": "Look in its log at that time, and see that all it depends on is running and can "
    "be reached.",
    "status-504": "It waited in vain for another server that it asked (a next hop, or DNS).",
    "status-504-cure": "See that the next server and the name server can be reached from it.",
    "status-513": "The request is bigger than it takes.",
    "status-513-cure": "Offer fewer codecs and ICE candidates, or raise its limit.",
    "status-4xx": "It does not take the request as it is (RFC 3261 section 21.4).",
    "status-4xx-cure": "Read the answer whole: its reason and its Warning header say more.",
    "status-5xx": "It could not do what it was asked for (RFC 3261 section 21.5).",
    "status-5xx-cure": "Look in its log at that time.",
    # codec-refused
    "offered-media": "{kind} {proto} {codecs}",
    "without-codecs": "without codecs",
    "nothing-readable": "nothing that can be read",
    # ack-missing
    "no-ack": "no ACK came back",
    "acks-in-vain": "goes on although it was sent {count} ACKs: they do not reach it",
    "dropped-after": " Here it did, {waited} s after the answer.",
    "check-route": "The ACK goes to the Contact and along the Record-Route of the answer: see that the "
    "address there can be reached from the caller, and that no firewall or NAT drops it.",
    "check-next-hop": "The ACK to a refusal goes from hop to hop, to where its INVITE went: look for "
    "what drops it between the two, a firewall or a SIP ALG.",
    # authentication-loop
    "none-named": "none named",
    # private-address-in-sdp
    "announced-private": "{who} (at {address}) announced {host} for its sound; {sent} packets were "
    "sent there and none came back.",
    "came-with-private": "The description that came from {who} (at {address}) names {host} for the "
    "sound of the other end; {sent} packets were sent there and none came back.",
    "server-announced-private": "The server announced its own private address {host} to {who} (at "
    "{address}), and nothing came.",
    "private-passed-on": "{who} (at {address}) announced {host} for its sound, and the server passed "
    "that on to {far} (at {elsewhere}).",
    "transport-innocent": " That one side signals over {one} and the other over {other} is not the "
    "cause: sound never takes the way of the signalling.",
    "turn-relay-on": "Turn the server's media relay on (in flexisip.conf: [module::MediaRelay] "
    "enabled=true), or ICE with a STUN server in both clients.",
    "tell-public-address": "The server is behind a NAT of its own and does not know its public "
    "address: give it that (in flexisip.conf: "
    "transports=sip:PUBLIC-ADDRESS:5060;maddr=PRIVATE-ADDRESS).",
    # one-way-audio
    "other-end": "the other end",
    "hears-nothing": "{who} hears nothing",
    "none-comes": "none comes from {who}",
    "sends-none": "{who} sends none",
    "none-arrives-there": "it does not arrive at the other end",
    "sent-not-one": "{who} received {received} packets of sound and sent not one, although both sides "
    "had agreed to it. This was captured at {who} or right beside it: nothing on the way can have "
    "taken them.",
    "says-it-sent-nothing": "{who} itself says in {count} RTCP reports that it has sent no sound, "
    "although both sides had agreed to it. This was captured at {who} or right beside it: nothing on "
    "the way can have taken it.",
    "never-reported": "{sent} packets of sound went out from {who} towards {peer}, and in {count} "
    "RTCP reports over {span} s the other end named no stream that it receives (report count 0): "
    "nothing arrives there, while its own sound gets through.",
    "sent-and-lost": "No sound arrived at {who}; {sent} packets went out. The other end says in RTCP "
    "that it has sent {told} packets: they were lost on the way.",
    "path-open-and-silent": "No sound arrived at {who} from {peer}, but its RTCP did, over the same "
    "path, and says that it has sent no sound: the path is open and the client at that end is silent.",
    "none-arrived": "No sound arrived at {who} from {peer}; {sent} packets went out.",
    "sent-or-not": "No sound arrived at {who} from {peer}; {sent} packets went out. Whether it was "
    "sent and lost, or never sent, cannot be seen from here.",
    "check-microphone": "Look at {who}: its microphone, its permission to use it, and its audio "
    "settings. The network is not the reason.",
    "check-far-nat": "Look at the NAT or firewall in front of the other end: it lets sound out and "
    "none in.",
    "check-nat": "Look at the NAT or firewall in front of {who}: it lets sound out and none in.",
    "capture-there-too": "Capture at {peer} too. If its sound leaves there, look at the NAT or "
    "firewall in front of {who}.",
    # audio-stopped
    "coming-from": "from {who}",
    "going-to": "to {who}",
    "ended-before": "{after} s after the answer the sound {direction} ended, while the other direction "
    "went on for {longer} s.",
    "port-closed": "From then on {who} said that the port for the sound is closed (ICMP port "
    "unreachable, {times} times).",
    "call-not-known": "The {method} was answered with {label}: the call was no longer known there.",
    "sent-on-and-lost": "Its sender's RTCP went on and says that {told} packets were sent; {seen} came "
    "by here. They are lost before this point.",
    "sent-no-more": "Its sender's RTCP went on and says in {count} reports that no more was sent: that "
    "client stopped, or sends nothing while it is muted.",
    "look-for-restart": "Look for a restart or a crash of what carried the sound at that moment: {who}.",
    "look-where-it-goes-missing": "Look for what began to drop it then: a NAT or firewall between the "
    "sender and this point, or a link that was lost.",
    "check-microphone-or-mute": "Look at that client: whether it was muted, its microphone, and its "
    "log at that moment.",
    # packet-loss
    "missing-here": "{lost} of {expected} packets are missing in the sequence numbers where this was "
    "captured.",
    "receiver-reports-loss": "The receiver reports in RTCP that {lost} of {expected} packets did not "
    "arrive; they were complete where this was captured.",
    "far-receiver-reports-loss": "The receiver reports in RTCP that {lost} of {expected} packets did "
    "not arrive; they were complete where this was captured. A server that relays sound passes such "
    "reports on: on which part of the way they are lost cannot be seen from here.",
    # sip-alg
    "became": "“{before}” became “{after}”",
    "nothing": "(nothing)",
    "more-lines": "and {count} lines more",
    # tls-alert: RFC 8446 section 6.2
    "alert-of-another-kind": "of another kind",
    "alert-40": "The two have no version, cipher or key type of TLS in common.",
    "alert-42": "It could not use the other's certificate.",
    "alert-43": "It cannot use a certificate of that kind.",
    "alert-44": "The certificate was revoked.",
    "alert-45": "The certificate has expired, or a clock is wrong.",
    "alert-46": "It did not accept the other's certificate.",
    "alert-48": "It does not know who signed the other's certificate.",
    "alert-70": "The version of TLS that was offered is not allowed there.",
    "alert-112": "The server has no certificate for the name that was asked for.",
    "alert-116": "The server wants a certificate of the client, which sent none.",
    "alert-other": "The number is that of RFC 8446 section 6.",
    "compare-ciphers": "Compare the TLS versions and ciphers that both allow.",
    "renew-certificate": "Renew the server's certificate, for the very name that the clients use.",
    "trust-issuer": "Install the certificate of the authority that signed the server's in the client, "
    "or use a certificate of a public one.",
    "allow-tls-1.2": "Allow TLS 1.2 or 1.3 on both sides.",
    "client-certificate": "Install a client certificate, or let the server accept clients without one.",
    "look-up-alert": "Look it up there.",
}
