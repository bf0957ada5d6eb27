# Everything that is done to this repository by hand or by machine.

PREFIX      ?= /usr/local
DESTDIR     ?=
FUZZTIME    ?= 60s
BENCHTIME   ?= 1s
ROUNDS      ?= 7
BENCHFLAGS  ?=
MINUTES     ?= 10
SEQUENCES   ?= 100000
STATICCHECK ?= v0.8.2
GOVULNCHECK ?= v1.8.0

.PHONY: all build install test model soak demo fuzz bench microbench lint clean

all: build

build:
	go build -o imapauthd .

install: build
	install -D -m 0755 imapauthd $(DESTDIR)$(PREFIX)/bin/imapauthd
	install -d $(DESTDIR)$(PREFIX)/share/imapauthd/exim
	install -m 0644 exim-snippets/* $(DESTDIR)$(PREFIX)/share/imapauthd/exim

# Exim, Dovecot and the others are installed first where that can be done; tests of
# a peer that is not there are skipped, or fail with IMAPAUTHD_PEERS=require. They
# take some 12 minutes on two cores, and the limits are for slower ones. Without -race
# allocations can be counted. With the tag "ordinary", which leaves out what answers at
# once on Linux, requests are asked again: other systems have nothing else.
ASKED = TestDelays|TestFlights|TestGrammar|TestLifecycle|TestLimit|TestOutcomes|TestPasswords|TestRemember|TestSaslauthd|TestSecrets|TestSmuggling
test:
	tests/peers.sh
	go test -race -timeout 20m ./...
	go test -run 'Allocat|TestAccountSize' . ./cache ./proto
	go test -race -tags ordinary -timeout 10m ./proto/...
	go test -race -tags ordinary -timeout 10m -run '$(ASKED)' ./tests

# A daemon under all kinds of load and failure at once, for MINUTES; then once more as
# it is shipped, for the memory. "make test" has the first for two minutes.
soak:
	tests/peers.sh
	go test -count=1 -v -timeout 0 -run '^TestSoak$$' ./tests -soak $(MINUTES)m
	go test -count=1 -v -timeout 0 -run '^TestSoak$$' ./tests -soak $(MINUTES)m -soak-race=false

# Many sequences of the cache's model, and each bug that it must find.
model:
	go test -timeout 60m -run '^TestModel$$' ./cache -sequences $(SEQUENCES) -v
	go test -timeout 60m -run '^TestModelFinds$$' ./cache -mutations -v

demo:
	go run . demo

# Each target in turn, for FUZZTIME.
fuzz:
	@set -e; for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

# What answers cost, ours and the others': each server is asked for BENCHTIME in each
# of ROUNDS. BENCHFLAGS=-bench-quick is a look of some minutes, and BENCHFLAGS=-update-bench writes the
# tables into README.md.
bench:
	tests/peers.sh
	go test -count=1 -timeout 60m -v -run '^TestBench$$' ./tests -bench-full -bench-time $(BENCHTIME) -bench-rounds $(ROUNDS) $(BENCHFLAGS)

# What the parts cost, by Go's own benchmarks.
microbench:
	go test -run '^$$' -bench . -benchmem ./...

# The tools are fetched by version. govulncheck asks a database on the network: only
# what it finds is an error (status 3), not that it could not ask.
lint:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt: $$unformatted"; exit 1; fi
	go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK) ./...
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	if GOBIN=$$dir go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK); then \
		$$dir/govulncheck ./...; status=$$?; \
		if [ $$status -eq 3 ]; then exit 3; fi; \
		if [ $$status -ne 0 ]; then echo "govulncheck could not run here (status $$status)"; fi; \
	else \
		echo "govulncheck could not be fetched"; \
	fi

clean:
	rm -f imapauthd *.test *.prof
	go clean -testcache
