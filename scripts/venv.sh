#!/bin/sh
# Makes the virtual environment with labtool and its tools in it.
# Installs python3-venv where it is missing and we may; otherwise names the one command.
set -eu
venv=$1
python=${PYTHON:-python3}

fail() { echo "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo "$@"
  else return 1; fi
}

if ! command -v "$python" >/dev/null || ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  echo "Python's venv module is missing; installing it"
  { as_root apt-get -q update && as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy install python3 python3-venv; } ||
    fail "labtool needs Python's venv module. Install it, then run make again:
  sudo apt-get install -y python3-venv"
fi

# ansible-core 2.16 needs 3.10; a machine may have a newer Python under another name.
usable() { "$1" -c 'import sys, ensurepip, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }
if ! usable "$python"; then
  for other in python3.12 python3.13 python3.11 python3.10; do
    if command -v "$other" >/dev/null && usable "$other"; then python=$other; break; fi
  done
fi
usable "$python" || fail "labtool needs Python 3.10 to 3.13 (ansible-core 2.16), but $python is $("$python" --version 2>&1 | cut -d' ' -f2).
Name another one: make PYTHON=python3.12 demo"

echo "Making $venv with $("$python" --version)"
"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e '.[dev]' ||
  fail "The packages could not be installed. Is the package index reachable? Behind a proxy, set https_proxy."
