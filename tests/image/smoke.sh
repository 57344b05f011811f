#!/usr/bin/env bash
# What must hold of a built image, whatever built it: what it says of itself, that it runs as nobody
# on nothing, resolves names, and is small.
#
#   smoke.sh BUILDER IMAGE VERSION REVISION     BUILDER: docker, podman or buildah
set -euo pipefail

builder=$1 image=$2 version=$3 revision=$4
# Compressed, as a registry stores it.
most=8000000
entry=/pod-identity-webhook
scratch=$(mktemp --directory)
trap 'rm -rf "$scratch"' EXIT

# config: the image's configuration, JSON. run PROGRAM ARGS…: in a new container, without a network.
case $builder in
docker | podman)
	config() { "$builder" image inspect --format '{{json .Config}}' "$image"; }
	run() {
		local program=$1
		shift
		"$builder" run --rm --network=none --read-only --cap-drop=ALL --entrypoint "$program" "$image" "$@"
	}
	save() { "$builder" save --output "$1" "$image"; }
	;;
buildah)
	container=$(buildah from "$image")
	trap 'buildah rm "$container" >/dev/null; rm -rf "$scratch"' EXIT
	config() { buildah inspect --type=image "$image"; }
	run() { buildah run --cap-drop=ALL "$container" -- "$@"; }
	save() { buildah push --quiet "$image" "docker-archive:$1"; }
	;;
*)
	echo "BUILDER is $builder: give docker, podman or buildah" >&2
	exit 2
	;;
esac

failed=0
# holds WHAT TEXT PART: TEXT has PART in it.
holds() {
	if [[ $2 == *"$3"* ]]; then
		echo "ok: $1"
	else
		echo "FAILED: $1: '$3' is not in: $2" >&2
		failed=1
	fi
}

config=$(config | tr --delete '[:space:]')
holds "runs as nobody, by number" "$config" '"User":"65534:65534"'
holds "plain args are the program's" "$config" "\"Entrypoint\":[\"$entry\"]"
holds "label version" "$config" "\"org.opencontainers.image.version\":\"$version\""
holds "label revision" "$config" "\"org.opencontainers.image.revision\":\"$revision\""
holds "label licenses" "$config" '"org.opencontainers.image.licenses":"Apache-2.0"'

for program in "$entry" /webhook; do
	answer=$(run "$program" --version)
	holds "$program --version" "<$answer>" "<pod-identity-webhook $version ($revision)>"
done
holds "--help" "$(run "$entry" --help)" "Usage: pod-identity-webhook"

# fails ARGS…: what it says on its way out; exit code last.
fails() { run "$@" 2>&1 && echo "exit 0" || echo "exit $?"; }
answer=$(fails /webhook --in-cluster=false --port=0 --metrics-port=0)
holds "without certificate files it ends" "$answer" "exit 1"
holds "… with a sentence that says what to do" "$answer" \
	"pod-identity-webhook: cannot read /etc/webhook/certs/tls.crt: mount the certificate there"
answer=$(fails "$entry" certificate --kube-api=http://localhost:1)
holds "names are resolved" "$answer" "Connection refused"

save "$scratch/image.tar"
size=$(wc --bytes <"$scratch/image.tar")
compressed=$(gzip --stdout "$scratch/image.tar" | wc --bytes)
echo "size: $size bytes, compressed $compressed"
if ((compressed > most)); then
	echo "FAILED: over $most bytes compressed" >&2
	failed=1
fi
exit "$failed"
