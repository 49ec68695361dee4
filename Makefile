# `make` alone lists the targets. They need Go, git and GNU make. `make test` also needs a C compiler.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BINARY  := bin/secrets-provider-aws
VERSION ?= $(shell .ci/version)

# The tools of .ci/tools are rebuilt when their module or the release of Go changes.
TOOLS := bin/tools-$(shell { go version; cat .ci/tools/go.mod .ci/tools/go.sum; } | sha256sum | cut -c1-12)
LINT  := $(TOOLS)/golangci-lint
TESTS := $(TOOLS)/gotestsum
VULN  := $(TOOLS)/govulncheck

# promtool checks the alerts, and Prometheus scrapes the provider on the node of "make e2e". They have a module of their own,
# because golangci-lint and Prometheus need different versions.
PROMETHEUS := bin/prometheus-$(shell { go version; cat .ci/prometheus/go.mod .ci/prometheus/go.sum; } | sha256sum | cut -c1-12)
PROMTOOL   := $(PROMETHEUS)/promtool

# The programs of a release are many modules, so only its targets build them.
PUBLISHING := bin/publishing-$(shell { go version; cat .ci/publishing/go.mod .ci/publishing/go.sum; } | sha256sum | cut -c1-12)

# Go builds helm once, into the user's cache. The first build takes minutes. HELM=helm uses the one in PATH.
HELM_PATH = $(or $(HELM),$$(go run ./test/node/cmd/node helm))
DIST     := dist
# The complete chart, before it is packed.
CHART    := bin/chart
ARCH     ?= amd64 arm64
# The image that the chart names. A tag cannot contain a plus sign.
IMAGE    ?= $(shell sed -n 's/^  repository: //p' deployment/chart/values.yaml)

# Everything is pure Go, as in the image. Only the race detector needs C.
export CGO_ENABLED := 0

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/secrets-provider-aws, static, for GOOS and GOARCH
	go build -tags grpcnotrace -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o $(BINARY) ./cmd/secrets-provider-aws

.PHONY: demo
demo: build ## Run one mount on this machine, from pod to files, without AWS (DEMOFLAGS='--dir DIR --keep')
	@go run ./cmd/demo --provider $(BINARY) $(DEMOFLAGS)

.PHONY: image
image: ## Build the image archives bin/image-ARCH.tar, and bin/image.tar with all of them (ARCH=arm64)
	rm -f bin/image*.tar
	for arch in $(ARCH); do \
		GOOS=linux GOARCH=$$arch $(MAKE) build BINARY=bin/linux-$$arch/secrets-provider-aws VERSION='$(VERSION)'; \
	done
	go run ./deployment/cmd/image -name '$(IMAGE):$(subst +,_,$(VERSION))' -version '$(VERSION)' \
		-revision "$$(git rev-parse --verify --quiet HEAD)" -out bin $(ARCH:%=bin/linux-%/secrets-provider-aws)

.PHONY: chart
chart: ## Package the Helm chart into dist, with the CSI driver's chart as its sub-chart, for IMAGE
	rm -rf '$(CHART)' '$(DIST)'/secrets-provider-aws-*.tgz
	go run ./deployment/cmd/chart '$(CHART)/secrets-provider-aws'
	sed 's|^  repository: .*|  repository: $(IMAGE)|' deployment/chart/values.yaml >'$(CHART)/secrets-provider-aws/values.yaml'
	find '$(CHART)' -exec env TZ=UTC touch -t 198001010000 {} + # the package contains the times
	$(HELM_PATH) package '$(CHART)/secrets-provider-aws' --version '$(VERSION)' --app-version '$(VERSION)' --destination '$(DIST)'

.PHONY: manifests
manifests: ## Regenerate deployment/manifests, the chart's golden files and the diff in the guide
	HELM=$(HELM_PATH) go test ./deployment -run 'Golden|Manifests|Diff' -update

.PHONY: charttest
charttest: ## Check the chart, the manifests and the examples
	HELM=$(HELM_PATH) go test ./deployment/...

# The tests run last, so that their summary is at the end of the output.
.PHONY: test
test: compiler vet lint alerts ## Vet, lint, test the alerts, fuzz briefly (FUZZTIME=5s per target), run all tests with -race
	.ci/fuzz $(or $(FUZZTIME),5s) --fresh
	$(MAKE) race

.PHONY: alerts
alerts: $(PROMTOOL) ## Check and test the alerts in deployment/observability with promtool
	$(PROMTOOL) check rules deployment/observability/alerts.yaml
	$(PROMTOOL) test rules deployment/observability/alerts.test.yaml
	PROMTOOL=$(CURDIR)/$(PROMTOOL) go test -run "Alerts|Dashboard|Observability" ./deployment

.PHONY: dashboard
dashboard: ## Generate the Grafana dashboard in deployment/observability
	go run -C deployment/observability/dashboard . > deployment/observability/dashboard.json

.PHONY: picture
picture: ## Draw the dashboard of an outage on a real node, in docs/dashboard.png
	E2E_PICTURE=$(CURDIR)/docs/dashboard.png $(MAKE) e2e TESTFLAGS='-run TestAlerts_'

.PHONY: race
race: compiler $(TESTS) ## Run all tests with -race (PACKAGES=./server TESTFLAGS='-run TestMount')
	CGO_ENABLED=1 $(TESTS) --format standard-quiet -- -race -shuffle=on -timeout 30m $(TESTFLAGS) $(or $(PACKAGES),./...)

.PHONY: moto
moto: ## Test the clients against moto, an AWS that others wrote (pip install 'moto[server]')
	@moto_server --help >/dev/null || { echo "make moto: moto_server does not run (pip install 'moto[server]')" >&2; exit 1; }
	go test -count=1 -v -run Moto ./test/conformance

.PHONY: e2e
e2e: $(TESTS) $(PROMETHEUS)/prometheus ## Test the image and the chart on a real node, as root (TESTFLAGS='-run TestUpgrade', E2E_OPTIONAL=1)
	@PROMETHEUS=$(CURDIR)/$(PROMETHEUS)/prometheus .ci/e2e $(TESTS) $(TESTFLAGS)

.PHONY: compiler
compiler:
	@command -v "$$(go env CC)" >/dev/null || { \
		echo "make test: the race detector needs a C compiler, but $$(go env CC) is not installed (Debian: apt-get install gcc libc6-dev)" >&2; exit 1; }

.PHONY: vet
vet:
	go vet -tags e2e ./...

.PHONY: lint
lint: $(LINT) ## Check the code with golangci-lint, the workflows with actionlint, and that go.mod is tidy
	$(LINT) config verify
	$(LINT) run ./...
	go mod tidy -diff
	go tool -modfile=.ci/actionlint/go.mod actionlint -shellcheck= -pyflakes=

.PHONY: fmt
fmt: $(LINT) ## Format the code
	$(LINT) fmt ./...

.PHONY: fuzz
fuzz: ## Fuzz every target for a minute (FUZZTIME=1m per target)
	.ci/fuzz $(or $(FUZZTIME),1m)

.PHONY: vuln
vuln: $(VULN) ## Check for known vulnerabilities, if the database is reachable
	.ci/vuln $(VULN)

.PHONY: bench
bench: build ## Run the benchmarks, results in bin/bench.json (BENCHFLAGS='--quick --only cold1,boot')
	go build -o bin/bench ./test/bench
	bin/bench --provider $(BINARY) --json bin/bench.json $(BENCHFLAGS)

.PHONY: chaos
chaos: build ## Break everything around the provider, 3 seeds (CHAOSFLAGS='--seed 7 --mounts 6000')
	go build -o bin/chaos ./test/chaos
	bin/chaos --provider $(BINARY) $(CHAOSFLAGS)

.PHONY: handover
handover: build ## Replace the provider under a stream of mounts (HANDOVERS=200)
	go build -o bin/chaos ./test/chaos
	go build -C test/node/modules/driver -o $(CURDIR)/bin/driver-mounts ./mounts
	bin/chaos --provider $(BINARY) --handover $(or $(HANDOVERS),200)

.PHONY: hostile
hostile: build ## Send a million hostile requests, or HOSTILEFLAGS='--seed 7 --requests 20000'
	go build -o bin/hostile ./test/hostile
	bin/hostile --provider $(BINARY) $(HOSTILEFLAGS)

# Without --yes it only prints what it would do, and what that costs.
.PHONY: aws-smoke
aws-smoke: build ## Test against the real AWS, with your account (SMOKEFLAGS='--region eu-west-1 --role ARN --yes')
	@go run ./test/awssmoke --provider $(BINARY) $(SMOKEFLAGS)

.PHONY: push
push: image $(PUBLISHING)/crane ## Push the image to your registry (IMAGE=registry.example.com/secrets-provider-aws)
	rm -rf bin/layout && mkdir bin/layout && tar -xf bin/image.tar -C bin/layout
	$(PUBLISHING)/crane push bin/layout '$(IMAGE):$(subst +,_,$(VERSION))'

RELEASE = HELM_DIR="$$(dirname $(HELM_PATH))"; PATH="$(CURDIR)/$(PUBLISHING):$$HELM_DIR:$$PATH" VERSION='$(VERSION)' .ci/release

.PHONY: release-check
release-check: $(PUBLISHING)/goreleaser ## Check .goreleaser.yaml
	$(PUBLISHING)/goreleaser check

.PHONY: release-snapshot
release-snapshot: $(PUBLISHING)/goreleaser $(PUBLISHING)/syft ## Make all files of a release in dist, and publish nothing
	$(RELEASE) snapshot

.PHONY: release-reproducible
release-reproducible: $(PUBLISHING)/goreleaser $(PUBLISHING)/syft ## Make the snapshot of HEAD twice, in two folders and from an empty build cache, and compare
	.ci/reproducible

.PHONY: release-draft
release-draft: $(PUBLISHING)/goreleaser $(PUBLISHING)/syft $(PUBLISHING)/cosign # for release.yml
	$(RELEASE) draft

.PHONY: release-publish
release-publish: $(PUBLISHING)/crane $(PUBLISHING)/cosign # for release.yml
	$(RELEASE) publish

.PHONY: cover
cover: ## Measure the test coverage of the shipped code: bin/cover.html
	@mkdir -p bin
	go test -coverprofile=bin/cover.out -coverpkg="$$(go list -deps ./cmd/secrets-provider-aws | grep '^secrets-provider-aws/' | paste -sd,)" ./...
	go tool cover -html=bin/cover.out -o bin/cover.html
	go tool cover -func=bin/cover.out | tail -n 1

.PHONY: clean
clean: ## Remove build results
	rm -rf bin dist

include test/node/node.mk

$(LINT): TOOL := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(TESTS): TOOL := gotest.tools/gotestsum
$(VULN): TOOL := golang.org/x/vuln/cmd/govulncheck
$(LINT) $(TESTS) $(VULN):
	@rm -rf $(filter-out $(TOOLS),$(wildcard bin/tools-*))
	GOOS= GOARCH= go build -C .ci/tools -o $(CURDIR)/$@ $(TOOL)

# Without the discovery of targets, which no check needs and which takes most of the build.
$(PROMETHEUS)/%:
	@rm -rf $(filter-out $(PROMETHEUS),$(wildcard bin/prometheus-*))
	GOOS= GOARCH= go build -C .ci/prometheus -tags remove_all_sd -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ github.com/prometheus/prometheus/cmd/$*

$(PUBLISHING)/goreleaser: TOOL := github.com/goreleaser/goreleaser/v2
$(PUBLISHING)/syft: TOOL := github.com/anchore/syft/cmd/syft
$(PUBLISHING)/crane: TOOL := github.com/google/go-containerregistry/cmd/crane
$(PUBLISHING)/cosign: TOOL := github.com/sigstore/cosign/v3/cmd/cosign
$(PUBLISHING)/%:
	@rm -rf $(filter-out $(PUBLISHING),$(wildcard bin/publishing-*))
	GOOS= GOARCH= go build -C .ci/publishing -trimpath \
		-ldflags "-s -w -X main.version=$$(go list -C .ci/publishing -f '{{.Module.Version}}' $(TOOL))" -o $(CURDIR)/$@ $(TOOL)
