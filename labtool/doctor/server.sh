# Prints what a doctor needs to know of this machine: `== name`, then its lines, each behind a blank.
# Changes nothing. Needs a POSIX shell; what is not there leaves its part empty.
# Set before: service, conf, users, started, log_folder, binary, package.
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
# What asks another process (D-Bus, a file system that is gone) may wait for ever.
soon() { timeout 5 "$@"; }
part() {
  echo "== $1"
  shift
  "$@" 2>/dev/null | awk '{ print " " $0 }'
}
# Compressed, because a users file may be large.
file() {
  echo "== $1"
  if test -f "$2"; then
    stat -c ' stat %a %U:%G %Y' "$2" 2>/dev/null
    gzip -c < "$2" 2>/dev/null | base64 | awk '{ print " " $0 }'
  fi
}
setting() {
  test -f "$conf" && tr -d '\r' < "$conf" |
    sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*//p" | sed 's/[[:space:]]*$//' | tail -n 1
}

echo "== machine"
test -r /etc/os-release && . /etc/os-release
echo " id ${ID:-unknown}"
echo " version_id ${VERSION_ID:-}"
echo " codename ${VERSION_CODENAME:-}"
echo " pretty_name ${PRETTY_NAME:-}"
echo " architecture $(dpkg --print-architecture 2>/dev/null || uname -m)"
echo " uid $(id -u)"
echo " epoch $(date +%s)"
echo " timezone $(date +%z)"
echo " vendor $(cat /sys/class/dmi/id/sys_vendor 2>/dev/null)"
echo " clock_synchronised $(soon timedatectl show -p NTPSynchronized --value 2>/dev/null)"
test -d /run/systemd/system && echo " systemd yes"
# Where the one who looks comes from, as this machine sees it; sudo keeps it from us, not from itself.
connection=${SSH_CONNECTION:-$(tr '\0' '\n' < "/proc/$PPID/environ" 2>/dev/null | sed -n 's/^SSH_CONNECTION=//p')}
echo " client ${connection%% *}"
echo " interface $(ip route get "${connection%% *}" 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p')"
awk '/^(MemTotal|MemAvailable|SwapTotal|SwapFree):/ { print " " $1 $2 }' /proc/meminfo | tr ':' ' '

part disks soon df -Pk / /etc /var /tmp "$log_folder"
part inodes soon df -Pi / /etc /var /tmp "$log_folder"
part addresses sh -c "ip -o addr show | awk '\$3 ~ /^inet6?\$/ { sub(\"/.*\", \"\", \$4); print \$4 }' | sort -u"

part package dpkg-query -W -f='${db:Status-Status} ${Version} ${Architecture}\n' "$package"
part missing_libraries sh -c 'test -x "$1" && ldd "$1" | grep "not found"' - "$binary"
part binary sh -c 'test -x "$1" && echo yes' - "$binary"
# Somebody who may not write reads apt's caches where they are fresh, and renews none (ten times as fast).
if test "$(id -u)" = 0 && command -v setpriv >/dev/null; then
  part policy soon setpriv --reuid=65534 --regid=65534 --clear-groups apt-cache policy "$package"
else
  part policy soon apt-cache -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= policy "$package"
fi
echo "== sources"
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
  test -f "$list" && grep -HiE '^[[:space:]]*(deb|uris|suites|components|signed-by|architectures|enabled)' "$list" |
    awk '{ print " " $0 }'
done 2>/dev/null
for key in $(grep -hoiE 'signed-by[=:][[:space:]]*/[^] ,]*' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
  sed 's/^[^/]*//' | sort -u); do
  if test -s "$key"; then echo " key present $key"; else echo " key missing $key"; fi
done

part unit systemctl show "$service" -p LoadState -p ActiveState -p SubState -p Result -p UnitFileState \
  -p Restart -p NRestarts -p MainPID -p ExecMainStatus -p ExecMainCode -p NeedDaemonReload -p FragmentPath
echo "== since"
stamp=$(systemctl show "$service" -p ActiveEnterTimestamp 2>/dev/null | sed 's/^[^=]*=//')
test -n "$stamp" && date -d "$stamp" '+ %s %Y-%m-%d %H:%M:%S' 2>/dev/null
pid=$(systemctl show "$service" -p MainPID 2>/dev/null | sed 's/^[^=]*=//')
echo "== open_files"
test "${pid:-0}" -gt 0 2>/dev/null && test -r "/proc/$pid/limits" &&
  echo " $(ls "/proc/$pid/fd" | wc -l) $(awk '/^Max open files/ { print $4 }' "/proc/$pid/limits")"
part started_with cat -- "$started"
part journal journalctl -u "$service" -n 60 -o cat --no-pager
part killed sh -c "journalctl -k -b -n 3000 -o short-iso --no-pager | grep -iE 'out of memory|oom-kill' | grep -i flexisip | tail -n 3"

echo "== listening"
ss -H -lntup 2>/dev/null | while read -r protocol state waiting _ address _ process; do
  pid=$(echo "$process" | sed -n 's/.*pid=\([0-9]*\).*/\1/p')
  name=$(echo "$process" | sed -n 's/.*(("\([^"]*\)".*/\1/p')
  owner=other
  test -n "$pid" && grep -q "/$service.service" "/proc/$pid/cgroup" 2>/dev/null && owner=flexisip
  echo " $owner $protocol $address $waiting ${name:-?}"
done

part iptables iptables -S
part ip6tables ip6tables -S
part nft sh -c "nft -a list ruleset | head -n 2000"
part nft_json sh -c "nft -j list ruleset | head -c 4000000 | gzip -c | base64"

file conf "$conf"
file_path=$(setting file-path)
test -n "$file_path" || file_path=$(setting datasource)
test -n "$file_path" && users=$file_path
echo "== users_path"
echo " $users"
file users "$users"
certificate=$(setting tls-certificates-file)
key=$(setting tls-certificates-private-key)
if test -n "$certificate"; then
  part certificate cat -- "$certificate"
  part certificate_public sh -c 'openssl x509 -in "$1" -noout -pubkey | sha256sum' - "$certificate"
  echo "== key"
  test -r "$key" && echo " present"
  part key_public sh -c 'openssl pkey -in "$1" -pubout | sha256sum' - "$key"
fi

logs=$(setting log-directory)
test -n "$logs" || logs=$log_folder
echo "== log_path"
echo " $logs/flexisip-proxy.log"
# By bytes first: a line of a log may be as long as the disk.
part log sh -c 'tail -c 1000000 "$1" | tail -n 2000 | grep -aE -e "-(error|warning)-" | tail -n 300 | cut -c1-400' - "$logs/flexisip-proxy.log"
echo "== end"
exit 0
