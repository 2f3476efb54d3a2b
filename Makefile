# Everything that a developer or CI runs. `make` lists the targets.

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
.NOTPARALLEL:
.DEFAULT_GOAL := help

VERSION  := $(shell git describe --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 20s
ARGS     ?=

# Runs a command that finds the real peers (etcd, Traefik, Chromium, Jupyter) in EDGEHUB_TEST_* variables.
PEERS := test/setup/env.sh

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## install or build what tests and linters need, once, into ~/.cache/edgehub
	@test/setup.sh

.PHONY: build
build: ## build bin/edgehub, one static file
	CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/edgehub ./cmd/edgehub

# `exec` in the last line of these two, so that Ctrl-C and the exit status are edgehub's own business.
.PHONY: up
up: ## run a whole hub on this machine with Jupyter servers; ARGS='...' go to `edgehub up`
	@test/setup.sh jupyter
	@$(MAKE) --no-print-directory build
	@PATH="$$($(PEERS) printenv EDGEHUB_TEST_JUPYTER_BIN):$$PATH" exec bin/edgehub up $(ARGS)

.PHONY: up-traefik
up-traefik: ## the same behind a real Traefik
	@test/setup.sh jupyter traefik
	@$(MAKE) --no-print-directory build
	@PATH="$$($(PEERS) printenv EDGEHUB_TEST_JUPYTER_BIN):$$PATH" \
		exec bin/edgehub up --edge=traefik --traefik "$$($(PEERS) printenv EDGEHUB_TEST_TRAEFIK)" $(ARGS)

# What fails fast comes first, even before peers are built.
.PHONY: test
test: format-check test-quick setup ## every test, with real peers and the race detector
	$(PEERS) go test -race $$(go list ./... | grep -v /edgehub/test/)
	@$(PEERS) $(MAKE) --no-print-directory yaegi
	$(PEERS) go test -race -count=1 -timeout 40m ./test/...

.PHONY: test-quick
test-quick: ## the tests that need nothing but Go
	go vet ./...
	go test -short ./routes/... ./plugin/... ./controlplane/... ./cmd/...

# -count=1, because the cache of test results does not see changes of files outside the nested module: the plugin.
.PHONY: yaegi
yaegi: ## run the plugin in the interpreter that Traefik uses
	cd test/yaegi && go vet ./... && go test -count=1 ./...

.PHONY: lint
lint: format-check ## golangci-lint, govulncheck, shellcheck
	@test/setup.sh lint
	@test/lint.sh

.PHONY: format-check
format-check:
	@files=$$(gofmt -l $(wildcard bench cmd controlplane plugin routes test)); \
		[[ -z $$files ]] || { echo "gofmt would change:" $$files; exit 1; }

.PHONY: bench
bench: ## benchmarks
	go test -run '^$$' -bench . -benchmem ./bench/... ./plugin/... ./routes/...

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (20s)
	@for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' "$$package" | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$package"; \
		done; \
	done

# Everything here also runs in `make test`, with a fixed seed and about a hundredth as often.
TARGETS  ?= 10000000
TOKENS   ?= 1000000
REQUESTS ?= 300000
SEED     ?= $(shell date +%s)

.PHONY: prove
prove: ## 10^7 addresses and 10^6 changed tokens against slow references; TARGETS, TOKENS, REQUESTS, SEED
	EDGEHUB_PROVE_TARGETS=$(TARGETS) EDGEHUB_PROVE_TOKENS=$(TOKENS) EDGEHUB_PROVE_REQUESTS=$(REQUESTS) EDGEHUB_PROVE_SEED=$(SEED) \
		go test -count=1 -timeout 60m -v -run '^(TestProve|TestShortWay)' ./plugin

.PHONY: generate
generate: ## write docs/cli.md from the commands
	go test -count=1 -run '^TestManual$$' ./cmd/edgehub -update

.PHONY: check-generate
check-generate: ## fail if docs/cli.md is not what the commands say; `make test` does it, too
	go test -count=1 -run '^TestManual$$' ./cmd/edgehub

.PHONY: clean
clean: ## remove what was built in the checkout; the cache stays
	rm -rf bin
