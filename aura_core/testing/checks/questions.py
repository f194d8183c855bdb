"""Checks of the request itself: what an agent asks reaches the provider, and nothing else does."""

from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from typing import Any

import msgspec

from aura_core.errors import words_of
from aura_core.testing.conformance import question
from aura_core.testing.harness import Broken, Harness, Inapplicable, encoded
from aura_core.testing.registry import PACE, check
from aura_core.testing.upstream import Request
from aura_core.types import ChatRequest, Message

Place = tuple[str | int, ...]
_LIMITS = ("max_completion_tokens", "max_output_tokens", "maxOutputTokens", "max_new_tokens", "num_predict")
ROLES = {"user": {"user", "human"}, "assistant": {"assistant", "model", "ai", "bot"}}
"""The words of protocols for who speaks."""
MISPLACED = ROLES["user"] | ROLES["assistant"]
TURNS = [Message("system", "Be brief."), Message("user", "Hello")]
FREE = ("x_aura_kit", 73310)
VALUES: tuple[Any, ...] = (7, 0.7, True, False, "aura-kit", ["aura-kit"], {"aura_kit": "seven"}, {"aura_kit": 7})
"""Values for options, of which each takes the first that its type allows."""


@check("request", *PACE)
async def request(harness: Harness) -> None:
    """The provider is asked what the agent asks: the system message, every turn in its order, the model, and the
    parameters that were set; no others but those that its protocol requires.

    Two equal requests are equal bytes. The turns keep their roles, and the system message is not the user's. The kit
    cannot know where your protocol has the system message, or what else it demands: say it with
    `Conformance(request=…)`, the JSON of a request or a function that looks at one.
    """
    turns = [Message("system", "word-one"), Message("user", "word-two"), Message("assistant", "word-three")]
    asked = [*turns, Message("user", "word-four")]
    unset = await request_sent(harness, asked)
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
    _judge_roles(unset, asked)
    if (streams := _leaves(unset).get(("stream",))) is not None and streams is not True and harness.streams:
        raise Broken(f"it asks with `stream: {encoded(streams)}`, so the answer comes in one piece")
    again = await request_sent(harness, asked)
    if (again.path, again.body) != (unset.path, unset.body):
        raise Broken(f"the same was asked twice, and sent was first {body!r}, then {_text(again)!r}")
    await _judge_described(harness)
    for parameter, values in {"temperature": (0.375, 0.625), "max_tokens": (7321, 8642)}.items():
        places = [await _places(harness, asked, parameter, value) for value in values]
        if parameter in harness.conformance.required and not places[0] & places[1] & set(_leaves(unset)):
            raise Broken(f"the description calls {parameter} required, but where nobody sets it, none is sent")
        for place in places[0] & places[1] & set(_leaves(unset)):
            if parameter not in harness.conformance.required:
                raise Broken(f"nobody set {parameter}, and {'.'.join(map(str, place))} is in {body!r}")


def _judge_roles(sent: Request, asked: list[Message]) -> None:
    """Whether the turns have the roles that they were given, as far as the protocol says such words beside them."""
    for place, leaf in _leaves(sent).items():
        for message in asked:
            if not isinstance(leaf, str) or message.content not in leaf:
                continue
            beside = {str(value).lower() for at, value in _leaves(sent).items() if _role_of(at, place)}
            wrong = MISPLACED if message.role == "system" else MISPLACED - ROLES[message.role]
            if beside & wrong and not (message.role != "system" and beside & ROLES[message.role]):
                word = min(beside & wrong)
                raise Broken(f"the {message.role}'s text {message.content!r} is sent as {word!r}: {_text(sent)!r}")


def _role_of(at: Place, place: Place) -> bool:
    """Whether a leaf stands in an object around this place, but not around other turns."""
    turn = next((index + 1 for index, step in enumerate(place) if isinstance(step, int)), len(place))
    return any(at[:size] == place[:size] and len(at) == size + 1 for size in range(turn, len(place)))


async def _judge_described(harness: Harness) -> None:
    expected = harness.conformance.request
    if expected is None:
        return
    sent = await _sent_for(harness, question(harness.conformance.model))
    if callable(expected):
        try:
            refused = expected(sent) is False
        except Exception as exc:
            raise Broken(f"the description's `request` refuses {_text(sent)!r}: {words_of(exc)}") from None
        if refused:
            raise Broken(f"the description's `request` refuses {_text(sent)!r}")
        return
    found = _leaves(sent)
    wanted = dict(_inside(expected, ()))
    for place in sorted(found.keys() | wanted.keys(), key=str):
        if found.get(place) != wanted.get(place):
            where = ".".join(map(str, place))
            raise Broken(
                f"the description's `request` has {where}: {encoded(wanted.get(place))}, sent was"
                f" {encoded(found.get(place))}; the whole request is {_text(sent)!r}"
            )


@check("options", *PACE, "request", since="0.2")
async def options(harness: Harness) -> None:
    """The options of an agent reach the provider, and its request stays as it was given.

    Each field of `agent_options` must change the request; those that are for the plugin alone stand in
    `Conformance(unsent_options=…)`. Options that it does not declare are passed on, or refused by its Struct
    (`forbid_unknown_fields`). `request.options` is the agent's own dict: copy it before you change it.
    """
    options_type = harness.plugins.hooks[harness.conformance.plugin].options_type
    plain = await request_sent(harness, TURNS)
    if options_type is None or not options_type.__struct_config__.forbid_unknown_fields:
        name, value = FREE
        sent = await _asked_with(harness, {name: value, "x_aura_other": {"inner": [1, 2]}})
        if sent is not None and (name not in _text(sent) or str(value) not in _text(sent)):
            raise Broken(f"the option {name}: {value} is not in {_text(sent)!r}")
    for field in msgspec.structs.fields(options_type) if options_type else ():
        if field.encode_name in harness.conformance.unsent_options:
            continue
        for value in VALUES:
            chosen = {field.encode_name: value}
            with suppress(msgspec.ValidationError):
                if value == field.default or msgspec.convert(chosen, options_type) is None:
                    continue
                sent = await _asked_with(harness, chosen)
                if sent is not None and (sent.path, sent.body, sent.headers) == (plain.path, plain.body, plain.headers):
                    raise Broken(f"the option {encoded(chosen)} changes nothing in the request: {_text(sent)!r}")
                break


async def _asked_with(harness: Harness, chosen: dict[str, Any]) -> Request | None:
    """The request with these options, None where the plugin refuses them."""
    asked = ChatRequest(TURNS, harness.conformance.model, options=deepcopy(chosen))
    before = len(harness.questions)
    await harness.ask(harness.reply(harness.conformance.whole(["One"])), asked)
    if asked.options != chosen:
        raise Broken(f"it changed the agent's own options from {encoded(chosen)} to {encoded(asked.options)}")
    sent = harness.questions[before:]
    return sent[-1] if sent else None


CONTENT = [" lead\n\ttrail \n", "a\x00b\x7f", "\u2028\u200d\ufeff\U0001f600", '"\\n</s> [INST] {{x}} %s', "x" * 2**17]
"""Texts that a careless plugin changes."""


@check("content", *PACE, "request", since="0.2")
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
            as_bytes = message.content.encode() in sent[-1].body
            if leaves and not as_bytes and not any(message.content in leaf for leaf in leaves):
                raise Broken(f"the {message.role}'s text {encoded(message.content)} did not arrive as it is")


async def _places(harness: Harness, turns: list[Message], parameter: str, value: float) -> set[Place]:
    """Where in the body a parameter that was set stands, whatever its name is there."""
    sent = await request_sent(harness, turns, **{parameter: value})
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


async def request_sent(harness: Harness, turns: list[Message], **more: Any) -> Request:
    """The request that the plugin sends for these turns."""
    return await _sent_for(harness, harness.request(*turns, **more))


async def _sent_for(harness: Harness, asked: ChatRequest) -> Request:
    before = len(harness.questions)
    await harness.ask(harness.reply(harness.conformance.whole(["One"])), asked)
    sent = harness.questions[before:]
    if not sent:
        raise Inapplicable("no request reached the server")
    return sent[-1]
