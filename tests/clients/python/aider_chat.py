"""aider's command, as a user would run it in a script."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from driver import PROMPT, Said, play

QUIET = [
    "--no-git",
    "--yes-always",
    "--no-check-update",
    "--no-show-model-warnings",
    "--analytics-disable",
    "--no-pretty",
]


def run(said: Said, url: str, agent: str, *options: str) -> None:
    """aider prints the answer among its own words; it gives up on errors by itself, and ends with 0."""
    environ = os.environ | {
        "OPENAI_API_BASE": f"{url}/v1",
        "OPENAI_API_KEY": "none",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    command = [Path(sys.executable).with_name("aider"), "--model", f"openai/{agent}", "--chat-mode", "ask", *QUIET]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*command, *options, "--message", PROMPT],
            cwd=folder,
            env=environ | {"HOME": folder},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
    said["text"] = done.stdout


play(
    {
        "stream": lambda given, said: run(said, given["demo"], "echo"),
        "whole": lambda given, said: run(said, given["demo"], "echo", "--no-stream"),
        "reasoning": lambda given, said: run(said, given["demo"], "thinker"),
    }
)
