"""Checks of secrets, and of who is asked."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from aura_core.config.fields import fields
from aura_core.testing.capture_logs import collected
from aura_core.testing.checks.deviations import framed, with_texts
from aura_core.testing.checks.questions import request_sent
from aura_core.testing.conformance import KEY
from aura_core.testing.harness import Broken, Harness, Inapplicable, PlayedAnswer, hook
from aura_core.testing.registry import PACE, check
from aura_core.testing.upstream import Reply, Request, Upstream
from aura_core.testing.watch import secrets_everywhere
from aura_core.types import Message

PIECE = 4
"""So many characters of the key in a row are a part of it."""
_MASKED = KEY[: len(KEY) // 2] + "*****"
OTHER = "another_instance"
Places = set[tuple[str, str, str]]
"""Where a key stands in requests: the path, and the header or the body."""


@check("secrets", *PACE)
async def secrets(harness: Harness) -> None:
    """No key, nor a part of one, stands in a message, in a log line or in the settings, whatever the server echoes.

    A part is any four characters in a row, the first and the last ones too. Logs are looked at from DEBUG on. Servers
    repeat the key that they refuse, whole or in part, in bodies of every status and in the errors of a stream: `Scrub`
    removes it from their words, and your own messages name the setting instead.
    """
    if leaks(repr(harness.instance.settings)):
        raise Broken("its settings hold the key; let them hold the name of the variable, and read it in open_client")
    with collected(level=10) as logged:
        for status in (400, 401, 403, 404, 429, 500, 503):
            for body in [*echoes(KEY), *echoes(_MASKED)]:
                answer = await harness.ask(Reply([body], status, {"content-type": "application/json"}))
                if leaks(said := _said(answer)):
                    raise Broken(f"status {status}, {body!r}: it said {said!r}")
        await harness.ask(Reply([0.02], ending="reset"))
        for failure in harness.conformance.failures:
            answer = await harness.replay(failure)
            if leaks(said := _said(answer)):
                raise Broken(f"{failure.name}: it said {said!r}")
        if harness.asks_for("0.2"):
            await _judge_texts(harness)
    for line in logged:
        if leaks(line):
            raise Broken(f"it logged {line!r}")


async def _judge_texts(harness: Harness) -> None:
    """Whether the plugin repeats a key that stands in the description's failures, or in an error of a stream."""
    for failure in harness.conformance.failures:
        for echo in (KEY, _MASKED, KEY[-6:]):
            for changed in with_texts(failure, f"You sent {echo} and that is wrong."):
                if leaks(said := _said(await harness.replay(changed))):
                    raise Broken(f"{failure.name}, with the key in its text ({changed.body!r}): it said {said!r}")
    for body in _events(harness):
        if leaks(said := _said(await harness.ask(harness.reply(body)))):
            raise Broken(f"an error in the stream ({body[-200:]!r}): it said {said!r}")
    for name in ("check_health", "list_models", "ask_model"):
        await hook(getattr(harness.instance, name))


def _said(answer: PlayedAnswer) -> str:
    """All texts of a failure, before the core redacts the key."""
    return f"{answer.error.message if answer.error is not None else ''} {answer.raised_text}".strip()


def _events(harness: Harness) -> Iterator[bytes]:
    """Answers that fail after some text, with the key in the usual shapes of an error."""
    dialect = harness.conformance.dialect
    if dialect is None or dialect.split is None:
        return
    first = dialect.split(harness.conformance.whole(["One"]))[0]
    for shape in [*echoes(KEY)[:-1], *echoes(_MASKED)[:-1]]:
        yield first + framed(harness, shape)
        yield first + framed(harness, msgspec.json.encode({"type": "error", **msgspec.json.decode(shape)}))


def echoes(key: str = KEY) -> list[bytes]:
    """Errors that contain a key, in the usual shapes: all of it, or a part, as in many a 401."""
    text = f"Incorrect API key provided: {key}. Sign in at http://x.example/"
    shapes: list[Any] = [
        {"error": {"message": text, "code": None}},
        *({"type": "error", "error": {"type": kind, "message": text}} for kind in _TYPES),
        {"error": text},
        {"message": text, "detail": text},
    ]
    return [*(msgspec.json.encode(shape) for shape in shapes), text.encode()]


_TYPES = ("invalid_request_error", "authentication_error", "overloaded_error", "invalid_api_key")


def leaks(text: str) -> bool:
    """Whether a part of the key stands in it."""
    return any(KEY[at : at + PIECE] in text for at in range(len(KEY) - PIECE + 1))


@check("hosts", *PACE)
async def hosts(harness: Harness) -> None:
    """No request goes anywhere but to the server that the settings name: no redirect is followed, no proxy or .netrc of
    the environment is used, and an instance that names no key sends none.

    A vendor's SDK reads the vendor's variable by itself: give it the key of `secret`, or an empty one, in any case.
    Only the settings name variables; the instance of the plugin's own name has defaults for them (`own_default`).
    """
    with Upstream(harness.reply(harness.conformance.whole(["Foreign"]))) as foreign:
        for status in (301, 302, 303, 307, 308):
            await _everything(harness, Reply([], status, {"location": f"{foreign.url}/chat", "content-length": "0"}))
            _judge(foreign, f"after status {status} with a Location it asked that other host")
        await harness.close()
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            os.environ[name] = foreign.url
        await _everything(harness, harness.reply(harness.conformance.whole(["One"])))
        _judge(foreign, "it went through the proxy that HTTP_PROXY and ALL_PROXY name")
    await _without_key(harness)


async def _everything(harness: Harness, reply: Reply) -> None:
    instance = harness.instance
    await harness.ask(reply)
    await hook(instance.check_health)
    await hook(instance.list_models)
    await hook(instance.ask_model)


def _judge(foreign: Upstream, what: str) -> None:
    if foreign.requests:
        request = foreign.requests[0]
        raise Broken(f"{what} ({request.method} {request.path})")


async def _without_key(harness: Harness) -> None:
    """Another instance of the plugin, which names no variable, while the usual ones are set."""
    struct = harness.instance.hooks.settings_type
    named = [f for f in fields(struct) if f.key.endswith("_env")] if struct else []
    table = harness.conformance.table(harness.upstream.url)
    plugin = harness.conformance.plugin.upper()
    variables = [*harness.instance.secrets, *(f"{plugin}_{word}" for word in ("API_KEY", "KEY", "TOKEN", "API_TOKEN"))]
    os.environ.update(dict.fromkeys(variables, KEY))
    without = {key: value for key, value in table.items() if key not in {f.key for f in named}}
    try:
        harness.make(without, OTHER)
    except Broken as refused:
        if any(f.key in str(refused) for f in named):
            return  # its settings require a key for every server, so none is sent without one
        raise
    harness.upstream.default = harness.reply(harness.conformance.whole(["One"]))
    before = len(harness.upstream.requests)
    with tempfile.TemporaryDirectory() as folder:
        netrc = Path(folder) / "netrc"
        netrc.write_text(f"machine 127.0.0.1 login somebody password {KEY}\n")
        os.environ["NETRC"] = str(netrc)
        with secrets_everywhere(KEY) as read:
            async with harness.opened(without, OTHER) as instance:
                await harness.start(on=instance).finish()
    for request in harness.upstream.requests[before:]:
        if request.headers.get("authorization", "").startswith("Basic"):
            raise Broken("it sent the login that .netrc has for the host")
        if leaks(f"{request.path} {request.headers} {request.body!r}"):
            where = f"; it read {', '.join(sorted(read))}" if read else ""
            raise Broken(f"an instance of another name, which names no variable, sent a key of the environment{where}")


@check("secret-files", *PACE, since="0.2")
async def secret_files(harness: Harness) -> None:
    """A secret in a file, named by a `…_file` setting, is sent as the same secret in a variable is; the white space
    around it is not.

    Of several secrets each is tried alone, too: another one may be sent in place of a file that is not read.
    """
    variables = harness.instance.secret_variables
    if not variables:
        raise Inapplicable("its settings name no secret")
    await request_sent(harness, [Message("user", "Hello")])
    if not _carrying(harness.upstream.requests):
        raise Inapplicable("the secret in its variable is not sent as it is")
    together = [list(variables)]
    alone = [[setting] for setting in variables] if len(variables) > 1 else []  # one may hide that another is not read
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "secret"
        file.write_text(f" {KEY}\n")
        for named in together + alone:
            files = {f"{setting.removesuffix('_env')}_file": str(file) for setting in named}
            with_variable, _ = await _sent_with(harness, {variables[setting] for setting in named}, {})
            with_file, end = await _sent_with(harness, set(), files)
            if with_file != with_variable:
                raise Broken(f"with {', '.join(files)} the request does not carry the secret as with a variable; {end}")


async def _sent_with(harness: Harness, filled: set[str], files: dict[str, str]) -> tuple[Places, str]:
    """Where the key stands when only these of the instance's variables hold it, and these settings name its file; and
    how the answer ended."""
    for variable in harness.instance.secrets:
        os.environ.pop(variable, None)
    os.environ.update(dict.fromkeys(filled, KEY))
    async with harness.opened(harness.conformance.table(harness.upstream.url) | files) as instance:
        before = len(harness.upstream.requests)
        answer = await harness.start(on=instance).finish()
    return _carrying(harness.upstream.requests[before:]), answer.end


def _carrying(sent: list[Request]) -> Places:
    """Where the key stands in an answer's requests, a login among them."""
    found = {(each.path, name, value) for each in sent for name, value in each.headers.items() if leaks(value)}
    return found | {(each.path, "", each.body.decode(errors="replace")) for each in sent if leaks(repr(each.body))}


@check("headers", *PACE, since="0.2")
async def headers(harness: Harness) -> None:
    """The headers of the request, `x-request-id` and `traceparent`, go to the provider as they are."""
    asked = {"x-request-id": "aura-kit-7f3a", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    sent = await request_sent(harness, [Message("user", "Hello")], headers=dict(asked))
    for name, value in asked.items():
        if sent.headers.get(name) != value:
            raise Broken(f"{name} was {value!r}, and the request has {sent.headers.get(name)!r}")
    again = await request_sent(harness, [Message("user", "Hello")])
    for name, value in asked.items():
        if again.headers.get(name) == value:
            raise Broken(f"{name} of one request stands in the next one, too")
