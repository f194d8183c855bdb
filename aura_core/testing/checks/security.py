"""Checks of what is sent, and to whom: secrets, hosts, and the request itself."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from aura_core.config.fields import fields
from aura_core.testing.capture_logs import collected
from aura_core.testing.conformance import KEY
from aura_core.testing.harness import Broken, Harness, Inapplicable, PlayedAnswer, encoded, hook
from aura_core.testing.registry import check
from aura_core.testing.upstream import Reply, Request, Upstream
from aura_core.types import Message

PIECE = 6
"""So many characters of the key in a row are a leak."""
_SECRET = KEY.removeprefix("sk-aura-")
_LIMITS = ("max_completion_tokens", "max_output_tokens", "maxOutputTokens", "max_new_tokens", "num_predict")
_MASKED = KEY[: len(KEY) - len(_SECRET) // 2] + "*****"
Place = tuple[str | int, ...]
OTHER = "another_instance"


@check("secrets", "hooks", "settings")
async def secrets(harness: Harness) -> None:
    """No key, nor a part of one, stands in a message, in a log line or in the settings, whatever the server echoes."""
    if _leaks(repr(harness.instance.settings)):
        raise Broken("its settings hold the key; let them hold the name of the variable, and read it in open_client")
    with collected(level=20) as logged:
        for status in (400, 401, 403, 404, 429, 500, 503):
            for body in [*_echoes(KEY), *_echoes(_MASKED)]:
                answer = await harness.ask(Reply([body], status, {"content-type": "application/json"}))
                if _leaks(said := _said(answer)):
                    raise Broken(f"status {status}, {body!r}: it said {said!r}")
        await harness.ask(Reply([0.02], ending="reset"))
        for failure in harness.conformance.failures:
            answer = await harness.replay(failure)
            if _leaks(said := _said(answer)):
                raise Broken(f"{failure.name}: it said {said!r}")
    for line in logged:
        if _leaks(line):
            raise Broken(f"it logged {line!r}")


def _said(answer: PlayedAnswer) -> str:
    """All texts of a failure, before the core redacts the key."""
    raised, words = answer.raised, answer.error.message if answer.error is not None else ""
    return " ".join(filter(None, [words, str(raised or ""), str(getattr(raised, "upstream_words", ""))]))


def _echoes(key: str) -> list[bytes]:
    """Errors that contain a key, in the usual shapes: all of it, or a part, as in many a 401."""
    text = f"Incorrect API key provided: {key}. Sign in at http://x.example/"
    shapes: list[Any] = [{"error": {"message": text, "code": None}}, {"error": text}, {"message": text, "detail": text}]
    return [*(msgspec.json.encode(shape) for shape in shapes), text.encode()]


def _leaks(text: str) -> bool:
    return any(_SECRET[at : at + PIECE] in text for at in range(len(_SECRET) - PIECE + 1))


@check("hosts", "hooks", "settings")
async def hosts(harness: Harness) -> None:
    """No request goes anywhere but to the server that the settings name: no redirect is followed, no proxy or .netrc of
    the environment is used, and an instance that names no key sends none."""
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
        async with harness.opened(without, OTHER) as instance:
            await harness.start(on=instance).finish()
    for request in harness.upstream.requests[before:]:
        if request.headers.get("authorization", "").startswith("Basic"):
            raise Broken("it sent the login that .netrc has for the host")
        if _leaks(f"{request.path} {request.headers} {request.body!r}"):
            raise Broken("an instance of another name, which names no variable, sent the key of the plugin's own")


@check("secret-files", "hooks", "settings", since="0.2")
async def secret_files(harness: Harness) -> None:
    """A secret in a file, named by a `…_file` setting, is sent as the same secret in a variable is; the white space
    around it is not."""
    named = harness.instance.secrets
    if not named:
        raise Inapplicable("its settings name no secret")
    with_variable = await _sent(harness, [Message("user", "Hello")])
    if not _carrying(with_variable):
        raise Inapplicable("the secret in its variable is not sent as it is")
    table = harness.conformance.table(harness.upstream.url)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "secret"
        file.write_text(f" {KEY}\n")
        files = {name: str(file) for name in map(_file_setting, table | _own_defaults(harness)) if name}
        for variable in named:
            os.environ.pop(variable, None)
        async with harness.opened(table | files) as instance:
            before = len(harness.questions)
            answer = await harness.start(on=instance).finish()
    sent = harness.questions[before:]
    if not sent or _carrying(sent[-1]) != _carrying(with_variable):
        raise Broken(f"with {', '.join(files)} the request does not carry the secret as with a variable; {answer.end}")


def _carrying(sent: Request) -> dict[str, str]:
    """The headers that hold the key."""
    return {name: value for name, value in sent.headers.items() if _leaks(value)}


def _own_defaults(harness: Harness) -> dict[str, Any]:
    return {key: value.value for key, value in harness.instance.values.items()}


def _file_setting(key: str) -> str:
    """The sibling that names a file, "" for a setting that does not name a secret."""
    return f"{key.removesuffix('_env')}_file" if key.endswith("_env") else ""


@check("headers", "hooks", "settings", since="0.2")
async def headers(harness: Harness) -> None:
    """The headers of the request, `x-request-id` and `traceparent`, go to the provider as they are."""
    asked = {"x-request-id": "aura-kit-7f3a", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    sent = await _sent(harness, [Message("user", "Hello")], headers=dict(asked))
    for name, value in asked.items():
        if sent.headers.get(name) != value:
            raise Broken(f"{name} was {value!r}, and the request has {sent.headers.get(name)!r}")
    again = await _sent(harness, [Message("user", "Hello")])
    for name, value in asked.items():
        if again.headers.get(name) == value:
            raise Broken(f"{name} of one request stands in the next one, too")


@check("request", "hooks", "settings")
async def request(harness: Harness) -> None:
    """The provider is asked what the agent asks: the system message, every turn in its order, the model, and the
    parameters that were set; no others but those that its protocol requires."""
    turns = [Message("system", "word-one"), Message("user", "word-two"), Message("assistant", "word-three")]
    asked = [*turns, Message("user", "word-four")]
    unset = await _sent(harness, asked)
    body = _text(unset)
    system, *at = (body.find(message.content) for message in asked)
    if system == -1:
        raise Broken(f"the system message {asked[0].content!r} is not in {body!r}")
    if -1 in at or at != sorted(at):
        raise Broken(f"the turns {[m.content for m in asked[1:]]} are not all, in their order, in {body!r}")
    if harness.conformance.model not in body:
        raise Broken(f"the model {harness.conformance.model!r} is not in {body!r}")
    spellings = {"temperature": ["temperature"], "max_tokens": ["max_tokens", *_LIMITS], "null": ["null"]}
    for parameter, names in spellings.items():
        for name in names:
            if name in body and parameter not in harness.conformance.required:
                raise Broken(f"nobody set it, and {name!r} is in {body!r}")
    for parameter, values in {"temperature": (0.375, 0.625), "max_tokens": (7321, 8642)}.items():
        places = [await _places(harness, asked, parameter, value) for value in values]
        for place in places[0] & places[1] & set(_leaves(unset)):
            if parameter not in harness.conformance.required:
                raise Broken(f"nobody set {parameter}, and {'.'.join(map(str, place))} is in {body!r}")


CONTENT = [" lead\n\ttrail \n", "a\x00b\x7f", "\u2028\u200d\ufeff\U0001f600", '"\\n</s> [INST] {{x}} %s', "x" * 2**17]
"""Texts that a careless plugin changes."""


@check("content", "hooks", "settings", "request", since="0.2")
async def content(harness: Harness) -> None:
    """What is asked arrives as it is: white space, control characters, long texts, two turns of one role in a row.
    Content that the protocol cannot carry is refused with `bad_request`, never changed or left out."""
    for text in CONTENT:
        asked = [Message("system", f"{text}1"), *(Message("user", f"{text}{turn}") for turn in "23")]
        before = len(harness.questions)
        answer = await harness.ask(harness.reply(harness.conformance.whole(["One"])), harness.request(*asked))
        sent = harness.questions[before:]
        if not sent:
            if answer.error is None or answer.error.code != "bad_request":
                raise Broken(f"{encoded(text)} was not sent: {answer.end}")
            continue
        leaves = [leaf for leaf in _leaves(sent[-1]).values() if isinstance(leaf, str)]
        for message in asked:
            if leaves and not any(message.content in leaf for leaf in leaves):
                raise Broken(f"the {message.role}'s text {encoded(message.content)} did not arrive as it is")


async def _places(harness: Harness, turns: list[Message], parameter: str, value: float) -> set[Place]:
    """Where in the body a parameter that was set stands, whatever its name is there."""
    sent = await _sent(harness, turns, **{parameter: value})
    if str(value) not in _text(sent):
        raise Broken(f"it was set, and {value} is not in {_text(sent)!r}")
    return {place for place, leaf in _leaves(sent).items() if str(leaf) == str(value)}


def _leaves(sent: Request) -> dict[Place, Any]:
    """The values of a body by their places, as far as it is JSON or ends in it."""
    for start in (0, sent.body.find(b"{")):
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            return dict(_inside(msgspec.json.decode(sent.body[max(0, start) :]), ()))
    return {}


def _inside(value: Any, place: Place) -> Iterator[tuple[Place, Any]]:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _inside(inner, (*place, key))
    else:
        yield place, value


def _text(sent: Request) -> str:
    return f"{sent.path} {sent.body.decode(errors='replace')}"


async def _sent(harness: Harness, turns: list[Message], **more: Any) -> Request:
    before = len(harness.questions)
    await harness.ask(harness.reply(harness.conformance.whole(["One"])), harness.request(*turns, **more))
    sent = harness.questions[before:]
    if not sent:
        raise Inapplicable("no request reached the server")
    return sent[-1]
