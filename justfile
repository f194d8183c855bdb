# Recipes for people who work on Aura; CI calls the same ones. `uv run --all-groups just` lists them.

export CI := env("CI", "")

# With the developers' tools, which a plain `uv run` leaves out
uv := "uv run --all-groups"

_list:
    @just --list

# All tests; those whose tools are missing are skipped with a reason
test *ARGS:
    {{uv}} pytest {{ARGS}}

# The quick tests, about two minutes on two idle cores: without browser, nginx, npm, subprocesses of `aura`, or long waits
test-fast *ARGS:
    {{uv}} pytest -q -m "not real and not slow" {{fast}} {{ARGS}}

# Style and types of the Python code
lint:
    {{uv}} ruff check .
    {{uv}} ruff format --check .
    {{uv}} mypy

# Test the server with the lowest uvicorn that pyproject.toml allows; all other tests use the highest
uvicorn version=`grep -oP '"uvicorn>=\K[0-9.]+' pyproject.toml`:
    uv run --isolated --all-packages --all-extras --all-groups --with "uvicorn=={{version}}.*" pytest -q \
        tests/test_wire.py tests/test_http_versions.py tests/test_refusals.py tests/test_cancel.py

# Test the VS Code extension: types and units, then end-to-end tests in a real workbench
extension:
    cd extension && npm test
    cd extension && npm run test:e2e

# Everything that CI checks besides the tests
check: lint
    {{uv}} python .ci/pins.py --check

# Install what the browser, proxy and aimock tests need (Debian, npm)
tools:
    bash .ci/tools

# Update every pin: uv.lock (not committed), constraints.txt and pyproject.toml
pin:
    uv lock --upgrade
    {{uv}} python .ci/pins.py

# Against real inference, the tests marked `real`: builds llama.cpp's server once (3 minutes on two idle cores, 14 on busy ones)
real folder=(home_directory() / ".cache/aura-real"):
    sh tests/real/setup.sh "{{folder}}"
    AURA_REAL="{{folder}}" {{uv}} pytest -m real plugins/openai plugins/anthropic

# A real Prometheus scrapes two workers under load for a minute; the tests do it for four seconds
prometheus seconds="60":
    AURA_SCRAPED_SECONDS={{seconds}} {{uv}} pytest tests/telemetry/test_prometheus.py

# Traces through a real collector, rotel, by HTTP and gRPC; both are installed for the run only
collector:
    {{uv}} --with rotel --with opentelemetry-exporter-otlp-proto-grpc pytest -m real tests/traces

# Every mutant of the conformance kit; the tests try about a tenth of them (ten minutes on two idle cores)
mutants:
    {{uv}} pytest -m "mutants or not mutants" -n 2 --ignore tests/mutants/test_anthropic_mutants.py tests/mutants

# The mutants that can be made in aura-anthropic, a plugin over an official SDK (three minutes on two idle cores)
mutants-anthropic:
    {{uv}} pytest -m "mutants or not mutants" -n 2 tests/mutants/test_anthropic_mutants.py

# All clients of the OpenAI API, each in an environment that is made once (about 1 GB), and doors broken on purpose: half an hour
clients:
    {{uv}} python tests/clients/environments.py
    {{uv}} pytest -m "clients or not clients" tests/clients

# Measure start-up time and memory, compared with the necessary imports
startup:
    {{uv}} python benchmarks/startup.py

# Measure what traces cost a server: CPU time of an answer with and without them, asked in turns
traces *ARGS:
    {{uv}} python benchmarks/traces.py {{ARGS}}

# Measure how long a thousand clients that leave at once block the event loop: a minute
departures *ARGS:
    {{uv}} python benchmarks/departures.py {{ARGS}}

# Measure streaming next to peers, and check the goals; benchmarks/peers.py explains how to get the peers
bench *ARGS:
    {{uv}} python benchmarks/bench.py {{ARGS}}

# Write the figures of the last `just bench` into docs/performance.md, and draw its chart
figures run=".cache/bench.json":
    {{uv}} --with matplotlib python benchmarks/publish.py "{{run}}"

# Attack a real server with thousands of connections, and put the figures into docs/security-testing.md: ten minutes
attack *ARGS:
    {{uv}} python tests/attack/run.py {{ARGS}}

# The rolling restart of docs/deployment.md under 200 streams of 20 s, with all times as deploy/ has them: two minutes
rolling:
    ROLLING="200 20" {{uv}} pytest -s tests/deployment/test_rolling_restart.py

# Measure a fleet behind nginx: restart, kill and freeze its processes, load one; put the figures into docs/deployment.md
fleet *ARGS:
    {{uv}} python benchmarks/fleet.py {{ARGS}}

# Run the tests of faults twenty times, each time in another order; `just shuffled 1 "tests plugins"` for all tests
shuffled times="20" paths=faults:
    for n in $(seq {{times}}); do {{uv}} pytest -q -p randomly {{paths}} || exit 1; done

faults := "tests/faults tests/test_cancel.py tests/test_fuzz.py tests/test_lifecycle.py tests/test_local_security.py \
    tests/test_property.py tests/test_refusals.py tests/test_relay.py tests/test_wire.py tests/failover"

fast := "tests/streams tests/docs/test_internals.py tests/test_agents.py tests/test_cost.py \
    tests/test_credentials.py tests/test_files.py tests/test_finish_reasons.py tests/test_imports.py \
    tests/test_refusals.py tests/test_relay.py tests/test_repository.py tests/test_schema.py tests/test_settings.py \
    tests/test_terminal_event.py tests/test_upstream_headers.py tests/test_wire.py \
    --ignore=tests/streams/test_any_json.py"
