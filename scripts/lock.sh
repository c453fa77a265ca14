#!/bin/sh
# Writes the lock files anew: every package pinned with its hashes, no addresses.
set -eu
for set in runtime roots dev bench; do
  .venv/bin/uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-header --no-annotate \
    -o "requirements/$set.txt" "requirements/$set.in"
done
# the other verifier of the log has an environment of its own
.venv/bin/uv pip compile --quiet --upgrade --python-version 3.12 --generate-hashes --no-header --no-annotate \
  -o requirements/interop.txt requirements/interop.in
