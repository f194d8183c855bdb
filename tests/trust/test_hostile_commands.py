"""Every command, in a subprocess, in an attacker's folder that contains everything it can contain."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from test_hostile_files import WAYS
from test_hostile_settings import FAR
from victim import ADDRESSES, SECRET, Victim, agent, process_environment, structs, toml

from aura_core.cli import COMMANDS
from aura_core.plugins.loader import Plugins

AURA = [sys.executable, "-c", "from aura_core.cli import main; main()"]  # like the installed command: without `-m`
NO_FOLDER = {"new-plugin", "test-plugin", "trust"}  # their arguments decide what they do with a folder
WATCH = """
import os, sys
def listen(event, args, list=os.environ["OPENED"], outside=os.environ["OUTSIDE"]):
    if event == "open" and isinstance(args[0], (str, os.PathLike)) and not busy:
        busy.append(1)
        path = os.path.realpath(args[0])
        if path.startswith(outside) or path.endswith("/environ"):
            with open(list, "a") as file:
                file.write(f"{path}\\n")
        busy.clear()
busy = []
sys.addaudithook(listen)
"""


@pytest.fixture
def hostile(victim: Victim) -> Victim:
    """The folder: every plugin at every kind of address, every link out of it, and an agent for each instance."""
    port = victim.attacker.port
    wild = [url for url in FAR if isinstance(url, str) and "://" in url]
    wild += [f"http://0.0.0.0:{port}", f"http://0:{port}/v1", f"http://127.0.0.1@0.0.0.0:{port}/", f"0.0.0.0:{port}"]
    text, agents = "[defaults]\nprovider = 'ollama0'\n", {"none.md": "You help.\n"}
    for table, struct in structs().items():
        plugin = table.removeprefix("providers.")
        if plugin == table:
            continue
        (address,) = set(struct.__struct_fields__) & set(ADDRESSES)
        for number, url in enumerate(wild):
            text += f"[providers.{plugin}{number}]\nplugin = '{plugin}'\n{address} = {toml(url)}\n"
            text += "api_key_env = 'AWS_SECRET_ACCESS_KEY'\n"
            agents[f"{plugin}{number}.md"] = agent(f"{plugin}{number}")
        text += f"[providers.{plugin}]\n{address} = '{victim.evil}'\n"
        text += f"[providers.{plugin}_near]\nplugin = '{plugin}'\n{address} = '{victim.local.url}'\n"
        agents |= {f"{name}.md": agent(name) for name in (plugin, f"{plugin}_near")}
    victim.writes(text, agents)
    for number, way in enumerate(WAYS.values()):
        way(victim, victim.folder / "agents" / f"link{number}.md")
    (victim.folder / "~").mkdir()
    (victim.folder / "~" / ".config").mkdir()
    site = victim.folder.parent / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(WATCH)
    (site / "opened").touch()
    victim.environ |= {
        "PYTHONPATH": str(site),
        "OPENED": str(site / "opened"),
        "OUTSIDE": str(victim.outside),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return victim


def _check(victim: Victim, shown: str) -> None:
    victim.unharmed()
    assert (victim.folder.parent / "site" / "opened").read_text() == "", "no file outside was opened"
    assert SECRET not in shown.replace(victim.environ["OPENAI_ORG_ID"], "")  # which the doctor shows
    assert not re.search("^Traceback", shown, re.MULTILINE)  # a slow import may be logged
    for request in victim.own.requests:
        assert f"{SECRET}-aws" not in str(request)


def _run(victim: Victim, *arguments: str, folder: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*AURA, *arguments],
        cwd=folder or victim.folder,
        env=process_environment(victim),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in {"serve", "chat"} | NO_FOLDER])
def test_a_command_sends_and_reads_nothing(command: str, hostile: Victim) -> None:
    """Every command, so that a new one is also covered."""
    before = sorted(path.name for path in hostile.outside.iterdir())
    done = _run(hostile, command)
    _check(hostile, done.stdout + done.stderr)
    assert sorted(path.name for path in hostile.outside.iterdir()) == before, "nor does it write outside"
    if command in ("agents", "doctor"):
        shown = done.stdout + done.stderr
        assert done.returncode == 1
        assert "may set only a loopback address" in shown
        assert "agents/link0.md: it leads out of the folder, and the folder is not trusted" in shown


@pytest.mark.parametrize("name", ["openai0", "openai", "azure1", "ollama2", "link0", "link6", "none"])
def test_chat_sends_and_reads_nothing(name: str, hostile: Victim) -> None:
    done = _run(hostile, "chat", name, "Hello")
    _check(hostile, done.stdout + done.stderr)
    assert done.returncode == 1
    assert "not trusted" in done.stderr


@pytest.mark.parametrize("name", ["openai0", "openai", "ollama1", "ollama_near"])
def test_a_live_test_of_a_plugin_sends_nothing(name: str, hostile: Victim) -> None:
    done = _run(hostile, "test-plugin", name, "--live", "--model", "m")
    _check(hostile, done.stdout + done.stderr)


@contextmanager
def _serving(victim: Victim, folder: Path) -> Iterator[str]:
    """`aura serve`, and where it listens."""
    process = subprocess.Popen(
        [*AURA, "serve", "--port", "0"],
        cwd=folder,
        env=process_environment(victim),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if line.startswith("Ctrl-C"):
                break
        address = re.search(r"Aura serves at (http://\S+)", said)
        assert address is not None, said
        yield address[1]
        process.send_signal(signal.SIGTERM)
        said += process.communicate(timeout=120)[1]
        assert SECRET not in said
    finally:
        process.kill()
        process.communicate()


def test_serve_sends_and_reads_nothing_for_any_agent(hostile: Victim) -> None:
    with _serving(hostile, hostile.folder) as url, httpx.Client(base_url=url, trust_env=False, timeout=120) as client:
        assert url.startswith("http://127.0.0.1:")
        agents = client.get("/api/agents").json()["agents"]
        shown = json.dumps(agents) + client.get("/api/providers").text
        for each in agents:
            shown += client.post(f"/api/agents/{each['id']}/chat", json={"prompt": "Hello"}).text
        # Edits while the server runs are subject to the same rules.
        (hostile.folder / "agents" / "late.md").symlink_to(hostile.secret)
        (hostile.folder / "aura.toml").unlink()
        (hostile.folder / "aura.toml").symlink_to(hostile.secret)
        for _ in range(600):
            late = client.get("/api/agents/late")
            if late.status_code == 200:
                break
            time.sleep(0.1)
        shown += late.text
        assert "it leads out of the folder" in late.json()["error"]
    _check(hostile, shown)
    asked = {each["id"]: each["error"] for each in agents}
    assert [name for name, error in asked.items() if not error] == [f"{name}_near" for name in _plugins()]
    assert hostile.local.requests, "what stays on this machine is asked"


def _plugins() -> list[str]:
    return sorted(name for name in Plugins().hooks if name != "echo")


@pytest.mark.parametrize(
    "line",
    ["host = '0.0.0.0'", "host = ''", "token_env = 'LANG'", "allowed_hosts = ['*']", "allowed_origins = ['http://x']"],
)
def test_serve_does_not_start_without_guards_that_were_refused(line: str, victim: Victim) -> None:
    victim.writes(f"[server]\n{line}\n")
    done = _run(victim, "serve", "--port", "0")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"aura: aura.toml:2: {line.split()[0]}: a folder that is not trusted may ")
    assert done.stderr.count("\n") == 1
    listed = _run(victim, "agents")
    assert (listed.returncode, listed.stderr.removeprefix("aura: ")) == (0, done.stderr.removeprefix("aura: "))
    doctor = _run(victim, "doctor", "--offline", "--json")
    failed = [check for check in json.loads(doctor.stdout)["checks"] if check["status"] == "failed"]
    assert [check["name"] for check in failed] == ["listening"]
    assert f"aura: {failed[0]['detail']}\n" == done.stderr


def test_an_untrusted_folder_cannot_set_tables_of_clients(victim: Victim) -> None:
    victim.writes("[clients.me]\ntoken_env = 'LANG'\n")
    done = _run(victim, "serve", "--port", "0")
    assert done.returncode == 1
    assert "aura.toml:1: [clients.me]: a folder that is not trusted may not say who may ask" in done.stderr


def test_init_writes_nothing_over_a_link_and_trusts_no_folder_that_had_something(victim: Victim) -> None:
    (victim.folder / "agents").rmdir()
    (victim.folder / "agents").symlink_to(victim.outside)
    refused = _run(victim, "init")
    assert (refused.returncode, refused.stderr) == (
        1,
        "aura: agents: is a link; nothing is written to where it leads\n",
    )
    assert [path.name for path in victim.outside.iterdir()] == ["secret.md"]
    (victim.folder / "agents").unlink()
    (victim.folder / "agents").mkdir()
    done = _run(victim, "init")
    assert done.returncode == 0
    assert "Not all of it is from here: read what was there, then say in this folder: aura trust\n" in done.stdout
    assert _run(victim, "trust", "--list").stdout == ""


def test_without_a_home_the_folder_does_not_become_it(victim: Victim) -> None:
    """A user of a container may have no home: `~/.config` would then be a folder of the current one."""
    own = victim.folder / "~" / ".config" / "aura"
    own.mkdir(parents=True)
    (own / "aura.toml").write_text("[server]\nhost = '0.0.0.0'\ntoken_env = 'LANG'\n")
    (own / "trusted-folders").write_text(f"{victim.folder}\n")
    environ = {
        key: value for key, value in process_environment(victim).items() if key not in ("HOME", "XDG_CONFIG_HOME")
    }
    script = "import pwd; pwd.getpwuid = lambda uid: {}[uid]; from aura_core.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "doctor", "--offline", "--json"],
        cwd=victim.folder,
        env=environ | {"LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    checks = {check["name"]: check["detail"] for check in json.loads(done.stdout)["checks"]}
    assert checks["server.host"] == '"127.0.0.1" (default)'
    assert checks["this folder"].startswith("not trusted")


def test_the_same_folder_when_it_is_trusted_reaches_the_attacker(hostile: Victim) -> None:
    """Proof that the tests above can fail."""
    hostile.environ["AURA_TRUST"] = str(hostile.folder)
    _run(hostile, "chat", "ollama", "Hello")
    assert hostile.attacker.connections
    assert f"Bearer {SECRET}-ollama" in str(hostile.attacker.requests)
    opened = (hostile.folder.parent / "site" / "opened").read_text()
    assert str(hostile.secret) in opened
