#!/bin/sh
# usage: venv.sh PYTHON VENV SET MARK - a virtual environment with exactly the locked packages of requirements/SET.txt
set -eu
python=$1 venv=$2 set=$3 mark=$4
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Python 3.11 or newer is needed; $("$python" --version) is here. Run: make PYTHON=/path/to/python3.11" >&2
  exit 1
}
if [ ! -x "$venv/bin/pip" ]; then
  echo "Making the environment in $venv ..."
  rm -rf "$venv"
  if ! "$python" -m venv "$venv" 2>/dev/null; then
    rm -rf "$venv"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
      apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
      "$python" -m venv "$venv"
    else
      echo "Python's venv module is missing. Install it (Debian, Ubuntu: apt-get install python3-venv) and try again." >&2
      exit 1
    fi
  fi
fi
echo "Installing the locked packages ($set) ..."
"$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "requirements/$set.txt"
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . 2>/dev/null ||
  "$venv/bin/pip" install --disable-pip-version-check --no-deps --no-build-isolation -e .
touch "$mark"
