"""Agent files whose front matter is almost one: an error with its line, never a prompt for another provider."""

from pathlib import Path

import pytest

from aura_core.config.agents import AgentStore, parse
from aura_core.errors import ConfigError

PRIVATE = "provider: private\n---\nYou are discreet."


def _alone(line: int, shown: str, does: str = "opens") -> str:
    return f"a.md:{line}: the line that {does} the front matter must be '---' alone, not '{shown}'"


def _like(line: int) -> str:
    return f"a.md:{line}: this looks like front matter; the first line of the file must be '---'"


ERRORS = {
    # The line that opens it
    f"\ufeff---\n{PRIVATE}": _alone(1, "\\ufeff---"),
    f"\u200b---\n{PRIVATE}": _alone(1, "\\u200b---"),
    f"---\u200b\n{PRIVATE}": _alone(1, "---\\u200b"),
    f"-\u00ad--\n{PRIVATE}": _alone(1, "-\\xad--"),
    f"\u202e---\n{PRIVATE}": _alone(1, "\\u202e---"),
    f"\x07---\n{PRIVATE}": _alone(1, "\\x07---"),
    f"--- # comment\n{PRIVATE}": _alone(1, "--- # comment"),
    f"\u00a0---\n{PRIVATE}": _alone(1, "\u00a0---"),
    f"  ---  \n{PRIVATE}": _alone(1, "  ---"),
    f"\n\u200b\n---\n{PRIVATE}": "a.md:3: the line '---' that opens the front matter must be the first",
    f"--- provider: private\n{PRIVATE}": _like(1),
    f"---\u2028{PRIVATE}": _like(1),
    f"---yaml\n{PRIVATE}": _like(1),
    f"----\n{PRIVATE}": _like(1),
    f"--\n{PRIVATE}": _like(1),
    f"\u2014\n{PRIVATE}": _like(1),  # what an editor makes of three hyphens
    f"\u2014-\n{PRIVATE}": _like(1),
    f"\u2212\u2212\u2212\n{PRIVATE}": _like(1),
    '+++\nprovider = "private"\n+++\nYou are discreet.': _like(1),
    f"```yaml\n{PRIVATE}": _like(1),
    f"```chatagent\n---\n{PRIVATE}\n```": _like(1),
    # None opens it
    PRIVATE: _like(1),
    "name: Anna\ntags: [a]\n---\nYou are discreet.": _like(1),
    "Provider: private\n---\nYou are discreet.": _like(1),
    "provider: private\n\nYou are discreet.": _like(1),
    "\u200bmodel: m\nYou are discreet.": _like(1),
    # It is not the first
    f"# Anna\n\n---\n{PRIVATE}": _like(3),
    f"<!-- a\nlicense -->\n---\n{PRIVATE}": _like(3),
    # The line that closes it
    "---\nprovider: private\n--- # end\nPrompt: hi\n---\n": _alone(3, "--- # end", "closes"),
    "---\nprovider: private\n\u200b---\nPrompt: hi\n---\n": _alone(3, "\\u200b---", "closes"),
    "---\nname: a\n ---\nPrompt: hi\n---\n": _alone(3, " ---", "closes"),
    "---\nversion: a\n ---\nPrompt: hi\n---\n": _alone(3, " ---", "closes"),
    # Keys
    "---\n\u200bprovider: private\n---\n": "a.md:2: the key '\\u200bprovider' holds a hidden character",
    "---\nname: a\n\u2060\u2060\u2060\u2060\u2060tags: [a]\n---\n": (
        "a.md:3: the key '\\u2060\\u2060\\u2060\\u2060\\u2060tags' holds a hidden character"
    ),
}


@pytest.mark.parametrize("text", ERRORS)
def test_what_looks_like_front_matter_and_is_not_is_an_error_with_its_line(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse("a", text, Path("a.md"))
    assert str(error.value) == ERRORS[text]


PROMPTS = [
    "You are discreet.",
    "# Anna\n\nYou are discreet.\n\n---\n\nname: the name that you were given",
    "# Format\n---\nAnswer in this form.",
    "Answer in this form:\n\n---\nname: …\ntags: […]\n---\n\nNothing else.",
    "```yaml\nname: ci\non: push\n```\nYou review such workflows.",
    "name: what people call you.\nYou are discreet.",
    "Model: a good citizen.\nProvider: of answers.",
    "- provider: one who provides\n- model: one who poses",
    "-- \nYou are discreet.",
    "------\nYou are discreet.\n------",
    "\u2014 You are discreet.",
    "<!-- provider: private -->",
    "Description: an agent.\n\n---\n\nYou are discreet.\n---",
    "\u200bYou are discreet.",
]


@pytest.mark.parametrize("text", PROMPTS)
def test_a_prompt_without_front_matter_is_a_prompt(text: str) -> None:
    agent = parse("a", text, Path("a.md"))
    assert (agent.front_matter.provider, agent.prompt) == (None, text.strip())


def test_a_rule_in_a_block_of_text_does_not_close_the_front_matter() -> None:
    agent = parse("a", "---\noptions:\n  text: |\n    one\n    ---\n    two\n---\nHi.", Path("a.md"))
    assert (agent.front_matter.options, agent.prompt) == ({"text": "one\n---\ntwo"}, "Hi.")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (
            b"\xef\xbb\xbf" * 2 + b"---\nprovider: echo\n---\n",
            "the line that opens the front matter must be '---' alone",
        ),
        ("---\nprovider: echo\n---\n".encode("utf-16-le"), "holds the character NUL; save it as UTF-8"),
        ("---\nprovider: echo\n---\n".encode("utf-16"), "is not UTF-8 text; save it as UTF-8"),
    ],
)
def test_a_file_in_another_encoding_is_an_error(data: bytes, error: str, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(data)
    entry = AgentStore(tmp_path).entries["a"]
    assert entry.agent is None
    assert error in (entry.error or "")
