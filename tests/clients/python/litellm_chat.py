"""LiteLLM's SDK."""

import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks a server for prices

import litellm
from driver import HISTORY, PROMPT, Said, add, play


def ask(url: str, model: str, messages: Any = PROMPT, **more: Any) -> Any:
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    return litellm.completion(f"openai/{model}", messages, api_base=f"{url}/v1", api_key="none", **more)


def read(said: Said, stream: Any) -> None:
    said["text"] = ""
    for chunk in stream:
        if usage := getattr(chunk, "usage", None):
            said["usage"] = [usage.prompt_tokens, usage.completion_tokens]
        for choice in chunk.choices:
            add(said, "text", choice.delta.content)
            add(said, "reasoning", getattr(choice.delta, "reasoning_content", None))
            said["finish"] = choice.finish_reason or said.get("finish")


def take(said: Said, whole: Any) -> None:
    (choice,) = whole.choices
    said |= {"text": choice.message.content, "finish": choice.finish_reason}
    said["usage"] = [whole.usage.prompt_tokens, whole.usage.completion_tokens]


def history(given: dict[str, str], said: Said) -> None:
    take(said, ask(given["demo"], "echo", [{"role": role, "content": text} for role, text in HISTORY]))


def cancel(given: dict[str, str], said: Said) -> None:
    stream = ask(given["own"], "endless", stream=True)
    said["text"] = next(text for chunk in stream if (text := chunk.choices[0].delta.content))
    stream.completion_stream.response.close()  # a wrapper of LiteLLM's has no close: the SDK's stream below it has


play(
    {
        "stream": lambda given, said: read(said, ask(given["demo"], "echo", stream=True)),
        "whole": lambda given, said: take(said, ask(given["demo"], "echo")),
        "history": history,
        "length": lambda given, said: read(said, ask(given["demo"], "cut", stream=True)),
        "usage": lambda given, said: read(
            said, ask(given["demo"], "echo", stream=True, stream_options={"include_usage": True})
        ),
        "reasoning": lambda given, said: read(said, ask(given["demo"], "thinker", stream=True)),
        "error before": lambda given, said: read(said, ask(given["demo"], "fails-at-once", stream=True)),
        "error before, whole": lambda given, said: take(said, ask(given["demo"], "fails-at-once")),
        "error in the middle": lambda given, said: read(said, ask(given["demo"], "fails-midway", stream=True)),
        "cut": lambda given, said: read(said, ask(given["cut"], "tour", stream=True)),
        "rate limit": lambda given, said: take(said, ask(given["own"], "limited", num_retries=2)),
        "cancel": cancel,
    }
)
