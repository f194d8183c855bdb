"""The core's own provider: it streams the prompt back, or follows the script in the agent's options."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import chain, cycle, islice
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from aura_core import ChatRequest, ProviderError, Token, Usage, hookimpl
from aura_core.errors import Code
from aura_core.limits import ECHO_STEPS

Count = Annotated[int, Meta(ge=0)]
Number = Annotated[float, Meta(ge=0, le=86400)]


class EchoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The `options` of an agent whose provider is `echo`."""

    text: Annotated[str | None, Meta(description="the answer; default: the prompt")] = None
    tokens: Annotated[
        Count | None, Meta(description="length of the answer; the text is repeated, or cut and ends with `length`")
    ] = None
    delay: Annotated[Number, Meta(description="seconds before the first token")] = 0
    tokens_per_second: Annotated[Number, Meta(description="pace; 0 is as fast as possible")] = 0
    reasoning: Annotated[str, Meta(description="streamed as reasoning before the answer")] = ""
    fail_after: Annotated[Count | None, Meta(description="fail after this many tokens; 0: before the first")] = None
    code: Annotated[Code, Meta(description="the code of that failure")] = "llm_error"
    retry_after: Annotated[Number | None, Meta(description="`retryAfter` of that failure, in seconds")] = None
    stall_after: Annotated[Count | None, Meta(description="send nothing more after this many tokens")] = None
    finish_reason: Annotated[
        Literal["stop", "length", "content_filter", "tool_calls"], Meta(description="how the answer ends")
    ] = "stop"
    streaming: Annotated[bool, Meta(description="false: a provider that cannot stream")] = True


_WORD = re.compile(r"\s*+\S++|\s++$")


@hookimpl
def agent_options() -> type[msgspec.Struct]:
    """The options of an agent that uses `echo`."""
    return EchoOptions


@hookimpl
def supports_streaming(options: dict[str, Any]) -> bool:
    """As the agent's options say."""
    return bool(options.get("streaming", True))


@hookimpl
async def stream_chat(request: ChatRequest) -> AsyncIterator[Token]:
    """Follow the script."""
    script = msgspec.convert(request.options, EchoOptions)
    text = request.messages[-1].content if script.text is None else script.text
    words = await split(text)
    count = len(words) if script.tokens is None or not words else script.tokens
    cut = script.tokens is not None and script.tokens < len(words)
    usage = Usage(await _count_words(request), count)
    answer: Iterable[str] = words if script.tokens is None else _repeated(words, script.tokens)
    finish = "length" if cut else script.finish_reason
    await asyncio.sleep(script.delay)
    if not script.streaming:
        answer = ["".join(answer)]
    sent = 0
    async for token in _paced(await split(script.reasoning), answer, script.tokens_per_second):
        if token.content:
            await _interfere(script, sent)
            sent += 1
        yield token
    await _interfere(script, sent)
    yield Token(finish_reason=finish, usage=usage)


async def split(text: str) -> list[str]:
    """A text as words, each with the white space before it; their concatenation is the text."""
    words = []
    for word in _WORD.finditer(text):
        words.append(word[0])
        if not len(words) % ECHO_STEPS:
            await asyncio.sleep(0)  # a prompt may have millions
    return words


async def _count_words(request: ChatRequest) -> int:
    words = 0
    for number, message in enumerate(request.messages):
        for start in range(0, len(message.content), ECHO_STEPS):
            piece = message.content[start - 1 if start else 0 : start + ECHO_STEPS]
            words += len(piece.split()) - (start > 0 and not piece[0].isspace())  # already counted
            if start:
                await asyncio.sleep(0)
        if number and not number % ECHO_STEPS:
            await asyncio.sleep(0)
    return words


def _repeated(words: list[str], count: int) -> Iterator[str]:
    for index, word in enumerate(islice(cycle(words), count)):
        yield word if index < len(words) or word[:1].isspace() else f" {word}"


async def _paced(reasoning: list[str], answer: Iterable[str], tokens_per_second: float) -> AsyncIterator[Token]:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    tokens = chain((Token(reasoning=word) for word in reasoning), (Token(word) for word in answer if word))
    for number, token in enumerate(tokens):
        if tokens_per_second:
            pause = begin + number / tokens_per_second - loop.time()
            if pause > 0:
                await asyncio.sleep(pause)
        yield token


async def _interfere(script: EchoOptions, sent: int) -> None:
    if script.fail_after is not None and sent >= script.fail_after:
        raise ProviderError("The agent's options request this failure.", script.code, script.retry_after)
    if script.stall_after is not None and sent >= script.stall_after:
        await asyncio.Event().wait()
