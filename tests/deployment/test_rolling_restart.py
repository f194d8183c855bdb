"""The restart of a fleet, as docs/deployment.md has it: its commands are run, and clients notice nothing.

CI holds 30 streams of 3 s; `just rolling` holds 200 of 20 s, with all times as deploy/ has them.
"""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "benchmarks"))

from loopback_fleet import Crowd, nginx, systemctl, units, write_agents  # noqa: E402

STREAMS, SECONDS = (int(word) for word in os.environ.get("ROLLING", "30 3").split())
RATE = 5
FULL = (STREAMS, SECONDS) == (200, 20)


def documented() -> str:
    """The commands of the section on restarts."""
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    match = re.search(r"^```sh[^\n]*\n((?:systemctl restart aura@\d+\n)+)```$", page, re.MULTILINE)
    assert match is not None
    return match[1]


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
def test_a_rolling_restart_refuses_and_cuts_nothing(tmp_path: Path) -> None:
    if not _has_nginx():
        pytest.skip("needs nginx")
    tokens = SECONDS * RATE
    write_agents(tmp_path, tokens, RATE)
    (tmp_path / "aura.toml").write_text((ROOT / "deploy" / "systemd" / "aura.toml").read_text(encoding="utf-8"))
    commands = documented()
    names = re.findall(r"aura@(\d+)", commands)
    assert len(names) == 2
    environ = {} if FULL else {"AURA_SERVER__DRAIN_DELAY": "1"}
    with (
        units(tmp_path, names, **environ) as fleet,
        nginx(tmp_path, [unit.port for unit in fleet.values()]) as port,
        systemctl(tmp_path, fleet) as programs,
    ):
        before = {name: unit.process.pid for name, unit in fleet.items()}
        crowd = asyncio.run(_restart_under(port, tokens, commands, programs))
        assert all(unit.process.pid != before[name] for name, unit in fleet.items())
        assert [unit.restarts for unit in fleet.values()] == [0, 0], "no process failed"
    print(dict(crowd.ended))
    assert crowd.faults == []
    assert crowd.ended["long done"] > STREAMS
    assert crowd.ended["short done"] > 20


async def _restart_under(port: int, tokens: int, commands: str, programs: Path) -> Crowd:
    crowd = Crowd(port, STREAMS, tokens)
    asking = asyncio.create_task(crowd.run())
    while crowd.open < STREAMS:
        await asyncio.sleep(0.05)
    environ = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    shell = await asyncio.create_subprocess_exec(
        "bash", "-ec", commands, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, _ = await shell.communicate()
    assert shell.returncode == 0, said.decode()
    crowd.over.set()
    await asking
    return crowd


def _has_nginx() -> bool:
    import shutil

    return shutil.which("nginx", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin") is not None
