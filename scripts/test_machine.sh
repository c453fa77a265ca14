#!/bin/sh
# Real components for the tests: installed when root on Debian or Ubuntu, else reported; tests that need them say so.
set -u
missing=""
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null || missing="$missing postgresql"
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ||
  missing="$missing chromium"
command -v softhsm2-util >/dev/null || missing="$missing softhsm2"
command -v valkey-server >/dev/null || command -v redis-server >/dev/null || missing="$missing redis-server"
command -v go >/dev/null || missing="$missing golang-go"
[ -d /usr/share/gocode/src/golang.org/x/mod/sumdb/tlog ] || missing="$missing golang-golang-x-mod-dev"
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing for the tests:$missing ..."
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >/dev/null 2>&1
  # shellcheck disable=SC2086
  apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 && missing=""
fi
# Another verifier of the log, in an environment of its own.
ready=.venv-interop/interop.ready
if [ ! -e "$ready" ] || [ requirements/interop.txt -nt "$ready" ]; then
  echo "Installing for the tests: aics-tlog (in .venv-interop) ..."
  rm -rf .venv-interop
  .venv/bin/python -m venv .venv-interop &&
    .venv-interop/bin/pip install --quiet --disable-pip-version-check --require-hashes --ignore-requires-python \
      -r requirements/interop.txt >/dev/null 2>&1 && touch "$ready" || missing="$missing aics-tlog"
fi
[ -z "$missing" ] ||
  echo "Not installed:$missing. Tests that need them are left out and counted as skipped (on CI they fail)."
exit 0
