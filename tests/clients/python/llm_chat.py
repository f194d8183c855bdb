"""The library behind the command `llm`, with agents in extra-openai-models.yaml."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

folder = Path(tempfile.mkdtemp())
os.environ["LLM_USER_PATH"] = str(folder)

import llm  # noqa: E402
from driver import HISTORY, PROMPT, Said, add, play  # noqa: E402

AGENTS = ["echo", "cut", "thinker", "fails-at-once", "fails-midway", "tour", "limited", "endless"]
servers = json.loads(sys.argv[1])
(folder / "extra-openai-models.yaml").write_text(
    "".join(
        f"- model_id: {place}/{agent}\n  model_name: {agent}\n  api_base: {servers[place]}/v1\n"
        for place in ("demo", "own", "cut")
        for agent in AGENTS
    )
)


def read(said: Said, response: Any) -> None:
    said["text"] = ""
    for piece in response:
        add(said, "text", piece)
    take(said, response)


def take(said: Said, response: Any) -> None:
    said["text"] = response.text()
    usage = response.usage()
    said["usage"] = [usage.input, usage.output]


def ask(name: str, stream: bool = True, **more: Any) -> Any:
    return llm.get_model(name).prompt(PROMPT, stream=stream, **more)


def history(given: dict[str, str], said: Said) -> None:
    """llm keeps its own history: the first answer is what echo says."""
    conversation = llm.get_model("demo/echo").conversation()
    conversation.prompt(HISTORY[1][1], system=HISTORY[0][1], stream=False).text()
    take(said, conversation.prompt(HISTORY[3][1], system=HISTORY[0][1], stream=False))


def cancel(given: dict[str, str], said: Said) -> None:
    """Ctrl-C at the command. Whoever leaves the library's iterator leaves the connection open until it is collected."""
    command = [sys.executable, "-m", "llm", "-m", "own/endless", PROMPT]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        said["text"] = process.stdout.read(4).decode()
        process.send_signal(signal.SIGINT)


play(
    {
        "stream": lambda given, said: read(said, ask("demo/echo")),
        "whole": lambda given, said: take(said, ask("demo/echo", stream=False)),
        "history": history,
        "usage": lambda given, said: read(said, ask("demo/echo")),
        "error before": lambda given, said: read(said, ask("demo/fails-at-once")),
        "error before, whole": lambda given, said: take(said, ask("demo/fails-at-once", stream=False)),
        "error in the middle": lambda given, said: read(said, ask("demo/fails-midway")),
        "cut": lambda given, said: read(said, ask("cut/tour")),
        "rate limit": lambda given, said: take(said, ask("own/limited", stream=False)),
        "cancel": cancel,
    }
)
