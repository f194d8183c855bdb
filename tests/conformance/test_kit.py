"""The conformance kit itself: its report of a broken promise, what it refuses, and what it restores."""

import json
import logging
import os
import subprocess
import sys
import unittest
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import msgspec
import pytest

from aura_core.cli.new_plugin import files
from aura_core.testing import NDJSON, SSE, Conformance, Failure, Reply, Transcript, Upstream
from aura_core.testing.capture_logs import collected
from aura_core.testing.checks import PROMISES
from aura_core.testing.echo import conformance as echo
from aura_core.testing.harness import Broken
from aura_core.testing.runner import Kit

ANTHROPIC = """\
    found.setdefault("max_tokens", 4096)
    found["messages"] = [message for message in request.messages if message.role != "system"]
    return found | {"system": next((m.content for m in request.messages if m.role == "system"), "")}
"""
INSTALLED = ", ".join(sorted(ep.name for ep in entry_points(group="aura")))
PROVIDERS = INSTALLED.replace(", openai_api", "")  # which is a door
FakePlugin = Callable[..., None]
HEAD = "from aura_core import Token, hookimpl\n@hookimpl\n"
ANSWER = b'{"message":{"content":"Hello"}}\n{"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":1}\n'


def aura(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aura_core", *arguments]
    return subprocess.run(command, cwd=cwd, env=os.environ | environ, capture_output=True, text=True, check=False)


def test_a_broken_promise_says_which_one_what_was_seen_and_where_to_read_about_it() -> None:
    wrong = msgspec.structs.replace(echo, transcripts=[Transcript(name="it", tokens=["Good bye"])])
    with pytest.raises(Broken) as broken:
        Kit(wrong).cases()[list(PROMISES).index("text")].run()
    message = str(broken.value)
    assert message.startswith("'echo' breaks the promise `text`: Text arrives exactly as the provider sent it")
    assert '"Good bye" was sent, "Hello" arrived' in message
    assert message.endswith("Read: aura test-plugin --explain text")


def test_a_check_that_does_not_apply_is_skipped_with_the_reason() -> None:
    with pytest.raises(unittest.SkipTest, match="has no server"):
        Kit(echo).cases()[list(PROMISES).index("hosts")].run()


def test_every_check_is_a_sentence_and_can_be_explained() -> None:
    assert [p.name for p in PROMISES.values() if not p.promise.endswith(".")] == []
    assert {p.docs for p in PROMISES.values()} == {f"aura test-plugin --explain {name}" for name in PROMISES}
    assert all(needed in PROMISES for p in PROMISES.values() for needed in p.needs)


def test_a_plugin_that_is_broken_fails_one_check_and_the_others_say_why_they_were_not_run(
    fake_plugin: FakePlugin,
) -> None:
    fake_plugin("sad", HEAD + "async def stream_chat(request, temperature):\n    yield Token('x')\n")
    results = {result.name: result for result in Kit(Conformance(plugin="sad")).results()}
    assert [name for name, result in results.items() if result.status == "failed"] == ["hooks"]
    assert "temperature" in results["hooks"].detail
    assert results["text"].detail == "it builds on `hooks`, which is broken"


def test_a_wrapper_with_a_description_is_reported_as_not_a_provider(fake_plugin: FakePlugin) -> None:
    fake_plugin("shout", (Path(__file__).parent / "shouting.py").read_text(encoding="utf-8"))
    results = {result.name: result for result in Kit(Conformance(plugin="shout")).results()}
    assert "a wrapper is not a provider" in results["hooks"].detail
    assert {result.status for name, result in results.items() if name != "hooks"} == {"skipped"}


def test_a_setting_without_a_hook_is_reported_once(fake_plugin: FakePlugin) -> None:
    fake_plugin("good", HEAD + "async def stream_chat(request):\n    yield Token('x', finish_reason='stop')\n")
    described = Conformance(plugin="good", settings={"base_url": "{url}"}, write=lambda tokens: b"", dialect=SSE)
    results = {result.name: result for result in Kit(described).results()}
    assert [name for name, result in results.items() if result.status == "failed"] == ["settings"]
    assert "sets base_url, but it has no hook provider_settings" in results["settings"].detail


def test_a_system_message_of_its_own_field_and_a_required_parameter_keep_the_promise(fake_plugin: FakePlugin) -> None:
    source = files("acme")["aura_acme/__init__.py"].replace("    return found\n", ANTHROPIC)
    fake_plugin("acme", source)
    described = Conformance(
        plugin="acme",
        settings={"base_url": "{url}"},
        dialect=SSE,
        write=lambda tokens: SSE.body(*({"text": token} for token in tokens), {"finish": "stop"}),
        required=["max_tokens"],
    )
    assert Kit(described).result("request").detail == ""
    strict = Kit(msgspec.structs.replace(described, required=[])).result("request")
    assert "nobody set it, and 'max_tokens' is in" in strict.detail


def test_settings_that_refuse_an_instance_without_a_key_keep_the_promise(fake_plugin: FakePlugin) -> None:
    source = files("acme")["aura_acme/__init__.py"]
    strict = source.replace('] = ""\n    api_key_file', "]\n    api_key_file")
    assert strict != source
    fake_plugin("acme", strict)
    described = Conformance(
        plugin="acme",
        settings={"base_url": "{url}"},
        dialect=SSE,
        write=lambda tokens: SSE.body(*({"text": token} for token in tokens), {"finish": "stop"}),
    )
    result = Kit(described).result("hosts")
    assert (result.status, result.detail) == ("ok", "")


FROM_ENVIRON = '__import__("os").environ.get(settings.{}_env, "")'


@pytest.mark.parametrize("only_variable", ["", "api_key", "auth_token"])
def test_each_of_two_secrets_is_tried_alone(only_variable: str, fake_plugin: FakePlugin) -> None:
    names = ("api_key", "auth_token")
    read = (FROM_ENVIRON.format(name) if name == only_variable else f'secret(settings, "{name}")' for name in names)
    kinds = ("env", "file")
    other = [f'    auth_token_{kind}: Annotated[str, Meta(description="of a gateway")] = ""\n' for kind in kinds]
    source = files("acme")["aura_acme/__init__.py"]
    for old, new in {
        'key = secret(settings, "api_key")\n': f"key = {' or '.join(read)}\n",
        "    connect_timeout:": f"{''.join(other)}    connect_timeout:",
    }.items():
        assert source.count(old) == 1
        source = source.replace(old, new)
    fake_plugin("acme", source)
    described = Conformance(
        plugin="acme",
        settings={"base_url": "{url}", "auth_token_env": "ACME_AUTH_TOKEN"},
        dialect=SSE,
        write=lambda tokens: SSE.body(*({"text": token} for token in tokens), {"finish": "stop"}),
    )
    result = Kit(described).result("secret-files")
    assert result.status == ("failed" if only_variable else "ok"), result.detail


def test_what_is_logged_is_seen_from_the_level_asked_for_and_the_level_is_put_back() -> None:
    logger = logging.getLogger("aura.test")
    with collected("aura.test", logging.INFO) as texts:
        logger.info("one")
        logger.debug("two")
    logger.info("three")
    assert texts == ["aura.test: one"]
    assert logger.level == logging.NOTSET


def test_a_plugin_that_never_stops_fails_and_delays_nothing(
    fake_plugin: FakePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aura_core.testing.runner.LIMIT", 0.5)
    source = HEAD + "async def stream_chat(request):\n    import time\n    time.sleep(2)\n    yield Token('x')\n"
    fake_plugin("stuck", source)
    stuck = Conformance(plugin="stuck", transcripts=[Transcript(name="it", tokens=["x"])])
    assert "did not end within 0.5 s" in Kit(stuck).result("text").detail


def test_the_environment_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    before = dict(os.environ)
    assert Kit(echo).result("text").status == "ok"
    assert dict(os.environ) == before


def test_a_description_that_cannot_work_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"no setting of 'x' holds \{url\}"):
        Conformance(plugin="x", write=lambda tokens: b"")
    with pytest.raises(ValueError, match="there is no code 'oops'"):
        Failure(name="it", code="oops")


def test_every_spelling_differs_and_keeps_the_records() -> None:
    for dialect, record in ((SSE, b'data: {"a":1}'), (NDJSON, b'{"a":1}')):
        body = dialect.body({"a": 1}, b'{"b":2}')
        assert body.startswith(record + b"\n")
        spelt = {name: spell(body) for name, spell in dialect.spellings.items()}
        assert len({body, *spelt.values()}) == 1 + len(spelt)
        in_several_lines = spelt.pop("the data of each event in several lines", b"")
        assert all(b'{"a":1}' in each and b'{"b":2}' in each for each in spelt.values())
        assert in_several_lines in (b"", b'data: {\ndata: "a":1\ndata: }\n\ndata: {\ndata: "b":2\ndata: }\n\n')


def test_the_kit_needs_no_pytest() -> None:
    code = "import sys, aura_core.testing; print('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_the_command_prints_json_and_counts(tmp_path: Path) -> None:
    done = aura("test-plugin", "echo", "--json", cwd=tmp_path)
    report = json.loads(done.stdout)
    assert (done.returncode, report["plugin"], report["ok"], report["live"]) == (0, "echo", True, False)
    assert [check["name"] for check in report["checks"]] == list(PROMISES)
    assert set(report["checks"][0]) == {"name", "status", "promise", "detail", "docs", "seconds"}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["ecko"], 1, "aura: no plugin 'ecko' is installed; did you mean 'echo'?\n"),
        (["nobody"], 1, f"aura: no plugin 'nobody' is installed; installed are {INSTALLED}\n"),
        (["echo", "--model", "m"], 2, "aura: --model and --config belong to --live\n"),
        (
            ["nobody", "--live"],
            1,
            f"aura: provider 'nobody' is not installed; installed are {PROVIDERS}. "
            "Aura's own are in the folder plugins of its repository\n",
        ),
    ],
)
def test_errors_of_the_command_are_one_line(arguments: list[str], code: int, says: str, tmp_path: Path) -> None:
    done = aura("test-plugin", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", says)


def test_a_plugin_without_a_description_is_told_how_to_publish_one(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin("good", HEAD + "async def stream_chat(request):\n    yield Token('x', finish_reason='stop')\n")
    done = aura("test-plugin", "good", cwd=tmp_path, PYTHONPATH=str(tmp_path / "site" / "aura-good"))
    assert done.returncode == 1
    assert (
        "the group 'aura.conformance', or for a door of the group 'aura.conformance.doors'; `aura new-plugin` writes"
        in done.stderr
    )


def test_live_asks_the_real_service_for_a_token_an_end_its_cost_and_a_stop(tmp_path: Path) -> None:
    with Upstream(Reply([ANSWER])) as upstream:
        (tmp_path / "aura.toml").write_text(f'[providers.mine]\nplugin = "ollama"\nbase_url = "{upstream.url}"\n')
        done = aura("test-plugin", "mine", "--live", "--model", "tiny", "--json", cwd=tmp_path)
    report = json.loads(done.stdout)
    assert {check["name"]: check["status"] for check in report["checks"]} == {
        "live-first": "ok",
        "live-finish": "ok",
        "live-usage": "ok",
        "live-cancel": "ok",
    }
    assert done.returncode == 0
    assert {request.json()["model"] for request in upstream.requests} == {"tiny"}


def test_live_says_what_is_wrong_with_the_service(tmp_path: Path) -> None:
    (tmp_path / "aura.toml").write_text('[providers.ollama]\nbase_url = "http://127.0.0.1:9"\n')
    done = aura("test-plugin", "ollama", "--live", "--model", "tiny", cwd=tmp_path)
    assert done.returncode == 1
    assert "is it running?" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_the_command_explains_each_promise_without_any_file(tmp_path: Path) -> None:
    done = aura("test-plugin", "--explain", "stall", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("stall: What has come leaves at once, and silence is waited out")
    assert "It builds on hooks, settings, description, loop, delay." in done.stdout
    assert "The kit is silent for 5.5 seconds" in done.stdout
    assert aura("test-plugin", "--explain", "live-first", cwd=tmp_path).stdout.startswith("live-first: The service")
    unknown = aura("test-plugin", "--explain", "stal", cwd=tmp_path)
    assert (unknown.returncode, unknown.stderr) == (2, "aura: there is no promise 'stal'; did you mean 'stall'?\n")


def test_the_command_tries_only_what_it_is_told_to(tmp_path: Path) -> None:
    done = aura("test-plugin", "echo", "--only", "tokens", "--json", cwd=tmp_path)
    assert [check["name"] for check in json.loads(done.stdout)["checks"]] == ["tokens"]
    assert aura("test-plugin", cwd=tmp_path).returncode == 2
