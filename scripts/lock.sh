#!/bin/sh
# Writes the lock files anew: every package pinned with its hashes, no addresses.
set -eu
for set in runtime dev bench; do
  .venv/bin/pip-compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links \
    --no-emit-trusted-host --no-emit-options --no-header --strip-extras --allow-unsafe \
    -o "requirements/$set.txt" "requirements/$set.in"
done
