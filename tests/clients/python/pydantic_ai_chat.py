"""pydantic-ai's agents, through Chat Completions."""

import asyncio
from typing import Any

from driver import HISTORY, PROMPT, Said, add, play
from pydantic_ai import Agent
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, ThinkingPart, UserPromptPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


def agent(url: str, name: str, **more: Any) -> Agent:
    return Agent(OpenAIChatModel(name, provider=OpenAIProvider(base_url=f"{url}/v1", api_key="none")), **more)


def read(said: Said, asked: Agent) -> None:
    async def stream() -> None:
        said["text"] = ""
        async with asked.run_stream(PROMPT) as result:
            async for piece in result.stream_text(delta=True, debounce_by=None):
                add(said, "text", piece)
            end(said, result)

    asyncio.run(stream())


def end(said: Said, result: Any) -> None:
    usage = result.usage() if callable(result.usage) else result.usage
    said["usage"] = [usage.input_tokens, usage.output_tokens]
    last = next(message for message in reversed(result.all_messages()) if isinstance(message, ModelResponse))
    said["finish"] = last.finish_reason
    said["reasoning"] = "".join(part.content for part in last.parts if isinstance(part, ThinkingPart))


def take(said: Said, result: Any) -> None:
    said["text"] = result.output
    end(said, result)


def history(given: dict[str, str], said: Said) -> None:
    (_, system), (_, first), (_, answer), (_, last) = HISTORY
    before = [
        ModelRequest(parts=[UserPromptPart(first)]),
        ModelResponse(parts=[TextPart(answer)]),
    ]
    asked = agent(given["demo"], "echo", instructions=system)
    take(said, asked.run_sync(last, message_history=before))


def cancel(given: dict[str, str], said: Said) -> None:
    async def stream() -> None:
        async with agent(given["own"], "endless").run_stream(PROMPT) as result:
            async for piece in result.stream_text(delta=True, debounce_by=None):
                said["text"] = piece
                break

    asyncio.run(asyncio.wait_for(stream(), 30))


play(
    {
        "stream": lambda given, said: read(said, agent(given["demo"], "echo")),
        "whole": lambda given, said: take(said, agent(given["demo"], "echo").run_sync(PROMPT)),
        "history": history,
        "length": lambda given, said: read(said, agent(given["demo"], "cut")),
        "usage": lambda given, said: read(said, agent(given["demo"], "echo")),
        "reasoning": lambda given, said: read(said, agent(given["demo"], "thinker")),
        "error before": lambda given, said: read(said, agent(given["demo"], "fails-at-once")),
        "error before, whole": lambda given, said: take(said, agent(given["demo"], "fails-at-once").run_sync(PROMPT)),
        "error in the middle": lambda given, said: read(said, agent(given["demo"], "fails-midway")),
        "cut": lambda given, said: read(said, agent(given["cut"], "tour")),
        "rate limit": lambda given, said: take(said, agent(given["own"], "limited").run_sync(PROMPT)),
        "cancel": cancel,
    }
)
