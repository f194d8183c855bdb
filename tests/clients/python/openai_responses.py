"""The openai SDK for Python, through Responses."""

from typing import Any

from driver import HISTORY, PROMPT, Said, add, play
from openai import OpenAI


class Failed(Exception):
    """The SDK raises nothing for the event `response.failed`: it hands the event over."""


def client(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="none")


def read(said: Said, stream: Any) -> None:
    said["text"] = ""
    for event in stream:
        if event.type == "response.output_text.delta":
            add(said, "text", event.delta)
        elif event.type == "response.reasoning_summary_text.delta":
            add(said, "reasoning", event.delta)
        elif event.type == "response.failed":
            raise Failed(event.response.error.message)
        elif event.type in ("response.completed", "response.incomplete"):
            end(said, event.response)


def end(said: Said, response: Any) -> None:
    details = response.incomplete_details
    said["finish"] = "stop" if details is None else details.reason
    said["usage"] = [response.usage.input_tokens, response.usage.output_tokens]
    said["whole"] = response.output_text


def take(said: Said, response: Any) -> None:
    end(said, response)
    said["text"] = response.output_text


def ask(url: str, model: str, **more: Any) -> Any:
    return client(url).responses.create(model=model, **({"input": PROMPT} | more))


def history(given: dict[str, str], said: Said) -> None:
    (_, system), *turns = HISTORY
    messages = [{"role": role, "content": text} for role, text in turns]
    take(said, ask(given["demo"], "echo", instructions=system, input=messages))


def cancel(given: dict[str, str], said: Said) -> None:
    stream = ask(given["own"], "endless", stream=True)
    said["text"] = next(event.delta for event in stream if event.type == "response.output_text.delta")
    stream.close()


def helper(given: dict[str, str], said: Said) -> None:
    """The SDK's own state machine, which puts the response together from the events and checks their order."""
    with client(given["demo"]).responses.stream(model="thinker", input=PROMPT) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                add(said, "text", event.delta)
                assert event.snapshot == said["text"]
        final = stream.get_final_response()
    said["whole"] = final.output_text
    said["reasoning"] = next(item.summary[0].text for item in final.output if item.type == "reasoning")


play(
    {
        "stream": lambda given, said: read(said, ask(given["demo"], "echo", stream=True)),
        "whole": lambda given, said: take(said, ask(given["demo"], "echo")),
        "history": history,
        "length": lambda given, said: read(said, ask(given["demo"], "cut", stream=True)),
        "usage": lambda given, said: read(said, ask(given["demo"], "echo", stream=True)),
        "reasoning": helper,
        "error before": lambda given, said: read(said, ask(given["demo"], "fails-at-once", stream=True)),
        "error before, whole": lambda given, said: take(said, ask(given["demo"], "fails-at-once")),
        "error in the middle": lambda given, said: read(said, ask(given["demo"], "fails-midway", stream=True)),
        "cut": lambda given, said: read(said, ask(given["cut"], "tour", stream=True)),
        "rate limit": lambda given, said: take(said, ask(given["own"], "limited")),
        "cancel": cancel,
    }
)
