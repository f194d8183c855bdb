"""The Python client of Ollama, unchanged, asks Aura's agents."""

from collections.abc import Iterator
from pathlib import Path

import ollama
import pytest
from aura_ollama_door.conformance import conformance

from aura_core.testing import AuraServer, Check

AGENTS = {
    "it.md": "---\nprovider: echo\n---\n",
    "thinks.md": "---\nprovider: echo\noptions: {reasoning: hm hm, text: one two}\n---\n",
    "breaks.md": "---\nprovider: echo\noptions: {text: one two three, fail_after: 2, code: unavailable}\n---\n",
    "long.md": "---\nprovider: echo\noptions: {text: one two three, tokens: 2}\n---\n",
}
HELLO = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello world"}]


@pytest.fixture(params=conformance.checks(), ids=str)
def check(request: pytest.FixtureRequest) -> Check:
    found: Check = request.param
    return found


@pytest.fixture
def client(tmp_path: Path) -> Iterator[ollama.Client]:
    with AuraServer(tmp_path, AGENTS, "[server]\nretries = 0\n") as aura:
        found = ollama.Client(aura.url, trust_env=False)
        yield found
        found._client.close()


def test_conformance(check: Check) -> None:
    check.run()


def test_a_stream(client: ollama.Client) -> None:
    parts = list(client.chat("it", HELLO, stream=True))
    assert [part.message.content for part in parts] == ["Hello", " world", ""]
    assert (parts[-1].done, parts[-1].done_reason, parts[0].model) == (True, "stop", "it")
    assert parts[-1].eval_count == 2


def test_a_whole_answer(client: ollama.Client) -> None:
    answer = client.chat("it", HELLO)
    assert (answer.message.content, answer.done_reason) == ("Hello world", "stop")


def test_a_thinking_model(client: ollama.Client) -> None:
    parts = list(client.chat("thinks", HELLO, stream=True))
    assert "".join(part.message.thinking or "" for part in parts) == "hm hm"
    assert "".join(part.message.content or "" for part in parts) == "one two"


def test_a_limit_of_the_agent_is_told(client: ollama.Client) -> None:
    assert client.chat("long", HELLO).done_reason == "length"


def test_the_list_of_models(client: ollama.Client) -> None:
    assert sorted(model.model or "" for model in client.list().models) == ["breaks", "it", "long", "thinks"]


def test_a_failure_in_the_middle_is_an_error_after_the_text(client: ollama.Client) -> None:
    said = []
    with pytest.raises(ollama.ResponseError, match="options request this failure"):
        for part in client.chat("breaks", HELLO, stream=True):
            said.append(part.message.content)
    assert said == ["one", " two"]


@pytest.mark.parametrize("stream", [True, False])
def test_a_refusal_has_its_status_and_its_words(client: ollama.Client, stream: bool) -> None:
    with pytest.raises(ollama.ResponseError, match="There is no agent") as caught:
        list(client.chat("none", HELLO, stream=stream))
    assert caught.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match=r"messages\[0\]\.images"):
        list(client.chat("it", [{"role": "user", "content": "a", "images": [b"x"]}], stream=stream))
