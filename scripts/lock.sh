#!/bin/sh
# Writes the lock files anew: every package pinned with its hashes, no addresses.
set -eu
for set in runtime roots dev bench; do
  .venv/bin/uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-header --no-annotate \
    -o "requirements/$set.txt" "requirements/$set.in"
done
