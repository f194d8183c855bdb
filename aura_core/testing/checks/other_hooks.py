"""Checks of the hooks besides stream_chat, and of what a plugin prints."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from aura_core.errors import CODES, ProviderError
from aura_core.limits import HOOK_TIMEOUT
from aura_core.plugins.instance import Instance
from aura_core.testing.capture_logs import collected
from aura_core.testing.checks.security import echoes, leaks
from aura_core.testing.harness import Broken, Harness, Inapplicable
from aura_core.testing.registry import BASICS, PACE, check
from aura_core.testing.upstream import Reply
from aura_core.testing.watch import blocking, printed
from aura_core.types import Message, Model

HOOKS = ("check_health", "list_models", "default_model", "check_request")
DOWN = ("unavailable", "timeout")


@check("other-hooks", *PACE, since="0.2")
async def other_hooks(harness: Harness) -> None:
    """The other hooks give what their specification says, block nothing, and fail with a ProviderError that has a known
    code and no part of a key; `check_health` fails where the server is not there.

    The kit calls each of `check_health`, `list_models`, `default_model` and `check_request` with a server that answers,
    that refuses with every kind of status, that is silent, and that is not there. What a server answers on other paths
    than the chat's, the description says: `replies={"/models": Reply([b"…"])}`.
    """
    implemented = [name for name in HOOKS if harness.instance.hooks.implements(name)]
    if not implemented:
        raise Inapplicable("it implements none of them")
    await harness.instance.client()
    unanswered = []
    for name in implemented:
        with blocking(harness.module) as blocked_by:
            before = len(harness.upstream.requests)
            outcome = await _outcome(harness, harness.instance, name)
            asked = harness.upstream.requests[before:]
        if blocked_by:
            raise Broken(f"{name} blocks the event loop: {blocked_by[0]}")
        if isinstance(outcome, ProviderError):
            if not asked:
                raise Broken(f"{name} asked nobody, and failed: {outcome.message}")
            paths = [request.path.partition("?")[0] for request in asked]
            if all(path in harness.conformance.replies for path in paths):
                raise Broken(f"{name} failed with what `replies` gives for {paths[-1]}: {outcome.message}")
            unanswered.append(f"{name} asks {asked[-1].method} {asked[-1].path}")
        else:
            _judge_given(name, outcome)
        await _judge_failures(harness, name, asks=bool(asked))
    if unanswered:
        raise Inapplicable(f"{unanswered[0]}, for which the description has no `replies`, so nothing was answered")


def _judge_given(name: str, given: Any) -> None:
    if name == "check_health" and given is not None:
        raise Broken(f"check_health gave {given!r}; it raises ProviderError, or returns nothing")
    if name == "default_model" and not (given is None or (isinstance(given, str) and given)):
        raise Broken(f"default_model gave {given!r}, which is {type(given).__name__}, not a model's name or None")
    kind = {"list_models": Model, "check_request": str}.get(name)
    if kind is None:
        return
    if not isinstance(given, list):
        raise Broken(f"{name} gave {type(given).__name__}, not a list of {kind.__name__}")
    if wrong := next((each for each in given if not isinstance(each, kind)), None):
        raise Broken(f"{name} gave a list with {wrong!r}, which is {type(wrong).__name__}, not {kind.__name__}")


async def _judge_failures(harness: Harness, name: str, asks: bool) -> None:
    """What it says of a server that refuses, that is silent, and that is not there."""
    if asks:
        for status in (401, 500):
            for said in echoes():
                reply = Reply([said], status, {"content-type": "application/json"})
                for request in {request.path.partition("?")[0] for request in harness.upstream.requests[-8:]}:
                    if request in harness.conformance.replies:
                        harness.upstream.on(request, reply)
                harness.upstream.default = reply
                with collected(level=10) as logged:
                    outcome = await _outcome(harness, harness.instance, name)
                for path, usual in harness.conformance.replies.items():
                    harness.upstream.on(path, usual)
                if name == "check_health" and outcome is None:
                    raise Broken(f"the server refuses everything with status {status}, and check_health says nothing")
                words = f"{outcome.message} {outcome}" if isinstance(outcome, ProviderError) else repr(outcome)
                if leaks(" ".join([words, *logged])):
                    raise Broken(f"{name}: the server repeats the key with status {status}, and so does it: {words!r}")
        await _judge_silence(harness, name)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    async with harness.opened(harness.conformance.table(url)) as gone:
        outcome = await _outcome(harness, gone, name)
    if asks and name == "check_health" and not (isinstance(outcome, ProviderError) and outcome.code in DOWN):
        told = f"{outcome.code} ({outcome.message})" if isinstance(outcome, ProviderError) else "all is well"
        raise Broken(f"nobody listens at the server's address, and check_health says {told}; expected was unavailable")


async def _judge_silence(harness: Harness, name: str) -> None:
    """A call to a server that says nothing can be given up, and blocks nobody meanwhile."""
    before = harness.upstream.default
    harness.upstream.default = silent = Reply(head_delay=HOOK_TIMEOUT * 2)
    for path in harness.conformance.replies:
        harness.upstream.on(path, silent)
    with blocking(harness.module) as blocked_by:
        asked = asyncio.create_task(_outcome(harness, harness.instance, name))
        await asyncio.wait({asked}, timeout=0.3)
        asked.cancel()
        await asyncio.wait({asked}, timeout=HOOK_TIMEOUT)
    harness.upstream.default = before
    for path, reply in harness.conformance.replies.items():
        harness.upstream.on(path, reply)
    if blocked_by:
        raise Broken(f"{name} blocks the event loop: {blocked_by[0]}")
    if not asked.done():
        raise Broken(f"{name} goes on after it was cancelled")


async def _outcome(harness: Harness, instance: Instance, name: str) -> Any:
    """What the hook gives, or its ProviderError. Raises Broken for another exception."""
    hook: Callable[..., Awaitable[Any]] = getattr(instance.hooks, name)
    more = {"request": harness.request(Message("user", "Hello"))} if name == "check_request" else {}
    try:
        client = await instance.client()
        async with asyncio.timeout(HOOK_TIMEOUT):
            given = hook(settings=instance.settings, client=client, **more)
            return await given if isinstance(given, Awaitable) else given
    except ProviderError as exc:
        if exc.code not in CODES:
            raise Broken(f"{name}: its code {exc.code!r} does not exist; known are {', '.join(CODES)}") from None
        if not str(exc.message).strip():
            raise Broken(f"{name}: its message is empty") from None
        return exc
    except TimeoutError:
        raise Broken(f"{name} took longer than the {HOOK_TIMEOUT:g} s that the core gives it") from None
    except Exception as exc:
        raise Broken(f"{name} raised {type(exc).__name__}: {exc}, not ProviderError") from None


@check("quiet", *BASICS, server=False, since="0.2")
async def quiet(harness: Harness) -> None:
    """Nothing is printed: stdout and stderr belong to the commands of Aura, whose users read or parse them.

    Use `logging.getLogger("aura.NAME")`; `aura serve --log-level debug` shows it.
    """
    with printed() as out:
        if harness.conformance.write is not None:
            await harness.ask(harness.reply(harness.conformance.whole(["One", " two"])))
            await harness.ask(Reply(status=500))
        for transcript in harness.conformance.transcripts[:3]:
            await harness.replay(transcript)
    if text := out():
        raise Broken(f"it printed {text[:200]!r}")
