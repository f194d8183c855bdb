"""Good and bad distributions side by side: the good ones stream, the bad ones are listed with their errors."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import aura_core.testing
from aura_core import streams
from aura_core._version import __version__
from aura_core.config import settings
from aura_core.plugins.infos import provider_infos
from aura_core.plugins.loader import Plugins
from aura_core.runtime import Runtime
from aura_core.testing import AuraServer, Reply, Upstream

FakePlugin = Callable[..., None]

HEAD = "from aura_core import Token, hookimpl\n"
GOOD = HEAD + '@hookimpl\nasync def stream_chat(request):\n    yield Token("good", finish_reason="stop")\n'

BAD: dict[str, tuple[str, str, str]] = {
    "broken": ("import nonexistent_module", "ModuleNotFoundError", "install what provides 'nonexistent_module'"),
    "leaves": ("import sys; sys.exit(3)", "SystemExit", "update or uninstall"),
    "wrongsig": (
        HEAD + "@hookimpl\nasync def stream_chat(request, temperature):\n    yield Token('x')\n",
        "temperature",
        "tell its author",
    ),
    "kwonly": (
        HEAD + "@hookimpl\nasync def stream_chat(request, *, client):\n    yield Token('x')\n",
        "keyword-only argument 'client'",
        "tell its author",
    ),
    "kwargs": (HEAD + "@hookimpl\nasync def stream_chat(**kwargs):\n    yield Token('x')\n", "**kwargs", ""),
    "coroutine": (
        HEAD + "@hookimpl\nasync def stream_chat(request):\n    return Token('x')\n",
        "without 'yield'",
        "tell its author",
    ),
    "generator": (HEAD + "@hookimpl\ndef stream_chat(request):\n    yield Token('x')\n", "must be 'async def'", ""),
    "unknownhook": (
        HEAD + "@hookimpl\nasync def stream_caht(request):\n    yield 1\n",
        "did you mean 'stream_chat'?",
        "",
    ),
    "nothing": ("x = 1", "no hook", "@aura_core.hookimpl"),
    "lonely": (HEAD + "@hookimpl\ndef supports_streaming(model):\n    return False\n", "not a provider", ""),
    "badsettings": (GOOD + "@hookimpl\ndef provider_settings():\n    return 5\n", "must return a msgspec.Struct", ""),
    "leavinglate": (GOOD + "@hookimpl\ndef provider_settings():\n    raise SystemExit('bye')\n", "SystemExit: bye", ""),
    "unresolved": (
        GOOD + "import msgspec\nclass S(msgspec.Struct):\n    key: 'Missing' = ''\n"
        "@hookimpl\ndef provider_settings():\n    return S\n",
        "NameError: name 'Missing' is not defined",
        "",
    ),
    "meddler": (
        GOOD + "@hookimpl(wrapper=True)\ndef provider_settings():\n    yield\n    raise ValueError\n",
        "it wraps 'provider_settings', which is each plugin's own",
        "tell its author",
    ),
    "syntax": ("def (", "SyntaxError", ""),
}


def test_bad_plugins_are_quarantined_and_the_good_one_streams(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    for name, (source, _, _) in BAD.items():
        fake_plugin(name, source)
    fake_plugin("twin", GOOD, "aura-twin")
    fake_plugin("twin", GOOD, "twin-too")
    fake_plugin("good", GOOD)
    fake_plugin("echo", GOOD, "evil-echo")
    fake_plugin("Bad-Name", GOOD, "badly-named")
    with AuraServer(tmp_path, {"a.md": "---\nprovider: good\n---\n", "b.md": "---\nprovider: leaves\n---\n"}) as aura:
        assert aura.ask("a")[0].data == {"content": "good"}
        refused = aura.post("b")
        listed = httpx.get(f"{aura.url}/api/providers", trust_env=False, timeout=30).json()["providers"]
    assert (refused.status_code, refused.json()["code"]) == (503, "provider_misconfigured")
    assert "SystemExit" in refused.json()["detail"]
    plugins = {(p["plugin"], p["distribution"]): p for p in listed}
    for name, (_, error, remedy) in BAD.items():
        plugin = plugins[name, f"aura-{name}"]
        assert plugin["status"] == "error"
        assert error in plugin["error"], plugin
        assert remedy in plugin["remedy"], plugin
    for distribution in ("aura-twin", "twin-too"):
        assert plugins["twin", distribution]["error"] == "aura-twin and twin-too both call themselves 'twin'"
    assert plugins["echo", "evil-echo"]["status"] == "error"
    assert plugins["echo", "aura-server"]["status"] == "ok"
    assert plugins["Bad-Name", "badly-named"]["status"] == "error"


@pytest.mark.parametrize("source", ["from aura_core import NewThing", BAD["unknownhook"][0]])
def test_a_plugin_for_a_newer_core_says_so(source: str, fake_plugin: FakePlugin) -> None:
    fake_plugin("early", source, requires="aura-server>=99")
    early = next(plugin for plugin in Plugins().all if plugin.name == "early")
    assert early.remedy == f"it needs aura-server >=99, and this is {__version__}: install versions that fit together"


def test_a_requirement_that_cannot_be_read_stops_no_quarantine(fake_plugin: FakePlugin) -> None:
    fake_plugin("badly", BAD["broken"][0].replace("nonexistent_module", "aura_core.nothing"), requires="foo (bar")
    fake_plugin("good", GOOD)
    plugins = {plugin.name: plugin for plugin in Plugins().all}
    assert (plugins["badly"].status, plugins["badly"].remedy) == ("error", "update or uninstall aura-badly")
    assert plugins["good"].status == "ok"


@pytest.mark.parametrize("content", [b"[aura]\nbad\xff = x\n", b"[aura]\nno value\n"])
def test_entry_points_that_cannot_be_read_are_a_warning(
    content: bytes, fake_plugin: FakePlugin, tmp_path: Path
) -> None:
    fake_plugin("damaged", GOOD)
    fake_plugin("good", GOOD)
    sys.path.append(sys.path[0])  # a distribution that is found twice counts once
    (entry_points,) = tmp_path.glob("site/aura-damaged/*/entry_points.txt")
    entry_points.write_bytes(content)
    made = Plugins()
    assert [plugin.status for plugin in made.all if plugin.name == "good"] == ["ok"]
    assert "damaged" not in made.hooks
    (warning,) = made.warnings
    assert warning.startswith("the entry points of aura-damaged cannot be read (")
    assert warning.endswith("); reinstall or uninstall it")


def test_a_distribution_without_a_readable_name_affects_no_other(fake_plugin: FakePlugin, tmp_path: Path) -> None:
    fake_plugin("nameless", BAD["broken"][0])
    fake_plugin("good", GOOD)
    (metadata,) = tmp_path.glob("site/aura-nameless/*/METADATA")
    metadata.write_bytes(b"Metadata-Version: 2.1\nName: aura-nameless\xff\n")
    plugins = {plugin.name: plugin for plugin in Plugins().all}
    assert (plugins["nameless"].status, plugins["nameless"].distribution) == ("error", "aura_nameless-1.0.dist-info")
    assert plugins["good"].status == "ok"


def test_a_table_of_a_broken_plugin_is_listed_with_what_is_wrong_with_the_plugin(
    tmp_path: Path, fake_plugin: FakePlugin
) -> None:
    fake_plugin("brk", BAD["broken"][0], version="3.2")
    toml = "[providers.mine]\nplugin = 'brk'\n[providers.brk]\ndefault_model = 'm'\n[providers.none]\nplugin = 'nnn'\n"
    file = tmp_path / "aura.toml"
    file.write_text(toml)
    infos = [info for info in provider_infos(Runtime(settings.load({}, {}, file), {}).providers) if info.status != "ok"]
    found = {info.name: (info.plugin, info.distribution, info.version, info.status) for info in infos}
    assert (found["mine"], found["brk"]) == (("brk", "aura-brk", "3.2", "error"),) * 2
    assert found["none"] == ("nnn", None, None, "missing")
    assert [info.name for info in infos].count("brk") == 1
    for info in infos:
        if info.plugin == "brk":
            assert "nonexistent_module" in str(info.error)
            assert "install what provides" in str(info.remedy)


def _aura(*arguments: str, site: Path, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    folders = [str(folder) for folder in site.iterdir()]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(folders)} | environ
    return subprocess.run(
        [sys.executable, "-m", "aura_core", *arguments], capture_output=True, text=True, cwd=cwd, env=env, check=False
    )


def test_aura_plugins_lists_them(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    for name in ("broken", "leaves", "wrongsig"):
        fake_plugin(name, BAD[name][0])
    fake_plugin("good", GOOD)
    site = tmp_path / "site"
    listed = _aura("plugins", site=site, cwd=tmp_path)
    assert listed.returncode == 1
    assert "Traceback" not in listed.stderr
    rows = {line.split()[0]: line.split()[-1] for line in listed.stdout.splitlines()}
    assert (rows["good"], rows["broken"], rows["leaves"], rows["wrongsig"]) == ("ok", "error", "error", "error")
    assert "nonexistent_module" in listed.stderr
    as_json = _aura("plugins", "--json", site=site, cwd=tmp_path)
    assert {p["name"]: p["status"] for p in json.loads(as_json.stdout)["plugins"]}["leaves"] == "error"
    allowed = _aura("plugins", site=site, cwd=tmp_path, AURA_PLUGINS="good")
    assert allowed.returncode == 0
    assert "disabled" in allowed.stdout


@pytest.mark.parametrize(
    ("record", "owns"),
    [
        ("aura_core/__init__.py,sha256=x,9\n", True),
        ("../../bin/other,,\r\naura_core/deep/er.py,,\r\n", True),
        ("aura_core.py,,\n", True),
        ("other/aura_core/a.py,,\naura_core_more/b.py,,\naura_core-1.dist-info/RECORD,,\n", False),
        (None, False),
    ],
)
def test_another_distribution_with_files_in_our_package_is_named(
    record: str | None, owns: bool, tmp_path: Path, fake_plugin: FakePlugin
) -> None:
    fake_plugin("good", GOOD, "other-one", version="9.1")
    (info,) = tmp_path.glob("site/other-one/*.dist-info")
    if record is not None:
        (info / "RECORD").write_bytes(record.encode())
    site = tmp_path / "site"
    listed = _aura("plugins", site=site, cwd=tmp_path)
    doctor = _aura("doctor", "--offline", "--json", site=site, cwd=tmp_path)
    failed = [check["detail"] for check in json.loads(doctor.stdout)["checks"] if check["status"] == "failed"]
    said = (
        "other-one 9.1 owns files of aura_core and is not ours, which is aura-server: "
        "pip uninstall other-one, then install aura-server again from where you got it"
    )
    assert (listed.returncode, listed.stderr) == ((1, f"{said}\n") if owns else (0, ""))
    assert (doctor.returncode, failed) == ((1, [said]) if owns else (0, []))


def test_the_allow_list_is_applied_before_any_code_runs(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin("evil", f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    fake_plugin("good", GOOD)
    plugins = Plugins(["good", "god"])
    assert not (tmp_path / "ran").exists()
    status = {p.name: p.status for p in plugins.all}
    assert (status["evil"], status["good"], status["echo"]) == ("disabled", "ok", "ok")
    assert plugins.warnings == ["AURA_PLUGINS names 'god', which is not installed; did you mean 'good'?"]
    assert list(Plugins([]).hooks) == ["echo"]
    assert not (tmp_path / "ran").exists()


WRAPPER = """
import contextlib, pathlib
from aura_core import Token, hookimpl

@hookimpl(wrapper=True)
def stream_chat(request):
    inner = yield

    async def shout():
        try:
            async with contextlib.aclosing(inner) as tokens:
                async for token in tokens:
                    yield Token(token.content.upper(), token.reasoning, token.finish_reason, token.usage)
        finally:
            with open({log!r}, "a") as file:
                file.write("closed\\n")

    return shout()
"""


def test_a_wrapper_changes_every_provider_and_is_closed_with_the_client(
    tmp_path: Path, fake_plugin: FakePlugin
) -> None:
    log = tmp_path / "closed.txt"
    fake_plugin("shout", WRAPPER.format(log=str(log)))
    fake_plugin("good", GOOD)
    line = b'{"message":{"content":"hello"}}\n'
    agents = {
        "e.md": "---\nprovider: echo\n---\n",
        "g.md": "---\nprovider: good\n---\n",
        "o.md": "---\nprovider: ollama\nmodel: m\n---\n",
    }
    with (
        Upstream(Reply([line], ending="stall")) as upstream,
        AuraServer(tmp_path, agents, f'[providers.ollama]\nbase_url = "{upstream.url}"') as aura,
    ):
        assert aura.ask("e", "quiet")[0].data["content"] == "QUIET"
        assert aura.ask("g")[0].data["content"] == "GOOD"
        assert log.read_text() == "closed\n" * 2
        url = f"{aura.url}/api/agents/o/chat/stream"
        with httpx.stream("POST", url, json={"prompt": "a"}, trust_env=False, timeout=30) as response:
            assert any("HELLO" in text for text in response.iter_text())
        upstream.wait_hangup()
    assert log.read_text() == "closed\n" * 3
    assert not next(p for p in Plugins().all if p.name == "shout").provider


def test_a_plugin_that_never_awaits_leaves_the_others_alone(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    source = HEAD + (
        "@hookimpl\nasync def stream_chat(request):\n"
        "    for n in range(100_000):\n        yield Token(str(n))\n"
        "    yield Token(finish_reason='stop')\n"
    )
    fake_plugin("spinner", source)
    with (
        AuraServer(tmp_path, {"a.md": "---\nprovider: spinner\n---\n"}) as aura,
        httpx.Client(base_url=aura.url, timeout=30, trust_env=False) as client,
    ):
        client.get("/health")  # the rest of the test uses this connection
        events: list[Any] = []
        spinning = threading.Thread(target=lambda: events.extend(aura.ask("a")))
        spinning.start()
        answered = 0
        while spinning.is_alive():
            assert client.get("/health").status_code == 200
            answered += 1
        spinning.join()
    assert answered > 3
    assert [event.data["content"] for event in events[:-1]] == [str(n) for n in range(100_000)]
    assert events[-1].name == "done"


def test_the_api_is_small_and_light() -> None:
    of_providers = {"ChatRequest", "Message", "Model", "ProviderError", "Token", "Usage", "hookimpl"}
    of_providers |= {"secret", "secret_place"}
    of_doors = {"AgentInfo", "AgentRoute", "AnswerContext", "AnswerRoute", "Door", "Encoder", "End", "Failure"}
    of_doors |= {"ListRoute", "Problem", "Question", "Reply", "WholeAnswer"}
    assert set(aura_core.__all__) == of_providers | of_doors
    code = "import sys, aura_core; print(sorted({'litestar', 'uvicorn', 'httpx', 'anyio', 'yaml'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def _plugin_sources() -> list[Path]:
    return sorted((Path(__file__).parents[1] / "plugins").glob("*/aura_*/**/*.py"))


@pytest.mark.parametrize("path", _plugin_sources(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_plugins_import_only_what_the_core_exports(path: Path) -> None:
    import ast

    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "aura_core":
            # A plugin's conformance description is loaded only by tests.
            assert node.module != "aura_core.testing" or path.stem == "conformance"
            public = {"aura_core": aura_core, "aura_core.streams": streams, "aura_core.testing": aura_core.testing}
            assert {alias.name for alias in node.names} <= {*public[str(node.module)].__all__}
        if isinstance(node, ast.Import):
            assert not any(alias.name.split(".")[0] == "aura_core" for alias in node.names)


def test_importing_all_plugins_is_cheap() -> None:
    code = """
import sys
from aura_core import streams
from aura_core.config import settings
from aura_core.plugins.loader import Plugins
from aura_core.plugins.infos import provider_infos
from aura_core.runtime import Runtime
plugins = Plugins()
assert not plugins.broken, plugins.broken
heavy = {"httpx", "httpx2", "aiohttp", "openai", "anthropic", "pydantic", "azure", "litestar", "uvicorn"}
print(sorted(heavy & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
