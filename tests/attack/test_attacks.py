"""The attacks of `just attack`, in a size for which CI needs less than two minutes."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from attacks import (
    all_at_once,
    idle_connections,
    long_prompts,
    more_descriptors,
    never_read,
    strange_requests,
    unfinished_bodies,
    unfinished_heads,
    unread_answers,
    upstream_faults,
)
from siege import GIGABYTE, Siege, needs_linux, siege

BUDGET = 256  # MiB: server.max_buffered


@pytest.fixture(scope="module")
def linux() -> None:
    needs_linux()
    more_descriptors()


@pytest.fixture(scope="module")
def aura(linux: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    with siege(tmp_path_factory.mktemp("siege") / "aura") as server:
        yield server


@pytest.mark.parametrize("agent", ["openai-endless", "ollama-wide"])  # `just attack` has more
def test_a_thousand_clients_that_never_read_take_less_than_300_mb(linux: None, tmp_path: Path, agent: str) -> None:
    with siege(tmp_path / "aura") as aura:
        figure = asyncio.run(never_read(aura, 1000, agent))
    assert figure.peak * 2**20 < 300e6


def test_a_thousand_bodies_that_do_not_end_are_refused_beyond_the_budget(aura: Siege) -> None:
    before = aura.memory()
    figure = asyncio.run(unfinished_bodies(aura, 1000))
    assert "503 too_many_streams" in figure.outcome
    assert figure.peak < before + BUDGET * 1.25


def test_headers_that_do_not_end_count_too(aura: Siege) -> None:
    before = aura.memory()
    figure = asyncio.run(unfinished_heads(aura, 5000))
    assert "503 too_many_streams" in figure.outcome
    assert figure.peak < before + BUDGET * 1.25


def test_idle_connections_keep_nobody_out(aura: Siege) -> None:
    figure = asyncio.run(idle_connections(aura, 3000))
    assert figure.outcome == "3,000 held"


@pytest.mark.parametrize("route", ["chat", "chat/stream"])
def test_answers_that_nobody_reads_are_bounded(aura: Siege, route: str) -> None:
    before = aura.memory()
    figure = asyncio.run(unread_answers(aura, 600, route))
    assert "503 too_many_streams" in figure.outcome or "503 unavailable" in figure.outcome
    assert figure.peak < before + BUDGET * 1.5


@pytest.mark.parametrize("agent", ["ollama-stall", "openai-stall"])
def test_long_prompts_count_as_what_they_take(aura: Siege, agent: str) -> None:
    before = aura.memory()
    figure = asyncio.run(long_prompts(aura, 100, agent))
    assert "503 too_many_streams" in figure.outcome
    assert figure.peak < before + BUDGET * 1.5  # a text is there twice while it is encoded for the provider


def test_nothing_that_is_nearly_a_request_is_a_fault(aura: Siege) -> None:
    figure = asyncio.run(strange_requests(aura, 1500))
    assert "200" in figure.outcome
    assert "400" in figure.outcome


@pytest.mark.parametrize("provider", ["ollama", "openai"])
def test_every_fault_of_an_upstream_ends_in_one_event(aura: Siege, provider: str) -> None:
    figure = asyncio.run(upstream_faults(aura, 200, provider))
    assert "done" in figure.outcome


def test_a_gigabyte_of_address_space_is_enough(linux: None, tmp_path: Path) -> None:
    with siege(tmp_path / "aura", GIGABYTE) as aura:
        asyncio.run(never_read(aura, 1000, "openai-wide"))
        asyncio.run(unfinished_bodies(aura, 1000))
        asyncio.run(all_at_once(aura, 1200))
