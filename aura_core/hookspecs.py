"""The hooks that a plugin may implement: `stream_chat` makes it a provider, `doors` makes it a door.

Every hook but `doors` is `firstresult`, and an implementation takes only the arguments that it names. `settings` is an
instance of the Struct that `provider_settings` names, `client` what `open_client` yielded; both are None where the
plugin declares none.
"""

from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import pluggy

from aura_core.door import Door
from aura_core.types import ChatRequest, Model, Token

hookspec = pluggy.HookspecMarker("aura")
hookimpl = pluggy.HookimplMarker("aura")


@hookspec(firstresult=True)
def stream_chat(request: ChatRequest, settings: Any, client: Any) -> AsyncIterator[Token]:  # type: ignore[empty-body]
    """Answer the request, token by token; normally an async generator.

    It runs in one task from its first step to its clean-up. Closing it (CancelledError or GeneratorExit at its current
    `await`) must stop the generation at the provider. It raises ProviderError for a failure, and contains no retry, no
    idle timeout and no buffering: these are the core's. After the finish reason it has 5 seconds to yield the usage and
    to end; text that comes then is dropped, and a failure no longer counts.
    """


@hookspec(firstresult=True)
def supports_streaming(model: str, settings: Any, options: dict[str, Any]) -> bool:  # type: ignore[empty-body]
    """Whether this model, with these options of an agent, can stream. Pure, no I/O; not implemented means True."""


@hookspec(firstresult=True)
def provider_settings() -> type[msgspec.Struct]:  # type: ignore[empty-body]
    """The Struct of the plugin's table `[providers.NAME]` in aura.toml; its fields carry their documentation."""


@hookspec(firstresult=True)
def telemetry_name() -> str:  # type: ignore[empty-body]
    """The provider's name in metrics and traces, where OpenTelemetry's conventions have another one than the plugin
    (`gen_ai.provider.name`: "azure.ai.openai"). Without it the plugin's own name."""


@hookspec(firstresult=True)
def agent_options() -> type[msgspec.Struct]:  # type: ignore[empty-body]
    """The Struct that an agent's `options` are checked against. Without it they are free."""


@hookspec(firstresult=True)
def open_client(settings: Any) -> AbstractAsyncContextManager[Any]:  # type: ignore[empty-body]
    """Make the instance's client. Called in a worker thread, so that slow imports belong here, those of `stream_chat`,
    too; the context manager is entered on the event loop, and left when the server stops. When the file of a secret
    changes another client is made in the same way, and the one before is left when the answers that use it are over.

    Both may raise ProviderError, for a missing key, say: the answer fails with it, and the next request tries again.
    """


@hookspec(firstresult=True)
def default_model(settings: Any, client: Any) -> Awaitable[str | None]:  # type: ignore[empty-body]
    """The model for agents when nobody named one, or None."""


@hookspec(firstresult=True)
def list_models(settings: Any, client: Any) -> Awaitable[list[Model]]:  # type: ignore[empty-body]
    """The models that this instance offers, for `aura models`, and for `aura doctor`, which compares agents with their
    limits. Agents need not name a model where this is the only one and `default_model` gives None. No answer waits for
    it otherwise."""


@hookspec(firstresult=True)
def check_request(request: ChatRequest, settings: Any, client: Any) -> Awaitable[list[str]]:  # type: ignore[empty-body]
    """What is likely to go wrong with requests like this one, a sentence each; `aura doctor` shows them as warnings."""


@hookspec(firstresult=True)
def check_health(settings: Any, client: Any) -> Awaitable[None]:  # type: ignore[empty-body]
    """Raise ProviderError to say what is wrong with this instance; return to say that it answers."""


@hookspec
def doors() -> list[Door]:  # type: ignore[empty-body]
    """The dialects in which clients may ask agents; called once, when the plugin is loaded. Pure, no I/O."""
