# gonut: build, run and test. `make run` starts the sandbox, `make test` does all
# set-up that the tests need and runs them. Everything else is a part of those two.

GO       ?= go
VERSION  ?=
CONFPATH ?= /etc/nut
STATEPATH ?= /run/nut
PIDPATH  ?= /run
PREFIX   ?= /usr/local
DESTDIR  ?=

ldflags = -s -w -X gonut/internal/conf.builtinConfPath=$(CONFPATH) \
	-X gonut/internal/conf.builtinStatePath=$(STATEPATH) \
	-X gonut/internal/conf.builtinPIDPath=$(PIDPATH)
ifneq ($(VERSION),)
ldflags += -X gonut/internal/program.version=$(VERSION)
endif

build_static = CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(ldflags)'

# The race detector needs a C compiler; without one the tests run without it.
race := $(if $(shell command -v $(or $(CC),gcc) 2>/dev/null),-race)

# What the interop tests talk to: Debian's nut-server, nut-client and python3-nut.
peers := $(and $(shell command -v upsd),$(shell command -v upsc),$(shell command -v upsmon))

targets = linux/amd64 linux/arm linux/arm64 linux/mipsle linux/riscv64 windows/amd64 darwin/arm64 freebsd/amd64

.PHONY: all build run test test-usb test-soak check unit cross fuzz bench install clean

all: build

build:
	$(build_static) -o bin/nut ./cmd/nut

run: build
	bin/nut sandbox

test: check unit fuzz cross
	@$(if $(peers),echo "interop tests: ran against $$(upsc -V 2>&1 | tail -n 1)",echo "interop tests: SKIPPED: install nut-server, nut-client and python3-nut to run them")
	@echo "all tests passed"

# The USB transports and drivers on a real kernel, in a virtual machine that
# test/usb/run.sh starts: about five minutes, most of which break devices.
EVENTS ?= 1000
test-usb:
	test/usb/run.sh -storm.events=$(EVENTS)

# Driver processes are killed, stopped and wedged a thousand times, which takes about
# twelve minutes; docs/reliability.md has the figures.
SOAK ?= 1000
test-soak:
	$(GO) test -count=1 -timeout 60m -v ./test/soak -soak.faults=$(SOAK) -soak.limit=3s

check:
	@test -z "$$(gofmt -l .)" || { echo "not formatted:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	GOOS=windows $(GO) vet ./...
	$(GO) tool -modfile=tools.mod staticcheck ./...

unit: build
	$(if $(race),CGO_ENABLED=1 )$(GO) test $(race) -timeout 9m ./...

# Every fuzz target for a few seconds; each also runs its seeds in `unit`. A worker
# that is cut off by the end of that time fails with nothing but "context deadline
# exceeded", which tells nothing about the code.
FUZZTIME ?= 3s
fuzz:
	@for p in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
			echo "fuzz $$p $$f"; \
			$(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p >.fuzz.out 2>&1 || \
				{ grep -q '^ *context deadline exceeded' .fuzz.out && ! grep -q 'Failing input written' .fuzz.out; } || \
				{ cat .fuzz.out; rm -f .fuzz.out; exit 1; }; \
		done; \
	done; rm -f .fuzz.out

cross:
	@for t in $(targets); do \
		echo "build $$t"; \
		CGO_ENABLED=0 GOOS=$${t%/*} GOARCH=$${t#*/} $(GO) build -trimpath -ldflags '$(ldflags)' -o /dev/null ./cmd/nut || exit 1; \
	done

bench: build
	$(GO) run ./bench

# The binary, and a link to it for every program in it that C NUT has as well. The
# tools get none: their names are too common.
install: build
	install -D -m 0755 bin/nut $(DESTDIR)$(PREFIX)/bin/nut
	@for p in nut-recorder $$(bin/nut | sed -n '/^Tools/q; s/^  \([^ ]*\) .*/\1/p'); do ln -sf nut $(DESTDIR)$(PREFIX)/bin/$$p; done

clean:
	rm -rf bin dist .fuzz.out
