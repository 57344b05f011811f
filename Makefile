# Everything that is needed besides Rust, Go and make is built or installed into target/, once.
#
#   make demo     the main job on a real control plane (KEEP=1 leaves it running until Ctrl-C)
#   make test     everything that proves it: make check, then all tests
#   make check    format, lints, docs, licences
#   make audit-misses
#                 500 Pods that slipped by, listed, told of and healed; not part of make test
#   make audit-scale
#                 what an audit of 20,000 Pods costs; not part of make test
#   make soak     two minutes of rotating certificates under load; not part of make test
#   make rolling  replicas replaced under load, the Go webhook's beside ours; not part of make test
#   make session  draws what README shows of a terminal, anew
#   make monitoring
#                 the alert rules and the dashboard, by promtool
#   make manifests
#                 what is made of the chart: plain manifests, kustomize, the chart's README
#   make bench    what it costs, beside the Go webhook and a no-op: benches/results.md (20 minutes)
#   make bench-count
#                 instructions of the pure path, held against benches/counts.txt; UPDATE=1 writes that
#   make run      the server, on this machine, against the cluster of $KUBECONFIG
#   make image    the container image IMAGE, by BUILDER: docker, podman or buildah
#   make image-smoke
#                 runs that image, and measures it
#   make image-arm64
#                 links the program for arm64 with Debian's toolchain, runs it under qemu
#   make reproducible
#                 two release builds in two folders, one digest; not part of make test
#   make advisories
#                 known vulnerabilities of what is linked in; asks the network

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check fmt run soak rolling session control-plane peer deny manifests chart-tools \
	actionlint advisories image image-base image-smoke image-arm64 reproducible \
	release-files release-notes \
	audit-misses audit-scale promtool monitoring bench bench-smoke bench-count

CARGO ?= cargo
GO ?= go
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
CONTROL_PLANE := $(TARGET)/control-plane
KUBERNETES_VERSION := v1.34.2
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(TARGET)/tools/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny
CARGO_AUDIT_VERSION := 0.22.2
CARGO_AUDIT := $(TARGET)/tools/cargo-audit-$(CARGO_AUDIT_VERSION)/bin/cargo-audit
ACTIONLINT := $(TARGET)/tools/actionlint
BINARY := $(TARGET)/debug/pod-identity-webhook
OHA_VERSION := 1.16.0
OHA := $(TARGET)/tools/oha-$(OHA_VERSION)/bin/oha
# The version of the crate in benches/Cargo.toml.
GUNGRAUN_VERSION := 0.20.0
GUNGRAUN := $(TARGET)/tools/gungraun-$(GUNGRAUN_VERSION)/bin/gungraun-runner
# The Go webhook, which the tests run beside ours.
PEER := $(TARGET)/tools/amazon-eks-pod-identity-webhook

CHART_TOOLS := helm kustomize helm-docs
PACKAGE_helm := helm.sh/helm/v3/cmd/helm
PACKAGE_kustomize := sigs.k8s.io/kustomize/kustomize/v5
PACKAGE_helm-docs := github.com/norwoodj/helm-docs/cmd/helm-docs
CRDS := github.com/cert-manager/cert-manager github.com/prometheus-operator/prometheus-operator
# Which Kubernetes helm takes a cluster for that it does not see.
HELM_LDFLAGS := $(foreach package,chartutil lint/rules,-X helm.sh/helm/v3/pkg/$(package).k8sVersionMajor=1 \
	-X helm.sh/helm/v3/pkg/$(package).k8sVersionMinor=34)

# etcd and kube-apiserver of KUBEBUILDER_ASSETS are taken where it is set; the others are not part
# of them.
ifdef KUBEBUILDER_ASSETS
PROGRAMS := kube-controller-manager kube-scheduler
else
PROGRAMS := etcd kube-apiserver kube-controller-manager kube-scheduler
endif

PACKAGE_etcd := go.etcd.io/etcd/server/v3
PACKAGE_kube-apiserver := k8s.io/kubernetes/cmd/kube-apiserver
PACKAGE_kube-controller-manager := k8s.io/kubernetes/cmd/kube-controller-manager
PACKAGE_kube-scheduler := k8s.io/kubernetes/cmd/kube-scheduler

need = command -v $(1) >/dev/null || { echo "$(1) is missing: $(2)" >&2; exit 1; }
NEED_CARGO = $(call need,$(CARGO),install Rust with rustup (https://rustup.rs); rust-toolchain.toml picks the version)
NEED_GO = $(call need,$(GO),install Go 1.24 or newer (https://go.dev/dl): the control plane and the tools of the demo and the tests are built with it)

help:
	@sed -n 's/^#   //p' $(firstword $(MAKEFILE_LIST))

demo: control-plane
	@$(NEED_CARGO)
	$(CARGO) build --quiet --bin pod-identity-webhook --example demo
	@$(TARGET)/debug/examples/demo $(BINARY) $(if $(KEEP),--keep)

test: check control-plane peer chart-tools promtool
	$(CARGO) test --workspace

check: fmt deny actionlint
	$(CARGO) clippy --workspace --all-targets --quiet -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --workspace --no-deps --quiet

fmt:
	@$(NEED_CARGO)
	$(CARGO) fmt --all --check

deny: $(CARGO_DENY)
	$(CARGO_DENY) --config .deny.toml check bans licenses sources

advisories: $(CARGO_DENY) $(CARGO_AUDIT)
	$(CARGO_DENY) --config .deny.toml check advisories
	$(CARGO_AUDIT) audit

$(CARGO_DENY) $(CARGO_AUDIT): VERSION_OF_TOOL = $(patsubst $(TARGET)/tools/$(@F)-%/bin/$(@F),%,$@)
$(CARGO_DENY) $(CARGO_AUDIT):
	@$(NEED_CARGO)
	@echo "installing $(@F) $(VERSION_OF_TOOL) into target/tools (once, some minutes)"
	$(CARGO) install --quiet --locked $(@F) --version $(VERSION_OF_TOOL) \
		--root $(patsubst %/bin/$(@F),%,$@) --target-dir $(TARGET)/tools/build
	rm -rf $(TARGET)/tools/build

# What shellcheck says depends on the machine.
actionlint: $(ACTIONLINT)
	$(ACTIONLINT) -shellcheck= -pyflakes=

$(ACTIONLINT): tests/tools/actionlint/go.mod tests/tools/actionlint/go.sum
	@$(NEED_GO)
	@mkdir -p $(@D)
	cd tests/tools/actionlint && CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w" -o $@ \
		github.com/rhysd/actionlint/cmd/actionlint

control-plane: $(PROGRAMS:%=$(CONTROL_PLANE)/%)

$(CONTROL_PLANE)/%: tests/cluster/go.mod tests/cluster/go.sum
	@$(NEED_GO)
	@mkdir -p $(@D)
	@echo "building $* of the test control plane into target/control-plane (once, some minutes)"
	cd tests/cluster && CGO_ENABLED=0 $(GO) build -trimpath \
		-ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$(KUBERNETES_VERSION)" \
		-o $@ $(PACKAGE_$*)

peer: $(PEER)

$(PEER): tests/tools/peer/go.mod tests/tools/peer/go.sum
	@$(NEED_GO)
	@mkdir -p $(@D)
	@echo "building the Go webhook, the tests' peer, into target/tools (once)"
	cd tests/tools/peer && CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w" \
		-o $@ github.com/aws/amazon-eks-pod-identity-webhook

manifests: chart-tools
	@$(NEED_CARGO)
	UPDATE_GOLDEN=1 $(CARGO) test --quiet --test it chart::files

# What the chart is rendered, documented and tested with, and the CRDs that it can use.
chart-tools: $(CHART_TOOLS:%=$(TARGET)/tools/%) $(TARGET)/tools/crds

$(TARGET)/tools/helm $(TARGET)/tools/kustomize $(TARGET)/tools/helm-docs: tests/tools/helm/go.mod tests/tools/helm/go.sum
	@$(NEED_GO)
	@mkdir -p $(@D)
	@echo "building $(@F) into target/tools (once, some minutes)"
	cd tests/tools/helm && CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w $(HELM_LDFLAGS)" -o $@ $(PACKAGE_$(@F))

$(TARGET)/tools/crds: tests/tools/crds/go.mod tests/tools/crds/go.sum
	@$(NEED_GO)
	@rm -rf $@.new && mkdir -p $@.new
	cd tests/tools/crds && $(GO) mod download && for module in $$($(GO) list -m -f '{{.Dir}}' $(CRDS)); do \
		for folder in deploy/crds example/prometheus-operator-crd; do \
			if [ -d $$module/$$folder ]; then install -m 644 $$module/$$folder/*.yaml $@.new; fi; \
		done; \
	done
	rm -rf $@ && mv $@.new $@

audit-misses: control-plane
	@$(NEED_CARGO)
	AUDIT_PODS=500 $(CARGO) test --test it audit::healing -- --nocapture

# By the release build: figures of the other one say nothing.
audit-scale: control-plane
	@$(NEED_CARGO)
	$(CARGO) build --quiet --release --bin pod-identity-webhook
	AUDIT_SCALE=$(TARGET)/release/pod-identity-webhook \
		$(CARGO) test --test it audit::scale -- --nocapture --ignored

# promtool comes with Debian's package `prometheus`. Elsewhere it has to be on PATH: to build it from
# Go takes many minutes, so that the tests do without it, and say so.
PROMTOOL := $(TARGET)/tools/promtool

promtool:
	@[ -x $(PROMTOOL) ] || ! command -v apt-get >/dev/null || { \
		rm -rf $(PROMTOOL).new && mkdir -p $(PROMTOOL).new && cd $(PROMTOOL).new && \
		{ apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; } && \
		dpkg -x prometheus_*.deb . && mv usr/bin/promtool $(PROMTOOL); \
	} >/dev/null 2>&1 || true
	@rm -rf $(PROMTOOL).new
	@[ -x $(PROMTOOL) ] || command -v promtool >/dev/null || \
		echo "promtool is missing and apt-get has no package prometheus: the alert rules are not tested; put it on PATH (https://prometheus.io/download)" >&2

monitoring: promtool control-plane
	@$(NEED_CARGO)
	$(CARGO) test --test it monitoring

soak: control-plane
	@$(NEED_CARGO)
	KEEPER_SECONDS=120 $(CARGO) test --test it keeper::rotation -- --nocapture

# Nothing else should run on the machine meanwhile. ARGS="--only=calls" measures a part.
bench: control-plane peer $(OHA)
	$(CARGO) build --quiet --release --bin pod-identity-webhook
	$(CARGO) build --quiet --release --package benches
	$(TARGET)/release/bench --ours=$(TARGET)/release/pod-identity-webhook --noop=$(TARGET)/release/noop \
		--oha=$(OHA) --out=benches $(ARGS)

# The same, small: that it works, not what it costs.
bench-smoke: control-plane peer $(OHA)
	$(CARGO) build --quiet --bin pod-identity-webhook
	$(CARGO) build --quiet --package benches
	$(TARGET)/debug/bench --smoke --ours=$(BINARY) --noop=$(TARGET)/debug/noop --oha=$(OHA)

# A count is the same on a busy machine, but not with another compiler.
bench-count: $(GUNGRAUN)
	@$(call need,valgrind,install it (Debian: apt-get install valgrind): it counts the instructions)
	$(CARGO) build --quiet --package benches --bin held
	GUNGRAUN_RUNNER=$(GUNGRAUN) $(CARGO) bench --quiet --package benches --bench counts -- --output-format=json \
		>$(TARGET)/counts.json
	$(TARGET)/debug/held --counts=benches/counts.txt $(if $(UPDATE),--update) <$(TARGET)/counts.json

$(GUNGRAUN):
	@$(NEED_CARGO)
	@echo "installing gungraun-runner $(GUNGRAUN_VERSION), which counts instructions, into target/tools (once, some minutes)"
	$(CARGO) install --quiet --locked gungraun-runner --version $(GUNGRAUN_VERSION) \
		--root $(TARGET)/tools/gungraun-$(GUNGRAUN_VERSION) --target-dir $(TARGET)/tools/build-gungraun
	rm -rf $(TARGET)/tools/build-gungraun

$(OHA):
	@$(NEED_CARGO)
	@echo "installing oha $(OHA_VERSION), which makes load, into target/tools (once, some minutes)"
	$(CARGO) install --quiet --locked oha --version $(OHA_VERSION) \
		--root $(TARGET)/tools/oha-$(OHA_VERSION) --target-dir $(TARGET)/tools/build-oha
	rm -rf $(TARGET)/tools/build-oha

rolling: control-plane peer chart-tools
	@$(NEED_CARGO)
	$(CARGO) test --test it install::rolling -- --ignored --nocapture

session: control-plane
	@$(NEED_CARGO)
	@$(call need,script,install util-linux (Debian: apt-get install bsdutils): it makes the terminal)
	$(CARGO) test --quiet --test it doctor::session -- --ignored

run: $(TARGET)/dev/tls.key
	$(CARGO) run --quiet --bin pod-identity-webhook -- --in-cluster=false --bind-address=127.0.0.1 \
		--port=8443 --tls-cert=$(TARGET)/dev/tls.crt --tls-key=$(TARGET)/dev/tls.key \
		$(if $(KUBECONFIG),--kubeconfig=$(KUBECONFIG)) $(ARGS)

$(TARGET)/dev/tls.key:
	@$(NEED_CARGO)
	$(CARGO) run --quiet --package cluster --bin serving-pair -- $(@D)

# === The image and the release ===

VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml)
REVISION ?= $(shell git describe --always --dirty --abbrev=40 --exclude '*')
IMAGE ?= pod-identity-webhook:$(VERSION)
BUILDER ?= $(firstword $(foreach name,docker podman buildah,$(shell command -v $(name) >/dev/null && echo $(name))) docker)
# What the builder is told besides: --platform=linux/arm64, --build-arg=RUST_IMAGE=…
IMAGE_FLAGS ?=
# BuildKit knows what it runs on; not every buildah does, of which podman is one.
BUILDPLATFORM := linux/$(patsubst x86_64,amd64,$(patsubst aarch64,arm64,$(shell uname -m)))
BUILD_docker := docker buildx build --load
BUILD_podman := podman build --layers --build-arg BUILDPLATFORM=$(BUILDPLATFORM)
BUILD_buildah := buildah build --layers --build-arg BUILDPLATFORM=$(BUILDPLATFORM)

image:
	@$(call need,$(BUILDER),install docker with BuildKit or podman or buildah: one of them builds the image)
	$(or $(BUILD_$(BUILDER)),$(error BUILDER is $(BUILDER): give docker or podman or buildah)) \
		--tag $(IMAGE) --build-arg REVISION=$(REVISION) $(IMAGE_FLAGS) .

image-smoke:
	@$(call need,$(BUILDER),install the one that made the image)
	@tests/image/smoke.sh $(BUILDER) $(IMAGE) $(VERSION) $(REVISION)

reproducible:
	@$(NEED_CARGO)
	tests/image/reproducible.sh $(CARGO)

# The image to build in, where no registry can be reached.
image-base:
	tests/image/base.sh localhost/rust

# The other architecture, where neither rustup nor a builder can fetch anything for it.
image-arm64:
	@$(NEED_CARGO)
	tests/image/arm64.sh $(TARGET)/arm64

# What CHANGELOG says of the version; refuses a tag ($$TAG) that is not its own, and one without notes.
release-notes:
	@test "$$TAG" = v$(VERSION) || \
		{ echo "the tag is '$$TAG', but Cargo.toml says $(VERSION): tag v$(VERSION), or change the version" >&2; exit 1; }
	@awk '/^## /{on = $$2 == "$(VERSION)"; next} on' CHANGELOG.md | grep . || \
		{ echo "CHANGELOG.md says nothing of $(VERSION): head its lines '## $(VERSION) (date)'" >&2; exit 1; }

# The chart and the plain manifests with the name of the published image ($$PUBLISHED, such as
# ghcr.io/owner/repository) in them.
release-files: $(TARGET)/tools/helm
	rm -rf $(TARGET)/release-files && mkdir -p $(TARGET)/release-files
	tests/image/publish.sh $(TARGET)/tools/helm "$$PUBLISHED" $(VERSION) $(TARGET)/release-files
