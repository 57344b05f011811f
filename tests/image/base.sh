#!/usr/bin/env bash
# Makes the image that the Dockerfile builds in, for a machine that reaches no image registry: Debian
# by debootstrap, with the Rust of this machine where the official image has it.
#
#   base.sh NAME     needs root, debootstrap, buildah, and Rust by rustup
set -euo pipefail

name=${1:?the name of the image is missing: base.sh NAME}
suite=bookworm
root=$(mktemp --directory)
trap 'rm -rf "$root"' EXIT

debootstrap --variant=minbase --include=ca-certificates,gcc,libc6-dev "$suite" "$root"

toolchain=$(rustc --print sysroot)
version=$(rustc --version | cut -d ' ' -f 2)
host=$(rustc --print host-tuple)
home=$root/usr/local/rustup/toolchains/$version-$host
mkdir -p "$home" "$root/usr/local/cargo/bin"
cp -a "$toolchain/." "$home"
rm -rf "$home/share"
cp "$(command -v rustup)" "$root/usr/local/cargo/bin/rustup"
for program in cargo rustc; do ln "$root/usr/local/cargo/bin/rustup" "$root/usr/local/cargo/bin/$program"; done
printf 'version = "12"\ndefault_toolchain = "%s"\nprofile = "minimal"\n\n[overrides]\n' "$version-$host" \
	>"$root/usr/local/rustup/settings.toml"

container=$(buildah from scratch)
buildah add --quiet "$container" "$root" / >/dev/null
buildah config \
	--env RUSTUP_HOME=/usr/local/rustup --env CARGO_HOME=/usr/local/cargo --env RUST_VERSION="$version" \
	--env PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
buildah commit --quiet --rm "$container" "$name" >/dev/null
