#!/usr/bin/env bash
# Links the static program for arm64 as the Dockerfile does and runs it under qemu, where Debian's
# packages can be had and rustup's targets cannot: the standard library for arm64 is Debian's, and so
# is the compiler that fits it.
#
#   arm64.sh FOLDER     needs gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user
set -euo pipefail

folder=${1:?the folder to build in is missing: arm64.sh FOLDER}
target=aarch64-unknown-linux-gnu
packages=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)
for program in apt-get cargo aarch64-linux-gnu-gcc qemu-aarch64; do
	command -v "$program" >/dev/null || {
		echo "$program is missing: on Debian, apt-get install ${packages[*]}" >&2
		exit 1
	}
done

# Lists of its own: the machine's are not told of another architecture.
fetch() {
	local apt=$1/apt debs=$1/debs
	mkdir -p "$apt"/{lists,cache}/partial "$debs" "$1/root"
	local options=(-qq -o APT::Architectures::=amd64 -o APT::Architectures::=arm64
		-o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
	apt-get "${options[@]}" update
	local std llvm
	std=$(apt-cache "${options[@]}" depends libstd-rust-web-dev | sed -n 's/ *Depends: //p')
	llvm=$(apt-cache "${options[@]}" depends "$std" | sed -n 's/ *Depends: \(libllvm.*\)/\1/p')
	(cd "$debs" && apt-get "${options[@]}" download rustc-web "$std" ${llvm:-libllvm22} \
		libstd-rust-web-dev libstd-rust-web-dev:arm64)
	for package in "$debs"/*.deb; do dpkg -x "$package" "$1/root"; done
	rm -r "$apt" "$debs"
}

if ! [ -x "$folder/rust/rustc" ]; then
	rm -rf "$folder/rust"
	fetch "$folder/rust"
	printf '%s\n' '#!/bin/sh' \
		"export LD_LIBRARY_PATH='$folder/rust/root/usr/lib/x86_64-linux-gnu'" \
		"exec '$folder/rust/root/usr/bin/rustc' \"\$@\"" >"$folder/rust/rustc"
	chmod +x "$folder/rust/rustc"
fi

export RUSTC=$folder/rust/rustc CARGO_TARGET_DIR=$folder/target
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS='-C target-feature=+crt-static'
cargo build --release --locked --quiet --target "$target" --bin pod-identity-webhook

program=$CARGO_TARGET_DIR/$target/release/pod-identity-webhook
! readelf --dynamic "$program" | grep --quiet NEEDED || {
	echo "$program is not static: $(readelf --dynamic "$program" | grep NEEDED)" >&2
	exit 1
}
said=$(qemu-aarch64 "$program" --version)
echo "arm64: $said, static, $(stat --format=%s "$program") bytes"
qemu-aarch64 "$program" mutate --help >/dev/null
