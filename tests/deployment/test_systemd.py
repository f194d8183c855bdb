"""deploy/systemd: systemd takes the units, they are hardened, and their times fit the settings."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aura_core.config import settings

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = ["aura@.service", "aura.service"]
EXPOSURE = 3.0


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with a program that exists on this machine."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze: apt-get install systemd")
    for file in FOLDER.iterdir():
        text = file.read_text(encoding="utf-8")
        assert file.name not in UNITS or text.count("ExecStart=/opt/aura/bin/aura serve") == 1
        (tmp_path / file.name).write_text(text.replace("/opt/aura/bin/aura", sys.executable), encoding="utf-8")
    return tmp_path


def value(unit: str, key: str) -> str:
    """The value of a key that the unit has once."""
    (found,) = re.findall(rf"^{key}=(.*)$", (FOLDER / unit).read_text(encoding="utf-8"), re.MULTILINE)
    return str(found)


@pytest.mark.parametrize("unit", ["aura@5301.service", "aura.service", "aura.socket"])
def test_systemd_takes_the_unit(unit: str, units: Path) -> None:
    command = ["systemd-analyze", "verify", "--man=no", units / unit]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "aura" in line] == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("unit", ["aura@5301.service", "aura.service"])
def test_a_unit_is_hardened(unit: str, units: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE * 10:.0f}", units / unit]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    match = re.search(r"Overall exposure level for \S+: (\d+\.\d)", done.stdout)
    assert match is not None
    assert float(match[1]) < EXPOSURE


def test_the_units_differ_only_in_what_they_start() -> None:
    one, several = ((FOLDER / unit).read_text(encoding="utf-8").partition("User=aura")[2] for unit in UNITS)
    assert one == several
    assert len(one.splitlines()) > 40


def test_systemd_makes_the_user(tmp_path: Path) -> None:
    program = shutil.which("systemd-sysusers") or pytest.skip("needs systemd-sysusers: apt-get install systemd")
    (tmp_path / "etc").mkdir()
    subprocess.run([program, f"--root={tmp_path}", FOLDER / "aura.sysusers.conf"], check=True)
    assert re.search(r"^aura:", (tmp_path / "etc" / "passwd").read_text(), re.MULTILINE)
    assert value("aura@.service", "User") == "aura"


def test_the_units_wait_for_the_drain_and_systemd_knows_when_it_serves() -> None:
    server = settings.load({}, {"AURA_TOKEN": "t"}, FOLDER / "aura.toml").server
    for unit in UNITS:
        assert int(value(unit, "TimeoutStopSec")) == server.drain_delay + server.drain_timeout + 10
        assert value(unit, "Type") == "notify"
        assert int(value(unit, "WatchdogSec")) > 0
        # Two descriptors for each stream, for each of the workers.
        assert int(value(unit, "LimitNOFILE")) > 2 * server.max_streams
