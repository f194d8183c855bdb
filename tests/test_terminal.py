"""Foreign text (names, models, paths, errors, answers) neither controls the terminal nor hides in it (CWE-150)."""

import ast
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import aura_core.cli
from aura_core.answer.stream_record import StreamRecord
from aura_core.telemetry.log_lines import TextFormatter
from aura_core.telemetry.logs import Background
from aura_core.testing import Reply, Upstream
from aura_core.text import printable, printable_json, printable_lines

FakePlugin = Callable[..., None]

# Control characters, bidirectional overrides, zero-width characters and line ends; raw and as YAML escapes.
STEERS = "\x1b]0;title\x07\x1b[2J\x9b31m\x08\x7f\r\u202egnp.exe\u202c\u2066x\u2069\U000e0041"
UNSEEN = "a\u200bb\u2060c\xadd\ufeffe\u3164\u115f"
BREAKS = "1\n2\u20283\u20294\x855\v6\f7\x1c8"
EVIL = STEERS + UNSEEN + BREAKS
BAD = set(STEERS + UNSEEN + BREAKS) - set("]0;title[2J31mgnp.exexabcde12345678\n")

AGENT = '---\nname: "{0}"\ndescription: "{0}"\nmodel: "{0}"\nprovider: "{0}"\n---\n'.format(
    "".join(f"\\U{ord(char):08x}" for char in EVIL)
)
LYING = f"raise ValueError({EVIL!r})"


def _aura(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    site = folder / "site"
    path = os.pathsep.join(str(each) for each in site.iterdir()) if site.exists() else ""
    return subprocess.run(
        [sys.executable, "-m", "aura_core", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path, "PYTHONUTF8": "1"} | environ,
        capture_output=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def _harmless(result: subprocess.CompletedProcess[bytes], encoding: str = "utf-8") -> None:
    for said in (result.stdout, result.stderr):
        text = said.decode(encoding)
        assert not BAD & set(text), ascii(text)
    assert b"Traceback" not in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs file names of any characters")
@pytest.mark.parametrize(
    "arguments",
    [
        ["agents"],
        ["agents", "--json"],
        ["plugins"],
        ["plugins", "--json"],
        ["doctor", "--offline"],
        ["doctor", "--json"],
    ],
    ids=" ".join,
)
def test_no_list_controls_the_terminal(arguments: list[str], fake_plugin: FakePlugin, tmp_path: Path) -> None:
    fake_plugin("liar", LYING, version="1\x1b[2J\u202e")
    agents = tmp_path / "agents"
    agents.mkdir()
    (agents / "evil.md").write_text(AGENT, encoding="utf-8")
    (agents / "\x1b[2J\u202e.md").write_text("Hi.", encoding="utf-8")
    (agents / "option.md").write_text(f'---\n"temp\x7f{UNSEEN}": 1\n---\n', encoding="utf-8")
    result = _aura(tmp_path, *arguments)
    _harmless(result)
    assert b"gnp.exe" in result.stdout + result.stderr
    if "--json" in arguments:
        json.loads(result.stdout)


def test_a_model_of_ollamas_is_shown_as_it_is_written(tmp_path: Path) -> None:
    name = f"llama\u202e3{STEERS}"
    with Upstream() as upstream:
        upstream.on("/api/version", Reply([b'{"version":"0.33.0"}']))
        upstream.on("/api/tags", Reply([json.dumps({"models": [{"name": name, "size": 1}]}).encode()]))
        error = json.dumps({"error": f"no {STEERS} way"}).encode()
        upstream.on("/api/chat", Reply([error], 500))
        (tmp_path / "aura.toml").write_text(f'[providers.ollama]\nbase_url = "{upstream.url}"\n')
        asked = _aura(tmp_path, "doctor", OLLAMA_HOST=upstream.url)
        said = _aura(tmp_path, "chat", "assistant", "Hello", OLLAMA_HOST=upstream.url)
    _harmless(asked)
    _harmless(said)
    assert rb"llama\u202e3" in asked.stdout
    assert b"no " in said.stderr


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "ascii", "cp437"])
def test_a_terminal_that_is_not_utf8_is_not_controlled(encoding: str, tmp_path: Path) -> None:
    said = _aura(tmp_path, "chat", "assistant", f"Hi {STEERS} ä", PYTHONIOENCODING=encoding, AURA_PLUGINS="echo")
    assert not {0x1B, 0x07, 0x08, 0x0D, 0x7F} & set(said.stdout), said.stdout
    if encoding == "latin-1":
        assert 0x9B not in said.stdout


def test_a_usage_error_repeats_no_control_characters(tmp_path: Path) -> None:
    for arguments in (
        ["\x1b[2J"],
        ["agents", "--\x1b[2J\u202e"],
        ["chat", "\x1b[2J\u202e", "x"],
        ["test-plugin", "\x9b"],
    ):
        result = _aura(tmp_path, *arguments)
        assert result.returncode in (1, 2)
        _harmless(result)


def test_one_module_alone_writes_to_the_terminal() -> None:
    wrong = []
    for path in Path(aura_core.cli.__file__).parent.glob("*.py"):
        if path.name == "terminal.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            written = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if written in ("print", "click.echo", "click.secho", "click.confirm", "click.prompt") or (
                written.startswith(("sys.stdout.write", "sys.stderr.write", "Console", "rich."))
            ):
                wrong.append(f"{path.name}:{node.lineno}: {written}")  # type: ignore[attr-defined]
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rich"):
                wrong.append(f"{path.name}:{node.lineno}: {node.module}")
    assert wrong == [], "write with aura_core.cli.terminal, which makes fit what others said"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [brackets] äöü 日本語", "plain [brackets] äöü 日本語"),
        ("👩\u200d💻 Coder", "👩\u200d💻 Coder"),
        ("क्\u200dष", "क्\u200dष"),
        ("adm\u200din", "adm\\u200din"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("a\tb\r\nc\u2028d", "a b c d"),
        ("\x1b[31m", "\\x1b[31m"),
        ("half \ud83d", "half \\ud83d"),
        ("no\xa0break", "no\xa0break"),
    ],
)
def test_invisible_characters_of_a_name_are_shown_as_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert json.loads(printable_json(json.dumps(text, ensure_ascii=False))) == text


def test_an_answer_keeps_its_lines_and_its_scripts() -> None:
    assert printable_lines("a\n\tb\r\n👩\u200d💻 \u200fשלום\u200e") == "a\n\tb\n👩\u200d💻 \u200fשלום\u200e"
    assert printable_lines(STEERS) == "]0;title[2J31mgnp.exex"


def _line(record: logging.LogRecord) -> str:
    return TextFormatter().format(record)


def test_no_model_forges_a_field_of_a_log_line() -> None:
    """CWE-117."""
    model = 'm outcome=done code="x"\u202e\n'
    stream = StreamRecord("1", "default", "", "native", "a", "p", model, "error", "auth", "no", None, 1.0, 0, 0, 0)
    record = logging.LogRecord("aura", logging.INFO, "", 0, "stream", None, None)
    record.fields = stream
    assert r'model="m outcome=done code=\"x\"\\u202e "' in _line(record)


def test_a_log_line_has_the_terminals_encoding(tmp_path: Path) -> None:
    """The letter Û is C3 9B in UTF-8, and in 8-bit encodings the byte 9B starts an escape sequence."""
    with (tmp_path / "log").open("wb") as file:
        background = Background(TextFormatter(), file.fileno(), "latin-1")
        background.emit(logging.LogRecord("aura", logging.INFO, "", 0, "Û31m 日", None, None))
        background.close()
    assert (tmp_path / "log").read_bytes().endswith(b"\xdb31m \\u65e5\n")
