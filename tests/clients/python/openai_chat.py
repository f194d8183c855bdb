"""The openai SDK for Python, through Chat Completions."""

from typing import Any

from driver import HISTORY, PROMPT, Said, add, play
from openai import OpenAI


def create(url: str, model: str, messages: Any = PROMPT, **more: Any) -> Any:
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    client = OpenAI(base_url=f"{url}/v1", api_key="none")
    return client.chat.completions.create(model=model, messages=messages, **more)


def read(said: Said, stream: Any) -> None:
    said["text"] = ""
    for chunk in stream:
        if chunk.usage is not None:
            said["usage"] = [chunk.usage.prompt_tokens, chunk.usage.completion_tokens]
        for choice in chunk.choices:
            add(said, "text", choice.delta.content)
            add(said, "reasoning", getattr(choice.delta, "reasoning_content", None))
            said["finish"] = choice.finish_reason or said.get("finish")


def take(said: Said, whole: Any) -> None:
    (choice,) = whole.choices
    said |= {"text": choice.message.content, "finish": choice.finish_reason}
    said["usage"] = [whole.usage.prompt_tokens, whole.usage.completion_tokens]


def history(given: dict[str, str], said: Said) -> None:
    take(said, create(given["demo"], "echo", [{"role": role, "content": text} for role, text in HISTORY]))


def cancel(given: dict[str, str], said: Said) -> None:
    stream = create(given["own"], "endless", stream=True)
    said["text"] = next(text for chunk in stream if (text := chunk.choices[0].delta.content))
    stream.close()


def models(given: dict[str, str], said: Said) -> None:
    client = OpenAI(base_url=f"{given['demo']}/v1", api_key="none")
    said["models"] = sorted(model.id for model in client.models.list())
    said["text"] = client.models.retrieve("echo").id


play(
    {
        "stream": lambda given, said: read(said, create(given["demo"], "echo", stream=True)),
        "whole": lambda given, said: take(said, create(given["demo"], "echo")),
        "history": history,
        "length": lambda given, said: read(said, create(given["demo"], "cut", stream=True)),
        "usage": lambda given, said: read(
            said, create(given["demo"], "echo", stream=True, stream_options={"include_usage": True})
        ),
        "reasoning": lambda given, said: read(said, create(given["demo"], "thinker", stream=True)),
        "error before": lambda given, said: read(said, create(given["demo"], "fails-at-once", stream=True)),
        "error before, whole": lambda given, said: take(said, create(given["demo"], "fails-at-once")),
        "error in the middle": lambda given, said: read(said, create(given["demo"], "fails-midway", stream=True)),
        "cut": lambda given, said: read(said, create(given["cut"], "tour", stream=True)),
        "rate limit": lambda given, said: take(said, create(given["own"], "limited")),
        "cancel": cancel,
        "models": models,
    }
)
