"""A Kamailio in a Lab: registrar and proxy for phones behind NATs, with a media relay or without."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from .engine import install
from .peers import DOMAIN, PASSWORDS, Process, answers_options, wait_for

RELAY = {"rtpengine-daemon": "rtpengine"}


def need_relay() -> None:
    """Have rtpengine, or Unavailable. Its package starts a service where there is systemd."""
    install(RELAY)


class Relay(Process):
    """rtpengine in user space, for the Kamailio beside it."""

    def __init__(self, folder: Path, host: str, public: str = "") -> None:
        """`public` is what it calls `host` in descriptions."""
        program = shutil.which("rtpengine", path="/usr/bin:/usr/sbin")
        assert program is not None
        options = ["--foreground", "--log-stderr", "--table=-1", "--log-level=3"]
        options += [
            f"--interface={host}!{public}" if public else f"--interface={host}",
            "--listen-ng=127.0.0.1:2223",
            "--num-threads=2",
        ]
        options += ["--port-min=30000", "--port-max=30100", "--config-file=none"]
        super().__init__(folder, [program, *options])
        try:
            # A Kamailio that finds it deaf at its start asks it nothing for a minute.
            wait_for("rtpengine answers", self._answers)
        except AssertionError:
            self.stop()
            raise AssertionError(self.said()[-2000:]) from None

    def _answers(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(0.2)
            asking.connect(("127.0.0.1", 2223))
            try:
                asking.send(b"1 d7:command4:pinge")
                return b"pong" in asking.recv(4096)
            except OSError:
                return False


class NetKamailio(Process):
    """Kamailio at `host`, ports 5060. Enter it on its machine: it has the accounts of PASSWORDS.

    `records` says whether it stays in the route, `relays` whether rtpengine carries the sound,
    `sends_on` where it sends every request instead of looking users up, and `counts` whether it
    looks at Max-Forwards. It calls itself `public` where that is not `host`. With `insists` a wrong
    password is challenged anew, never refused.
    """

    certificate = None

    def __init__(
        self,
        folder: Path,
        host: str,
        *,
        records: bool = True,
        relays: bool = False,
        sends_on: str = "",
        counts: bool = True,
        insists: bool = False,
        public: str = "",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.host = public or host
        self._own = host
        self.ports = {"udp": 5060, "tcp": 5060}
        program = shutil.which("kamailio", path="/usr/sbin:/usr/bin")
        assert program is not None
        modules = next(iter(sorted(Path("/usr/lib").glob("**/kamailio/modules"))))
        text = _HEAD.format(host=host, public=self.host, modules=modules, domain=DOMAIN)
        if relays:
            text += 'loadmodule "rtpengine.so"\n'
            text += 'modparam("rtpengine", "rtpengine_sock", "udp:127.0.0.1:2223")\n'
        count = (
            'if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }'
        )
        if sends_on:
            rest = f'$du = "{sends_on}"; forward(); exit;'
            text += "request_route {\n" + (count if counts else "") + f"\n{rest}\n}}\n"
        else:
            text += _route(count, records, relays, insists)
        file = folder / "kamailio.cfg"
        file.write_text(text, encoding="utf-8")
        run = folder / "run"
        run.mkdir()
        command = [program, "-DD", "-E", "-f", str(file), "-Y", str(run), "-m", "64", "-M", "8"]
        super().__init__(folder, command)
        try:
            if sends_on:
                self.wait_said("Aliases:")
            else:
                wait_for("Kamailio answers", self._answers)
        except AssertionError:
            self.stop()
            raise AssertionError(self.said()[-2000:]) from None

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.said()[-2000:]
        return answers_options(5060, self._own)


_HEAD = """#!KAMAILIO
debug=0
log_stderror=yes
auto_aliases=no
dns=no
rev_dns=no
children=2
tcp_children=2
listen=udp:{host}:5060 advertise {public}:5060
listen=tcp:{host}:5060 advertise {public}:5060
alias="{domain}"
alias={host}:5060
alias={public}:5060
mpath="{modules}"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "nathelper.so"
modparam("usrloc", "db_mode", 0)
modparam("rr", "enable_full_lr", 0)
modparam("nathelper|registrar", "received_avp", "$avp(RECEIVED)")
"""


def _route(count: str, records: bool, relays: bool, insists: bool) -> str:
    known = "\n".join(
        f'  if ($fU == "{user}") {{ $var(password) = "{password}"; }}'
        for user, password in PASSWORDS.items()
    )
    record = "record_route();" if records else ""
    relay = 'if (has_body("application/sdp")) { rtpengine_manage("replace-origin"); }'
    delete = 'if (is_method("BYE")) { rtpengine_delete(); }'
    if not relays:
        relay = delete = ""
    anew = f'www_challenge("{DOMAIN}", "0"); exit;'
    refused = anew if insists else 'sl_send_reply("403", "Forbidden"); exit;'
    return f"""
onreply_route {{ add_contact_alias(); {relay} }}
request_route {{
  {count}
  force_rport();
  if (has_totag()) {{
    handle_ruri_alias();
    if (is_method("INVITE")) {{ add_contact_alias(); {relay} }}
    if (loose_route()) {{ {delete} t_relay(); exit; }}
    if (is_method("ACK")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
    sl_send_reply("404", "Not Here"); exit;
  }}
  if (is_method("CANCEL")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
  t_check_trans();
  if (is_method("ACK")) {{ exit; }}
  if (is_method("OPTIONS") && uri == myself && $rU == $null) {{ sl_send_reply("200", "OK"); exit; }}
  $var(password) = $null;
{known}
  if (is_method("REGISTER")) {{
    if (!has_credentials("{DOMAIN}")) {{ {anew} }}
    if ($var(password) == $null || !pv_www_authenticate("{DOMAIN}", "$var(password)", "0")) {{
      if ($rc == -3 || $rc == -4) {{ {anew} }}
      {refused}
    }}
    fix_nated_register();
    save("location"); exit;
  }}
  if (!has_credentials("{DOMAIN}")) {{ proxy_challenge("{DOMAIN}", "0"); exit; }}
  if ($var(password) == $null || !pv_proxy_authenticate("{DOMAIN}", "$var(password)", "0")) {{
    if ($rc == -3 || $rc == -4) {{ proxy_challenge("{DOMAIN}", "0"); exit; }}
    sl_send_reply("403", "Forbidden"); exit;
  }}
  consume_credentials();
  remove_hf("Route");
  add_contact_alias();
  if (is_method("INVITE")) {{ {record} {relay} }}
  if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
  t_relay();
}}
"""
