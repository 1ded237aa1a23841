# The few commands of the project. `make` lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
SEED ?=
SEEDS ?= 20
ROUNDS ?= 46
FUZZTIME ?= 10s
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

.PHONY: help build test lint terraform interop chaos bench bench-ha fuzz sim
help:           ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 12

build:          ## bin/godwit
	go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/godwit ./cmd/godwit

test: lint      ## all tests that need nothing but Go: lint, import arrows, race detector, simulation; says which suites it left out
	go test -race -timeout 20m ./...
	@cd interop && GODWIT_INTEROP= go test -count=1 | grep '^interop:' || true # what is left out here and runs with make interop

lint:           ## formatting, vet, staticcheck
	@bad="$$(gofmt -l $$(git ls-files '*.go'))"; if [ -n "$$bad" ]; then echo "gofmt -w is needed for:"; echo "$$bad"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...

interop:        ## real clients of other languages against the built binary (Java, Python, Node, Perl, Ruby, PHP)
	GODWIT_INTEROP=1 go test -count=1 -timeout 20m -v ./interop/... | grep -v '^=== '

terraform:      ## the Terraform provider: vet, and the life of a pair by tofu or terraform if there is one (GODWIT_TOFU)
	cd terraform && go vet ./... && go test -count=1 -v ./...

chaos:          ## a pair and its witness under real clients and ROUNDS faults: kills, stops, cut cables, full, slow and damaged disks; SEED=n repeats a run in kind
	GODWIT_INTEROP=1 GODWIT_CHAOS=$(ROUNDS) GODWIT_CHAOS_SEED=$(SEED) go test -count=1 -timeout 0 -v -run '^TestChaos$$' ./interop | grep --line-buffered -v '^=== '

bench:          ## Godwit beside ActiveMQ Classic and Artemis in one run; prints the README's table
	bench/run.sh

bench-ha:       ## Godwit's pair beside ActiveMQ's and Artemis's: waits at kills and switchovers; prints the README's table
	bench/ha.py

# The fuzzer of Go 1.26 reports the end of its time as a failure now and then, when a worker is in the middle of something; no failing input is written then.
fuzz:           ## every fuzz target for FUZZTIME each
	@set -e; log=$$(mktemp); trap "rm -f $$log" EXIT; for pkg in $$(go list ./...); do \
	  for f in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "fuzz $$pkg $$f $(FUZZTIME)"; \
	    if go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg >$$log 2>&1; then tail -n 1 $$log; \
	    else tail -n 40 $$log; grep -q 'context deadline exceeded' $$log && ! grep -q 'Failing input' $$log || exit 1; fi; done; done

sim:            ## the simulations, of one broker, of a pair and of the control plane: SEED=n replays one seed, else SEEDS, half of them new
	go test -count=1 ./sim -run TestSim $(if $(SEED),-seed=$(SEED),-seeds=$(SEEDS)) -v
	go test -count=1 ./sim/pair $(if $(SEED),-run TestPair -seed=$(SEED),-seeds=$(SEEDS) -bugs) -v
	go test -count=1 ./sim/managed $(if $(SEED),-run TestManaged -seed=$(SEED),-seeds=$(SEEDS) -bugs) -v
