# Thin names over cargo, scripts/ and codis-drill.

DRILL = target/release/codis-drill
PROGRAMS = -p codis-sentinel -p codis-proxy -p codis-dashboard -p codis-ha -p codis-admin -p codis-chaos

.PHONY: help setup build up drill bench bench-quick bench-dashboard quorums sim test fmt

help:
	@echo 'make up     start the six-host cluster on 127.0.10.20 - 127.0.10.25; Ctrl-C stops it'
	@echo 'make drill  kill a master under load: timeline, errors, lost writes, PASS or FAIL'
	@echo 'make bench  what a request costs: the proxy beside twemproxy, haproxy and a direct server'
	@echo 'make bench-quick  the same in two minutes, less exact'
	@echo 'make bench-dashboard  what a dashboard costs with 400 servers and 100 proxies'
	@echo 'make quorums  how fast the sentinels are beside stock ones, and quorums of both'
	@echo 'make sim    the simulator: quorums of sentinels, and dashboards that move slots, through seeded disasters'
	@echo 'make test   everything that a change must pass'
	@echo 'make fmt    format the code'
	@echo 'make setup  install what is missing; the others do it too'

setup:
	@scripts/setup

build: setup
	@cargo build --release --bins $(PROGRAMS)

up: build
	@exec $(DRILL) up

drill: build
	@exec $(DRILL) run kill-master

bench: build
	@exec $(DRILL) bench

bench-quick: build
	@exec $(DRILL) bench --quick

bench-dashboard: setup
	@cargo bench -p codis-dashboard --bench scale

quorums: build
	@scripts/peers
	@$(DRILL) sentinels times
	@$(DRILL) sentinels mixed
	@$(DRILL) sentinels rolling
	@$(DRILL) sentinels scale
	@$(DRILL) sentinels storm

sim: setup
	@cargo run --release -p codis-sim --bin sim -- run
	@cargo run --release -p codis-sim --bin sim -- run --world topom

test: setup
	@scripts/test

fmt:
	@cargo fmt --all
