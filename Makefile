# Radial. `make` alone tells what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help

GOLANGCI_VERSION := v2.15.0
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
CACHE   := $(CURDIR)/.cache
TOOLS   := $(CACHE)/bin
# Debian's packages are unpacked here where we may not install them (deploy/tools). The folders need not be there.
UNPACKED := $(CACHE)/debian
MACHINE  := $(shell uname -m)-linux-gnu
export PATH := $(TOOLS):$(PATH):$(UNPACKED)/usr/bin:$(UNPACKED)/usr/sbin:$(UNPACKED)/usr/lib/postgresql/15/bin
export LD_LIBRARY_PATH := $(UNPACKED)/usr/lib/$(MACHINE):$(UNPACKED)/lib/$(MACHINE):$(UNPACKED)/usr/lib/freeradius$(if $(LD_LIBRARY_PATH),:$(LD_LIBRARY_PATH))

help: ## this text
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## /{printf "  \033[36m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: tools-run build ## build and serve with demo data on an embedded PostgreSQL (Ctrl-C ends it; the data stays in ./data)
	@exec bin/radial serve --demo --data-dir "$(CURDIR)/data"

build: ## build bin/radial
	@go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/radial ./cmd/radial

fakerouter: ## build and run bin/radial-fakerouter, a MikroTik to try things with (ARGS='--help' tells its flags)
	@go build -trimpath -o bin/radial-fakerouter ./cmd/radial-fakerouter && exec bin/radial-fakerouter $(ARGS)

test: tools-test ## all tests with the race detector, on a real PostgreSQL that they start
	@go test -race -timeout 40m ./...

test-short: tools-run ## the same without the long ones
	@go test -race -short -timeout 10m ./...

test-faults: tools-test ## kill -9 and outages, the long form
	@go test -race -timeout 30m -count 1 ./test/faults -long

lint: $(TOOLS)/golangci-lint ## golangci-lint, gofmt and go.mod's tidiness
	@golangci-lint run ./...
	@go mod verify >/dev/null && go mod tidy -diff

bench: ## the packages' benchmarks
	@go test -run '^$$' -bench . -benchmem -timeout 60m ./dictionaries ./aaa ./radius ./ipam ./store

bench-leases: tools-test ## leases next to sqlippool's stored procedure, both sizes (docs/performance.md; 20 minutes)
	@for bits in 16 22; do go test ./store -run '^$$' -bench BenchmarkLeases -benchtime 1x -timeout 60m -leases.bits $$bits -leases.rounds 5 -leases.time 1s -leases.write || exit 1; done

bench-leases-256: tools-test ## the same with 256 callers alone, in three rounds (5 minutes)
	@for bits in 16 22; do go test ./store -run '^$$' -bench BenchmarkLeases -benchtime 1x -timeout 20m -leases.bits $$bits -leases.callers 256 -leases.rounds 3 -leases.time 700ms -leases.write || exit 1; done

bench-db: tools-run ## what PostgreSQL pays for a row (docs/performance.md)
	@go test -run '^$$' -bench . -benchmem -timeout 60m ./store

bench-peer: tools-test build ## Radial next to FreeRADIUS on this machine, in one run (root)
	@test/peer/bench

fuzz: ## every fuzz target for FUZZTIME (10s) each
	@for p in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$p | grep '^Fuzz'); do \
		echo "== $$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $${FUZZTIME:-10s} $$p || exit 1; done; done

generate: ## write the generated references and goldens anew
	@go test ./cmd/radial -run 'Test.*Reference' -update >/dev/null && git --no-pager diff --stat docs

vuln: ## known vulnerabilities in what we link (needs the vulnerability database)
	@go run golang.org/x/vuln/cmd/govulncheck@v1.8.0 ./...

tools: tools-test ## install all that make run and make test need

tools-run: ## install what `make run` needs: PostgreSQL, radclient
	@deploy/tools run

tools-test: ## install what `make test` needs: also FreeRADIUS, and clients of RouterOS's API
	@deploy/tools test

$(TOOLS)/golangci-lint:
	@echo "installing golangci-lint $(GOLANGCI_VERSION) into .cache/bin (about a minute)" >&2
	@GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)

clean: ## remove bin, caches and the demo's data
	@rm -rf bin data .cache

.PHONY: help run build fakerouter test test-short test-faults lint bench bench-db bench-leases bench-leases-256 bench-peer fuzz generate vuln tools tools-run tools-test clean
