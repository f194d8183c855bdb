# Recipes for people who work on Aura; CI calls the same ones. `uv run just` lists them.

export CI := env("CI", "")

_list:
    @just --list

# All tests that need nothing but Python; those that lack a tool are skipped with a reason
test *ARGS:
    uv run pytest {{ARGS}}

# Style and types of the Python code
lint:
    uv run ruff check .
    uv run ruff format --check .
    uv run mypy

# The VS Code extension: types and units, then its journeys in a real workbench
extension:
    cd extension && npm test
    cd extension && npm run test:e2e

# Everything that CI runs besides the tests
check: lint
    uv run python .ci/pins.py --check

# Install what the browser, proxy and aimock tests need (Debian, npm)
tools:
    bash .ci/tools

# Bring every pin up to date: uv.lock (not committed), constraints.txt and pyproject.toml
pin:
    uv lock --upgrade
    uv run python .ci/pins.py

# Against real inference, the tests marked `real`: builds llama.cpp's server once (3 minutes on two idle cores, 14 on busy ones)
real folder=(home_directory() / ".cache/aura-real"):
    sh tests/real/setup.sh "{{folder}}"
    AURA_REAL="{{folder}}" uv run pytest -m real plugins/openai

# Start-up time and memory beside what must be imported anyway
startup:
    uv run python benchmarks/startup.py

# Every figure of streaming, beside peers, and whether the goals are met; see benchmarks/peers.py for how to get peers
bench *ARGS:
    uv run python benchmarks/bench.py {{ARGS}}

# Put the figures of the last `just bench` into docs/performance.md, and draw its chart
figures run=".cache/bench.json":
    uv run --with matplotlib python benchmarks/publish.py "{{run}}"

# What proves Aura under faults, twenty times, each time in another order; `just shuffled 1 "tests plugins"` for all
shuffled times="20" paths=faults:
    for n in $(seq {{times}}); do uv run pytest -q -p randomly {{paths}} || exit 1; done

faults := "tests/faults tests/test_cancel.py tests/test_fuzz.py tests/test_lifecycle.py tests/test_local_security.py \
    tests/test_property.py tests/test_refusals.py tests/test_relay.py tests/test_wire.py"
