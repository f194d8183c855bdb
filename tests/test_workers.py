"""Several workers: nothing is opened before the fork, and all use the same provider for agents that name none."""

import sys
import textwrap
import time
from pathlib import Path

import httpx
import pytest
from aura_process import serve

from aura_core.testing import events

SLOW_SDK = """
from contextlib import asynccontextmanager
from aura_core import Token, hookimpl

@hookimpl
def open_client(settings):
    import slow_sdk  # takes {seconds} s, and holds a lock of the import system meanwhile
    @asynccontextmanager
    async def opened():
        yield slow_sdk
    return opened()

@hookimpl
async def default_model(client):
    return "m"

@hookimpl
async def stream_chat(request, client):
    yield Token("Hello", finish_reason="stop")
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the import path of the processes that a test starts."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(site))
    return site


def _install(site: Path, name: str, source: str) -> None:
    (site / f"fake_{name}.py").write_text(textwrap.dedent(source))
    info = site / f"fake_{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fake-{name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[aura]\n{name} = fake_{name}\n")


def _answers(url: str, agent: str, count: int, patience: float) -> list[str]:
    """The last events of this many answers, each on a separate connection, so that every worker gets requests."""
    end = time.monotonic() + patience
    last: list[str] = []
    while len(last) < count:
        response = httpx.post(
            f"{url}/api/agents/{agent}/chat/stream", json={"prompt": "Hi"}, trust_env=False, timeout=60
        )
        event = events(response.content)[-1]
        if event.name == "done":
            last.append(response.text)
        assert time.monotonic() < end, (event, last)
    return last


@pytest.mark.skipif(sys.platform == "win32", reason="needs a system that can fork")
def test_workers_outlive_an_sdk_that_is_slow_to_import(tmp_path: Path, site: Path) -> None:
    _install(site, "slow", SLOW_SDK.replace("{seconds}", "13"))
    (site / "slow_sdk.py").write_text("import time\ntime.sleep(13)\n")
    agents = {"it.md": "---\nprovider: slow\n---\n"}
    begin = time.monotonic()
    with serve(tmp_path, agents, "--workers", "2", AURA_PLUGINS="slow") as aura:
        assert time.monotonic() - begin < 13, "the first line waits for no client"
        while "\naura_workers 2.0\n" not in httpx.get(f"{aura.url}/metrics", trust_env=False, timeout=60).text:
            assert time.monotonic() < begin + 120
        assert len(_answers(aura.url, "it", 20, 120)) == 20


DISAGREE = """
import os
from aura_core import Token, hookimpl

asked = []

@hookimpl
async def default_model():
    # When workers choose, the first is told of a model, and every other one of none; later all are.
    asked.append(1)
    try:
        os.close(os.open({flag!r}, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return None if len(asked) == 1 else "m"
    return "m"

@hookimpl
async def stream_chat(request):
    yield Token("from the other", finish_reason="stop")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a system that can fork")
def test_workers_that_choose_separately_agree(tmp_path: Path, site: Path) -> None:
    _install(site, "other", DISAGREE.replace("{flag!r}", repr(str(tmp_path / "flag"))))
    with serve(tmp_path, {"it.md": "Hi."}, "--workers", "4", AURA_PLUGINS="other") as aura:
        texts = {answer.partition("event: done")[0] for answer in _answers(aura.url, "it", 40, 120)}
        aura.popen.terminate()
        aura.exit()
    assert len(texts) == 1, "one provider answers, whichever worker is asked"
    assert len([line for line in aura.lines if line.startswith("Agents without a provider get ")]) == 1
