"""`aura models` lists what providers offer, and `aura doctor` compares agents with the limits that they list."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aura_core import ChatRequest, Message, Model
from aura_core.plugins.model_limits import limit_warnings
from aura_core.testing import Reply, Upstream

FakePlugin = Callable[..., None]
# On a busy machine the import of an SDK takes longer than a hook may.
PATIENT = "import aura_core.limits as l; l.HOOK_TIMEOUT = 120.0; import aura_core.cli as c; c.main()"
LISTED = {
    "data": [
        {"id": "openrouter", "context_length": 131072, "top_provider": {"max_completion_tokens": 4096}},
        {"id": "groq", "context_window": 8192, "max_completion_tokens": 2048},
        {"id": "vllm", "max_model_len": "4096"},
        {"id": "mistral", "max_context_length": 32768},
        {"id": "llamacpp", "meta": {"n_ctx_train": 2048}},
        {"id": "odd", "context_length": ["x"], "top_provider": 7, "meta": None, "max_model_len": -1},
        {"id": "openai"},
    ]
}
TAGS = {"models": [{"name": "big:latest", "size": 4_700_000_000}, {"name": "broken:1b"}]}
SHOWN = {"model_info": {"general.architecture": "llama", "llama.context_length": 8192}}


def json_reply(value: Any, **more: Any) -> Reply:
    return Reply([json.dumps(value).encode()], headers={"content-type": "application/json"}, **more)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        upstream.on("/v1/models", json_reply(LISTED))
        upstream.on("/api/tags", json_reply(TAGS))
        upstream.on("/api/show", json_reply(SHOWN))
        yield upstream


def aura(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PATIENT, *arguments, "--config", "aura.toml"]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=300, check=False)


def settings(folder: Path, upstream: Upstream) -> None:
    (folder / "aura.toml").write_text(
        f'[providers.compatible]\nplugin = "openai"\nbase_url = "{upstream.url}/v1"\n'
        f'[providers.local]\nplugin = "ollama"\nbase_url = "{upstream.url}"\n'
    )


def test_every_provider_is_listed_with_the_limits_of_its_models(tmp_path: Path, upstream: Upstream) -> None:
    settings(tmp_path, upstream)
    done = aura(tmp_path, "models", "--json")
    offers = {offer["provider"]: offer for offer in json.loads(done.stdout)["providers"]}
    limits = {model["name"]: (model["context"], model["max_output"]) for model in offers["compatible"]["models"]}
    assert limits == {
        "groq": (8192, 2048),
        "llamacpp": (2048, None),
        "mistral": (32768, None),
        "odd": (None, None),
        "openai": (None, None),
        "openrouter": (131072, 4096),
        "vllm": (4096, None),
    }
    assert offers["local"]["models"] == [
        {"name": "big:latest", "description": "4.7 GB", "context": 8192, "max_output": None},
        {"name": "broken:1b", "description": "", "context": 8192, "max_output": None},
    ]
    assert done.returncode == 0, "the default instances, which nobody configured, may be unreachable"
    assert offers["ollama"]["error"]


def test_one_provider_is_a_table_for_people(tmp_path: Path, upstream: Upstream) -> None:
    settings(tmp_path, upstream)
    done = aura(tmp_path, "models", "local")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["provider", "model", "context", "output", "description"]
    assert rows[1] == ["local", "big:latest", "8192", "-", "4.7", "GB"]


def test_an_ollama_that_shows_nothing_costs_only_the_limits(tmp_path: Path, upstream: Upstream) -> None:
    upstream.on("/api/show", json_reply({"error": "no"}, status=404))
    settings(tmp_path, upstream)
    assert "big:latest  -" in aura(tmp_path, "models", "local").stdout


@pytest.mark.parametrize(
    ("provider", "code", "said"),
    [
        ("nobody", 1, "provider 'nobody' is not installed"),
        ("echo", 1, "echo: its plugin cannot list models"),
        ("compatible", 1, "compatible: The server at"),
    ],
)
def test_a_provider_that_cannot_be_asked_is_one_line_and_exit_code_1(
    provider: str, code: int, said: str, tmp_path: Path, upstream: Upstream
) -> None:
    upstream.on("/v1/models", Reply(status=401))
    settings(tmp_path, upstream)
    done = aura(tmp_path, "models", provider)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_a_plugin_lists_that_is_not_a_model_is_its_fault(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin(
        "odd",
        "from aura_core import Token, hookimpl\n@hookimpl\nasync def stream_chat(request):\n    yield Token('x')\n"
        "@hookimpl\nasync def list_models():\n    return ['tiny']\n",
    )
    (tmp_path / "aura.toml").write_text("[providers.odd]\n")
    done = aura(tmp_path, "models", "odd")
    assert done.returncode == 1
    assert "The plugin 'odd' lists str, not Model" in done.stderr


def test_the_shell_completes_providers(tmp_path: Path, upstream: Upstream) -> None:
    settings(tmp_path, upstream)
    environ = os.environ | {"_AURA_COMPLETE": "bash_complete", "COMP_WORDS": "aura models co", "COMP_CWORD": "2"}
    environ |= {"AURA_CONFIG": "aura.toml", "AURA_TRUST": str(tmp_path)}
    command = [sys.executable, "-m", "aura_core"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert "compatible" in done.stdout
    assert "local" not in done.stdout


ASKED = ChatRequest([Message("system", "x" * 6000), Message("user", "y" * 6000)], "tiny", max_tokens=4096)


@pytest.mark.parametrize(
    ("model", "warnings"),
    [
        (Model("tiny"), []),
        (Model("tiny", context=8192, max_output=4096), []),
        (Model("other", context=1, max_output=1), []),
        (Model("tiny", max_output=1024), ["max_tokens is 4096, but 'tiny' writes at most 1024 tokens"]),
        (Model("tiny:latest", max_output=1024), ["max_tokens is 4096, but 'tiny:latest' writes at most 1024 tokens"]),
        (
            Model("tiny", context=2048),
            [
                "max_tokens is 4096, which leaves no room for a prompt in the context of 'tiny', 2048 tokens",
                "the prompt alone has about 3000 tokens, more than the context of 'tiny', 2048 tokens",
            ],
        ),
    ],
)
def test_a_request_is_compared_with_the_limits_of_its_model(model: Model, warnings: list[str]) -> None:
    assert limit_warnings(ASKED, [Model("first"), model]) == warnings


def test_doctor_warns_of_an_agent_that_does_not_fit(tmp_path: Path, upstream: Upstream) -> None:
    settings(tmp_path, upstream)
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents/it.md").write_text("---\nprovider: compatible\nmodel: groq\nmax_tokens: 4096\n---\n")
    answer = b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    upstream.on("/v1/chat/completions", Reply([answer]))
    done = aura(tmp_path, "doctor", "--agents", "agents", "--json")
    warned = [check["detail"] for check in json.loads(done.stdout)["checks"] if check["status"] == "warning"]
    assert "max_tokens is 4096, but 'groq' writes at most 2048 tokens" in warned


def test_misspelt_options_are_warned_of_and_passed_on(tmp_path: Path, upstream: Upstream) -> None:
    settings(tmp_path, upstream)
    (tmp_path / "agents").mkdir()
    options = "{temprature: 1, topP: 0.5, top_k: 4, min_tokens: 3, n_predict: 5, max_token: 7, seed: 1, x_y: 2}"
    (tmp_path / "agents/it.md").write_text(f"---\nprovider: compatible\nmodel: groq\noptions: {options}\n---\n")
    done = aura(tmp_path, "agents", "--agents", "agents")
    assert done.returncode == 0
    said = [line.partition("the option ")[2] for line in done.stderr.splitlines() if "the option" in line]
    known = "is passed on as it is, as the plugin 'openai' does not know it; did you mean"
    assert said == [f"{wrong!r} {known} {right!r}?" for wrong, right in MISSPELT.items()]
    checks = json.loads(aura(tmp_path, "doctor", "--offline", "--agents", "agents", "--json").stdout)["checks"]
    assert sum("did you mean" in check["detail"] for check in checks if check["status"] == "warning") == len(MISSPELT)


MISSPELT = {"temprature": "temperature", "topP": "top_p", "max_token": "max_tokens"}
