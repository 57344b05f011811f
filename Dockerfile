# The image: one static binary on nothing. `make image` builds it, `make image-smoke` runs it.
#
# Each stage changes less often than the next: the compiler, the dependencies (Cargo.lock), our
# sources. What compiles runs on the platform that builds, for either platform, so nothing is
# emulated. tests/it/release holds what other files say as well.

ARG RUST_IMAGE=docker.io/library/rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082

FROM --platform=$BUILDPLATFORM ${RUST_IMAGE} AS compiler
# Beats rust-toolchain.toml, whose lints and formatter are not needed here.
ENV RUSTUP_TOOLCHAIN=1.95.0
RUN cargo install --quiet --locked --root /usr/local --version 0.7.7 cargo-auditable
# glibc is linked in: no library, loader or resolver module has to be in the image.
ARG TARGETARCH
RUN case "$TARGETARCH" in \
        amd64) cpu=x86_64 ;; \
        arm64) cpu=aarch64 ;; \
        *) echo "TARGETARCH is '$TARGETARCH': build for linux/amd64 or linux/arm64" >&2; exit 1 ;; \
    esac \
    && target="$cpu-unknown-linux-gnu" gcc="$cpu-linux-gnu-gcc" \
    && mkdir -p /.cargo \
    && printf '%s\n' >/.cargo/config.toml \
        "build.target = '$target'" \
        "target.$target.linker = '$gcc'" \
        "target.$target.rustflags = ['-C', 'target-feature=+crt-static']" \
    && if ! command -v "$gcc"; then \
        apt-get update \
        && apt-get install --yes --no-install-recommends \
            "gcc-$(echo "$cpu" | tr _ -)-linux-gnu" "libc6-dev-$TARGETARCH-cross" \
        && rustup target add "$target"; \
    fi

# All that is linked in and nothing of ours: empty sources stand in, and what cargo knows of them is
# removed, lest it takes them for newer than the real ones.
FROM compiler AS dependencies
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY benches/Cargo.toml benches/
COPY tests/cluster/Cargo.toml tests/cluster/
RUN mkdir -p src benches/src benches/counts tests/cluster/src \
    && touch src/lib.rs benches/src/main.rs benches/src/noop.rs benches/src/held.rs \
        benches/counts/main.rs tests/cluster/src/lib.rs \
    && echo 'fn main() {}' >src/main.rs \
    && cargo auditable build --release --locked --bin pod-identity-webhook \
    && rm -r target/*/release/.fingerprint/pod-identity-webhook-*

FROM dependencies AS binary
COPY LICENSE rust-toolchain.toml ./
COPY src src
ARG REVISION=
RUN PODIDENTITY_REVISION="$REVISION" \
        cargo auditable build --release --locked --bin pod-identity-webhook \
    && install -D --target-directory=/image target/*/release/pod-identity-webhook \
    && install --mode=644 --target-directory=/image LICENSE \
    && ln --symbolic pod-identity-webhook /image/webhook

FROM scratch
# For public names: a kubeconfig that names no CA, an issuer that doctor looks at.
COPY --from=compiler /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=binary /image/ /
# Nobody, by number: runAsNonRoot does not know names.
USER 65534:65534
ENTRYPOINT ["/pod-identity-webhook"]
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title="pod-identity-webhook" \
    org.opencontainers.image.description="A Kubernetes mutating admission webhook that gives Pods their AWS identity" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.revision="$REVISION" \
    org.opencontainers.image.source="$SOURCE" \
    org.opencontainers.image.licenses="Apache-2.0"
