"""Ctrl-C while a plugin's code runs ends the command; a plugin's own KeyboardInterrupt costs only the plugin."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from terminal import LIMIT

from aura_core.config.decode import decode
from aura_core.errors import ConfigError

PLUGIN = """\
import msgspec, pathlib, time
from aura_core import Token, hookimpl

def wait(*_):
    print("it waits", flush=True)
    {does}

class Struct(msgspec.Struct):
    x: int = 0
    def __post_init__(self):
        {struct}

@hookimpl
async def stream_chat(request):
    yield Token("a", finish_reason="stop")
@hookimpl
def {hook}():
    {result}
"""
PLACES = {
    "settings": {"hook": "provider_settings", "result": "return Struct", "struct": "wait()"},
    "options": {"hook": "agent_options", "result": "return Struct", "struct": "wait()"},
    "streaming": {"hook": "supports_streaming", "result": "return wait()", "struct": "pass"},
}
SLEEPS = "time.sleep(600)"
SWALLOWS = "try:\n        time.sleep(600)\n    except BaseException:\n        raise ValueError('swallowed')"
RAISES = "raise KeyboardInterrupt"


def _start(folder: Path, fake_plugin: Callable[..., None], place: str, does: str) -> "subprocess.Popen[str]":
    fake_plugin("waits", PLUGIN.format(does=does, **PLACES[place]))
    (folder / "agents").mkdir()
    (folder / "agents" / "it.md").write_text("---\nprovider: waits\nmodel: m\noptions: {x: 1}\n---\n")
    env = os.environ | {"AURA_PLUGINS": "waits", "PYTHONPATH": str(folder / "site" / "aura-waits")}
    return subprocess.Popen(
        [sys.executable, "-m", "aura_core", "agents"],
        cwd=folder,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("does", [SLEEPS, SWALLOWS], ids=["sleeps", "swallows"])
@pytest.mark.parametrize("place", PLACES)
def test_ctrl_c_ends_a_command_that_waits_for_a_plugin(
    place: str, does: str, tmp_path: Path, fake_plugin: Callable[..., None]
) -> None:
    with _start(tmp_path, fake_plugin, place, does) as process:
        assert process.stderr is not None
        assert "it waits" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        try:
            said, error = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
    assert (process.returncode, said, error.strip()) == (1, "", "")


@pytest.mark.parametrize("place", PLACES)
def test_a_plugins_own_interrupt_costs_only_the_plugin(
    place: str, tmp_path: Path, fake_plugin: Callable[..., None]
) -> None:
    with _start(tmp_path, fake_plugin, place, RAISES) as process:
        said, error = process.communicate(timeout=LIMIT)
    assert "it " in said, error
    if place != "streaming":  # where it cannot say so, answers can stream
        assert (process.returncode, "cannot be made of it" in error) == (1, True)


def test_what_decodes_settings_lets_ctrl_c_through() -> None:
    class Waits(msgspec.Struct):
        def __post_init__(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    class Raises(msgspec.Struct):
        def __post_init__(self) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decode({}, Waits, str)
    with pytest.raises(ConfigError, match="cannot be made of it"):
        decode({}, Raises, str)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
