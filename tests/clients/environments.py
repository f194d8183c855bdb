"""The clients that are tried, each in an environment of its own; `python environments.py` makes those that are missing.

With `--quick` only those that CI runs. A Python client has its pins in python/NAME.txt, and its environment in
~/.cache/aura-clients, by the hash of these pins; `--pin` writes the newest. The JavaScript clients have theirs in
node/package-lock.json and node/node_modules.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
CACHE = Path(os.environ.get("AURA_CLIENTS") or Path.home() / ".cache" / "aura-clients")
NODE = FOLDER / "node"
SERVICES = ("stream", "whole", "history", "usage")


class Client(NamedTuple):
    """A client and its driver. `quick` clients run in CI."""

    name: str
    driver: str
    environment: str
    wanted: tuple[str, ...] = ()
    quick: bool = False
    python: str = ""

    @property
    def command(self) -> list[str]:
        """The command that starts its driver."""
        if self.environment == "node":
            return [shutil.which("node") or "node", str(NODE / f"{self.driver}.mjs")]
        return [str(python_of(self.environment)), str(FOLDER / "python" / f"{self.driver}.py")]

    @property
    def missing(self) -> str:
        """The reason why it cannot be run here, or ""."""
        if self.environment == "node":
            there = shutil.which("node") is not None and (NODE / "node_modules" / ".package-lock.json").exists()
        else:
            there = (folder_of(self.environment) / "made").exists()
        return "" if there else f"needs the client {self.name}: just clients"


CLIENTS = [
    Client("openai for Python", "openai_chat", "openai", ("openai",), quick=True),
    Client("openai for Python, Responses", "openai_responses", "openai", ("openai",), quick=True),
    Client("openai for Node", "openai_chat", "node", quick=True),
    Client("AI SDK, openai-compatible", "ai_compatible", "node", quick=True),
    Client("AI SDK, openai()", "ai_openai", "node", quick=True),
    Client("langchain-openai", "langchain_chat", "langchain", ("langchain-openai",)),
    Client("llm", "llm_chat", "llm", ("llm",)),
    Client("pydantic-ai", "pydantic_ai_chat", "pydantic-ai", ("pydantic-ai-slim[openai]",)),
    Client("litellm", "litellm_chat", "litellm", ("litellm",)),
    Client("openai-agents", "openai_agents", "openai-agents", ("openai-agents",)),
    Client("aider", "aider_chat", "aider", ("aider-chat",), python=">=3.10,<3.13"),
]
TYPES = Client("Open Responses' types", "open_responses", "openresponses", ("openresponses-types",), quick=True)
"""The published schema of Open Responses, as its types for Python have it."""


def pins_of(environment: str) -> Path:
    """The file with a Python environment's pins."""
    return FOLDER / "python" / f"{environment}.txt"


def folder_of(environment: str) -> Path:
    """The folder of an environment with these pins."""
    digest = hashlib.sha256(pins_of(environment).read_bytes()).hexdigest()[:12]
    return CACHE / f"{environment}-{digest}"


def python_of(environment: str) -> Path:
    """Its Python."""
    return folder_of(environment) / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def make(client: Client) -> None:
    """Create the environment of a client, unless it exists."""
    if client.environment == "node":
        if client.missing:
            subprocess.run(["npm", "ci", "--prefix", NODE, "--no-audit", "--no-fund", "--loglevel=error"], check=True)
        return
    folder = folder_of(client.environment)
    if (folder / "made").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    wanted = ["--python", client.python] if client.python else ["--python", sys.executable]
    subprocess.run([_uv(), "venv", "--no-config", "--quiet", "--no-project", *wanted, folder], check=True)
    pins = pins_of(client.environment)
    subprocess.run(
        [
            _uv(),
            "pip",
            "install",
            "--no-config",
            "--quiet",
            "--python",
            python_of(client.environment),
            "--requirements",
            pins,
        ],
        check=True,
    )
    (folder / "made").touch()


def pin(client: Client) -> None:
    """Pin the newest versions of a Python client and its dependencies."""
    if client.environment == "node":
        return
    command = [
        _uv(),
        "pip",
        "compile",
        "--no-config",
        "--quiet",
        "--no-header",
        "--no-annotate",
        "--universal",
        "--upgrade",
    ]
    command += [
        "--python-version",
        "3.12" if client.python else "3.11",
        "--output-file",
        str(pins_of(client.environment)),
        "-",
    ]
    subprocess.run(command, input="\n".join(client.wanted), text=True, check=True)


def _uv() -> str:
    return shutil.which("uv") or sys.exit("uv is missing: pip install uv")


def main() -> None:
    """Create all environments, or those of CI."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only those that CI runs")
    parser.add_argument("--pin", action="store_true", help="write the newest versions, and make nothing")
    options = parser.parse_args()
    for client in [*CLIENTS, TYPES]:
        if client.quick or not options.quick:
            (pin if options.pin else make)(client)


if __name__ == "__main__":
    main()
