"""What pip leaves behind: it neither quarantines a good plugin nor hides it, and its folder is named."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from aura_core.plugins.distributions import strangers
from aura_core.plugins.loader import Plugins

FakePlugin = Callable[..., None]

GOOD = "from aura_core import Token, hookimpl\n@hookimpl\nasync def stream_chat(request):\n    yield Token('good')\n"
UNINSTALLED = "is left over from what pip has uninstalled, and is ignored; delete it"
BESIDE = "is left over beside aura-acme 1.0, and is ignored; delete it"


@pytest.fixture
def info(fake_plugin: FakePlugin, tmp_path: Path) -> Path:
    """The metadata of a good plugin, as it is installed."""
    fake_plugin("acme", GOOD)
    return tmp_path / "site" / "aura-acme" / "aura_acme-1.0.dist-info"


def _acme(plugins: Plugins) -> list[tuple[str, str, str, str | None]]:
    return [(p.distribution, p.version, p.status, p.error) for p in plugins.all if p.name == "acme"]


def _warnings(plugins: Plugins) -> list[str]:
    """Those about files: on a busy machine the import of any plugin may take long enough for another one."""
    return [warning for warning in plugins.warnings if "is still being loaded" not in warning]


def _older(info: Path, name: str) -> Path:
    """A copy of the metadata, of version 0.9."""
    copy = info.with_name(name)
    shutil.copytree(info, copy)
    metadata = copy / "METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 1.0", "Version: 0.9"))
    return copy


@pytest.mark.parametrize("name", ["~ura_acme-0.9.dist-info", "~~ra_acme-0.9.dist-info", "~ura_acme.egg-info"])
def test_a_leftover_of_pip_does_not_quarantine_the_plugin(name: str, info: Path) -> None:
    leftover = _older(info, name)
    plugins = Plugins()
    assert _acme(plugins) == [("aura-acme", "1.0", "ok", None)]
    assert _warnings(plugins) == [f"{leftover} {UNINSTALLED}"]


def test_a_leftover_alone_is_not_a_plugin(info: Path) -> None:
    info.rename(info.with_name("~ura_acme-1.0.dist-info"))
    plugins = Plugins()
    assert _acme(plugins) == []
    assert _warnings(plugins) == [f"{info.with_name('~ura_acme-1.0.dist-info')} {UNINSTALLED}"]


def test_a_leftover_that_cannot_be_read_is_nothing(info: Path) -> None:
    (_older(info, "~ura_acme-0.9.dist-info") / "entry_points.txt").write_bytes(b"[aura]\nbad\xff = x\n")
    plugins = Plugins()
    assert (_acme(plugins), _warnings(plugins)) == ([("aura-acme", "1.0", "ok", None)], [])


@pytest.mark.parametrize("name", ["aura_acme-0.9.dist-info", "Aura.Acme-2.0.dist-info", "aura_acme.egg-info"])
def test_an_empty_folder_of_another_version_does_not_hide_the_plugin(name: str, info: Path) -> None:
    (empty := info.with_name(name)).mkdir()
    plugins = Plugins()
    assert _acme(plugins) == [("aura-acme", "1.0", "ok", None)]
    assert _warnings(plugins) == [f"{empty} {BESIDE}"]


def test_an_empty_folder_elsewhere_on_the_path_does_not_hide_the_plugin(
    info: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "first" / "aura_acme-0.9.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path / "first"))
    plugins = Plugins()
    assert (_acme(plugins), _warnings(plugins)) == ([("aura-acme", "1.0", "ok", None)], [])


def test_of_two_versions_in_one_folder_the_newer_one_is_installed(info: Path) -> None:
    older = _older(info, "aura_acme-0.9.dist-info")
    plugins = Plugins()
    assert (_acme(plugins), _warnings(plugins)) == ([("aura-acme", "1.0", "ok", None)], [f"{older} {BESIDE}"])


def test_of_two_folders_on_the_path_the_first_one_counts(
    info: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "first"
    shutil.copytree(info.parent, first)
    (first / info.name).rename(first / "aura_acme-0.9.dist-info")
    metadata = first / "aura_acme-0.9.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 1.0", "Version: 0.9"))
    monkeypatch.syspath_prepend(str(first))
    plugins = Plugins()
    assert (_acme(plugins), _warnings(plugins)) == ([("aura-acme", "0.9", "ok", None)], [])


def test_a_leftover_of_a_stranger_is_not_a_stranger(info: Path) -> None:
    (info / "RECORD").write_text("aura_core/__init__.py,,\n")
    assert len(strangers("aura_core", "aura-server")) == 1
    info.rename(info.with_name("~ura_acme-1.0.dist-info"))
    assert strangers("aura_core", "aura-server") == []
