"""Which folders are trusted: by `aura trust`, AURA_TRUST, AURA_CONFIG, `--config`, `aura init`, and as root's."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from victim import Victim, process_environment

from aura_core.config import trust
from aura_core.config.settings import load
from aura_core.errors import ConfigError

NETWORK = "[server]\nallowed_hosts = ['aura.example.com']\n"


@pytest.fixture
def cloned(inside: Victim) -> Victim:
    inside.writes(NETWORK, {"it.md": "hello"})
    return inside


def _trusted(**environ: str) -> bool:
    loaded = load({}, {**os.environ, **environ})
    assert bool(loaded.refusals) != (loaded.server.allowed_hosts == ["aura.example.com"])
    return not loaded.refusals


def _aura(folder: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "aura_core", *arguments],
        cwd=folder,
        env=os.environ | {"AURA_PLUGINS": ""} | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_records_lists_and_removes(cloned: Victim) -> None:
    folder = cloned.folder
    assert _aura(folder, "trust", "--list").stdout == ""
    done = _aura(folder, "trust")
    assert (
        done.stdout == f"{folder}: trusted; its files say where prompts and keys go. To end that: aura trust --remove\n"
    )
    assert _trusted()
    assert _aura(folder, "trust", ".").returncode == 0  # trusting twice records it once
    assert _aura(folder, "trust", "--list", AURA_TRUST="/srv").stdout == f"/srv (AURA_TRUST)\n{folder}\n"
    assert _aura(folder.parent, "trust", "--remove", folder.name).stdout == f"{folder}: no longer trusted\n"
    assert not _trusted()
    again = _aura(folder, "trust", "--remove")
    assert (again.returncode, again.stderr) == (
        1,
        f"aura: {folder}: is not recorded as trusted; aura trust --list shows what is\n",
    )


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nowhere"], 1, "aura: nowhere: there is no such folder\n"),
        (["aura.toml"], 1, "aura: aura.toml: there is no such folder\n"),
        (["--list", "--remove"], 2, "aura: --list and --remove do not go together\n"),
    ],
)
def test_an_error_is_one_line(arguments: list[str], code: int, says: str, cloned: Victim) -> None:
    done = _aura(cloned.folder, "trust", *arguments)
    assert (done.returncode, done.stderr) == (code, says)


def test_it_is_exactly_that_folder_by_its_real_path(cloned: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    trust.record(cloned.folder.parent)
    assert not _trusted(), "the folder above is another"
    link = cloned.folder.parent / "link"
    link.symlink_to(cloned.folder)
    trust.record(link)
    assert _trusted(), "the link was trusted for where it leads"
    monkeypatch.chdir(link)
    assert _trusted()
    monkeypatch.chdir(cloned.folder / "agents")
    Path("aura.toml").write_text(NETWORK)
    assert not _trusted(), "the folder below is another"


def test_an_edit_revokes_nothing(cloned: Victim) -> None:
    trust.record(cloned.folder)
    cloned.writes(f"{NETWORK}allowed_origins = ['http://x']\n")
    assert _trusted()


def test_folders_of_any_name_are_recorded_beside_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    folders = [tmp_path / name for name in ("a b", "ä", "x:y", os.fsdecode(b"no text \xff"), " ", "#")]
    for folder in folders:
        folder.mkdir()
        trust.record(folder)
    assert trust.recorded() == folders
    assert trust.forget(folders[2])
    assert trust.recorded() == [folder for folder in folders if folder != folders[2]]
    (broken := tmp_path / "a\nb").mkdir()
    with pytest.raises(ConfigError, match="line break"):
        trust.record(broken)
    store = tmp_path / "configuration" / "aura" / "trusted-folders"
    assert store.stat().st_mode & 0o077 == 0
    store.write_bytes(b"relative\n\n.\n")
    assert trust.recorded() == []


def test_the_variable_names_folders_as_path_does(cloned: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _trusted(AURA_TRUST=f"/srv{os.pathsep}{cloned.folder}")
    assert not _trusted(AURA_TRUST=str(cloned.folder.parent))
    for relative in (".", "", os.pathsep, "./", cloned.folder.name, f"../{cloned.folder.name}"):
        assert not _trusted(AURA_TRUST=relative), "it would mean every folder"
    told = "AURA_TRUST: '.' is left out: a relative path would mean every folder"
    assert load({}, {**os.environ, "AURA_TRUST": "."}).warnings == [told]
    monkeypatch.setenv("HOME", str(cloned.folder.parent))
    assert _trusted(AURA_TRUST="~/cloned")


def test_naming_the_file_trusts_it(cloned: Victim) -> None:
    assert _trusted(AURA_CONFIG="aura.toml")
    assert _trusted(AURA_CONFIG=str(cloned.folder / "aura.toml"))
    named = load({}, os.environ, Path("aura.toml"))
    assert named.refusals == []
    other = cloned.outside / "other.toml"
    other.write_text("[server]\nport = 4711\n")
    assert load({}, {**os.environ, "AURA_CONFIG": str(other)}).server.port == 4711
    assert load({}, {**os.environ, "AURA_CONFIG": str(other)}, Path("aura.toml")).server.port == 5300, "a flag is first"
    with pytest.raises(ConfigError, match=r"none\.toml: no such file"):
        load({}, {**os.environ, "AURA_CONFIG": "none.toml"})


def test_the_agents_of_a_trusted_file_may_be_anywhere(cloned: Victim) -> None:
    (cloned.folder / "agents" / "link.md").symlink_to(cloned.secret)
    for loaded in (
        load({"agents.directory": "agents"}, os.environ),
        load({}, {**os.environ, "AURA_AGENTS__DIRECTORY": str(cloned.folder / "agents")}),
        load({}, {**os.environ, "AURA_TRUST": str(cloned.folder)}),
    ):
        assert loaded.agents_within is None
    # A variable's relative path would depend on the folder that a command is run in.
    assert load({}, {**os.environ, "AURA_AGENTS__DIRECTORY": "agents"}).agents_within == cloned.folder
    cloned.writes(f"[agents]\ndirectory = '{cloned.outside}'\n")
    assert load({}, os.environ, Path("aura.toml")).agents_within is None
    assert load({}, os.environ).agents_within == cloned.folder


def test_the_users_configuration_folder_is_trusted(cloned: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Path(os.environ["XDG_CONFIG_HOME"]) / "aura"
    own.mkdir(parents=True)
    (own / "aura.toml").write_text(NETWORK)
    monkeypatch.chdir(own)
    assert _trusted()
    (cloned.folder / "aura.toml").unlink()
    monkeypatch.chdir(cloned.folder)
    assert _trusted(), "it is read from everywhere"


def test_a_relative_configuration_folder_is_not_trusted(cloned: Victim) -> None:
    (cloned.folder / "c" / "aura").mkdir(parents=True)
    (cloned.folder / "c" / "aura" / "aura.toml").write_text("[server]\nport = 4711\n")
    (cloned.folder / "c" / "aura" / "trusted-folders").write_text(f"{cloned.folder}\n")
    done = _aura(cloned.folder, "doctor", "--offline", XDG_CONFIG_HOME="c")
    assert "this folder: not trusted" in done.stdout
    assert "4711" not in done.stdout


def test_init_trusts_what_it_has_written_and_nothing_else(cloned: Victim) -> None:
    fresh = cloned.folder / "fresh"
    assert _aura(cloned.folder, "init", "fresh").stdout.count("written") == 4
    assert trust.recorded() == [fresh]
    for there in ("agents", "aura.toml"):
        other = cloned.folder / f"with-{there}"
        other.mkdir()
        (other / there).mkdir() if there == "agents" else (other / there).touch()
        assert "then say in this folder: aura trust" in _aura(other, "init").stdout
    assert trust.recorded() == [fresh]
    assert "aura trust" not in _aura(fresh, "init").stdout, "it is trusted already"


def test_init_works_where_nothing_can_be_recorded(cloned: Victim) -> None:
    Path(os.environ["XDG_CONFIG_HOME"]).write_text("no folder")
    done = _aura(cloned.folder, "init", "fresh")
    assert (done.returncode, done.stdout.count("written")) == (0, 4)
    assert done.stderr.startswith("The folder is not recorded as trusted: ")
    assert "AURA_TRUST" in done.stderr


# Files that belong to root


def test_only_files_that_root_alone_can_change_count_as_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 65534)
    assert trust.by_root(Path("/etc/passwd"))
    assert not trust.by_root(Path("/tmp")), "everybody may put something there"
    assert not trust.by_root(Path("/etc/nowhere"))
    if tmp_path.stat().st_uid == 0:
        (tmp_path / "f").touch(mode=0o644)
        (tmp_path / "d").mkdir(mode=0o755)
        (tmp_path / "d" / "f").touch(mode=0o644)
        assert trust.by_root(tmp_path / "d" / "f")
        (tmp_path / "d").chmod(0o775)
        assert not trust.by_root(tmp_path / "d" / "f"), "its folder's group may replace it"
        (tmp_path / "d").chmod(0o755)
        os.chown(tmp_path / "d", 12345, -1)
        assert not trust.by_root(tmp_path / "d" / "f"), "its folder's owner may replace it"
        (tmp_path / "f").chmod(0o664)
        assert not trust.by_root(tmp_path / "f")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert not trust.by_root(Path("/etc/passwd")), "root's own files get no special treatment"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of root")
@pytest.mark.parametrize("linked", [False, True], ids=["plain", "linked"])
def test_a_service_reads_roots_files_without_further_settings(linked: bool, victim: Victim) -> None:
    """docs/deployment.md's unit: another user in /etc/aura, without a home folder. Root's links are followed."""
    with TemporaryDirectory(prefix="aura-etc-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        (folder / "agents").mkdir(mode=0o755)
        (folder / "aura.toml").write_text(NETWORK)
        if linked:
            (folder / "agents" / "it.md").symlink_to(victim.secret)
        else:
            (folder / "agents" / "it.md").write_text("hello")
        # Everything runs as that user, but the interpreter may be in root's home.
        script = "import os; os.geteuid = lambda: 65534; from aura_core.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", script, "doctor", "--offline"],
            cwd=folder,
            env=process_environment(victim, AURA_PLUGINS="", XDG_CONFIG_HOME="/nowhere"),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    assert 'server.allowed_hosts: ["aura.example.com"] (aura.toml:2)' in done.stdout
    assert "ok this folder: what is read of it was named, or is root's alone" in done.stdout
    assert "ok it: its file is good" in done.stdout
