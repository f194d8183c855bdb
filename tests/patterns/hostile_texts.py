"""A megabyte of the worst-case text for each pattern and each function that processes foreign text.

`python hostile_texts.py` runs all of them and prints each name before it runs: the last name printed is the slow one.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
from aura_ollama import api as ollama
from slow_patterns import Pattern

from aura_core import streams, text
from aura_core.client import _events
from aura_core.config import clients
from aura_core.config.agents import parse
from aura_core.config.decode import decode, explain
from aura_core.config.sources import Sources
from aura_core.config.suggest import nearest
from aura_core.doors import paths
from aura_core.doors.native import ChatBody
from aura_core.echo import split
from aura_core.errors import ConfigError, ProviderError
from aura_core.server import guard, request_body
from aura_core.telemetry import redact
from aura_core.telemetry.log_lines import JsonFormatter, TextFormatter

MEGABYTE = 1024 * 1024
KEY = "sk-proj-AbCdEfGh1234567890-wxyz"


class Ours(str):
    """The reason why a pattern never processes foreign text."""


class Hostile(tuple[str, ...]):
    """Texts of three parts, of which the middle one is repeated to a megabyte: "head|middle|tail"."""


def _hostile(*texts: str) -> Hostile:
    return Hostile(texts)


def whole(spec: str) -> str:
    """The megabyte of a text: "head|middle|tail"."""
    head, middle, tail = spec.split("|")
    return head + middle * (MEGABYTE // len(middle)) + tail


# By the pattern's source. Each pattern also gets the texts for all patterns, below.
PATTERNS: dict[str, Ours | Hostile] = {
    r"(^|_)(key|token|secret|password)$": _hostile("|_key|!", "|_|"),
    r"(^|_)(key|token|secret|password|credential)s?$": _hostile("|_key|!", "|keys|"),
    "acme": Ours("our own template"),
    paths._PATH.pattern: Ours("the paths of an installed plugin's door"),
    guard._HEADER_NAMES.pattern.decode(): _hostile("|a|", "|a,|", "|a , |", "a|,|"),
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}": _hostile("|a|"),
    clients._NAME.pattern: Ours("the operator's own settings"),
    clients._AGENTS.pattern: Ours("the operator's own settings"),
    r"\.agent$": _hostile("|.agent|x", "|.|"),
    r"`([^`]*)`": _hostile("|`|x", "|` |", "`|int or |"),
    r"(?:true|false|True|False|TRUE|FALSE)\Z": _hostile("|true|"),
    r"-?(?:0|[1-9][0-9]*)\Z": _hostile("|1|a"),
    r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\Z": _hostile("|1|a", "1.|1|a", "1e|1|a", "|1.|"),
    r"\A(?:[-+]?(?:0[box][0-9a-fA-F_]+|[0-9][0-9_:]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?"
    r"|\.[0-9_]+(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN))\Z": _hostile(
        "|1|a", "1|:0|a", "|_|", "0x|_|g", ".|1|a", "1.|_|a", "1e|1|a"
    ),
    "[-\u2010-\u2015\u2212\ufe58\ufe63\uff0d]{2}|[\u2012-\u2015]|\\+{3}|`{3}|~{3}": _hostile("|-|", "|`|"),
    r"([A-Za-z_][\w-]*)\s*[:=](?:\s|$)": _hostile("|a|", "a| |", "|-|", "a|\u00e4|"),
    r"[A-Za-z_][A-Za-z0-9_]*": _hostile("|a|!", "|_|-"),
    r"[A-Za-z0-9]{20}": _hostile("|aaaaaaaaaaaaaaaaaaa-|"),
    r"(\[[0-9a-f:.]+\]|[^\s:\[\]/?#@*]+)(:\d{1,5})?": _hostile("|a|*", "[|:|", "|[|", "|a:1|"),
    r"null|[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[^\s:\[\]/?#@*]+)(:\d{1,5})?/*": _hostile(
        "|a|*", "a://|a|*", "a://a|/|a", "|a://|"
    ),
    r"\s*+\S++|\s++$": _hostile("| |", "| |a", "|a |", "|\n|", "|a|"),
    r"[-_.]+": _hostile("|-|a", "|-a|"),
    r"[a-z][a-z0-9_]*": _hostile("|a|-"),
    r"[A-Za-z0-9._-]{1,64}": _hostile("|a|"),
    r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}": _hostile("00-|0|", "00-|a|"),
    guard._TRACESTATE.pattern.decode(): _hostile("|a|", "a=|b|", "a=| |,", "|a=b,|"),
    r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]/@]+)(?::(?P<port>\d{1,5}))?": _hostile("|a|@", "[|:|", "|a:1|", "|a|:1a"),
    r"<[!/a-zA-Z][^>]*>?": _hostile("|<|", "|<a|", "|<a|>", "|<a>|"),
    "[\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069]+": _hostile("|\x00|", "|\x00a|"),
    r"https?://(?P<host>localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d{1,5})?(/[\w.~/-]*)?": _hostile(
        "http://127.|1|", "http://localhost/|a|!", "http://localhost/|/|"
    ),
    "[/?#]": _hostile("|a|", "|/|"),
    r"[\s@?#]": _hostile("|a|", "|@|"),
    r"(?m)^data:": Ours("the kit's own transcripts"),
    r"(?m)^data: ": Ours("the kit's own transcripts"),
    r"\A(\d{4}-\d{2}-\d{2})?\Z": _hostile("|2024-10-21|", "|1|"),
    r"\A[A-Za-z0-9._-]+\Z": _hostile("|a|", "|a|,"),
    r"\d{4}-\d{2}-\d{2}(-preview)?": _hostile("|2024-10-21|", "|1|"),
    r"/openai(/v1)?$": _hostile("|/openai|/", "|/openai/v1|x"),
    r"(?<=[a-z])(?=[A-Z])": _hostile("|aA|"),
    r"^\s*<[a-z!/?]|<(?:!doctype|html|head|body)\b": _hostile("| |", "|<|", "|<htm|"),
    r"\b(?:again|retry|retrying|wait|resets?)\b[^\d\n]{0,30}(?=\d)": _hostile("|again |", "|wait  |", "|retry 1|"),
    r"(\d{1,9}(?:\.\d{1,12})?) ?"
    r"(milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?|min|m|hours?|hrs?|h|days?|d)"
    r"(?![a-z])(?:,? and |, | )?": (_hostile("|1|", "|1.1|", "|1m|", "|1 |")),
    r"\S+": _hostile("|a|", "|a |", "| |"),
    r"\*{2,}|\w(?:…|\.{3,})\w": _hostile("|.|", "|a...|", "|*|", "|* |", "a|.|"),
    r"\s": _hostile("|a|", "| |"),
    r"(?:^|[/:])(?:o[1-9]|gpt-[5-9]|codex)(?:$|[-.:])": _hostile("|/o1|", "|/|", "|:gpt-5|x"),
    r"\S": _hostile("| |a", "| |"),
    r"^[^\x00]*$": _hostile("|a|\x00", "|a|", "|\n|\x00"),
    text._BREAKS.pattern: _hostile("|\r\n|", "|\n|x"),
    text._STEERS.pattern: _hostile("|\x1b|", "|\x1ba|"),
    text._HIDDEN.pattern: _hostile("|\u200d|", "|\u200d\U0001f468|", "|\u202e|"),
    **dict.fromkeys(
        (request_body._LONE.pattern.decode(), request_body._PAIR.pattern.decode()),
        _hostile("|\\\\|", r"|\ud800|", r"|\ud800\udc00|", r"|\u|", r"|\udc00|"),
    ),
}
# Texts that are truncated before such a pattern processes them, which bounds its quadratic time.
CUT = {
    r"\b(?:sk|pk|rk|key|bearer|eyJ)[-_a-z0-9]*"
    r"(?:[ .]*[-_:=*…][-_ :=*.…]*|[ .]++(?=[a-z.]{0,64}+[-_*…\d]|[a-z]{20}))[\w*.…-]{3,}": (
        "streams/scrub.py: 4,096 characters of a server's words"
    ),
}
SHARED = ["|a|", "|A|\x00", "| |!", "|0|", "|.|", "|-|x", "|_|", "|\\|", "|://|", "|:|", "|\n|a", "|é|", "|\ud800|"]


class Bytes:
    """A response with this body in pieces."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def aiter_raw(self) -> AsyncIterator[bytes]:
        """The pieces."""
        for start in range(0, len(self._body), 4096):
            yield self._body[start : start + 4096]


def _read_events(said: str) -> None:
    async def read() -> None:
        response: Any = Bytes(said.encode(errors="replace"))
        async for _ in _events(response):
            pass

    asyncio.run(read())


def _request(key: str) -> None:
    body = msgspec.json.encode({"prompt": "a", key.encode("utf-8", "replace").decode(): 1})
    try:
        msgspec.json.decode(body, type=ChatBody)
    except msgspec.ValidationError as exc:
        explain(exc)


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    port: int = 0


def _settings(said: str) -> None:
    path = Path("hostile.toml")  # in the folder of the test
    path.write_text(said, encoding="utf-8", errors="replace")
    Sources({"server": _Table}).add_file(path)


def _log(formatter: logging.Formatter) -> Callable[[str], object]:
    return lambda said: formatter.format(logging.LogRecord("aura", logging.INFO, "", 0, "%s", (said,), None))


def _secrets() -> list[str]:
    return [KEY]


SERVER = streams.Endpoint("it", streams.Scrub(KEY), "the key", "the address", "its protocol")


def _server_error(said: str) -> object:
    body = msgspec.json.encode({"error": {"message": said, "code": said, "param": said, "type": said}})
    streams.retry_after({"retry-after": said})
    return streams.status_error(SERVER, 400, {"retry-after": said}, body, "m")


def _plain_error(said: str) -> object:
    return streams.status_error(SERVER, 500, {}, said.encode(errors="replace"), "m")


def _stream(said: str) -> None:
    events, lines = streams.SseReader(), streams.NdjsonReader()
    data = said.encode(errors="replace")
    for start in range(0, len(data), 4096):
        events.feed(data[start : start + 4096])
        lines.feed(data[start : start + 4096])


_QUADRATIC = "- at `$|a|`x"
FUNCTIONS: dict[str, tuple[Callable[[str], object], Hostile]] = {
    "a request's body": (
        _request,
        _hostile(f" {_QUADRATIC}", " - at `$|`|", " - at `$| - at `$|", "Object missing required field `|a|"),
    ),
    "a table's key": (lambda said: decode({said: 1}, _Table, str), _hostile("|port|", "|a|")),
    "aura.toml": (
        _settings,
        _hostile(
            "| |\n[x",
            "[server]\n| |x",
            "[|a.|a]",
            "|a.|a = 1",
            "|k = 1\n|",
            "[| |a]",
            "x = '| |'",
            "[server]\nport = |1_|",
        ),
    ),
    "an agent's file": (
        lambda said: parse("a", said, Path("a.md")),
        _hostile("---\n|a|", "---\nname: |a |\n---\n", "---\nmax_tokens: 1|:59|\n---\n", "---\n|- |\n---\n", "|---\n|"),
    ),
    "a misspelt name": (lambda said: nearest(said, ["port", "host"]), _hostile("|port|")),
    "redact.message": (lambda said: redact.message(said, [KEY]), _hostile("|<|", f"|{KEY[:-1]}|", "|c2stcHJvai1|")),
    "redact.hide": (lambda said: redact.hide(said, [KEY]), _hostile(f"|{KEY[:-1]}|", f"|{KEY}|", "|c2st|")),
    "text.printable": (text.printable, _hostile("|\u200d|", "|\u202e|", "|\u200d\U0001f468|", "|\r\n|")),
    "text.printable_lines": (text.printable_lines, _hostile("|\x1b|", "|\u2028|")),
    "text.printable_json": (text.printable_json, _hostile("|\u200d|", "|\x9b|")),
    "text.without_halves": (text.without_halves, _hostile("|\ud83d|", "|\udd16\ud83e|")),
    "a log line as text": (_log(TextFormatter(_secrets)), _hostile("|\n|", "|\x1b|", f"|{KEY}|")),
    "a log line as JSON": (_log(JsonFormatter(_secrets)), _hostile('|"|', "|\x9b|", f"|{KEY}|")),
    "echo": (lambda said: asyncio.run(split(said)), _hostile("| |", "|a |")),
    "a server's words": (
        streams.Scrub(KEY),
        _hostile("|://|", "|*|", f"|{KEY[:8]}|", "|key.|", "|key |", "|sk-|", "|a|://"),
    ),
    "a server's error": (_server_error, _hostile("|key.|", "|model |", "|wait 1|", "|{|", '|"|', "|retry after |")),
    "an error that is not JSON": (_plain_error, _hostile("|<|", "|{|", "|data: {}\n|", "|[|", "| |<html>")),
    "a stream of events or lines": (_stream, _hostile("|data: a\n|", "data: |a|", "|\n|", "|\r|", "|: |")),
    "Ollama's line": (lambda said: ollama.token(said.encode(errors="replace"), "m", SERVER), _hostile("|[|")),
    "another Aura's stream": (_read_events, _hostile("|data: a\n|", "data: |a|", "|\n|", "|\r|", "|event: token\n|")),
}
REFUSALS = (ConfigError, ProviderError, ValueError, ollama.NotALine, RecursionError)


def feed(patterns: list[Pattern]) -> None:
    """Run each pattern and each function on its texts; print each name first."""
    shared = [whole(spec) for spec in SHARED]
    for pattern in patterns:
        listed = PATTERNS.get(pattern.text)
        if listed is None or isinstance(listed, Ours):
            continue
        print(pattern.place, ascii(pattern.text), flush=True)
        method = getattr(re.compile(pattern.text, pattern.flags), pattern.how)
        for said in (*map(whole, listed), *shared):
            method(said)
        if pattern.how == "search":
            for said in (*map(whole, listed), *shared):
                re.sub(pattern.text, "", said, flags=pattern.flags)
    for name, (function, specs) in FUNCTIONS.items():
        print(name, flush=True)
        for said in (*map(whole, specs), *shared):
            try:
                function(said)
            except REFUSALS:
                continue
    print("all were fed", flush=True)


if __name__ == "__main__":
    from test_patterns import PYTHON

    feed(PYTHON)
