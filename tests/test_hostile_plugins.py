"""A plugin may do anything while it loads: it affects only itself, stops no command, and is always reported."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aura_core.errors import words_of
from aura_core.plugins.loader import Plugins

FakePlugin = Callable[..., None]

HEAD = "from aura_core import Token, hookimpl\n"
GOOD = HEAD + '@hookimpl\nasync def stream_chat(request):\n    yield Token("good", finish_reason="stop")\n'
# Objects in place of the module; OBJECT is replaced by their name.
OBJECT = (
    "import sys\n"
    + HEAD
    + "class Plugin:\n{}\n    @hookimpl\n    async def stream_chat(self, request):\n        yield\n"
)
OBJECT += "sys.modules[__name__] = Plugin()\n"

# What it does, its code, and a word of the expected report.
REFUSED = {
    "str": ("class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd", "Odd: it cannot say why"),
    "strexit": ("class Odd(Exception):\n    def __str__(self): raise SystemExit\nraise Odd", "Odd: it cannot say why"),
    "strtype": ("class Odd(Exception):\n    def __str__(self): return 5\nraise Odd", "Odd: it cannot say why"),
    "metaname": (
        "class Meta(type):\n    @property\n    def __name__(cls): raise ValueError\n"
        "class Odd(Exception, metaclass=Meta): pass\nraise Odd('no')",
        "Odd: no",
    ),
    "interrupt": ("raise KeyboardInterrupt", "it raises KeyboardInterrupt"),
    "generatorexit": ("raise GeneratorExit", "GeneratorExit"),
    "cancelled": ("import asyncio\nraise asyncio.CancelledError", "CancelledError"),
    "base": ("class Odd(BaseException): pass\nraise Odd('no')", "Odd: no"),
    "group": ("raise BaseExceptionGroup('all', [KeyboardInterrupt(), SystemExit()])", "BaseExceptionGroup: all"),
    "lying": (
        "class Odd(Exception):\n    @property\n    def __class__(self): raise KeyboardInterrupt\nraise Odd('no')",
        "Odd: no",
    ),
    "posing": (
        "class Odd(Exception):\n    __class__ = ModuleNotFoundError\n"
        "    name = property(lambda self: 1 / 0)\nraise Odd('no')",
        "Odd: no",
    ),
    "noclass": (OBJECT.format("    @property\n    def __class__(self): raise ValueError('no')"), "ValueError: no"),
    "dir": (OBJECT.format("    def __dir__(self): raise ValueError('no')"), "no"),
    "reprs": (
        HEAD + "class Odd:\n    def __repr__(self): raise ValueError('no')\n"
        "@hookimpl\nasync def stream_chat(request, *, a=Odd()):\n    yield\n",
        "",
    ),
    "reprkind": (
        GOOD + "class Odd:\n    def __repr__(self): raise ValueError('no')\n"
        "@hookimpl\ndef provider_settings():\n    return Odd()\n",
        "must return a msgspec.Struct class",
    ),
    "lateinterrupt": (
        GOOD + "@hookimpl\ndef agent_options():\n    raise KeyboardInterrupt\n",
        "raises KeyboardInterrupt",
    ),
    "half": (GOOD + "@hookimpl\ndef supports_streaming(nobody):\n    return True\n", "nobody"),
}
LOADED = {
    "unhashable": OBJECT.format("    __hash__ = None"),
    "unequal": OBJECT.format("    def __eq__(self, other): raise ValueError"),
    "property": OBJECT.format("    @property\n    def other(self): raise ValueError"),
    "noname": OBJECT.format("    def __repr__(self): raise ValueError"),
}


def _status(plugins: Plugins) -> dict[str, tuple[str, str]]:
    return {plugin.name: (plugin.status, plugin.error or "") for plugin in plugins.all}


@pytest.mark.parametrize("name", REFUSED)
def test_whatever_a_plugin_raises_it_is_quarantined_and_the_good_one_is_not(name: str, fake_plugin: FakePlugin) -> None:
    source, words = REFUSED[name]
    fake_plugin(name, source)
    fake_plugin("good", GOOD)
    plugins = Plugins()
    status = _status(plugins)
    assert status[name][0] == "error"
    assert words in status[name][1]
    assert status["good"][0] == "ok"
    assert [impl.plugin_name for impl in plugins.hooks["good"].stream_chat.get_hookimpls()] == ["good"]


@pytest.mark.parametrize("name", LOADED)
def test_an_unusual_object_is_a_plugin_and_affects_no_other(name: str, fake_plugin: FakePlugin) -> None:
    fake_plugin(name, LOADED[name])
    fake_plugin("good", GOOD)
    fake_plugin("zebra", GOOD)
    plugins = Plugins()
    assert {each: _status(plugins)[each] for each in (name, "good", "zebra")} == dict.fromkeys(
        (name, "good", "zebra"), ("ok", "")
    )
    for each in (name, "good"):
        assert [impl.plugin_name for impl in plugins.hooks[each].stream_chat.get_hookimpls()] == [each]


def test_unreadable_settings_affect_only_their_instance(fake_plugin: FakePlugin, tmp_path: Path) -> None:
    odd = "import msgspec\nfrom typing import Annotated\nclass S(msgspec.Struct):\n"
    odd += "    key: Annotated[str, msgspec.Meta(extra={'env': ['a list']})] = ''\n"
    fake_plugin("odd", GOOD + odd + "@hookimpl\ndef provider_settings():\n    return S\n")
    fake_plugin("good", GOOD)
    listed = _aura(tmp_path, "doctor", "--offline", "--json")
    assert "Traceback" not in listed.stderr
    details = {check["name"]: check["detail"] for check in json.loads(listed.stdout)["checks"]}
    assert "the settings of the plugin 'odd' cannot be read" in details["odd"]


def _aura(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    site = os.pathsep.join(str(path) for path in (folder / "site").iterdir())
    return subprocess.run(
        [sys.executable, "-m", "aura_core", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": site},
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def test_no_command_ends_without_a_message(fake_plugin: FakePlugin, tmp_path: Path) -> None:
    for name in ("interrupt", "str"):
        fake_plugin(name, REFUSED[name][0])
    fake_plugin("unhashable", LOADED["unhashable"])
    listed = _aura(tmp_path, "plugins")
    assert (listed.returncode, "Traceback" in listed.stderr) == (1, False)
    assert "interrupt (aura-interrupt): cannot be loaded: RuntimeError: it raises KeyboardInterrupt" in listed.stderr
    assert "unhashable" in listed.stdout
    assert _aura(tmp_path, "agents").returncode == 0


def test_what_a_plugin_prints_and_changes_does_not_outlast_its_import(fake_plugin: FakePlugin, tmp_path: Path) -> None:
    fake_plugin("chatty", "print('HELLO')\n" + GOOD)
    fake_plugin("mover", f"import os; os.chdir({str(tmp_path / 'site')!r})\n" + GOOD)
    fake_plugin("thief", "import io, sys; sys.stdout = sys.stderr = io.StringIO()\n" + GOOD)
    listed = _aura(tmp_path, "doctor", "--offline", "--json")
    checks = json.loads(listed.stdout)["checks"]
    warnings = [check["detail"] for check in checks if check["section"] == "plugins" and check["status"] == "warning"]
    assert warnings == [
        "plugin 'mover' changes the current folder when it is loaded; it was put back",
        "plugin 'thief' replaces the standard streams when it is loaded; they were put back",
    ]
    assert "HELLO" in listed.stderr
    folder = next(check["detail"] for check in checks if (check["section"], check["name"]) == ("agents", "folder"))
    assert str(tmp_path / "site") not in folder


def test_a_slow_import_is_reported_during_it_and_afterwards(
    fake_plugin: FakePlugin, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr("aura_core.plugins.importing.SLOW_IMPORT", 0.05)
    said = tmp_path / "said"
    wait = f"import pathlib, time\nwhile not pathlib.Path({str(said)!r}).exists(): time.sleep(0.01)\n"
    fake_plugin("slow", wait + GOOD)
    caplog.handler.createLock()
    caplog.handler.addFilter(lambda record: said.touch() or True)  # type: ignore[func-returns-value]
    plugins = Plugins(["slow"])
    assert "plugin 'slow' is still being loaded after 0.05 s" in caplog.text
    (warning,) = [text for text in plugins.warnings if "'slow'" in text]
    assert warning.endswith(" s to be loaded; every command waits for it")


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_ctrl_c_ends_an_import_that_swallows_it(fake_plugin: FakePlugin, tmp_path: Path) -> None:
    code = f"import pathlib, time\ntry:\n    pathlib.Path({str(tmp_path / 'there')!r}).touch()\n    time.sleep(60)\n"
    fake_plugin("deaf", code + "except KeyboardInterrupt: pass\n" + GOOD)
    site = os.pathsep.join(str(path) for path in (tmp_path / "site").iterdir())
    process = subprocess.Popen(
        [sys.executable, "-m", "aura_core", "plugins"], env=os.environ | {"PYTHONPATH": site}, stdout=subprocess.PIPE
    )
    while not (tmp_path / "there").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, b"")


def test_the_text_of_an_exception_is_one_line() -> None:
    assert words_of(ValueError("a\n b")) == "ValueError: a b"
