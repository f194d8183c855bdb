"""A slip of a plugin's author is told once, in words that say what to change."""

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from aura_core.cli.new_plugin import files
from aura_core.testing import SSE, Conformance, Reply, Transcript
from aura_core.testing.harness import encoded
from aura_core.testing.runner import Kit, Result

FakePlugin = Callable[..., None]
SOURCE = files("demo")["aura_demo/__init__.py"]
FREE = "@hookimpl\ndef agent_options():\n    return DemoOptions\n"


def write(tokens: list[str]) -> bytes:
    return SSE.body(*({"text": token} for token in tokens), {"finish": "stop"})


DESCRIBED = Conformance(plugin="demo", settings={"base_url": "{url}"}, dialect=SSE, write=write)


def edited(*edits: tuple[str, str]) -> str:
    source = SOURCE
    for old, new in edits:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    return source


def results(description: Conformance, *only: str) -> dict[str, Result]:
    kit = Kit(description)
    return {result.name: result for result in (kit.only(only) if only else kit.results())}


def failed(found: dict[str, Result]) -> dict[str, str]:
    return {name: result.detail for name, result in found.items() if result.status == "failed"}


def told(fake_plugin: FakePlugin, source: str | None, promise: str, **changed: Any) -> str:
    """What a check says of a plugin with this source; None for the one that is installed."""
    if source is not None:
        fake_plugin("demo", source)
    result = results(msgspec.structs.replace(DESCRIBED, **changed), promise)[promise]
    return f"{result.status}: {result.detail}"


def test_a_description_that_cannot_be_true_is_refused_where_it_is_written() -> None:
    with pytest.raises(ValueError, match=r"it: there is no finish reason 'done'; known are stop, length"):
        Transcript(name="it", finish_reason="done")
    with pytest.raises(ValueError, match="it: body is str, not bytes"):
        Transcript(name="it", body="text")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="it: tokens is a text; write a list of texts"):
        Transcript(name="it", tokens="Hello")
    with pytest.raises(ValueError, match="required: there is no parameter 'top_k'"):
        Conformance(plugin="demo", required=["top_k"])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda tokens: b"%d" % tokens[5], "write(['One', ' two']) raised IndexError"),
        (lambda tokens: "data: {}\n\n", "write(['One', ' two']) gave str, not bytes"),
    ],
)
def test_a_wrong_write_is_told_once_and_by_its_name(
    wrong: Callable[[list[str]], bytes], words: str, fake_plugin: FakePlugin
) -> None:
    fake_plugin("demo", SOURCE)
    found = results(msgspec.structs.replace(DESCRIBED, write=wrong))
    assert list(failed(found)) == ["description"]
    assert words in found["description"].detail
    assert found["text"].detail == "it builds on `description`, which is broken"


def test_options_that_the_plugin_refuses_are_told(fake_plugin: FakePlugin) -> None:
    source = SOURCE + "\n\nclass DemoOptions(msgspec.Struct):\n    top_k: int = 0\n\n\n" + FREE
    wrong = Transcript(name="with options", options={"top_k": "many"})
    said = told(fake_plugin, source, "description", transcripts=[wrong])
    assert said.startswith("failed: with options: agent_options refuses its options: Expected `int`")
    assert "which agent_options does not declare" in told(fake_plugin, None, "description", unsent_options=["top"])


def test_a_parameter_that_is_called_required_must_be_sent(fake_plugin: FakePlugin) -> None:
    said = told(fake_plugin, SOURCE, "request", required=["max_tokens"])
    assert said == "failed: the description calls max_tokens required, but where nobody sets it, none is sent"


def test_the_request_is_compared_with_the_one_that_the_description_wants(fake_plugin: FakePlugin) -> None:
    wanted = {"model": "test-model", "stream": False}
    assert "the description's `request` has max_tokens: null, sent was 100" in told(
        fake_plugin, SOURCE, "request", request=wanted
    )
    assert "`request` refuses" in told(fake_plugin, None, "request", request=lambda sent: "top" in sent.json())
    assert told(fake_plugin, None, "request", request=lambda sent: sent.json()["stream"]) == "ok: "


def test_a_code_that_does_not_exist_is_named_with_the_one_that_was_meant(fake_plugin: FakePlugin) -> None:
    source = edited(("raise status_error(server, response.status_code, response.headers, said, request.model)",
                     'raise ProviderError("no", "rate_limit")'))  # fmt: skip
    assert "its code 'rate_limit' does not exist; known are unavailable" in told(fake_plugin, source, "errors")


def test_an_answer_that_fails_with_such_a_code_is_told_with_it(fake_plugin: FakePlugin) -> None:
    source = edited(
        (
            "            yield Token(upstream_id=",
            '            raise ProviderError("no", "rate_limit")\n            yield Token(upstream_id=',
        )
    )
    said = told(fake_plugin, source, "text")
    assert "error llm_error, as its code 'rate_limit' does not exist; did you mean 'rate_limited'? (no)" in said


def test_a_token_of_a_wrong_type_is_told_with_its_field(fake_plugin: FakePlugin) -> None:
    source = edited(("return Token(event.text, event", "return Token(3, event"))
    said = told(fake_plugin, source, "text")
    assert "it yielded a Token with content=3, which must be a str, not int" in said


def test_tokens_that_never_came_are_not_ok(fake_plugin: FakePlugin) -> None:
    source = edited(("return Token(event.text, event", 'return Token("", event'))
    assert told(fake_plugin, source, "tokens") == "skipped: it builds on `text`, which is broken"


def test_a_client_that_cannot_be_entered_is_told(fake_plugin: FakePlugin) -> None:
    said = told(fake_plugin, edited(("    return client()\n", "    return 7\n")), "hooks")
    assert "open_client gave int, which `async with` cannot enter" in said


def test_what_the_log_says_of_a_client_that_fails_is_shown(fake_plugin: FakePlugin) -> None:
    failing = edited(("    return client()\n", "    raise KeyError(settings.base_url)\n"))
    assert "The log says: aura.providers: plugin 'demo' could not open its client" in told(fake_plugin, failing, "text")


def test_a_wrong_argument_is_told_with_those_that_are_allowed(fake_plugin: FakePlugin) -> None:
    source = edited(("async def stream_chat(request:", "async def stream_chat(prompt:"))
    said = told(fake_plugin, source, "hooks")
    assert said == "failed: stream_chat has no argument 'prompt'; it may name request, settings, client"


def test_the_author_is_not_told_to_uninstall_the_plugin(fake_plugin: FakePlugin) -> None:
    source = edited(("    return DemoSettings\n", "    return dict\n"))
    said = told(fake_plugin, source, "hooks")
    assert "provider_settings must return a msgspec.Struct class" in said
    assert "uninstall" not in said


def test_characters_that_cannot_be_seen_are_written_out() -> None:
    assert encoded("a\u2028b\ufeff é") == r'"a\u2028b\ufeff é"'


def test_a_plugin_that_sleeps_is_stopped_early(fake_plugin: FakePlugin) -> None:
    fake_plugin(
        "demo",
        edited(
            (
                "    import httpx\n\n    server, content",
                "    import time\n\n    import httpx\n\n    time.sleep(2)\n    server, content",
            )
        ),
    )
    begin = time.monotonic()
    found = results(DESCRIBED)
    assert list(failed(found)) == ["loop"]
    assert "time.sleep for 2 s (fake_aura_demo_demo, line" in found["loop"].detail
    assert {result.status for name, result in found.items() if name not in ("loop", "quiet")} == {"ok", "skipped"}
    assert time.monotonic() - begin < 120


def test_nothing_is_tried_after_a_check_in_which_the_plugin_was_stuck(
    fake_plugin: FakePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aura_core.testing.runner.LIMIT", 8)
    fake_plugin(
        "demo", edited(("    server, content", "    await __import__('asyncio').sleep(30)\n    server, content"))
    )
    found = results(msgspec.structs.replace(DESCRIBED, replies={"/models": Reply([b"{}"])}))
    assert "did not end within 8 s" in found["loop"].detail
    assert found["quiet"].detail == "the plugin was stuck in `loop`, so the rest was not tried"
