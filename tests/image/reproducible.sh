#!/usr/bin/env bash
# Builds the committed sources twice, in two folders of different names and depths, and compares what
# comes of it.
#
#   reproducible.sh CARGO
set -euo pipefail

cargo=${1:?how cargo is called is missing: reproducible.sh CARGO}
root=$(mktemp --directory)
trap 'rm -rf "$root"' EXIT

for folder in "$root/one" "$root/a/deeper/one"; do
    mkdir -p "$folder"
    git archive HEAD | tar --extract --directory "$folder"
    (cd "$folder" && env --unset=CARGO_TARGET_DIR "$cargo" build --quiet --release --locked --bin pod-identity-webhook)
done
if cmp "$root/one/target/release/pod-identity-webhook" "$root/a/deeper/one/target/release/pod-identity-webhook"; then
    sha256sum <"$root/one/target/release/pod-identity-webhook"
    echo "two builds, one digest"
else
    echo "the two builds differ: a path, a time or an order got into one of them" >&2
    exit 1
fi
