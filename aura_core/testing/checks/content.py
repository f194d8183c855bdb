"""Checks of an answer's content: its text, its pieces, its reasoning, its end and its cost."""

import gzip
import zlib
from collections.abc import AsyncIterator, Sequence

from aura_core.answer.events import FINISH_REASONS
from aura_core.testing.dialects import SPELLINGS_OF_0_2
from aura_core.testing.harness import Broken, Harness, Inapplicable, PlayedAnswer, encoded
from aura_core.testing.registry import PACE, check
from aura_core.testing.upstream import split_at

PIECES = 120
"""Into how many writes a body is cut at most."""

TRICKY = [
    *(" lead", "ing", "  and ", " ", "\n", "\n\n", "\t", "\r\n", "trailing  ", "Hello", " world"),
    *("é", "😀", "👩‍👩‍👧 family", "日本語", "\u2028", "\u2029", "\u0085", "\ufeff", "\u00a0", "\x0b\x0c\x1c\x1e"),
    *('"quoted" \\ back\\slash', "<b>&amp;</b>", "data: [DONE]\n\n", '{"done": true}', "null", "[DONE]", "\\n", "."),
]
"""Tokens that careless readers change."""
WIDE = ["é", "😀", "日本", " 👩‍👩‍👧 "]


@check("text", *PACE, server=False)
async def text(harness: Harness) -> None:
    """Text arrives exactly as the provider sent it: nothing is lost, added, trimmed, translated or reordered."""
    async for answer, expected in _told(harness):
        if answer.text != "".join(expected):
            raise Broken(_difference("".join(expected), answer.text) + _ended(answer))
    if harness.conformance.write is not None:
        long = "x" * 2**20
        answer = await harness.ask(harness.reply(harness.conformance.whole([long])))
        if answer.text != long:
            raise Broken(f"a token of 1 MiB arrived as {len(answer.text)} characters{_ended(answer)}")


@check("tokens", *PACE, "text", server=False)
async def tokens(harness: Harness) -> None:
    """Each token leaves as the provider cut it: none is merged with another, split, or empty."""
    async for answer, expected in _told(harness):
        if answer.pieces != list(expected):
            raise Broken(f"{encoded(list(expected))} was sent, {encoded(answer.pieces)} arrived")


@check("utf8", *PACE)
async def utf8(harness: Harness) -> None:
    """Where the network cuts the bytes changes nothing: in the middle of a character, of a line end or of a record."""
    whole = harness.conformance.whole
    bodies = [whole([token]) for token in WIDE] + [whole(TRICKY)]
    bodies += [transcript.body for transcript in harness.conformance.transcripts if not transcript.options]
    for body in bodies:
        expected = await harness.play(body)
        answer = await harness.ask(harness.reply(pieces(body)))
        if (answer.text, answer.end) != (expected.text, expected.end):
            raise Broken("cut into small writes: " + _difference(expected.text, answer.text) + _ended(answer))


@check("framing", *PACE)
async def framing(harness: Harness) -> None:
    """Every spelling of the framing that its standard allows means the same."""
    dialect = harness.conformance.dialect
    if dialect is None or not dialect.spellings:
        raise Inapplicable("its dialect has only one spelling")
    body = harness.conformance.whole(TRICKY)
    expected = await harness.play(body)
    for name, spell in dialect.spellings.items():
        if name in SPELLINGS_OF_0_2 and not harness.asks_for("0.2"):
            continue
        answer = await harness.ask(harness.reply(spell(body)))
        if (answer.text, answer.end) != (expected.text, expected.end):
            raise Broken(f"with {name}: " + _difference(expected.text, answer.text) + _ended(answer))


@check("encoding", *PACE)
async def encoding(harness: Harness) -> None:
    """An answer in a coding that the request accepts, gzip or deflate, is understood."""
    body = harness.conformance.whole(TRICKY)
    expected = await harness.play(body)
    accepted = harness.questions[-1].headers.get("accept-encoding", "")
    for coding, compress in (("gzip", gzip.compress), ("deflate", zlib.compress)):
        if not _accepts(accepted, coding):
            continue
        answer = await harness.ask(harness.reply(compress(body), headers={"content-encoding": coding}))
        if (answer.text, answer.end) != (expected.text, expected.end):
            raise Broken(
                f"it sent Accept-Encoding: {accepted}; in {coding} "
                + _difference(expected.text, answer.text)
                + _ended(answer)
            )


def _accepts(header: str, coding: str) -> bool:
    """Whether an Accept-Encoding names a coding, with a weight above zero (RFC 9110, section 12.5.3)."""
    for part in header.lower().replace(" ", "").split(","):
        name, _, weight = part.partition(";q=")
        if name in (coding, "*"):
            return not weight or weight.strip("0.") != ""
    return False


@check("reasoning", *PACE, server=False)
async def reasoning(harness: Harness) -> None:
    """Reasoning arrives as reasoning, whole, and never among the text."""
    thinking = [transcript for transcript in harness.conformance.transcripts if transcript.reasoning]
    if not thinking:
        raise Inapplicable("no transcript has reasoning")
    for transcript in thinking:
        answer = await harness.replay(transcript)
        if answer.reasoning != "".join(transcript.reasoning):
            raise Broken(f"{transcript.name}: " + _difference("".join(transcript.reasoning), answer.reasoning))
        if answer.text != "".join(transcript.tokens):
            raise Broken(f"{transcript.name}: the text: " + _difference("".join(transcript.tokens), answer.text))


@check("finish", *PACE, server=False)
async def finish(harness: Harness) -> None:
    """The finish reason is said once, last of all text, and is the provider's own: stop, length, content_filter or
    tool_calls."""
    for transcript in harness.conformance.transcripts:
        answer = await harness.replay(transcript)
        _judge_finish(answer, transcript.finish_reason, transcript.name)
    if harness.conformance.write is not None:
        answer = await harness.ask(harness.reply(harness.conformance.whole(["One", " two"])))
        _judge_finish(answer, "stop", "an answer of two tokens")


def _judge_finish(answer: PlayedAnswer, expected: str, name: str) -> None:
    if len(answer.finishes) != 1:
        said = f"a finish reason {len(answer.finishes)} times: {answer.finishes}" if answer.finishes else "none"
        raise Broken(f"{name}: it said {said}{_ended(answer)}")
    said = answer.finishes[0]
    if not isinstance(said, str) or said.lower() not in FINISH_REASONS:
        known = ", ".join(sorted(word for word, means in FINISH_REASONS.items() if means == expected))
        raise Broken(f"{name}: it said {said!r}, which Aura does not know; words for {expected!r} are {known}")
    if FINISH_REASONS[said.lower()] != expected:
        raise Broken(f"{name}: it said {said!r}, not {expected!r}")
    at = next(index for index, token in enumerate(answer.tokens) if token.finish_reason is not None)
    if any(token.content or token.reasoning for token in answer.tokens[at + 1 :]):
        raise Broken(f"{name}: text came after the finish reason, where the core drops it")


@check("usage", *PACE, server=False)
async def usage(harness: Harness) -> None:
    """The usage is what the provider counted, and none where it counted nothing; tokens of the cache and of reasoning
    are a part of the prompt and of the completion."""
    if not harness.conformance.transcripts:
        raise Inapplicable("there is no transcript")
    for transcript in harness.conformance.transcripts:
        answer = await harness.replay(transcript)
        if answer.usage != transcript.usage:
            raise Broken(f"{transcript.name}: it said {answer.usage}, the provider {transcript.usage}")
        used = answer.usage
        if used and (used.cache_read + used.cache_write > used.prompt or used.reasoning > used.completion):
            raise Broken(f"{transcript.name}: in {used} a part is larger than the whole; add it to the whole")


async def _told(harness: Harness) -> AsyncIterator[tuple[PlayedAnswer, Sequence[str]]]:
    """Answers, and the tokens that they were made of."""
    for transcript in harness.conformance.transcripts:
        if not transcript.reasoning:
            yield await harness.replay(transcript), transcript.tokens
    if harness.conformance.write is not None:
        expected = TRICKY if harness.streams else ["".join(TRICKY)]
        yield await harness.ask(harness.reply(harness.conformance.whole(TRICKY))), expected


def pieces(body: bytes) -> list[bytes]:
    """A body in small writes; short ones byte by byte, long ones with a cut inside every character that has several."""
    if len(body) <= PIECES:
        return split_at(body, range(1, len(body)))
    inside = [index for index, byte in enumerate(body) if 0x80 <= byte < 0xC0]
    cuts = {*range(1, len(body), 1 + len(body) // PIECES), *inside[:: 1 + len(inside) // PIECES]}
    return split_at(body, cuts)


def _difference(expected: str, seen: str) -> str:
    at = next(
        (i for i, (a, b) in enumerate(zip(expected, seen, strict=False)) if a != b), min(len(expected), len(seen))
    )
    begin = max(0, at - 10)
    return (
        f"at character {at} {encoded(expected[begin : at + 20])} was sent, {encoded(seen[begin : at + 20])} arrived"
        if expected != seen
        else "the text is the same"
    )


def _ended(answer: PlayedAnswer) -> str:
    return "" if answer.relay.succeeded else f"; the answer ended with {answer.end}"
