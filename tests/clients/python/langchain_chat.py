"""LangChain's ChatOpenAI, through Chat Completions."""

from typing import Any

from driver import HISTORY, PROMPT, Said, add, play
from langchain_openai import ChatOpenAI


def model(url: str, name: str, **more: Any) -> ChatOpenAI:
    return ChatOpenAI(model=name, base_url=f"{url}/v1", api_key="none", **more)


def read(said: Said, stream: Any) -> None:
    said["text"] = ""
    for chunk in stream:
        add(said, "text", chunk.text)
        note(said, chunk)


def note(said: Said, message: Any) -> None:
    if message.usage_metadata:
        said["usage"] = [message.usage_metadata["input_tokens"], message.usage_metadata["output_tokens"]]
    if "finish_reason" in message.response_metadata:
        said["finish"] = message.response_metadata["finish_reason"]


def take(said: Said, message: Any) -> None:
    said["text"] = message.text
    note(said, message)


def cancel(given: dict[str, str], said: Said) -> None:
    stream = model(given["own"], "endless").stream(PROMPT)
    said["text"] = next(chunk.text for chunk in stream if chunk.text)
    stream.close()


play(
    {
        "stream": lambda given, said: read(said, model(given["demo"], "echo").stream(PROMPT)),
        "whole": lambda given, said: take(said, model(given["demo"], "echo").invoke(PROMPT)),
        "history": lambda given, said: take(said, model(given["demo"], "echo").invoke(HISTORY)),
        "length": lambda given, said: read(said, model(given["demo"], "cut").stream(PROMPT)),
        "usage": lambda given, said: read(said, model(given["demo"], "echo", stream_usage=True).stream(PROMPT)),
        "error before": lambda given, said: read(said, model(given["demo"], "fails-at-once").stream(PROMPT)),
        "error before, whole": lambda given, said: take(said, model(given["demo"], "fails-at-once").invoke(PROMPT)),
        "error in the middle": lambda given, said: read(said, model(given["demo"], "fails-midway").stream(PROMPT)),
        "cut": lambda given, said: read(said, model(given["cut"], "tour").stream(PROMPT)),
        "rate limit": lambda given, said: take(said, model(given["own"], "limited").invoke(PROMPT)),
        "cancel": cancel,
    }
)
