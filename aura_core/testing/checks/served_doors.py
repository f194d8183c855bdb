"""Checks of a door on a real server: its answers, its token, clients that leave, and whatever bodies they send."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from aura_core.door import AnswerRoute
from aura_core.testing.door_conformance import Dialog
from aura_core.testing.door_harness import PROMPT, TOKEN, DoorHarness, Served, heard
from aura_core.testing.door_registry import check
from aura_core.testing.harness import PATIENCE, Broken

JUNK: list[Any] = [
    None, True, 0, -1, 1.5, 2**63, "", " ", "x" * 10_000, "\x00\u2028\U0001f600", [], [[]], [None], {}, {"a": {}},
    "says/../../etc", "../says",
]  # fmt: skip
RAW = [
    b"", b" ", b"null", b"[]", b"{}", b"0", b'""', b"{", b'{"a"', b"\xff\xfe", b'{"a": "\xc3"}', b"[" * 200_000,
    b'{"a":' * 50_000, b'{"a": 1e999}', b'{"a": NaN}', b'{"\\ud800": "\\udfff"}', b"\x00", b'{"a": 1}{"a": 1}',
]  # fmt: skip
"""Bodies of no dialect."""


@check(
    "door-served",
    "door-routes",
    "door-question",
    "door-text",
    "door-reasoning",
    "door-error",
    "door-whole",
    "door-refusals",
)
async def served(harness: DoorHarness) -> None:
    """Over a real server an answer arrives streamed and whole, also from an agent that cannot stream; failures, too."""
    with harness.serve() as server:
        for dialog in harness.description.dialogs:
            if dialog.hear is not None:
                _streamed(harness, server, dialog)
            if dialog.hear_whole is not None:
                _in_one_piece(harness, server, dialog)


def _streamed(harness: DoorHarness, server: Served, dialog: Dialog) -> None:
    for agent, text, failed in [
        ("says", "Hello world", False),
        ("whole", "Hello world", False),
        ("thinks", "one two", False),
        ("breaks", "one two", True),
        ("fails", "", True),
    ]:
        path, body = dialog.request(agent, PROMPT, True)
        answer = server.post(path, body)
        if agent == "whole" and harness.route(path).instead and answer.status_code == 400:
            continue
        what = f"{dialog.name}, streamed by the agent {agent!r}"
        if answer.status_code != 200:
            raise Broken(f"{what}: the status is {answer.status_code}: {answer.text[:200]!r}")
        wanted = harness.encoder(dialog).content_type
        if answer.headers["content-type"] != wanted:
            raise Broken(f"{what}: the Content-Type is {answer.headers['content-type']!r}, not {wanted!r}")
        seen = heard(dialog.hear, answer.content, what)
        if seen.text != text or (len(seen.errors), len(seen.ends)) != ((1, 0) if failed else (0, 1)):
            raise Broken(f"{what}: a client hears {seen!r}"[:300])


def _in_one_piece(harness: DoorHarness, server: Served, dialog: Dialog) -> None:
    for agent, text in [("says", "Hello world"), ("whole", "Hello world"), ("thinks", "one two")]:
        answer = server.post(*dialog.request(agent, PROMPT, False))
        what = f"{dialog.name}, in one piece of the agent {agent!r}"
        if answer.status_code != 200:
            raise Broken(f"{what}: the status is {answer.status_code}: {answer.text[:200]!r}")
        if heard(dialog.hear_whole, answer.content, what).text != text:
            raise Broken(f"{what}: a client hears {answer.text[:200]!r}")
    for agent in ("breaks", "fails", "broken", "no-such-agent"):
        answer = server.post(*dialog.request(agent, PROMPT, False))
        if answer.status_code < 400:
            raise Broken(f"{dialog.name}: the failure of the agent {agent!r} has the status {answer.status_code}")
        _refused(harness, answer, f"{dialog.name}, the agent {agent!r}")


@check("door-bodies", "door-routes", "door-refusals", "door-question")
async def bodies(harness: DoorHarness) -> None:
    """Whatever body is sent, none is answered with a fault of the server: a client hears what is wrong with it."""
    with harness.serve() as server:
        for dialog in harness.description.dialogs:
            stream = dialog.hear is not None
            path, body = dialog.request("says", PROMPT, stream)
            for junk in [*RAW, *_damaged(body)]:
                answer = server.post(path, junk)
                shown = repr(junk)[:200]
                if answer.status_code >= 500:
                    raise Broken(f"{dialog.name}: the body {shown} has the status {answer.status_code}")
                if answer.status_code >= 400:
                    _refused(harness, answer, f"{dialog.name}, the body {shown}")
            plain = server.post(path, body, {"content-type": "text/plain"})
            if plain.status_code != 415:
                raise Broken(f"{dialog.name}: a body of text/plain has the status {plain.status_code}, not 415")


def _damaged(value: Any) -> Iterator[Any]:
    """The value with each of its parts left out, and replaced by what it should not be."""
    yield from JUNK
    if isinstance(value, Mapping):
        for key in value:
            yield {other: value[other] for other in value if other != key}
            for part in _damaged(value[key]):
                yield {**value, key: part}
    elif isinstance(value, list):
        for index in range(len(value)):
            yield value[:index] + value[index + 1 :]
            for part in _damaged(value[index]):
                yield [*value[:index], part, *value[index + 1 :]]


@check("door-token", "door-routes", "door-question", "door-refusals")
async def token(harness: DoorHarness) -> None:
    """Without the server's token no route answers, and the refusal is in the door's words; with it all do."""
    bearer = {"authorization": f"Bearer {TOKEN}"}
    with harness.serve(token=True) as server:
        for route in harness.routes:
            if isinstance(route, AnswerRoute):
                continue
            path = "/".join("says" if part.startswith("{") else part for part in route.path.split("/"))
            _closed(harness, server.client.get(path), path)
            if server.client.get(path, headers=bearer).status_code != 200:
                raise Broken(f"GET {path} with the token is refused")
        for dialog in harness.description.dialogs:
            path, body = dialog.request("says", PROMPT, dialog.hear is not None)
            _closed(harness, server.post(path, body), path)
            if server.post(path, body, bearer).status_code != 200:
                raise Broken(f"POST {path} with the token is refused")


def _closed(harness: DoorHarness, answer: httpx.Response, path: str) -> None:
    if answer.status_code != 401:
        raise Broken(f"{path} without the token has the status {answer.status_code}, not 401")
    _refused(harness, answer, f"{path} without the token")


@check("door-leaving", "door-routes", "door-question", "door-text", "door-served")
async def leaving(harness: DoorHarness) -> None:
    """A client that leaves in the middle frees its place at once, and the next one is served."""
    with harness.serve() as server:
        for dialog in harness.streams():
            path, body = dialog.request("endless", PROMPT, True)
            with server.client.stream("POST", path, json=body) as answer:
                next(answer.iter_raw())
            limit = time.monotonic() + PATIENCE
            while server.aura.runtime.relays:
                if time.monotonic() > limit:
                    raise Broken(f"{dialog.name}: the answer goes on {PATIENCE:g} s after its client has left")
                await asyncio.sleep(0.01)
            if server.post(*dialog.request("says", PROMPT, True)).status_code != 200:
                raise Broken(f"{dialog.name}: the next client is refused")


def _refused(harness: DoorHarness, answer: httpx.Response, what: str) -> None:
    try:
        words = harness.description.hear_refusal(answer.content)
    except Exception as exc:
        raise Broken(f"{what}: a client cannot read the refusal {answer.text[:200]!r} ({type(exc).__name__})") from None
    if not words:
        raise Broken(f"{what}: the refusal says nothing: {answer.text[:200]!r}")
