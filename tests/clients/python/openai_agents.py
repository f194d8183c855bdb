"""OpenAI's Agents SDK, which speaks Responses."""

import asyncio
import os
from typing import Any

os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"  # else it tells OpenAI

from agents import Agent, OpenAIResponsesModel, Runner
from driver import HISTORY, PROMPT, Said, add, play
from openai import AsyncOpenAI


def agent(url: str, name: str, instructions: str | None = None) -> Agent:
    model = OpenAIResponsesModel(name, AsyncOpenAI(base_url=f"{url}/v1", api_key="none"))
    return Agent("it", model=model, instructions=instructions)


def read(said: Said, asked: Agent, only_one: bool = False) -> None:
    async def stream() -> None:
        said["text"] = ""
        result = Runner.run_streamed(asked, PROMPT)
        async for event in result.stream_events():
            if event.type != "raw_response_event":
                continue
            if event.data.type == "response.output_text.delta":
                add(said, "text", event.data.delta)
                if only_one:
                    result.cancel()
                    return
            elif event.data.type == "response.reasoning_summary_text.delta":
                add(said, "reasoning", event.data.delta)
        end(said, result)

    asyncio.run(asyncio.wait_for(stream(), 60))


def end(said: Said, result: Any) -> None:
    usage = result.context_wrapper.usage
    said["usage"] = [usage.input_tokens, usage.output_tokens]


def take(said: Said, result: Any) -> None:
    said["text"] = result.final_output
    end(said, result)


def history(given: dict[str, str], said: Said) -> None:
    (_, system), *turns = HISTORY
    messages: Any = [{"role": role, "content": text} for role, text in turns]
    take(said, Runner.run_sync(agent(given["demo"], "echo", system), messages))


play(
    {
        "stream": lambda given, said: read(said, agent(given["demo"], "echo")),
        "whole": lambda given, said: take(said, Runner.run_sync(agent(given["demo"], "echo"), PROMPT)),
        "history": history,
        "usage": lambda given, said: read(said, agent(given["demo"], "echo")),
        "reasoning": lambda given, said: read(said, agent(given["demo"], "thinker")),
        "error before": lambda given, said: read(said, agent(given["demo"], "fails-at-once")),
        "error before, whole": lambda given, said: take(
            said, Runner.run_sync(agent(given["demo"], "fails-at-once"), PROMPT)
        ),
        "error in the middle": lambda given, said: read(said, agent(given["demo"], "fails-midway")),
        "cut": lambda given, said: read(said, agent(given["cut"], "tour")),
        "rate limit": lambda given, said: take(said, Runner.run_sync(agent(given["own"], "limited"), PROMPT)),
        "cancel": lambda given, said: read(said, agent(given["own"], "endless"), only_one=True),
    }
)
