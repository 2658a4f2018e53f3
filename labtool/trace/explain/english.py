"""The remarks in English. {places} are filled with facts of the capture."""

from __future__ import annotations

TEXTS: dict[str, str] = {
    "unreadable": "This value does not follow its grammar; nothing is concluded from it.",
    "unparsed": "This only resembles a SIP message or a description: {error}.",
    # start line: requests
    "method.REGISTER": "{sender} asks {receiver}, the registrar, to note where its user can be "
    "reached now. {uri} is the domain, not a user.",
    "method.REGISTER-remove": "{sender} asks {receiver}, the registrar, to forget where its user "
    "could be reached: it signs off.",
    "method.INVITE": "{sender} asks for a call to {uri}.",
    "method.re-INVITE": "{sender} changes a call that is already there (To has a tag): hold, "
    "resume, another codec or another address.",
    "method.re-INVITE-hold": "{sender} puts the call on hold (To has a tag, so the call is there "
    "already; the new description asks for no sound).",
    "method.re-INVITE-resume": "{sender} takes the call back from hold (To has a tag, so the call is "
    "there already; the new description asks for sound again).",
    "method.re-INVITE-ice": "{sender} tells the way that ICE has chosen (To has a tag, so the call is "
    "there already): now both sides, and every server between them, know where the sound goes.",
    "method.ACK": (
        "{sender} confirms the final answer to its INVITE. An ACK is never answered itself."
    ),
    "method.BYE": "{sender} hangs up. Either side may; it goes along the route of the dialog.",
    "method.CANCEL": "{sender} takes its INVITE back before it was answered. The INVITE itself is "
    "then answered with 487.",
    "method.OPTIONS": (
        "{sender} asks what {receiver} can do; often only to see whether it is there."
    ),
    "method.MESSAGE": "{sender} sends a text message to {uri}.",
    "method.SUBSCRIBE": "{sender} asks to be told when something changes at {uri}.",
    "method.NOTIFY": "{sender} tells {receiver} the state that it subscribed to.",
    "method.INFO": "{sender} sends something that belongs to the call but does not change it "
    "(often a key that was pressed).",
    "method.PRACK": "{sender} confirms a provisional response that was sent reliably.",
    "method.UPDATE": "{sender} changes the session without touching the state of the INVITE.",
    "method.REFER": "{sender} asks {receiver} to call somebody else: a transfer.",
    "method.PUBLISH": "{sender} tells the server its own state (its presence, for example).",
    "method.other": "{method} is a method that is not explained here.",
    "request.forwarded": "{sender} did not begin this: it passes on what it got in frame {frame}.",
    "request.passed-on": "{sender} did not begin this: more than one Via shows that it passes on what "
    "{author} asked.",
    "request.retargeted": "{sender} has replaced the address in the first line: it looked up "
    "where the user is registered and found {uri}.",
    "request.with-answer": "It is the request that was refused in frame {frame}, sent again with "
    "an answer to the challenge.",
    "cancel.which": "It cancels the INVITE of frame {frame}.",
    "ack.success": "{sender} confirms the answer {label} of frame {frame}: the call is up.",
    "ack.success-again": "{sender} confirms the answer {label} of frame {frame}: the change of the "
    "call is in force.",
    "ack.end-to-end": "This ACK is a transaction of its own: it has a new branch, goes to the Contact "
    "of the answer and along its Record-Route, end to end, so every server passes it on. The ACK to a "
    "refusal (407, for example) belongs to the refused INVITE instead and goes one hop only.",
    "ack.failure": "{sender} confirms that it got {label} (frame {frame}). This ACK belongs to "
    "the refused INVITE: same branch, same Request-URI, and only one hop: {receiver} keeps it "
    "and passes it to nobody. It only stops the repetition of {label}; an ACK to a 200 would "
    "instead go all the way to who answered.",
    "again.request": "The same as frame {frame}, {after} later: over UDP a request is repeated "
    "until something comes back from {receiver}.",
    "again.response": "The same as frame {frame}, {after} later: a final response is repeated "
    "until its ACK comes, any response when its request comes again.",
    # start line: responses
    "status.100": "{sender} has the request and is working on it. It comes from the next hop "
    "only, and stops the repetition of the INVITE.",
    "status.180": (
        "It rings at the callee. This came from the callee itself, so the whole way there works."
    ),
    "status.181": "The call is being forwarded to somebody else.",
    "status.182": "The callee is busy; the call waits in a queue.",
    "status.183": (
        "The call makes progress; with SDP, sound may flow before the answer (early media)."
    ),
    "status.200-REGISTER": "The registrar has noted it: the Contact lines are all places where "
    "the user is now reachable.",
    "status.200-removed": (
        "The registrar has removed what was asked: the user can no longer be reached there."
    ),
    "status.200-queried": "The request only asked: the Contact lines are what is registered.",
    "status.200-INVITE": "The callee has answered. It is repeated until the ACK comes; without "
    "one the call ends after 32 s.",
    "status.200-re-INVITE": "The change of the call is accepted.",
    "status.200-BYE": "The end of the call is confirmed.",
    "status.200-CANCEL": "The CANCEL has arrived. That says nothing of the INVITE: its own answer "
    "(487) comes separately.",
    "status.200-OPTIONS": "{sender} is there and says what it can do.",
    "status.2xx": "{method} succeeded.",
    "status.1xx": "The request is being worked on; the final response comes later.",
    "status.3xx": "Not here: try the address in Contact.",
    "status.4xx": "{sender} cannot take this request as it is ({status}); elsewhere, or changed, "
    "it might succeed.",
    "status.5xx": "{sender} has failed at a request that seems to be right ({status}).",
    "status.6xx": "Refused everywhere: no other place of the user needs to be tried ({status}).",
    "status.401": "No error: {sender} asks who that is. The request is to be sent again with an "
    "answer to WWW-Authenticate.",
    "status.407": "No error: {sender}, a proxy here, asks who that is before it passes the request on. "
    "It is to be sent again with an answer to Proxy-Authenticate.",
    "status.403": "{sender} understood and refuses. Repeating it will not help.",
    "status.403-password": "{sender} refuses after it has seen the answer to its challenge: "
    "usually the wrong password, or an account it does not have.",
    "status.404": "{sender} knows no place where that user could be reached: it does not exist "
    "there, or is not registered now.",
    "status.405": "{sender} knows {method}, but does not allow it here; Allow says what it does.",
    "status.408": "No answer came in time. {sender} gave up waiting for the next hop.",
    "status.415": "{sender} does not take bodies of that type.",
    "status.420": "{sender} lacks an extension that Require asks for; Unsupported names it.",
    "status.423": "The registration would be too short; Min-Expires says how long it must be.",
    "status.480": "The user is known, but not reachable at the moment.",
    "status.481": "{sender} knows no such call: it ended there, or {sender} was restarted.",
    "status.482": "The request came back to a server that had already forwarded it: a loop.",
    "status.483": "The request passed more servers than Max-Forwards allows; usually a loop.",
    "status.486": "The callee is busy, or declined at this device.",
    "status.487": "The INVITE was cancelled: this is how it ends after a CANCEL.",
    "status.488": "The description is not acceptable here: no common codec, or another encryption "
    "of the media is wanted.",
    "status.491": (
        "Both sides changed the call at the same time; each tries again after a random while."
    ),
    "status.500": "{sender} failed inside. Its log says why.",
    "status.503": (
        "{sender} cannot work at the moment: overloaded, in maintenance, or its next hop is gone."
    ),
    "status.600": "The callee is busy everywhere.",
    "status.603": "The callee declined the call, at every device.",
    "response.to": "It answers the {method} of frame {frame}, {after} later; Via branch and CSeq "
    "tie the two together.",
    # via
    "via.request-only": "{who} wrote this: nobody has forwarded the request yet. The answer finds "
    "its way back by this line.",
    "via.request-top": "{who}, who sends this packet, put this on top of the {count} there are "
    "now: each server that passes a request on adds one, so that the answer comes back the "
    "same way.",
    "via.grew": "{who} put this on top when it passed the request on: in frame {frame} there were "
    "{earlier}, now there are {count}. The answer comes back the same way, and each takes its "
    "own line off.",
    "via.request-below": "Of {who}, who had the request before; it stays as it was written.",
    "via.response-top": (
        "The answer is for who wrote this: {who}. It recognises its own line and takes it off."
    ),
    "via.response-more": (
        "{count} are still there: as many servers and clients the answer has yet to pass."
    ),
    "via.response-below": "After that the answer goes on to {who}.",
    "branch.request": "The branch {branch} names this transaction: request and answers on this "
    "hop share it. z9hG4bK says that it is unique.",
    "branch.response": (
        "The branch is that of frame {frame}: that is the request which is answered."
    ),
    "branch.ack-same": (
        "The branch is that of the INVITE in frame {frame}: this ACK is part of its transaction."
    ),
    "branch.ack-new": "A new branch: this ACK is a transaction of its own, as one to a 2xx is.",
    "branch.cancel": "The branch is that of the INVITE in frame {frame}: by it the server knows "
    "what to cancel.",
    "branch.old": (
        "There is no branch that begins with z9hG4bK: a client of the time before RFC 3261."
    ),
    "rport.asked": "rport without a value asks {receiver} to write down the port that the packet "
    "comes from, and to answer there: it lets the answer pass a NAT.",
    "nat.none-rport": "rport says the same port as {who} wrote ({written}), and there is no "
    "received: no NAT lies between.",
    "nat.none": "received and rport say the same as {who} wrote ({written}): no NAT lies between.",
    "nat.port": "{who} wrote {written}, and the packet came from {seen}: the same machine, "
    "another port. Over TCP and TLS that is only the connection's own port; over UDP a NAT "
    "has changed it.",
    "nat.address": "{who} wrote {written}, but the packet came from {seen} (received and rport): "
    "a NAT lies between, and this is how {who} learns its public address. The answer goes "
    "there.",
    "nat.packet": "{who} wrote its private address {written}, but the packet comes from {seen}: a "
    "NAT has changed it on the way.",
    # routing
    "route": "The request has to pass {who}: the sender learned that from the Record-Route of the "
    "answer (or was told to use it as its outbound proxy).",
    "route.strict": "Without ;lr this is a strict router, as before RFC 3261.",
    "record-route": "{who} wants to stay on the way for the rest of the call: ACK, BYE and every "
    "change pass it.",
    "record-route.again": "{who} puts itself on the way again; but the route of a call "
    "is that of its first INVITE, and this changes nothing.",
    "record-route.response": "The callee copied it from the request: the caller sends the rest of "
    "the call by way of {who}.",
    "record-route.trying": "The route through {who} that the request was given; only a response with a "
    "tag in To makes it that of the dialog.",
    "record-route.private": (
        "{host} is a private address: who is outside that network cannot send there."
    ),
    "path": "Requests to this registration have to pass {who}.",
    "service-route": "The registrar asks that the client's requests go by way of {who}.",
    "max-forwards": "It may pass {left} servers; each takes one off, so that a loop ends.",
    "max-forwards.less": "{sender} has counted down from {earlier} to {left}: each server on the "
    "way takes one off.",
    "max-forwards.none": (
        "It may pass no further server: {receiver} has to answer it itself, or refuse with 483."
    ),
    "contact.register": "{uri} is where the user wants to be reached, for {expires} seconds.",
    "contact.register-open": (
        "{uri} is where the user wants to be reached; how long is left to the registrar."
    ),
    "contact.remove": "An expiry of 0: {uri} is to be removed.",
    "contact.star": (
        "The star stands for every address of the user, with Expires: 0 to remove them all."
    ),
    "contact.bound": (
        "Registered: calls to the user are sent to {uri}, for {expires} seconds from now."
    ),
    "contact.bound-open": "Registered: calls to the user are sent to {uri}.",
    "contact.redirect": "The caller is to try {uri} instead.",
    "contact.target": (
        "Later requests of this dialog are addressed to {uri}: their first line will hold it."
    ),
    "contact.idle": "{uri} is where its writer is; here it changes nothing, for only INVITE, UPDATE and "
    "their like, and the answers to them, say where later requests go.",
    "contact.gruu": "With gr it names this one device of the user, by way of its server, rather "
    "than an address.",
    "contact.instance": "+sip.instance is the device's own name, the same at every address: by it a "
    "registrar can replace the old address of a device instead of adding one.",
    "contact.learned": "It has learned its public address {host} from received in frame {frame}, "
    "and names that instead of its own.",
    "contact.private": "{host} is a private address, while the packet comes from {source}: "
    "reachable only if the server remembers where it came from.",
    # dialog
    "from": "Who asks: {uri}.",
    "from.register": "Who registers: {uri}; usually the same as To.",
    "from.swapped": "The callee of the call sends this request, so it stands in From now, and the "
    "two tags have changed places.",
    "from.tag": (
        "The tag {tag} was chosen by who asks; with To's tag and Call-ID it names the dialog."
    ),
    "from.tag-alone": "The tag {tag} was chosen by who asks. {method} makes no dialog, so here it names "
    "none.",
    "tag.none": "There is no tag: a client of the time before RFC 3261.",
    "to": "Who is asked: {uri}. It stays the same even when a server sends the request elsewhere.",
    "to.register": "The address-of-record that is to be registered: {uri}.",
    "to.tag-not-yet": "No tag yet: who answers adds one, and that makes the dialog.",
    "to.tag-none": "No tag: this response makes no dialog (a 100 only says that the next hop has "
    "the request).",
    "to.tag-early": "The tag {tag} was added by who rings. With From's {from_tag} and Call-ID it "
    "makes an early dialog: another device that rings would add another.",
    "to.tag-confirmed": "The tag {tag} is that of frame {frame}: the early dialog is now "
    "confirmed. Every later message of this call has both tags.",
    "to.tag-dialog": "The tag {tag} was added by who answers. With From's {from_tag} and Call-ID "
    "it makes the dialog: every later message has both.",
    "to.tag-within": "The tag {tag} is there already: the message belongs to an existing dialog.",
    "to.tag-ack": "The tag {tag} is that of the response which is confirmed.",
    "to.tag-no-dialog": (
        "The server added the tag {tag} as it must, but this response makes no dialog."
    ),
    "call-id": "{count} messages of this capture have it: all that belongs to one call, or one "
    "conversation.",
    "call-id.register": "{count} messages of this capture have it: a client keeps one Call-ID for "
    "all its registrations.",
    "cseq": "Request number {number} of who sends it, and its method. It grows by one with each "
    "new request.",
    "cseq.repeated": "{number} after {earlier} (refused in frame {frame}): repeated with "
    "credentials it is a new transaction, so it has a new number.",
    "cseq.response": "Copied from the request: this answers {method} number {number}.",
    "cseq.ack": (
        "An ACK has the number of the INVITE that it confirms ({number}), not the next one."
    ),
    "cseq.cancel": "A CANCEL has the number of the request that it cancels ({number}).",
    # authentication
    "challenge.server": "{sender} asks for a proof of the password of an account of the realm "
    "{realm}, as the server itself.",
    "challenge.proxy": "{sender} asks for a proof of the password of an account of the realm "
    "{realm}, as a proxy on the way.",
    "challenge.nonce": "The nonce was made for this challenge: hashed together with the password it "
    "makes an answer that fits no other challenge, so a recorded one is soon worth nothing.",
    "challenge.algorithm": "The hash is to be {algorithm}.",
    "challenge.md5": (
        "MD5 is weak by today's measure; SHA-256 is preferred where both sides have it."
    ),
    "challenge.qop": (
        "qop offers {qop}: the client adds a number of its own (cnonce) and a counter (nc)."
    ),
    "challenge.qop-none": "There is no qop: the old way, without cnonce and counter.",
    "challenge.stale": "stale=true: the password was right, only the nonce had become too old.",
    "credentials": "The answer of {username} to the challenge of frame {frame}: its nonce is used "
    "here, for the realm {realm}.",
    "credentials.unasked": "An answer of {username} for the realm {realm}; the challenge with "
    "this nonce is not in this capture.",
    "credentials.made": "response is {algorithm} of three things: the account's hash (user, "
    "realm, password), the nonce, and a hash of {method} and {uri}.",
    "credentials.made-qop": "response is {algorithm} of: the account's hash (user, realm, "
    "password), the nonce, its use number nc={nc}, the client's cnonce, and a hash of "
    "{method} and {uri}.",
    "credentials.secret": (
        "The password itself is not in it; who records it can only try passwords one by one."
    ),
    "credentials.right": "Checked with the lab's own hash of {username}: the answer is right.",
    "credentials.wrong": "Checked with the lab's own hash of {username}: the answer is wrong, so "
    "another password was used.",
    "credentials.ack": "Copied from the INVITE: an ACK cannot be challenged, for it has no answer.",
    "credentials.accepted": "It was accepted: frame {frame} is {label}.",
    "credentials.refused": "It was not accepted: frame {frame} is {label}.",
    # other headers
    "expires.asked": "For so many seconds it is asked.",
    "expires.granted": (
        "For so many seconds it is granted; the client repeats its request before they are over."
    ),
    "expires.zero": "0 seconds: the address is to be removed.",
    "content-length.stream": "The message ends {value} bytes after the empty line; a TCP stream "
    "has no other border between messages.",
    "content-length.datagram": "{value} bytes follow the empty line.",
    "content-length.none": "No body follows.",
    "content-type.sdp": "The body is a session description: where and how sound is to be sent.",
    "agent": "The program of {sender}, as it calls itself: {value}.",
    "agent.forwarded": (
        "The program at the far end, as it calls itself: {value}; servers pass this on."
    ),
    "header.Min-Expires": "No registration shorter than {value} seconds is taken.",
    "header.Content-Type": "What the body is.",
    "header.Content-Disposition": "What the body is for.",
    "header.Content-Encoding": "How the body is compressed.",
    "header.Allow": "The methods that the sender takes.",
    "header.Supported": "Extensions that the sender has; none of them has to be used.",
    "header.Require": "Extensions that the other side must have, or refuse with 420.",
    "header.Proxy-Require": "Extensions that every proxy on the way must have.",
    "header.Unsupported": "The extensions that are missing.",
    "header.Accept": "Types of body that the sender takes.",
    "header.Accept-Encoding": "Compressions that the sender takes.",
    "header.Accept-Language": "Languages that the sender prefers.",
    "header.Allow-Events": "Events that can be subscribed to.",
    "header.Event": "The event that this subscription is about.",
    "header.Subscription-State": "How the subscription stands.",
    "header.Refer-To": "Whom to call instead: {value}.",
    "header.Referred-By": "Who asked for the transfer.",
    "header.Replaces": "The call that this one takes the place of.",
    "header.Reason": "Why the request was sent: {value}.",
    "header.Retry-After": "Try again after {value} seconds.",
    "header.Warning": "More about what went wrong: {value}.",
    "header.Date": "The time at the sender.",
    "header.Subject": "What the call is about.",
    "header.Priority": "How urgent it is.",
    "header.Privacy": "What the sender wants to be kept back.",
    "header.P-Asserted-Identity": (
        "Who the caller is, as a server of the same network has verified."
    ),
    "header.P-Preferred-Identity": "The identity that the client wants to be verified.",
    "header.Session-Expires": (
        "Without a re-INVITE or UPDATE in that time the call counts as ended."
    ),
    "header.Min-SE": "The shortest time of Session-Expires that is taken.",
    "header.RSeq": "The number of this reliable provisional response; PRACK confirms it.",
    "header.RAck": "Which provisional response is confirmed.",
    "header.Timestamp": "When it was sent; copied into the answer it gives the time of the way.",
    "header.Organization": "The organisation of the sender.",
    "header.Alert-Info": "Another ringing tone.",
    "header.Call-Info": "More about the caller.",
    "header.In-Reply-To": "The call that this one returns.",
    "header.MIME-Version": "The body follows MIME.",
    "header.Diversion": "Who had forwarded the call before.",
    "header.History-Info": "Where the request has been tried before.",
    "header.Accept-Contact": "Which of the callee's devices the caller prefers.",
    "header.Authentication-Info": (
        "The server proves in turn that it knows the password, or gives the next nonce."
    ),
    "header.WWW-Authenticate": "A challenge of another scheme than Digest.",
    "header.Proxy-Authenticate": "A challenge of another scheme than Digest.",
    "header.Authorization": "Credentials of another scheme than Digest.",
    "header.Proxy-Authorization": "Credentials of another scheme than Digest.",
    "header.SIP-ETag": "The name of the state that was published.",
    "header.SIP-If-Match": "The published state that this renews.",
    "header.private": "A header of one maker, outside the standard.",
    "header.other": (
        "A header that is not explained here; who does not know one ignores it (RFC 3261 7.3.1)."
    ),
    # sdp
    "dtmf.signal": "The key that was pressed: {value}.",
    "dtmf.duration": "For so long, in milliseconds: {value}.",
    "sdp.v": "The version of SDP; always 0.",
    "sdp.offer": (
        "This is the offer: what {sender} can receive, and where. The other side chooses from it."
    ),
    "sdp.answer": "This is the answer to the offer of frame {frame}: line by line what is taken, "
    "and where it is to be sent.",
    "sdp.late-offer": "The INVITE of frame {frame} had no description, so this one is the offer, "
    "and the answer comes in the ACK.",
    "sdp.answer-in-ack": "The INVITE had no description: the offer was in the response, and this "
    "is the answer of {sender}.",
    "sdp.o": "The session {session} of {user}, version {version}. The address in this line is a "
    "name only: nothing is sent there.",
    "sdp.o-same": "Version {version}, as in frame {frame}: nothing in the description has changed.",
    "sdp.o-newer": (
        "The version grew from {earlier} (frame {frame}) to {version}: something has changed."
    ),
    "sdp.s": "The name of the session; without meaning in a call.",
    "sdp.i": "A title for people.",
    "sdp.u": "A page about the session.",
    "sdp.e": "An address for questions.",
    "sdp.p": "A number for questions.",
    "sdp.b": "The bandwidth that is wanted: {value}.",
    "sdp.t": "When the session takes place; 0 0 means now, and without end.",
    "sdp.r": "Repetitions.",
    "sdp.z": "Time zones.",
    "sdp.k": "A key; obsolete, and not to be used.",
    "sdp.other": "A line that is not explained here.",
    "sdp.c": "Sound is to be sent to {host}: this is the line that decides.",
    "sdp.c-ice": "Sound is to be sent to {host} by who knows no ICE, and until ICE has chosen among "
    "the candidates below.",
    "sdp.c-session": "{host}, for the whole session; but each media section has a c= line of its "
    "own, and that decides.",
    "sdp.c-own": "It is the address that this packet itself comes from ({sender}): nothing has "
    "changed it on the way.",
    "sdp.c-between": "In frame {frame}, the same message names {before}: something on the way has "
    "rewritten it, as a router with a SIP ALG does.",
    "sdp.c-rewritten": "{who} put {host} here; in frame {frame} the same description still names "
    "{before}. So {who} relays the sound, and both sides send it there.",
    "sdp.c-through": "It is the address of {sender}, which this packet comes from, and not one of "
    "{author}: sound goes by way of {sender}.",
    "sdp.c-private": "{host} is private, while the packet comes from {source}: from outside "
    "nobody can send there. Sound needs a relay, or ICE.",
    "sdp.c-learned": "{sender} has a private address and names the public one that it learned (by "
    "STUN, or from received): {host}.",
    "sdp.c-other": "{host} is {who}, not who sends this packet: sound is to go there.",
    "sdp.c-hold": "The old way to put a call on hold: send no sound.",
    "sdp.m": "{kind}, wanted at port {port}, as {proto}; the numbers are payload types, the "
    "preferred first.",
    "sdp.m-refused": "Port 0: this {kind} is refused, or switched off.",
    "sdp.m-codecs-answer": "Of the codecs offered, these are accepted, in the order of "
    "preference: {codecs}. {first} is wanted most.",
    "sdp.m-codecs": "Codecs in the order of preference: {codecs}. {first} is wanted most.",
    "sdp.m-srtp": "The media is to be encrypted (SRTP).",
    "sdp.m-dtls": (
        "The media is to be encrypted (SRTP), with keys agreed on the media path itself (DTLS)."
    ),
    "sdp.m-came": "This capture has {packets} packets of sound that came here: {source} to "
    "{destination}, {codec}.",
    "sdp.sendrecv": "Sound both ways.",
    "sdp.sendonly": "{sender} only wants to send: the other side is on hold.",
    "sdp.recvonly": "{sender} only wants to receive.",
    "sdp.inactive": "No sound in either direction: on hold.",
    "sdp.rtpmap": "Payload type {number} means {encoding} in this session: codec, clock rate in "
    "Hz, channels.",
    "sdp.rtpmap-dtmf": "Payload type {number} carries pressed keys (DTMF) as events, not as tones.",
    "sdp.rtpmap-noise": "Payload type {number} is comfort noise: sent instead of silence; the gap "
    "around it is no loss.",
    "sdp.fmtp": "Parameters of {codec}: {params}.",
    "sdp.ptime": "{value} ms of sound in each packet.",
    "sdp.maxptime": "At most {value} ms of sound in a packet.",
    "sdp.rtcp": "RTCP, the reports on quality, goes to another port: {value}.",
    "sdp.rtcp-mux": "RTCP uses the port of RTP.",
    "sdp.rtcp-fb-ccm": "A request that a codec understands, to be sent by feedback: {value}.",
    "sdp.rtcp-fb": "Feedback that is understood: {value}.",
    "sdp.rtcp-xr": "Extended reports that are understood: {value}.",
    "sdp.crypto": "The key of the media, in clear: only TLS under the signalling keeps it secret.",
    "sdp.fingerprint": "The hash of the certificate that will be shown on the media path: so "
    "nobody can come in between.",
    "sdp.setup": "Who begins the handshake of DTLS: {value}.",
    "sdp.ice-ufrag": "The user name of ICE: connectivity checks to this side have to name it.",
    "sdp.ice-pwd": (
        "The password of ICE: it proves that a check comes from who got this description."
    ),
    "sdp.ice-options": "Options of ICE: {value}.",
    "sdp.ice-lite": "A simple ICE: it only answers checks, because its address is public.",
    "sdp.ice-mismatch": (
        "Somebody on the way has changed the address of the offer, so ICE was given up."
    ),
    "sdp.remote-candidates": (
        "ICE has ended: these are the addresses of the other side that won ({value})."
    ),
    "sdp.end-of-candidates": "There are no more candidates.",
    "sdp.mid": "A name for this media: {value}.",
    "sdp.group": "Media that belong together: {value}.",
    "sdp.ssrc": "The number that packets of this sender bear: {value}.",
    "sdp.extmap": "A header extension of RTP: {value}.",
    "sdp.nortpproxy": (
        "A server on the way has put its own address in: no other relay should do so again."
    ),
    "sdp.a-other": "An attribute that is not explained here; who does not know one ignores it.",
    "candidate.host": "A candidate of ICE: the machine's own address, {address}.",
    "candidate.srflx": "A candidate of ICE: {address} is how a STUN server sees {related}, the "
    "address before the NAT.",
    "candidate.prflx": (
        "A candidate of ICE: {address} is how the other side saw {related} during the checks."
    ),
    "candidate.relay": "A candidate of ICE: {address} is a relay that passes sound on for "
    "{related}; always reachable, and a detour.",
    "candidate.relay-added": "A candidate of ICE that {sender} has added: {address} is its own relay, "
    "for {related}; always reachable, and a detour.",
    "candidate.allocated": "The TURN server {server} gave this address to {client} (frame {frame}): "
    "what comes to it goes on to there.",
    "candidate.other": "A candidate of ICE of the type {type}: {address}.",
    "candidate.rtp": "Component 1: for the sound (RTP).",
    "candidate.rtcp": "Component 2: for the reports (RTCP).",
    "candidate.private": "{host} is private: it can only win where both are in the same network.",
    "candidate.nominated": (
        "It won: in frame {frame} the pair {local} and {remote} was nominated (USE-CANDIDATE)."
    ),
    "candidate.used": "Sound used it: {packets} packets of this capture.",
}
