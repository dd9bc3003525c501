# Two commands for a newcomer: `make demo` and `make test`. Each installs what it needs.
# `make` alone lists all targets.

PRESET ?= dev
JOBS   ?= $(shell nproc)
TOOLS  := tests/tools
PYTHON := /usr/bin/python3
# Where Go's own installer and Debian's packages put it.
export PATH := $(PATH):/usr/local/go/bin:/usr/lib/go/bin
export PYTHONDONTWRITEBYTECODE = 1

.DEFAULT_GOAL := help
.PHONY: help setup build unit integration e2e contract test simulate simulate-mutants coverage demo demo-down gauntlet noise \
        bench-failover bench-reads bench-pooler bench-switchover bench-spread bench-footprint bench-crowd sanitize format format-check lint image manifests manifests-check clean

help: ## Show this list
	@awk -F ':[^#]*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-17s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install the packages that building and testing need (Debian; root or sudo)
	@tests/setup.sh

build: ## Build everything (PRESET=dev, release, asan, tsan)
	@tests/setup.sh build
	@$(TOOLS)/build.sh $(PRESET) $(JOBS)

unit: build ## Run the unit tests
	@$(PYTHON) $(TOOLS)/run_tests.py --preset $(PRESET) unit

integration: build ## Run the tests that need a real etcd and kube-apiserver
	@tests/setup.sh all
	@$(PYTHON) $(TOOLS)/run_tests.py --preset $(PRESET) integration

e2e: ## Run the tests on three real nodes: Helm install, faults (MATRIARCH_KEEP=1 leaves the lab up)
	@tests/setup.sh all
	@$(PYTHON) $(TOOLS)/run_tests.py e2e

contract: ## Run every client of docs/examples, and a system that moves over, on three real nodes
	@tests/setup.sh contract
	@$(PYTHON) $(TOOLS)/run_tests.py contract

simulate: ## Simulate faults from seeds (SEEDS=1000 FROM=1 PROFILE=network MINUTES=10 FOREVER=1), or tell one story (SEED=42)
	@tests/setup.sh build
	@$(TOOLS)/build.sh $(PRESET) $(JOBS) simulate
	@build/$(PRESET)/tests/simulation/simulate --jobs $(JOBS) \
		$(if $(SEED),--seed $(SEED),$(if $(FOREVER),--forever,--seeds $(or $(SEEDS),1000))) \
		$(if $(ONLY),--only $(ONLY)) $(if $(FROM),--from $(FROM)) $(if $(PROFILE),--profile $(PROFILE)) \
		$(if $(MINUTES),--minutes $(MINUTES))

simulate-mutants: ## Switch on one fault of the protocol after the other: each must be found (SEEDS=200 MUTANT=name)
	@tests/setup.sh build
	@$(TOOLS)/build.sh mutants $(JOBS) simulate
	@build/mutants/tests/simulation/simulate --mutants --seeds $(or $(SEEDS),200) --jobs $(JOBS) \
		$(if $(FROM),--from $(FROM)) $(if $(MUTANT),--mutant $(MUTANT))

coverage: ## Which lines and branches of the protocol unit tests and simulation run through (SEEDS=200)
	@tests/setup.sh build
	@$(TOOLS)/coverage.sh $(JOBS) $(or $(SEEDS),200)

test: ## Run every tier of tests
	@tests/setup.sh contract
	@$(TOOLS)/build.sh dev $(JOBS)
	@$(PYTHON) $(TOOLS)/run_tests.py unit simulation integration e2e contract gauntlet

demo: ## Install on a real Kubernetes, lose the master, and watch (KUBECONFIG and IMAGE, or a local one)
	@tests/setup.sh lab
	@$(PYTHON) tests/demo/demo.py up

demo-down: ## Remove everything that the demo made
	@$(PYTHON) tests/demo/demo.py down

gauntlet: ## Run 50 faults against real PostgreSQL, counting lost rows (CASE="12 25" RUNS=20 SHORT=1 ADD=1)
	@tests/setup.sh all
	@$(PYTHON) tests/gauntlet/gauntlet.py $(if $(RUNS),--runs $(RUNS)) $(if $(SHORT),--short) $(if $(ADD),--add) $(CASE)

noise: ## An hour of what must not cause a failover: load, lost packets, taken sessions (MINUTES=60 ADD=1)
	@tests/setup.sh all
	@$(PYTHON) tests/gauntlet/noise.py --minutes $(or $(MINUTES),60) $(if $(ADD),--add)

bench-failover: ## Measure write outages, here and with Patroni (RUNS=3 ONLY="patroni switchover" ADD=1)
	@tests/setup.sh bench
	@$(TOOLS)/build.sh release $(JOBS) matriarch-writer
	@$(PYTHON) tests/bench/failover.py $(if $(RUNS),--runs $(RUNS)) $(if $(ADD),--add) $(ONLY)

# What loads.py takes.
LOAD_OPTIONS = $(if $(RUNS),--runs $(RUNS)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(CLIENTS),--clients $(CLIENTS)) \
	$(if $(CLUSTERS),--clusters $(CLUSTERS)) $(if $(ADD),--add)

bench-reads: ## Measure reads of the master alone against 1 to 3 slaves, 90 % reads (RUNS=3 SECONDS=6 ADD=1)
	@tests/setup.sh all
	@$(PYTHON) tests/bench/loads.py reads $(LOAD_OPTIONS)

bench-pooler: ## Measure many clients through the pooler and direct (RUNS=5 SECONDS=25 CLIENTS=1000 ADD=1)
	@tests/setup.sh all
	@$(PYTHON) tests/bench/loads.py pooler $(LOAD_OPTIONS)

bench-switchover: ## Measure what switchovers and failovers cost busy clients of the pooler (RUNS=20 CLIENTS=50 ADD=1)
	@tests/setup.sh all
	@$(PYTHON) tests/bench/loads.py switchover $(LOAD_OPTIONS)

bench-spread: ## Measure reads over slaves by PgBouncer's host list and by HAProxy (RUNS=5 SECONDS=8 ADD=1)
	@tests/setup.sh all
	@$(PYTHON) tests/bench/loads.py spread $(LOAD_OPTIONS)

bench-footprint: ## Measure memory of operator and agents, and the operator's cold start (RUNS=10 SECONDS=60 ADD=1)
	@tests/setup.sh all
	@$(PYTHON) tests/bench/loads.py footprint $(LOAD_OPTIONS)

bench-crowd: ## Measure the memory of an operator of a thousand clusters (CLUSTERS=1000 ADD=1)
	@tests/setup.sh all
	@$(TOOLS)/build.sh release $(JOBS) matriarch-operator
	@$(PYTHON) tests/bench/loads.py crowd $(LOAD_OPTIONS)

sanitize: ## Run unit and integration tests under ASan with UBSan, and under TSan
	@tests/setup.sh all
	@$(TOOLS)/sanitize.sh $(JOBS)

format: ## Format the C++ code
	@tests/setup.sh build
	@$(TOOLS)/format.sh fix

format-check: ## Check that the C++ code is formatted
	@tests/setup.sh build
	@$(TOOLS)/format.sh check

lint: manifests-check ## Check layers, headers, clang-tidy, scripts, and that rendered files are current
	@tests/setup.sh build
	@$(TOOLS)/lint.sh $(JOBS)

image: ## Build the image of operator and agent (IMAGE=matriarch:dev) in the lab's store
	@tests/setup.sh lab
	@tests/lab/lab image build -t $(or $(IMAGE),matriarch:dev) .

manifests: ## Render install.yaml, the chart's CRD and docs/reference.md from their sources
	@tests/setup.sh lab
	@HELM=$$($(TOOLS)/lab_client.py helm) PYTHON=$(PYTHON) $(TOOLS)/render-manifests.sh

manifests-check: ## Check that they are current
	@tests/setup.sh lab
	@HELM=$$($(TOOLS)/lab_client.py helm) PYTHON=$(PYTHON) $(TOOLS)/render-manifests.sh --check

clean: ## Remove what was built in this checkout
	rm -rf build
