"""The remarks in Simplified Chinese: the same rows and places as `english`."""

from __future__ import annotations

TEXTS: dict[str, str] = {
    "unreadable": "这个值不符合语法，因此不作解释。",
    "unparsed": "这只是看起来像 SIP 消息或会话描述：{error}。",
    # start line: requests
    "method.REGISTER": (
        "{sender} 请 {receiver}（注册服务器）记下其用户当前的可达地址。{uri} 是域，而不是用户。"
    ),
    "method.REGISTER-remove": "{sender} 请 {receiver}（注册服务器）删除其用户的地址：它在注销。",
    "method.INVITE": "{sender} 请求呼叫 {uri}。",
    "method.re-INVITE": (
        "{sender} 修改一个已建立的呼叫（To 已带 tag）：保持、恢复、更换编解码器或地址。"
    ),
    "method.re-INVITE-hold": (
        "{sender} 把呼叫置于保持状态（To 已带 tag，呼叫早已建立；新的会话描述要求不再收声音）。"
    ),
    "method.re-INVITE-resume": (
        "{sender} 恢复被保持的呼叫（To 已带 tag，呼叫早已建立；新的会话描述重新要求收声音）。"
    ),
    "method.re-INVITE-ice": (
        "{sender} 告知 ICE 选定的路径（To 已带 tag，呼叫早已建立）："
        "此后双方和途中的服务器都知道声音走哪里。"
    ),
    "method.ACK": "{sender} 确认收到对 INVITE 的最终响应。ACK 本身不会得到响应。",
    "method.BYE": "{sender} 挂断。双方都可以发送 BYE；它沿着对话的路由传送。",
    "method.CANCEL": "{sender} 在接听之前撤回它的 INVITE。随后 INVITE 本身会得到 487 响应。",
    "method.OPTIONS": "{sender} 询问 {receiver} 的能力；常常只是为了确认对方在线。",
    "method.MESSAGE": "{sender} 向 {uri} 发送一条文本消息。",
    "method.SUBSCRIBE": "{sender} 订阅 {uri} 的状态变化通知。",
    "method.NOTIFY": "{sender} 把 {receiver} 所订阅的状态告知对方。",
    "method.INFO": "{sender} 发送属于该呼叫、但不改变呼叫的信息（常见的是按键）。",
    "method.PRACK": "{sender} 确认收到一个可靠的临时响应。",
    "method.UPDATE": "{sender} 修改会话，但不影响 INVITE 的状态。",
    "method.REFER": "{sender} 请 {receiver} 去呼叫另一方：呼叫转移。",
    "method.PUBLISH": "{sender} 把自己的状态（例如在线状态）告知服务器。",
    "method.other": "{method} 是这里没有解释的方法。",
    "request.forwarded": "这不是 {sender} 发起的：它转发的是第 {frame} 帧收到的请求。",
    "request.passed-on": ("这不是 {sender} 发起的：Via 不止一个，说明它转发的是 {author} 的请求。"),
    "request.retargeted": "{sender} 替换了首行的地址：它查到用户注册的位置是 {uri}。",
    "request.with-answer": "这是第 {frame} 帧中被拒绝的请求，带上对质询的应答后重新发送。",
    "cancel.which": "它取消的是第 {frame} 帧的 INVITE。",
    "ack.success": "{sender} 确认第 {frame} 帧的应答 {label}：呼叫建立。",
    "ack.success-again": "{sender} 确认第 {frame} 帧的应答 {label}：对呼叫的修改生效。",
    "ack.end-to-end": (
        "这个 ACK 自成一个事务：它有新的 branch，按应答中的 Contact 和 Record-Route 端到端传送，"
        "途中每个服务器都会转发它。而对拒绝（例如 407）的 ACK 属于被拒绝的 INVITE，只走一跳。"
    ),
    "ack.failure": "{sender} 确认收到 {label}（第 {frame} 帧）。这个 ACK 属于被拒绝的 INVITE："
    "branch 和 Request-URI 都相同，而且只走一跳：{receiver} 自己收下，不再转发。它只是让对方"
    "停止重发 {label}；而对 200 的 ACK 则会一直送到应答方。",
    "again.request": "与第 {frame} 帧相同，{after} 之后重发：在 UDP 上，没有收到 {receiver} 的任"
    "何响应之前请求会重发。",
    "again.response": "与第 {frame} 帧相同，{after} 之后重发：最终响应会重发直到收到 ACK；请求再"
    "次到达时，响应也会重发。",
    # start line: responses
    "status.100": "{sender} 已收到请求，正在处理。它只来自下一跳，作用是让对方停止重发 INVITE。",
    "status.180": "被叫正在振铃。它来自被叫本身，说明整条信令路径是通的。",
    "status.181": "呼叫正被转接到别处。",
    "status.182": "被叫忙；呼叫正在排队。",
    "status.183": "呼叫有进展；若带 SDP，接听之前就可能有声音（早期媒体）。",
    "status.200-REGISTER": "注册成功：Contact 列出该用户当前所有可达的地址。",
    "status.200-removed": "注册服务器已删除该地址：用户在那里不再可达。",
    "status.200-queried": "该请求只是查询：Contact 列出已注册的地址。",
    "status.200-INVITE": (
        "被叫已接听。在收到 ACK 之前它会重发；一直没有 ACK，呼叫会在 32 秒后结束。"
    ),
    "status.200-re-INVITE": "对呼叫的修改被接受。",
    "status.200-BYE": "确认呼叫结束。",
    "status.200-CANCEL": "CANCEL 已收到。这与 INVITE 无关：INVITE 自己的响应（487）会另外到来。",
    "status.200-OPTIONS": "{sender} 在线，并说明自己的能力。",
    "status.2xx": "{method} 成功。",
    "status.1xx": "请求正在处理；最终响应稍后到来。",
    "status.3xx": "不在这里：请改用 Contact 中的地址。",
    "status.4xx": "{sender} 不能接受这样的请求（{status}）；修改后或换一处可能成功。",
    "status.5xx": "请求看来没有问题，但 {sender} 处理失败（{status}）。",
    "status.6xx": "全局拒绝：不必再尝试该用户的其他地址（{status}）。",
    "status.401": (
        "这不是错误：{sender} 要求证明身份。应带上对 WWW-Authenticate 的应答重新发送请求。"
    ),
    "status.407": "这不是错误：{sender} 在此充当代理，转发之前要求证明身份。应带上对 Proxy-Authenticate "
    "的应答重新发送。",
    "status.403": "{sender} 理解了请求但拒绝。重复发送没有用。",
    "status.403-password": "{sender} 看过对质询的应答之后拒绝：通常是密码错误，或没有这个账号。",
    "status.404": "{sender} 不知道该用户在哪里：用户不存在，或当前没有注册。",
    "status.405": "{sender} 认识 {method}，但在此不允许；Allow 列出允许的方法。",
    "status.408": "没有及时得到回答。{sender} 不再等待下一跳。",
    "status.415": "{sender} 不接受这种类型的消息体。",
    "status.420": "{sender} 不支持 Require 所要求的扩展；见 Unsupported。",
    "status.423": "注册有效期太短；Min-Expires 给出下限。",
    "status.480": "用户存在，但当前不可达。",
    "status.481": "{sender} 不认识这个呼叫：它在那里已结束，或 {sender} 重启过。",
    "status.482": "请求回到了已经转发过它的服务器：出现环路。",
    "status.483": "请求经过的服务器数超过 Max-Forwards 的限制；通常是环路。",
    "status.486": "被叫忙，或在该设备上拒接。",
    "status.487": "INVITE 已被取消：CANCEL 之后它以此结束。",
    "status.488": "会话描述在此不可接受：没有共同的编解码器，或媒体加密方式不一致。",
    "status.491": "双方同时修改呼叫；各自随机等待后重试。",
    "status.500": "{sender} 内部出错。原因见其日志。",
    "status.503": "{sender} 暂时不能服务：过载、维护中，或下一跳不可用。",
    "status.600": "被叫在所有设备上都忙。",
    "status.603": "被叫在所有设备上拒接。",
    "response.to": (
        "它响应第 {frame} 帧的 {method}，间隔 {after}；两者由 Via 的 branch 和 CSeq 关联。"
    ),
    # via
    "via.request-only": "这是 {who} 自己写的：请求尚未被转发。响应靠这一行找到回来的路。",
    "via.request-top": "发送此包的 {who} 把这一行加在最上面，现在共 {count} 行：每个转发请求的服"
    "务器都加一行，使响应能原路返回。",
    "via.grew": "{who} 转发请求时把这一行加在最上面：第 {frame} 帧有 {earlier} 个 Via，现在有 "
    "{count} 个。响应原路返回，每个服务器取下自己的那一行。",
    "via.request-below": "属于之前经手该请求的 {who}；保持原样。",
    "via.response-top": "响应要交给写下这一行的人：{who}。代理识别并移除自己的 Via 条目。",
    "via.response-more": "还剩 {count} 个：响应还要经过这么多服务器和客户端。",
    "via.response-below": "之后响应再传给 {who}。",
    "branch.request": (
        "branch {branch} 标识这个事务：这一跳上的请求和响应都带它。z9hG4bK 表示它是唯一的。"
    ),
    "branch.response": "branch 与第 {frame} 帧相同：所以响应的是第 {frame} 帧。",
    "branch.ack-same": "branch 与第 {frame} 帧的 INVITE 相同：这个 ACK 是其事务的一部分。",
    "branch.ack-new": "新的 branch：这个 ACK 自成一个事务，对 2xx 的 ACK 都如此。",
    "branch.cancel": "branch 与第 {frame} 帧的 INVITE 相同：服务器由此知道要取消哪个请求。",
    "branch.old": "没有以 z9hG4bK 开头的 branch：这是 RFC 3261 之前的客户端。",
    "rport.asked": (
        "不带值的 rport 请 {receiver} 记下此包的来源端口并向那里响应：这样响应才能穿过 NAT。"
    ),
    "nat.none-rport": "rport 与 {who} 写的端口相同（{written}），也没有 received：中间没有 NAT。",
    "nat.none": "received 和 rport 与 {who} 写的一致（{written}）：中间没有 NAT。",
    "nat.port": "{who} 写的是 {written}，而包来自 {seen}：同一台机器，端口不同。在 TCP 和 TLS 上"
    "这只是连接自己的端口；在 UDP 上则是 NAT 改了端口。",
    "nat.address": "{who} 写的是 {written}，但包来自 {seen}（received 和 rport）：中间有 NAT，"
    "{who} 由此得知自己的公网地址。响应发往那里。",
    "nat.packet": "{who} 写的是私网地址 {written}，但包来自 {seen}：途中经过了 NAT。",
    # routing
    "route": "请求必须经过 {who}：发送方是从应答的 Record-Route 得知的（或被配置为出站代理）。",
    "route.strict": "没有 ;lr，这是 RFC 3261 之前的严格路由。",
    "record-route": "{who} 要留在路径上：此后的 ACK、BYE 和一切修改都经过它。",
    "record-route.again": "{who} 再次写入自己；但呼叫的路由由最初的 INVITE 决定，这里不起作用。",
    "record-route.response": "被叫从请求中抄来：此后主叫经 {who} 发送该呼叫的其余请求。",
    "record-route.trying": (
        "请求所记录的、经过 {who} 的路由；只有 To 带 tag 的响应才使它成为对话的路由。"
    ),
    "record-route.private": "{host} 是私网地址：该网络之外的人无法向它发送。",
    "path": "发往此注册的请求必须经过 {who}。",
    "service-route": "注册服务器要求客户端的请求经过 {who}。",
    "max-forwards": "最多可经过 {left} 个服务器；每个减一，使环路终止。",
    "max-forwards.less": "{sender} 把它从 {earlier} 减到 {left}：途中每个服务器减一。",
    "max-forwards.none": "不能再经过任何服务器：{receiver} 必须自己应答，或以 483 拒绝。",
    "contact.register": "用户希望在 {uri} 可达，有效期 {expires} 秒。",
    "contact.register-open": "用户希望在 {uri} 可达；有效期由注册服务器决定。",
    "contact.remove": "有效期为 0：要求删除 {uri}。",
    "contact.star": "星号代表该用户的所有地址，配合 Expires: 0 全部删除。",
    "contact.bound": "已注册：在今后 {expires} 秒内，呼叫该用户会送到 {uri}。",
    "contact.bound-open": "已注册：呼叫该用户会送到 {uri}。",
    "contact.redirect": "主叫应改为呼叫 {uri}。",
    "contact.target": "此对话后续的请求以 {uri} 为目标：它会出现在首行。",
    "contact.idle": (
        "{uri} 是写下它的一方的地址；在这里它不改变什么："
        "只有 INVITE、UPDATE 之类的请求及其应答才决定后续请求发往哪里。"
    ),
    "contact.gruu": "带 gr：它通过服务器指向该用户的这一台设备，而不是某个地址。",
    "contact.instance": (
        "+sip.instance 是设备自己的标识，地址变了它也不变："
        "注册服务器可据此替换该设备的旧地址，而不是新增一个。"
    ),
    "contact.learned": (
        "它从第 {frame} 帧的 received 得知自己的公网地址 {host}，于是用它代替自己的地址。"
    ),
    "contact.private": "{host} 是私网地址，而包来自 {source}：只有服务器记住来源时才可达。",
    # dialog
    "from": "请求方：{uri}。",
    "from.register": "发起注册的用户（代理）：{uri}；通常与 To 相同。",
    "from.swapped": "这个请求由被叫发出，所以它现在在 From 中，两个 tag 也互换了位置。",
    "from.tag": "tag {tag} 由请求方选定；它与 To 的 tag 和 Call-ID 一起标识对话。",
    "from.tag-alone": "tag {tag} 由请求方选定。{method} 不建立对话，所以这里它不标识任何对话。",
    "tag.none": "没有 tag：这是 RFC 3261 之前的客户端。",
    "to": "被请求方：{uri}。即使服务器把请求送往别处，它也不变。",
    "to.register": "要注册的地址记录（AOR）：{uri}。",
    "to.tag-not-yet": "还没有 tag：应答方会加上，由此建立对话。",
    "to.tag-none": "没有 tag：这个响应不建立对话（100 只说明下一跳已收到请求）。",
    "to.tag-early": "tag {tag} 由振铃的一方加上。它与 From 的 {from_tag} 和 Call-ID 构成早期对话"
    "：若另一台设备振铃，会有另一个 tag。",
    "to.tag-confirmed": (
        "tag {tag} 与第 {frame} 帧相同：早期对话现在确认。此后该呼叫的消息都带这两个 tag。"
    ),
    "to.tag-dialog": "tag {tag} 由应答方加上。它与 From 的 {from_tag} 和 Call-ID 构成对话：此后的"
    "消息都带这两个 tag。",
    "to.tag-within": "tag {tag} 已存在：消息属于已有的对话。",
    "to.tag-ack": "tag {tag} 就是被确认的那个响应的 tag。",
    "to.tag-no-dialog": "服务器按规定加上 tag {tag}，但这个响应不建立对话。",
    "call-id": "本抓包中有 {count} 条消息带它：同属一个呼叫或会话。",
    "call-id.register": "本抓包中有 {count} 条消息带它：客户端的所有注册使用同一个 Call-ID。",
    "cseq": "发送方的第 {number} 号请求及其方法。每个新请求加一。",
    "cseq.repeated": "{earlier} 之后是 {number}（前者在第 {frame} 帧被拒绝）：带凭据重发是新的事"
    "务，所以编号加一。",
    "cseq.response": "从请求复制：它响应第 {number} 号 {method}。",
    "cseq.ack": "ACK 使用所确认的 INVITE 的编号（{number}），而不是下一个。",
    "cseq.cancel": "CANCEL 使用被取消的请求的编号（{number}）。",
    # authentication
    "challenge.server": "{sender} 以服务器身份要求证明 认证域（realm）{realm} 中账号的密码。",
    "challenge.proxy": "{sender} 以途中代理的身份要求证明 认证域（realm）{realm} 中账号的密码。",
    "challenge.nonce": (
        "nonce 专为这次质询生成：与密码一起做散列，得到的应答不适用于其他质询，"
        "截获的应答很快就毫无用处。"
    ),
    "challenge.algorithm": "散列算法为 {algorithm}。",
    "challenge.md5": "以今天的标准 MD5 较弱；双方都支持时应优先用 SHA-256。",
    "challenge.qop": "qop 提供 {qop}：客户端再加入自己的随机数（cnonce）和计数（nc）。",
    "challenge.qop-none": "没有 qop：旧的方式，不含 cnonce 和计数。",
    "challenge.stale": "stale=true：密码正确，只是 nonce 过期了。",
    "credentials": (
        "{username} 对第 {frame} 帧质询的应答：这里使用了其中的 nonce，认证域（realm）为 {realm}。"
    ),
    "credentials.unasked": "{username} 在认证域（realm）{realm} 的应答；本抓包中没有带此 nonce 的质询。",
    "credentials.made": "response 是三部分的 {algorithm} 散列：账号的散列（用户名、认证域、密码）、"
    "nonce，以及 {method} 与 {uri} 的散列。",
    "credentials.made-qop": "response 是以下内容的 {algorithm} 散列：账号的散列（用户名、认证域、密码"
    "）、nonce、使用次数 nc={nc}、客户端的 cnonce，以及 {method} 与 {uri} 的散列。",
    "credentials.secret": "其中没有密码本身；截获者只能逐个猜测密码。",
    "credentials.right": "用实验中保存的 {username} 的散列核对：应答正确。",
    "credentials.wrong": "用实验中保存的 {username} 的散列核对：应答错误，使用的是别的密码。",
    "credentials.ack": "从 INVITE 复制：ACK 没有响应，所以不能被质询。",
    "credentials.accepted": "应答被接受：第 {frame} 帧是 {label}。",
    "credentials.refused": "应答没有被接受：第 {frame} 帧是 {label}。",
    # other headers
    "expires.asked": "请求的有效期（秒）。",
    "expires.granted": "授予的有效期（秒）；客户端要在到期之前再次请求。",
    "expires.zero": "0 秒：要求删除该地址。",
    "content-length.stream": "空行之后 {value} 字节处消息结束；TCP 流中消息之间没有其他分界。",
    "content-length.datagram": "空行之后有 {value} 字节。",
    "content-length.none": "没有消息体。",
    "content-type.sdp": "消息体是会话描述：声音发往哪里、如何编码。",
    "agent": "{sender} 自报的软件：{value}。",
    "agent.forwarded": "远端自报的软件：{value}；服务器会原样转发。",
    "header.Min-Expires": "不接受短于 {value} 秒的注册。",
    "header.Content-Type": "消息体的类型。",
    "header.Content-Disposition": "消息体的用途。",
    "header.Content-Encoding": "消息体的压缩方式。",
    "header.Allow": "发送方接受的方法。",
    "header.Supported": "发送方支持的扩展；不是必须使用。",
    "header.Require": "对方必须支持的扩展，否则以 420 拒绝。",
    "header.Proxy-Require": "途中每个代理都必须支持的扩展。",
    "header.Unsupported": "不支持的扩展。",
    "header.Accept": "发送方接受的消息体类型。",
    "header.Accept-Encoding": "发送方接受的压缩方式。",
    "header.Accept-Language": "发送方偏好的语言。",
    "header.Allow-Events": "可以订阅的事件。",
    "header.Event": "此订阅所涉及的事件。",
    "header.Subscription-State": "订阅的状态。",
    "header.Refer-To": "转而呼叫：{value}。",
    "header.Referred-By": "谁请求了转移。",
    "header.Replaces": "此呼叫所替换的呼叫。",
    "header.Reason": "发送此请求的原因：{value}。",
    "header.Retry-After": "{value} 秒之后再试。",
    "header.Warning": "关于问题的更多说明：{value}。",
    "header.Date": "发送方的时间。",
    "header.Subject": "呼叫的主题。",
    "header.Priority": "紧急程度。",
    "header.Privacy": "发送方希望隐藏的信息。",
    "header.P-Asserted-Identity": "主叫的身份，由同一网络中的服务器核实。",
    "header.P-Preferred-Identity": "客户端希望采用的身份。",
    "header.Session-Expires": "若在此时间内没有 re-INVITE 或 UPDATE，呼叫视为结束。",
    "header.Min-SE": "Session-Expires 的下限。",
    "header.RSeq": "此可靠临时响应的编号；由 PRACK 确认。",
    "header.RAck": "所确认的临时响应。",
    "header.Timestamp": "发送时间；抄入响应后可算出往返时间。",
    "header.Organization": "发送方所属的组织。",
    "header.Alert-Info": "另一种铃声。",
    "header.Call-Info": "关于主叫的更多信息。",
    "header.In-Reply-To": "此呼叫所回复的呼叫。",
    "header.MIME-Version": "消息体遵循 MIME。",
    "header.Diversion": "此前转接过呼叫的人。",
    "header.History-Info": "此请求之前尝试过的去处。",
    "header.Accept-Contact": "主叫希望联系被叫的哪种设备。",
    "header.Authentication-Info": "服务器反过来证明它知道密码，或给出下一个 nonce。",
    "header.WWW-Authenticate": "不是 Digest 方式的质询。",
    "header.Proxy-Authenticate": "不是 Digest 方式的质询。",
    "header.Authorization": "不是 Digest 方式的凭据。",
    "header.Proxy-Authorization": "不是 Digest 方式的凭据。",
    "header.SIP-ETag": "已发布状态的标识。",
    "header.SIP-If-Match": "所更新的已发布状态。",
    "header.private": "厂商自定义的头字段，不在标准之内。",
    "header.other": "这里没有解释的头字段；不认识的一方会忽略它（RFC 3261 7.3.1）。",
    # sdp
    "dtmf.signal": "按下的键：{value}。",
    "dtmf.duration": "持续时间（毫秒）：{value}。",
    "sdp.v": "SDP 的版本；总是 0。",
    "sdp.offer": "这是提议（offer）：{sender} 能接收什么、在哪里接收。由对方从中选择。",
    "sdp.answer": "这是对第 {frame} 帧提议的应答（answer）：逐行说明接受什么、发往哪里。",
    "sdp.late-offer": "第 {frame} 帧的 INVITE 没有会话描述，所以这里是提议，应答在 ACK 中。",
    "sdp.answer-in-ack": "INVITE 没有会话描述：提议在响应中，这是 {sender} 的应答。",
    "sdp.o": "{user} 的会话 {session}，版本 {version}。此行中的地址只作标识：没有东西发往那里。",
    "sdp.o-same": "版本 {version}，与第 {frame} 帧相同：会话描述没有变化。",
    "sdp.o-newer": "版本从 {earlier}（第 {frame} 帧）增加到 {version}：有改动。",
    "sdp.s": "会话名称；在呼叫中没有意义。",
    "sdp.i": "给人看的标题。",
    "sdp.u": "关于会话的网页。",
    "sdp.e": "联系邮箱。",
    "sdp.p": "联系电话。",
    "sdp.b": "希望的带宽：{value}。",
    "sdp.t": "会话时间；0 0 表示现在开始，没有结束时间。",
    "sdp.r": "重复时间。",
    "sdp.z": "时区。",
    "sdp.k": "密钥；已废弃，不应使用。",
    "sdp.other": "这里没有解释的行。",
    "sdp.c": "声音应发往 {host}：起决定作用的就是这一行。",
    "sdp.c-ice": (
        "不支持 ICE 的一方把声音发往 {host}；在 ICE 从下面的候选中选定路径之前也是如此。"
    ),
    "sdp.c-session": "{host}，用于整个会话；但每个媒体段都有自己的 c= 行，以那里为准。",
    "sdp.c-own": "这正是此包的来源地址（{sender}）：途中没有改变。",
    "sdp.c-between": (
        "在第 {frame} 帧中，同一条消息写的是 {before}：途中被改写了，例如带 SIP ALG 的路由器。"
    ),
    "sdp.c-rewritten": (
        "{who} 在这里写入了 {host}；在第 {frame} 帧中，同一份描述写的还是 {before}。"
        "也就是说 {who} 中继声音，双方都发往那里。"
    ),
    "sdp.c-through": "这是此包的发送方 {sender} 的地址，不是 {author} 的：声音经过 {sender}。",
    "sdp.c-private": "{host} 是私网地址，而包来自 {source}：外部无法向它发送。需要媒体中继或 ICE。",
    "sdp.c-learned": (
        "{sender} 在私网中，这里写的是它得知的公网地址（通过 STUN 或 received）：{host}。"
    ),
    "sdp.c-other": "{host} 是 {who}，不是此包的发送方：声音要发往那里。",
    "sdp.c-hold": "旧式的呼叫保持：不要发送声音。",
    "sdp.m": "{kind}，在端口 {port} 接收，协议 {proto}；后面的数字是负载类型，优先的在前。",
    "sdp.m-refused": "端口 0：拒绝或关闭此 {kind}。",
    "sdp.m-codecs-answer": "在提议的编解码器中接受这些，按优先顺序：{codecs}。首选 {first}。",
    "sdp.m-codecs": "按优先顺序的编解码器：{codecs}。首选 {first}。",
    "sdp.m-srtp": "媒体要加密（SRTP）。",
    "sdp.m-dtls": "媒体要加密（SRTP），密钥在媒体路径上协商（DTLS）。",
    "sdp.m-came": "本抓包中有 {packets} 个声音包到达这里：{source} 到 {destination}，{codec}。",
    "sdp.sendrecv": "双向声音。",
    "sdp.sendonly": "{sender} 只发送：对方被保持。",
    "sdp.recvonly": "{sender} 只接收。",
    "sdp.inactive": "双向都没有声音：呼叫保持。",
    "sdp.rtpmap": "在此会话中负载类型 {number} 表示 {encoding}：编解码器、时钟频率（Hz）、声道数。",
    "sdp.rtpmap-dtmf": "负载类型 {number} 以事件（而非音频）传送按键（DTMF）。",
    "sdp.rtpmap-noise": "负载类型 {number} 是舒适噪声：代替静音发送；其间的空隙不是丢包。",
    "sdp.fmtp": "{codec} 的参数：{params}。",
    "sdp.ptime": "每个包含 {value} 毫秒的声音。",
    "sdp.maxptime": "每个包最多 {value} 毫秒的声音。",
    "sdp.rtcp": "质量报告 RTCP 使用另外的端口：{value}。",
    "sdp.rtcp-mux": "RTCP 与 RTP 共用端口。",
    "sdp.rtcp-fb-ccm": "可通过反馈发送的编解码器控制请求：{value}。",
    "sdp.rtcp-fb": "支持的反馈：{value}。",
    "sdp.rtcp-xr": "支持的扩展报告：{value}。",
    "sdp.crypto": "媒体密钥（明文）：只有信令使用 TLS 时才保密。",
    "sdp.fingerprint": "媒体路径上将出示的证书的散列：防止中间人。",
    "sdp.setup": "由谁发起 DTLS 握手：{value}。",
    "sdp.ice-ufrag": "ICE 用户名：发往此方的连通性检查必须带上它。",
    "sdp.ice-pwd": "ICE 密码：证明检查来自收到此描述的一方。",
    "sdp.ice-options": "ICE 选项：{value}。",
    "sdp.ice-lite": "简化的 ICE：只回应检查，因为它在公网上。",
    "sdp.ice-mismatch": "途中有人改了提议中的地址，所以放弃了 ICE。",
    "sdp.remote-candidates": "ICE 已结束：对方获胜的地址是 {value}。",
    "sdp.end-of-candidates": "没有更多候选地址。",
    "sdp.mid": "此媒体的名称：{value}。",
    "sdp.group": "属于一组的媒体：{value}。",
    "sdp.ssrc": "此发送方的包所带的编号：{value}。",
    "sdp.extmap": "RTP 头扩展：{value}。",
    "sdp.nortpproxy": "途中的服务器已写入自己的地址：其他中继不应再改。",
    "sdp.a-other": "这里没有解释的属性；不认识的一方会忽略它。",
    "candidate.host": "ICE 候选：本机自己的地址 {address}。",
    "candidate.srflx": "ICE 候选：{address} 是 STUN 服务器所看到的 {related}（NAT 之前的地址）。",
    "candidate.prflx": "ICE 候选：{address} 是检查中对方所看到的 {related}。",
    "candidate.relay": "ICE 候选：{address} 是为 {related} 转发声音的中继；总是可达，但要绕路。",
    "candidate.relay-added": (
        "{sender} 添加的 ICE 候选：{address} 是它自己的中继，为 {related} 转发声音；"
        "总是可达，但要绕路。"
    ),
    "candidate.allocated": (
        "TURN 服务器 {server} 把这个地址分配给 {client}（第 {frame} 帧）：发到此地址的内容会转发给它。"
    ),
    "candidate.other": "{type} 类型的 ICE 候选：{address}。",
    "candidate.rtp": "组件 1：用于声音（RTP）。",
    "candidate.rtcp": "组件 2：用于报告（RTCP）。",
    "candidate.private": "{host} 是私网地址：只有双方在同一网络中才能用上。",
    "candidate.nominated": (
        "它胜出：第 {frame} 帧提名了 {local} 与 {remote} 这一对（USE-CANDIDATE）。"
    ),
    "candidate.used": "声音使用了它：本抓包中有 {packets} 个包。",
}
