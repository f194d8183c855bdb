"""Which provider is chosen for agents that name none, and why the others are not."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from aura_core import ProviderError
from aura_core.config import settings
from aura_core.plugins import registry
from aura_core.runtime import Runtime

FakePlugin = Callable[..., None]

PLUGIN = """
import asyncio
from contextlib import asynccontextmanager
from aura_core import Token, hookimpl
@hookimpl
async def stream_chat(request):
    yield Token(request.model, finish_reason="stop")
"""
SLOW_CLIENT = """
@hookimpl
@asynccontextmanager
async def open_client():
    await asyncio.sleep(0.3)
    yield "client"
@hookimpl
async def default_model(client):
    return "small"
"""
NO_ANSWER = """
@hookimpl
async def default_model():
    await asyncio.sleep(30)
"""


@pytest.fixture
def runtime(tmp_path: Path, fake_plugin: FakePlugin) -> Callable[..., Runtime]:
    def make(toml: str = "", environ: dict[str, str] | None = None, **plugins: str) -> Runtime:
        for name, source in plugins.items():
            fake_plugin(name, source)
        (tmp_path / "aura.toml").write_text(toml)
        (tmp_path / "agents").mkdir(exist_ok=True)
        environ = {"AURA_PLUGINS": ",".join(plugins)} | (environ or {})
        flags = {"agents.directory": str(tmp_path / "agents")}
        return Runtime(settings.load(flags, environ, tmp_path / "aura.toml"), environ)

    return make


def _chosen(made: Runtime) -> tuple[str, str | None]:
    """The provider of a request that arrives before the choice, and the reason."""

    async def ask() -> tuple[str, str | None]:
        try:
            return (await made.bindings.bind("assistant")).instance.name, await made.bindings.choose()
        finally:
            await made.close()

    return asyncio.run(ask())


def test_the_time_to_open_a_client_is_not_the_time_to_answer(
    runtime: Callable[..., Runtime], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "CHOICE_TIMEOUT", 0.2)
    assert _chosen(runtime(slow=PLUGIN + SLOW_CLIENT, mute=PLUGIN + NO_ANSWER))[0] == "slow"


OPENING = """
opened = []
@hookimpl
@asynccontextmanager
async def open_client():
    opened.append(1)
    await asyncio.sleep({seconds})
    yield len(opened)
@hookimpl
async def default_model(client):
    return "m"
"""


def test_a_client_that_does_not_open_delays_no_request(
    runtime: Callable[..., Runtime], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "OPENING_TIMEOUT", 2)  # enough for the next one, even on a busy machine
    monkeypatch.setattr("aura_core.plugins.instance.HOOK_TIMEOUT", 1000)
    made = runtime(first=PLUGIN + OPENING.format(seconds=1000), next=PLUGIN + OPENING.format(seconds=0))

    async def ask() -> str:
        try:
            return (await asyncio.wait_for(made.bindings.bind("assistant"), 30)).instance.name
        finally:
            await made.close()

    assert asyncio.run(ask()) == "next"


def test_a_client_that_opens_too_late_for_the_choice_continues_to_open(
    runtime: Callable[..., Runtime], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "OPENING_TIMEOUT", 0.1)
    monkeypatch.setattr(registry, "CHOICE_TIMEOUT", 0.1)
    made = runtime(late=PLUGIN + OPENING.format(seconds=1))

    async def ask() -> tuple[str, int]:
        try:
            late = made.providers.instances["late"]
            return (await made.bindings.bind("assistant")).instance.name, await late.client()
        finally:
            await made.close()

    assert asyncio.run(ask()) == ("echo", 1)


def test_a_model_in_the_table_is_enough(runtime: Callable[..., Runtime]) -> None:
    made = runtime('[providers.plain]\ndefault_model = "tiny"', plain=PLUGIN)
    assert _chosen(made)[0] == "plain"
    assert made.providers.instances["plain"].known_model == "tiny"


def test_without_a_model_it_says_what_is_missing(runtime: Callable[..., Runtime]) -> None:
    made = runtime(plain=PLUGIN)
    assert asyncio.run(made.bindings.choose()) == "echo: no other provider has a default model (plain)"


def test_an_empty_default_is_none(runtime: Callable[..., Runtime]) -> None:
    assert _chosen(runtime('[defaults]\nprovider = ""', slow=PLUGIN + SLOW_CLIENT))[0] == "slow"


def test_an_invalid_name_is_a_warning(runtime: Callable[..., Runtime]) -> None:
    made = runtime("[providers.Plain]\nx = 1", plain=PLUGIN)
    assert any("not 'Plain'; did you mean 'plain'?" in warning for warning in made.warnings)


def test_a_broken_plugin_under_another_name_counts_as_installed(runtime: Callable[..., Runtime]) -> None:
    made = runtime('[providers.mine]\nplugin = "broken"', broken="import nonexistent_module")
    with pytest.raises(registry.Unusable, match="is broken") as caught:
        made.providers.get("mine")
    assert caught.value.installed


def test_closing_a_client_that_is_still_opening_is_not_a_failure(
    runtime: Callable[..., Runtime], caplog: pytest.LogCaptureFixture
) -> None:
    made = runtime(slow=PLUGIN + SLOW_CLIENT.replace("0.3", "30"))

    async def leave() -> None:
        opening = asyncio.create_task(made.providers.instances["slow"].client())
        await asyncio.sleep(0.05)
        await made.close()
        with pytest.raises(asyncio.CancelledError):
            await opening

    with caplog.at_level(logging.WARNING):
        asyncio.run(leave())
    assert not caplog.records


LISTS = (
    PLUGIN
    + """
from aura_core import Model, ProviderError
@hookimpl
async def list_models():
    {}
"""
)


@pytest.mark.parametrize(
    ("listing", "answer"),
    [
        ("return [Model('only')]", "only"),
        ("return [Model('one'), Model('other')]", "model_not_found"),
        ("return []", "model_not_found"),
        ("return None", "model_not_found"),
        ("raise ProviderError('there is no such list', 'bad_request')", "model_not_found"),
        ("raise ProviderError('it is away', 'unavailable')", "unavailable"),
        ("raise ProviderError('no key', 'auth')", "auth"),
    ],
)
def test_a_server_that_lists_one_model_needs_none_in_the_agent(
    listing: str, answer: str, runtime: Callable[..., Runtime]
) -> None:
    nobody = "@hookimpl\nasync def default_model():\n    return None\n"
    made = runtime(lists=LISTS.format(listing) + nobody)

    async def ask() -> str:
        try:
            return await made.providers.instances["lists"].model()
        except ProviderError as exc:
            return exc.code
        finally:
            await made.close()

    assert asyncio.run(ask()) == answer


def test_a_server_that_lists_one_model_is_not_chosen_for_it(runtime: Callable[..., Runtime]) -> None:
    """A paid service is used only by agents that name it, or if its settings name a model."""
    nobody = "@hookimpl\nasync def default_model():\n    return None\n"
    assert _chosen(runtime(lists=LISTS.format("return [Model('only')]") + nobody))[0] == "echo"
