"""The front matter's dialect of YAML: numbers are those of JSON, nothing is dropped, other tools' keys are notes."""

import json
from pathlib import Path

import pytest

from aura_core.config import front_matter
from aura_core.config.agents import parse
from aura_core.errors import ConfigError

NUMBER = "a number must be written as in JSON, such as 100 or 0.5; put it in quotes if it is a text"
NOT_JSON = [
    *("0100", "00", "08", "-01", "+5", "1_000", "0b11", "0o17", "0x1F", "1:30", "190:20:30", "1:30.5"),
    *("5.", ".5", "-.5", "01.5", "1_0.5", "+1e5", ".inf", "-.Inf", ".nan", ".NaN", "5.e3"),
]
JSON = ["0", "-0", "7", "100", "0.5", "-1.25", "1e5", "1E+2", "2.5e-3", "10e0"]
TEXTS = ["1.2.3", "127.0.0.1", "7b", "1-2", "2024-01-01", "1:75b", "e5", "0xg", "qwen:7", "1,000", "v1", "~a", "1e"]


@pytest.fixture(params=["libyaml", "Python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "Python":
        monkeypatch.setattr(front_matter, "FAST_YAML", -1)


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("number", NOT_JSON)
@pytest.mark.parametrize("line", ["max_tokens: {}", "temperature: {}", "model: {}", "options: {{x: [{}]}}"])
def test_a_number_that_json_does_not_have_is_an_error(line: str, number: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse("a", f"---\nname: a\n{line.format(number)}\n---\n", Path("a.md"))
    assert str(error.value) == f"a.md:3: {NUMBER}"


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("number", JSON)
def test_a_number_is_what_json_makes_of_it(number: str) -> None:
    options = parse("a", f"---\noptions: {{x: {number}}}\n---\n", Path("a.md")).front_matter.options
    assert repr(options["x"]) == repr(json.loads(number))


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("text", [*TEXTS, *(f'"{number}"' for number in NOT_JSON), "trueblood", "False Positive"])
def test_a_text_stays_a_text(text: str) -> None:
    assert parse("a", f"---\nname: {text}\n---\n", Path("a.md")).front_matter.name == text.strip('"')


@pytest.mark.usefixtures("parser")
def test_a_number_too_large_for_json_readers_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"^a\.md:2: a number is too large"):
        parse("a", "---\noptions: {x: 1e999}\n---\n", Path("a.md"))


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("options", ["{a: 1, b: {c: 1, c: 2}}", "{a: 1, a: 2}", "\n  a: 1\n  a: 1"])
def test_a_key_that_stands_twice_is_an_error_at_every_depth(options: str) -> None:
    with pytest.raises(ConfigError, match=r"^a\.md:\d: '[ac]' stands twice in one mapping$"):
        parse("a", f"---\noptions: {options}\n---\n", Path("a.md"))


@pytest.mark.parametrize(
    "key",
    [
        *("mode", "models", "modes", "providers", "actions", "task", "template", "tools", "mcp-servers", "color"),
        *("max_turns", "maxTurns", "max-turns", "max_steps", "maxSteps", "max_iterations", "max_retries", "max_rounds"),
        *("argument-hint", "permissionMode", "handoffs", "prompts", "timeout_mins", "top_p", "model_name", "version"),
    ],
)
def test_a_key_of_another_tool_is_a_note(key: str) -> None:
    agent = parse("a", f"---\nname: a\n{key}: 0100\n---\n", Path("a.md"))  # nor is its value read
    assert agent.notes == (f"a.md:3: {key!r} is not Aura's and is ignored",)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        *(("modle", "model"), ("Model", "model"), ("modell", "model"), ("providr", "provider"), ("tag", "tags")),
        *(("max_token", "max_tokens"), ("maxTokens", "max_tokens"), ("max-tokens", "max_tokens")),
        *(("max_output_tokens", "max_tokens"), ("max_tok", "max_tokens"), ("tokens", "max_tokens")),
        *(("temprature", "temperature"), ("optons", "options"), ("descriptions", "description")),
    ],
)
def test_a_near_miss_of_ours_stays_an_error(key: str, meant: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse("a", f"---\n{key}: 1\n---\n", Path("a.md"))
    assert str(error.value) == f"a.md:2: unknown key {key!r}; did you mean {meant!r}?"
