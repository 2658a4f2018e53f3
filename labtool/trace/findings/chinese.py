"""The findings in Simplified Chinese: the same rows and places as `english`."""

from __future__ import annotations

from labtool.trace.findings.text import Text

FINDINGS: dict[str, Text] = {
    # Registration and authentication: RFC 3261 section 22, RFC 8760.
    "wrong-password": Text(
        title="{user} 被拒绝：密码错误或账号不存在",
        cause=(
            "{server} 向 {user} 发出鉴权质询，收到应答后仍然拒绝（{status} {reason}）。"
            "该账号在服务器上不存在，或者两边的密码不一致。"
        ),
        cure=(
            "在服务器和客户端上重新设置 {user} 的密码；用户名和域（realm：{realm}）"
            "也参与应答的计算，同样要一致。"
        ),
    ),
    "authentication-loop": Text(
        title="{user} 反复被要求鉴权",
        cause=(
            "尽管每个请求都带有应答，{server} 仍向 {user} 质询了 {times} 次。"
            "客户端使用的密码不对，或者应答的不是最新的质询。"
        ),
        cure="重新设置 {user} 的密码；如果密码无误，则是客户端与服务器使用的算法不一致（{algorithms}）。",
    ),
    "registration-refused": Text(
        title="{user} 无法注册：{status} {reason}",
        cause="{server} 以 {status} {reason} 拒绝 {user} 的注册{why}",
        cure="{advice}",
    ),
    # Calls that do not come about: RFC 3261 sections 13, 17 and 21.
    "callee-unknown": Text(
        title="被叫 {callee} 未注册",
        cause=("{server} 以 {status} {reason} 响应该呼叫：当时它没有 {callee} 的任何可达地址。"),
        cure=(
            "确认服务器上有 {callee} 这个账号，且其客户端正在运行并已注册；"
            "没有注册的原因可从它自己的 REGISTER 中看出。"
        ),
    ),
    "callee-unreachable": Text(
        title="被叫 {callee} 已注册，但不可达",
        cause=(
            "{evidence}{callee} 注册的地址已无法到达："
            "通常是该客户端前面的 NAT 或防火墙关闭了注册时打开的映射。"
        ),
        cure="让该客户端更频繁地发送保活包，或改用 TCP 或 TLS 注册，并确认它正在运行。",
    ),
    "no-response": Text(
        title="{target} 没有响应",
        cause=("通过 {transport} 向 {target} 发送了 {times} 次 {method}，{seen}"),
        cure="检查地址和端口，确认服务正在运行并监听 {transport}，再检查沿途的防火墙和安全组。",
    ),
    "codec-refused": Text(
        title="没有共同的编解码器：{callee} 拒绝了提议（{status}）",
        cause=(
            "{who} 以 {status} {reason} 响应 SDP 提议。提议的内容是：{offered}。"
            "其中没有对方可以接受的（编解码器或媒体加密方式）。"
        ),
        cure="在两个客户端上启用双方都有的编解码器（PCMU 和 PCMA 普遍支持），并采用相同的媒体加密方式。",
    ),
    "call-refused": Text(
        title="对 {callee} 的呼叫被拒绝：{status} {reason}",
        cause="{who} 以 {status} {reason} 响应 INVITE{behind}。{why}",
        cure="{advice}",
    ),
    "loop": Text(
        title="请求陷入环路（{status} {reason}）",
        cause=(
            "{who} 以 {status} {reason} 放弃处理：请求回到了曾转发过它的服务器，"
            "或经过的服务器数超过了 Max-Forwards 的限制。"
        ),
        cure="检查路由配置：某个服务器把该域转发给了自己，或转发给了又会送回来的服务器。",
    ),
    "request-loop": Text(
        title="{method} 陷入环路",
        cause=(
            "发往 {uri} 的 {method} 到达 {who} {times} 次，每次经过的服务器都更多"
            "（起初有 {least} 个 Via，最后有 {most} 个）：它一再回到曾到过的地方。"
        ),
        cure="检查路由配置：某个服务器把该域转发给了自己，或转发给了又会送回来的服务器。",
    ),
    "nat-contact": Text(
        title="对 {user} 的呼叫发往了其 NAT 后面的私网地址（{host}）",
        cause=(
            "{user} 从 {client} 注册，Contact 中却是私网地址 {host}。{server} 照原样使用："
            "呼叫向那里发送了 {times} 次，没有任何响应。"
        ),
        cure=(
            "让服务器改用注册请求的实际来源地址（在 flexisip.conf 中设置 "
            "[module::NatHelper] enabled=true），或在客户端中配置 STUN 服务器。"
        ),
    ),
    "slow-setup": Text(
        title="{delay} 秒之后 {callee} 才振铃",
        cause=(
            "{server} 立即确认了呼叫（100 Trying），但 {delay} 秒之后才出现 {callee} 的第一个响应。"
            "其间发生的事情在 {server} 的另一侧，不在本抓包中。"
        ),
        cure=(
            "请同时在服务器上抓包。一个已知的原因是 INVITE 对 UDP 来说太大，"
            "服务器会先尝试用 TCP 投递。"
        ),
    ),
    "invite-too-big-for-udp": Text(
        title="INVITE 对 UDP 来说太大，服务器尝试 TCP 耗费了 {delay} 秒",
        cause=(
            "发给 {callee} 的 INVITE 有 {size} 字节，超过服务器在单个 UDP 包中发送的上限，"
            "于是它先尝试用 TCP 连接 {target}（{times} 次连接请求均无应答；"
            "客户端在 NAT 后面时不可能有应答），{delay} 秒之后才退回 UDP。"
        ),
        cure=(
            "在 flexisip.conf 的 [global] 中设置 udp-mtu=65535，或让该客户端用 TCP 或 TLS 注册；"
            "减少编解码器和 ICE 候选也能缩小 INVITE。"
        ),
    ),
    # In a call: RFC 3261 sections 12.1.1, 13.3.1.4 and 16.6.
    "ack-missing": Text(
        title="ACK 没有到达",
        cause=(
            "{who} 发送了 {times} 次 {response}，{seen}。"
            "收不到 ACK，接听的一方必须在 32 秒后放弃：呼叫届时中断。{end}"
        ),
        cure="{advice}",
    ),
    "private-record-route": Text(
        title="服务器为呼叫的后续信令给出了私网地址 {host}",
        cause=(
            "它的 Record-Route 或 Contact 中是 {host}，{peer} 无法到达该地址："
            "这并不是服务器发出响应的地址。ACK 和 BYE 发往那里，因而丢失。"
        ),
        cure=(
            "把公网地址告诉服务器（在 flexisip.conf 中设置 "
            "transports=sip:PUBLIC-ADDRESS:5060;maddr={host}）。"
        ),
    ),
    "missing-record-route": Text(
        title="{server} 没有插入 Record-Route，呼叫的后续信令走错了路",
        cause=(
            "{server} 转发 {callee} 的应答时没有插入 Record-Route。于是 {peer} 绕过它，"
            "把后续请求直接发往无法到达的 Contact {host}："
            "{method} 向那里发送了 {times} 次，没有任何响应。"
        ),
        cure=(
            "让该服务器留在信令路径上（插入 Record-Route，RFC 3261 第 16.6 节）；"
            "话机位于 NAT 后面时必须如此。"
        ),
    ),
    "sip-alg": Text(
        title="途中有设备改写了 SIP（{times} 条消息）",
        cause=(
            "{label} 在路径两端并不相同：{changes}。NAT 只改数据包的地址，不改其中的内容；"
            "带 SIP ALG 的路由器则会改写内容，而且常常改错。"
        ),
        cure="关闭该路由器的 SIP ALG（“SIP 助手”），或使用 TLS，使其无法读取信令。",
    ),
    "call-forgotten": Text(
        title="{who} 已不认识该呼叫（{status} {reason}）",
        cause=(
            "呼叫中的 {method} 得到的响应是 {status} {reason}。呼叫已经接通且尚未结束："
            "{who} 在此期间重启过，或丢失了呼叫状态。"
        ),
        cure="在服务器日志中查找该时刻是否有重启；重启会丢失正在进行的呼叫。",
    ),
    # Sound: RFC 3264, RFC 3550, RFC 8445.
    "private-address-in-sdp": Text(
        title="没有声音：SDP 中给出的是私网地址（{host}）",
        cause="{evidence}该私网之外的任何一方都无法向那里发送声音。{transports}",
        cure="{advice}",
    ),
    "wrong-port": Text(
        title="{who} 把声音发往端口 {port}，而 {peer} 从未给出过这个端口",
        cause=(
            "有 {packets} 个声音包发往 {peer} 的端口 {port}。它给出的端口是 {announced}，"
            "而端口 {port} 从未发出过任何包：那里没有程序在监听。"
        ),
        cure="客户端或途中的设备误读了会话描述：请升级 {who} 的客户端，并关闭 SIP ALG。",
    ),
    "ice-failed": Text(
        title="没有声音：ICE 在 {who} 与 {peer} 之间找不到可用路径",
        cause=(
            "{who} 发送了 {times} 次连通性检查（发往 {tried}），没有一次得到响应，也没有收到声音。"
            "双方提供的地址之间完全不通。"
        ),
        cure=(
            "在双方前面的防火墙上放行 UDP，或为双方配置 TURN 服务器，"
            "或启用服务器的媒体中继（在 flexisip.conf 中设置 [module::MediaRelay] enabled=true）。"
        ),
    ),
    "one-way-audio": Text(title="单通：{title}", cause="{evidence}", cure="{advice}"),
    "audio-stopped": Text(
        title="{direction} 的声音在通话中途中断",
        cause="{evidence}",
        cure="{advice}",
    ),
    "packet-loss": Text(
        title="{source} 到 {target} 的声音丢包 {percent} %",
        cause="{evidence}",
        cure="检查两者之间的网络：链路拥塞，无线信号弱，或有限速。报告丢包的一方位于问题链路之后。",
    ),
    "tls-alert": Text(
        title="{client} 与 {server} 之间的 TLS 失败：{alert}",
        cause="{who} 以告警 {alert}（{number}）结束了 TLS 连接。{meaning}",
        cure="{advice}",
    ),
    "scanner": Text(
        title="有扫描工具在活动：来自 {host} 的 {agent}",
        cause="{host} 自称 {agent}，这是一种试探号码和密码的工具；本抓包中有它的 {times} 个请求。",
        cure="在防火墙上封禁它（fail2ban），并确认没有账号使用弱密码。",
    ),
}

PHRASES: dict[str, str] = {
    # together: where a thing was lost, and what follows from it
    "this-is-why": "由此造成：{symptom}。",
    "sound-lost-between": (
        "从两端对照：{source} 发出 {sent} 个包（{here}），{target} 收到 {arrived} 个（{there}）。"
        "包是在两者之间丢失的：在网络中，或在其中一方前面的 NAT 或防火墙处。"
    ),
    "message-lost-beyond": (
        "从两端对照：{source} 向 {target} 发出 {times} 次 {method}（{here}），后者作了响应，"
        "而另一端一次也没有收到（{there}）：它是在 {target} 之后丢失的。"
    ),
    "message-lost-on-the-way": (
        "从两端对照：{source} 向 {target} 发出 {times} 次 {method}（{here}），"
        "而另一端一次也没有收到（{there}）。"
    ),
    "sound-left-elsewhere": "有 {sent} 个声音包离开了 {source}（{here}）：它们在途中丢失了。",
    "message-lost-between": (
        "从两端对照：{source} 向 {target} 发出 {times} 次 {method}（{here}），"
        "而应当收到的一端一次也没有收到（{there}）。它是在两者之间丢失的。"
    ),
    # callee-unreachable
    "invite-unanswered": "INVITE 向 {target} 发送了 {times} 次，没有任何响应。",
    "invite-given-up": (
        "{who} 接受了呼叫（100 Trying），等待 {waited} 秒没有得到 {callee} 的任何响应，"
        "最后以 408 放弃。"
    ),
    # no-response
    "nothing-at-all": ("没有收到任何响应。该地址和端口上没有 SIP 服务器，或者数据包被防火墙丢弃。"),
    "nothing-to-the-bye": (
        "没有收到任何响应，尽管呼叫是经同一路径接通的：接听的一方已经不在，"
        "或有什么开始丢弃数据包。另一端可能不知道通话已经结束。"
    ),
    "said-closed": (
        "没有收到任何 SIP 响应，只收到 {count} 次端口已关闭的通知（ICMP port unreachable）："
        "主机在线，但没有 SIP 服务器在监听该端口。"
    ),
    # registration-refused
    "unasked": "，事先没有要求鉴权：它不接受的是请求本身（域名、来源地址或某项限制）。",
    "compare-domain": "核对 {user} 中的域名，与该注册服务器所负责的域是否一致。",
    "with-status": "。{why}",
    # call-refused: RFC 3261 section 21
    "or-behind-it": "（出于自身，或转自它所询问的一方）",
    "status-403": "它理解该请求，但不允许；问题不在密码。",
    "status-403-cure": "检查它允许什么：域名、主叫的来源地址，以及谁可以呼叫谁。其日志会给出规则。",
    "status-415": "它不接受这种消息体（Content-Type 或 Content-Encoding）。",
    "status-415-cure": "响应中的 Accept 头字段列出了它接受的类型。",
    "status-420": "该请求要求一个它不认识的扩展。",
    "status-420-cure": (
        "对照响应中的 Unsupported 与请求中的 Require 和 Proxy-Require，在主叫的客户端中关闭该扩展。"
    ),
    "status-484": "号码不完整。",
    "status-484-cure": "拨打完整的号码，并加上服务器要求的前缀。",
    "status-500": "它内部出了错。",
    "status-500-cure": "查看它当时的日志。",
    "status-501": "它不能完成该请求。",
    "status-501-cure": "在它的日志和配置中查找该方法，以及负责该方法的模块。",
    "status-502": "它从下一个服务器收到了无法使用的响应。",
    "status-502-cure": "在它与下一个服务器之间抓包。",
    "status-503": (
        "它目前不能提供服务：过载，维护中，或缺少所依赖的东西（无法到达的下一个服务器，数据库）。"
    ),
    "status-503-cure": "查看它当时的日志，并确认它所依赖的一切都在运行且可以到达。",
    "status-504": "它请求了另一个服务器（下一跳或 DNS），却没有等到响应。",
    "status-504-cure": "确认从它那里可以到达下一个服务器和域名服务器。",
    "status-513": "该请求超过了它接受的大小。",
    "status-513-cure": "减少提议的编解码器和 ICE 候选，或提高它的上限。",
    "status-4xx": "它不接受这样的请求（RFC 3261 第 21.4 节）。",
    "status-4xx-cure": "请完整阅读该响应：其原因短语和 Warning 头字段说得更多。",
    "status-5xx": "它没能完成请求（RFC 3261 第 21.5 节）。",
    "status-5xx-cure": "查看它当时的日志。",
    # codec-refused
    "offered-media": "{kind} {proto} {codecs}",
    "without-codecs": "无编解码器",
    "nothing-readable": "无法读出的内容",
    # ack-missing
    "no-ack": "没有收到 ACK",
    "acks-in-vain": "虽然对方发送了 {count} 个 ACK，它仍在重发：这些 ACK 没有到达",
    "dropped-after": "本次呼叫正是在接听 {waited} 秒后中断的。",
    "check-route": (
        "ACK 按照应答中的 Contact 和 Record-Route 发送：请确认主叫能够到达其中的地址，"
        "且没有防火墙或 NAT 把它丢弃。"
    ),
    "check-next-hop": (
        "对拒绝响应的 ACK 逐跳发送，与 INVITE 的去向相同：检查两者之间是什么把它丢弃，防火墙还是 SIP ALG。"
    ),
    # authentication-loop
    "none-named": "未指明",
    # private-address-in-sdp
    "announced-private": (
        "{who}（位于 {address}）给出 {host} 作为接收声音的地址；"
        "向那里发送了 {sent} 个包，没有收到任何包。"
    ),
    "came-with-private": (
        "从 {who}（位于 {address}）收到的会话描述给出 {host} 作为另一端接收声音的地址；"
        "向那里发送了 {sent} 个包，没有收到任何包。"
    ),
    "server-announced-private": (
        "服务器向 {who}（位于 {address}）给出了自己的私网地址 {host}，结果没有收到任何声音。"
    ),
    "private-passed-on": (
        "{who}（位于 {address}）给出 {host} 作为接收声音的地址，"
        "服务器原样转给了 {far}（位于 {elsewhere}）。"
    ),
    "transport-innocent": (
        "一方的信令走 {one}、另一方走 {other}，这不是原因：声音从不走信令的路径。"
    ),
    "turn-relay-on": (
        "启用服务器的媒体中继（在 flexisip.conf 中设置 [module::MediaRelay] enabled=true），"
        "或在两个客户端中启用 ICE 并配置 STUN 服务器。"
    ),
    "tell-public-address": (
        "服务器自己也在 NAT 后面，不知道自己的公网地址：请告诉它（在 flexisip.conf 中设置 "
        "transports=sip:PUBLIC-ADDRESS:5060;maddr=PRIVATE-ADDRESS）。"
    ),
    # one-way-audio
    "other-end": "对端",
    "hears-nothing": "{who} 听不到声音",
    "none-comes": "没有收到 {who} 的声音",
    "sends-none": "{who} 没有发送声音",
    "none-arrives-there": "声音没有到达对端",
    "sent-not-one": (
        "{who} 收到了 {received} 个声音包，自己却一个也没有发送，尽管双方已协商好双向通话。"
        "抓包就在 {who} 处或紧邻它的地方：不可能是途中丢失的。"
    ),
    "says-it-sent-nothing": (
        "{who} 自己在 {count} 个 RTCP 报告中说它没有发送任何声音，尽管双方已协商好双向通话。"
        "抓包就在 {who} 处或紧邻它的地方：不可能是途中丢失的。"
    ),
    "never-reported": (
        "{who} 向 {peer} 发出了 {sent} 个声音包；在 {span} 秒内的 {count} 个 RTCP 报告中，"
        "对端从未提到收到任何流（接收报告数为 0）：声音到不了那里，而它自己的声音可以过来。"
    ),
    "sent-and-lost": (
        "没有声音到达 {who}；它发出了 {sent} 个包。对端在 RTCP 中说自己已发送 {told} 个包："
        "它们在途中丢失了。"
    ),
    "path-open-and-silent": (
        "{who} 没有收到 {peer} 的声音，但经同一路径收到了它的 RTCP，其中说它没有发送任何声音："
        "路径是通的，是那一端的客户端没有发声。"
    ),
    "none-arrived": "{who} 没有收到 {peer} 的声音；它自己发出了 {sent} 个包。",
    "sent-or-not": (
        "{who} 没有收到 {peer} 的声音；它自己发出了 {sent} 个包。"
        "对方的声音是发出后丢失，还是根本没有发送，从这里无法判断。"
    ),
    "check-microphone": "检查 {who}：麦克风、麦克风权限和音频设置。问题不在网络。",
    "check-far-nat": "检查对端前面的 NAT 或防火墙：它让声音出去，却不让声音进来。",
    "check-nat": "检查 {who} 前面的 NAT 或防火墙：它让声音出去，却不让声音进来。",
    "capture-there-too": (
        "请在 {peer} 处也抓包。如果它的声音确实发出了，就检查 {who} 前面的 NAT 或防火墙。"
    ),
    # audio-stopped
    "coming-from": "来自 {who}",
    "going-to": "发往 {who}",
    "ended-before": ("接听 {after} 秒后，{direction} 的声音停止，而另一方向又持续了 {longer} 秒。"),
    "port-closed": ("此后 {who} 报告接收声音的端口已关闭（ICMP 端口不可达，{times} 次）。"),
    "call-not-known": "{method} 得到的响应是 {label}：那里已不认识该呼叫。",
    "sent-on-and-lost": (
        "发送方的 RTCP 仍在继续，其中说已发送 {told} 个包；经过此处的只有 {seen} 个。"
        "它们在到达此处之前就丢失了。"
    ),
    "sent-no-more": (
        "发送方的 RTCP 仍在继续，在 {count} 个报告中说没有再发送："
        "该客户端停止了发送，或者静音时不发送任何包。"
    ),
    "look-for-restart": "检查当时承载声音的一方是否重启或崩溃：{who}。",
    "look-where-it-goes-missing": (
        "检查那一刻起是什么在丢弃它：发送方与此处之间的 NAT 或防火墙，或中断的链路。"
    ),
    "check-microphone-or-mute": "检查该客户端：是否被静音，麦克风，以及当时的日志。",
    # packet-loss
    "missing-here": "按抓包处的序列号统计，{expected} 个包中缺少 {lost} 个。",
    "receiver-reports-loss": (
        "接收方在 RTCP 中报告，{expected} 个包中有 {lost} 个没有收到；它们在抓包处是完整的。"
    ),
    "far-receiver-reports-loss": (
        "接收方在 RTCP 中报告，{expected} 个包中有 {lost} 个没有收到；它们在抓包处是完整的。"
        "中继声音的服务器也会转发这种报告：在哪一段丢失，从这里无法判断。"
    ),
    # sip-alg
    "became": "“{before}”变成了“{after}”",
    "nothing": "（无）",
    "more-lines": "另有 {count} 行",
    # tls-alert: RFC 8446 section 6.2
    "alert-of-another-kind": "其他类型",
    "alert-40": "双方没有共同的 TLS 版本、密码套件或密钥类型。",
    "alert-42": "它无法使用对方的证书。",
    "alert-43": "它不支持这种类型的证书。",
    "alert-44": "证书已被吊销。",
    "alert-45": "证书已过期，或者某一方的时钟不对。",
    "alert-46": "它没有接受对方的证书。",
    "alert-48": "它不认识签发对方证书的机构。",
    "alert-70": "对方不允许所提议的 TLS 版本。",
    "alert-112": "服务器没有所请求名称的证书。",
    "alert-116": "服务器要求客户端提供证书，而客户端没有发送。",
    "alert-other": "编号的含义见 RFC 8446 第 6 节。",
    "compare-ciphers": "核对双方允许的 TLS 版本和密码套件。",
    "renew-certificate": "为客户端实际使用的域名重新签发服务器证书。",
    "trust-issuer": "在客户端中安装签发服务器证书的机构的根证书，或改用公共机构签发的证书。",
    "allow-tls-1.2": "在双方都启用 TLS 1.2 或 1.3。",
    "client-certificate": "在客户端中安装证书，或让服务器接受没有证书的客户端。",
    "look-up-alert": "请在该节中查阅。",
}
