# TestMesh: `make` lists what there is to type.
#
# `make demo` and `make test` are all that a fresh clone needs. Everything that
# is installed on the way lands in .cache (Go tools) and .ci/tools/node_modules.

SHELL       := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-print-directory
.DEFAULT_GOAL := help

BIN     := $(CURDIR)/.cache/bin
BUF     := .ci/tools/node_modules/.bin/buf
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# No path of this machine and no VCS state but VERSION gets into a binary, so
# that the same commit gives the same bytes.
BUILD   := go build -trimpath -buildvcs=false -ldflags='-s -w -X main.version=$(VERSION)'
FUZZTIME ?= 10s
# cmd/testmesh-plugin-xml is built where libxml2 is, which make setup sees to;
# everything else is built, vetted and tested without it.
LIBXML2   = $(if $(shell pkg-config --exists libxml-2.0 2>/dev/null && echo yes),-tags=libxml2)
HOSTFLAGS := $(shell go env GOFLAGS 2>/dev/null)
export GOFLAGS = $(strip $(HOSTFLAGS) $(LIBXML2))

# Every package with its tests but e2e, which wants the built binary.
UNIT = ./.ci/gate $$(go list ./... | grep -v /e2e)
# One line a package, the output of what failed, and DONE with the numbers.
TESTS = $(BIN)/gotestsum --format pkgname --jsonfile .cache/check/$(1).json -- -timeout 20m

##@ The two commands
.PHONY: demo test
demo: build ## build, run the example flows against the demo application, show the report
	@.ci/demo

test: check ## install what the tests need, run them all: the same as check

##@ While working
.PHONY: build ui ui-test screenshots services services-stop quick race lint fmt generate node e2e examples fuzz bench chaos chaos-red cover release packages installed hooks clean
build: ui ## bin/testmesh, one file, stripped: starts at once, and carries what only plugins need
	@mkdir -p bin .cache/whole
	@for one in $$(go list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' ./cmd/... | grep -v '/testmesh$$'); do $(BUILD) -o bin/ "$$one"; done
	@$(BUILD) -o .cache/whole/ ./cmd/testmesh
	@sum=$$(sha256sum .cache/whole/testmesh); \
	if [ ! -f cmd/testmesh/whole.bin ] || [ "$$(cat .cache/whole/packed 2>/dev/null)" != "$$sum" ]; then \
		go run ./.ci/pack .cache/whole/testmesh cmd/testmesh/whole.bin; echo "$$sum" >.cache/whole/packed; fi
	@$(BUILD) -tags slim -o bin/ ./cmd/testmesh

ui: ## the page, into ui/dist, where its sources have changed
	@.ci/ui build

ui-test: setup ## the page: types, lint, logic, size, and its journeys in Chromium on the real program
	@.ci/ui test

screenshots: setup ## the pictures of the documents, into docs/images: a control plane with 2,000 runs
	@.ci/ui screenshots

services: setup ## start the real servers that tests talk to, as .ci/services says
	@.ci/services start

services-stop: ## end what make services started, and nothing else
	@.ci/services stop

quick: setup ## every test but e2e once, without the race detector
	@$(BIN)/gotestsum --format pkgname -- $(UNIT)

lint: setup ## golangci-lint with gofumpt, buf lint and format, a tidy go.mod
	@$(BIN)/golangci-lint run ./... ./.ci/gate ./.ci/bench ./.ci/bench/floor ./.ci/bench/raftfloor ./.ci/bench/client ./.ci/pack ./.ci/openapi
	@$(BUF) lint
	@$(BUF) format --diff --exit-code proto && $(BUF) format --diff --exit-code examples/demo/proto
	@go mod tidy -diff

fmt: setup ## format Go and proto in place
	@$(BIN)/golangci-lint fmt . .ci/gate .ci/bench .ci/bench/floor .ci/bench/client
	@$(BUF) format -w proto && $(BUF) format -w examples/demo/proto

generate: setup ## Go from proto, reference pages from the tables of the code
	@$(BUF) generate && $(BUF) generate --template buf.gen.grpc.yaml && $(BUF) generate --template buf.gen.api.yaml
	@$(BUF) generate --template buf.gen.ts.yaml
	@$(BUF) generate --template buf.gen.demo.yaml
	@$(BUF) generate --template buf.gen.ui.yaml
	@$(BUF) build examples/demo/proto --exclude-source-info -o examples/flows/schemas/shop.binpb
	@go test ./plugins -run '^TestReferencePages' -update-docs | { ! grep -E 'no tests to run|FAIL'; } # the pages below read these
	@go test ./cli ./sdk/plugintest -run '^TestReferencePages' -update-docs | { ! grep -E 'no tests to run|FAIL'; }

node: setup ## the tests of the plugin in TypeScript, in its own language
	@npm test --prefix examples/plugins/checkdigit --silent

e2e: setup ## the scripts of e2e/ and the snippets of the documents, on the built binary
	@rm -rf .cache/check/e2e && mkdir -p .cache/check/e2e
	@TESTMESH_COVERDIR=$(CURDIR)/.cache/check/e2e $(call TESTS,e2e) ./e2e/...
	@go tool covdata textfmt -i=.cache/check/e2e -o=.cache/check/e2e.cov
	@go run ./.ci/gate tests .cache/check/e2e.json

examples: build ## the example flows against the demo application, by their exit codes
	@.ci/demo --check

fuzz: setup ## every fuzz target for FUZZTIME (10s)
	@.ci/fuzz $(FUZZTIME)

bench: build ## what a run costs, beside bare programs in the same run (wants make services)
	@go run ./.ci/bench

chaos: setup ## break nodes and agents while they work, judged by a witness; CHAOS=ci is the tier of CI
	@.ci/chaos

chaos-red: setup ## turn each protection off, and see its row of chaos fail
	@.ci/chaos red

release: ## dist/: static programs, packages of Debian, what images are made of, for amd64 and arm64, with checksums
	@.ci/release build

packages: ## dist/: the packages of Debian for this machine's kind alone
	@.ci/release packages

installed: packages ## install the packages where a real systemd runs, and use them (root; debootstrap)
	@.ci/release check

hooks: ## install the pre-commit hook
	@git config core.hooksPath .ci/hooks
	@echo "hooks: .ci/hooks is in use; git config --unset core.hooksPath takes it out"

clean: ## remove what was built and measured, keep the tools
	@rm -rf bin dist .cache/check
	@go clean -testcache

##@ What CI runs
.PHONY: check setup generated race cover fresh
check: ## all stages with their times; stops at the first that fails
	@.ci/check

setup: ## install the pinned tools and modules
	@.ci/setup

generated: setup ## generating again changes nothing
	@sum() { git ls-files -co --exclude-standard -- '*.pb.go' '*.connect.go' '*_pb.ts' docs plugins/descriptor controlplane/api/openapi.json | sort | xargs sha256sum; }; \
	before=$$(sum); $(MAKE) generate; after=$$(sum); \
	diff <(echo "$$before") <(echo "$$after") || { echo "what is generated was out of date: commit what changed" >&2; exit 1; }

race: setup ## every test but e2e, with the race detector; a skipped test fails
	@mkdir -p .cache/check
	@$(call TESTS,race) -race $(UNIT)
	@go run ./.ci/gate tests .cache/check/race.json

# Apart from race, because counting under the race detector takes five times as
# long as both one after the other.
cover: setup ## every test but e2e, counting; the coverage gate over them and e2e
	@mkdir -p .cache/check
	@$(call TESTS,cover) -coverpkg=./... -coverprofile=.cache/check/cover.cov $(UNIT)
	@go run ./.ci/gate coverage .cache/check/*.cov

fresh: ## a copy of the tracked files alone builds and runs
	@.ci/fresh

.PHONY: help
help:
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "%s%s\n", n++ ? "\n" : "", substr($$0, 5); next} \
	  /^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile
