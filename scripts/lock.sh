#!/bin/sh
# Writes the lock files: every package pinned with its hashes, no addresses. What is locked stays as it is;
# `sh scripts/lock.sh --upgrade` takes the newest of everything.
set -eu
lock() {
  .venv/bin/uv pip compile --quiet $upgrade --python-version "$1" --generate-hashes --no-header --no-annotate \
    -o "requirements/$2.txt" "requirements/$2.in"
}
upgrade=${1:-}
for set in runtime roots dev bench; do lock 3.11 "$set"; done
# the other verifier of the log has an environment of its own
lock 3.11 sessions
lock 3.12 interop
