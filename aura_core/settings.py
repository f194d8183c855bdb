"""Every setting of the core: its name, default and meaning, and where its value came from."""

import os
import re
import tomllib
from collections.abc import Collection, Mapping
from datetime import date, time
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, field

from aura_core.errors import ConfigError
from aura_core.names import did_you_mean
from aura_core.strict import NO_NUL, decode, keys, unknown_key

FILE = "aura.toml"
YEAR = 366 * 86400.0

Seconds = Annotated[float, Meta(ge=0, le=YEAR)]


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[server]`: where Aura listens, and its limits. Times are in seconds, and 0 means none."""

    host: Annotated[str, Meta(description="address to listen on; beyond loopback it needs a token")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="port to listen on; 0 picks a free one")] = 5300
    token_env: Annotated[
        str, Meta(description="variable that holds the bearer token; while it is empty none is required")
    ] = "AURA_TOKEN"
    allowed_hosts: Annotated[list[str], Meta(description="Host names that are served, besides loopback names")] = []
    allowed_origins: Annotated[
        list[str], Meta(description="web origins that may call, besides the server's own; they get CORS answers")
    ] = []
    max_streams: Annotated[int, Meta(ge=1, description="answers that run at the same time, per process")] = 1000
    max_body: Annotated[int, Meta(ge=1024, description="largest request body, in bytes")] = 4_194_304
    first_token_timeout: Annotated[
        Seconds, Meta(description="wait for the first token, retries included; reasoning counts as one")
    ] = 300
    idle_timeout: Annotated[Seconds, Meta(description="wait between two tokens")] = 120
    total_timeout: Annotated[
        Seconds, Meta(description="longest answer: a model without a limit of its own may say the same for ever")
    ] = 1800
    write_timeout: Annotated[Seconds, Meta(description="how long a client may refuse to read")] = 60
    heartbeat: Annotated[Seconds, Meta(description="silence after which the comment `: ping` is sent")] = 15
    drain_timeout: Annotated[Seconds, Meta(description="what running answers get when the server stops")] = 10
    retries: Annotated[
        int, Meta(ge=0, le=10, description="further attempts at an unreachable provider before the first token")
    ] = 1


class Agents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[agents]`: where the agent files are."""

    directory: Annotated[
        str,
        Meta(
            min_length=1,
            pattern=NO_NUL,
            description="folder of the agent files; relative to the file that says so, else to the current one",
        ),
    ] = "agents"


class Defaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[defaults]`: what agents get that do not say."""

    provider: Annotated[
        str | None, Meta(description="provider of agents that name none; without it Aura picks one that answers")
    ] = None


SECTIONS: dict[str, type[msgspec.Struct]] = {"server": Server, "agents": Agents, "defaults": Defaults}
PROVIDERS = "providers"
VARIABLES = ("AURA_TOKEN", "AURA_PLUGINS")

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9]{20}")  # a variable's name has words, and underscores between them
_NAME = r"(\[[0-9a-f:.]+\]|[^\s:\[\]/?#@*]+)(:\d{1,5})?"
# What a Host and an Origin header can be, as the guard compares them.
_CALLERS = {
    "allowed_hosts": (
        re.compile(_NAME, re.IGNORECASE),
        "no host, such as aura.example.com, [fd00::1] or 10.0.0.5:5300",
    ),
    "allowed_origins": (
        re.compile(rf"null|[a-z][a-z0-9+.-]*://{_NAME}/*", re.IGNORECASE),
        "no origin, such as https://app.example.com or http://10.0.0.5:8080",
    ),
}


class Value(msgspec.Struct, frozen=True):
    """One value that somebody set. `origin`: `--port`, `AURA_SERVER__PORT` or `aura.toml:3`."""

    value: Any
    origin: str
    folder: Path | None = None


Table = dict[str, Value]


class Settings(msgspec.Struct):
    """All settings. `tables` holds the provider tables, each to be decoded by its own plugin."""

    server: Server
    agents: Agents
    defaults: Defaults
    directory: Path
    tables: dict[str, Table] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    token: str | None = None

    @property
    def unguarded(self) -> str | None:
        """Why Aura must not listen: others could reach it, and no token keeps them out."""
        host = self.server.host
        if self.token is not None or is_loopback(host):
            return None
        return (
            f"{self.origins['server.host']}: refusing to listen on {host} without a token; "
            f"set the variable {self.server.token_env}, or listen on 127.0.0.1"
        )


def load(flags: Mapping[str, Any], environ: Mapping[str, str], config: Path | None = None) -> Settings:
    """Read all sources; what comes first wins: flags ({"server.port": 1}), AURA_*, ./aura.toml, the user's aura.toml.

    Raises ConfigError for what is wrong outside the provider tables.
    """
    sections: dict[str, Table] = {name: {} for name in SECTIONS}
    tables: dict[str, Table] = {}
    for name, value in flags.items():
        section, key = name.split(".")
        sections[section][key] = Value(value, f"--{'agents' if name == 'agents.directory' else key}")
    _read_environment(environ, sections, tables)
    files, warnings = _files(config)
    for path in files:
        _read_file(path, sections, tables)
    decoded = {name: _section(name, sections[name]) for name in SECTIONS}
    server, agents, defaults = decoded["server"], decoded["agents"], decoded["defaults"]
    assert isinstance(server, Server)
    assert isinstance(agents, Agents)
    assert isinstance(defaults, Defaults)
    _check_callers(server, sections["server"])
    named = [server.token_env, *(v.value for table in tables.values() for k, v in table.items() if k.endswith("_env"))]
    return Settings(
        server,
        agents,
        defaults,
        # Path's own expanduser raises where there is no such user.
        _folder(sections["agents"].get("directory")) / os.path.expanduser(agents.directory),  # noqa: PTH111
        tables,
        {f"{name}.{key}": value.origin for name, table in sections.items() for key, value in table.items()},
        files,
        [*_strays(environ, named), *warnings],
        _token(environ, server.token_env),
    )


def _token(environ: Mapping[str, str], variable: str) -> str | None:
    token = environ.get(variable, "").strip()
    try:
        token.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{variable}: the token is not UTF-8 text; choose another") from None
    return token or None


def is_loopback(host: str) -> bool:
    """Whether `host` (a name or address, without port and brackets) can only mean this machine."""
    host = host.lower().rstrip(".")
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def check_variables(table: Table) -> None:
    """Refuse a key that stands where the name of its variable belongs, in a setting `…_env`, and never repeat it.

    Raises ConfigError.
    """
    for key, value in table.items():
        name = value.value
        if not key.endswith("_env") or not isinstance(name, str) or not name:
            continue
        if not _VARIABLE.fullmatch(name) or _LIKE_A_KEY.search(name):
            raise ConfigError(f"{value.origin}: {key}: expected the name of a variable, not the key itself")


def _check_callers(server: Server, table: Table) -> None:
    for key, (pattern, otherwise) in _CALLERS.items():
        for entry in getattr(server, key):
            if not pattern.fullmatch(entry):
                raise ConfigError(f"{table[key].origin}: {key}: {entry!r} is {otherwise}")


def _folder(directory: Value | None) -> Path:
    """What a relative folder of agents is relative to."""
    if directory and directory.folder:
        return directory.folder
    try:
        return Path.cwd()
    except OSError as exc:
        raise ConfigError(f"the current folder cannot be found: {exc.strerror}; change to another") from None


def _files(config: Path | None) -> tuple[list[Path], list[str]]:
    """The files that are there, and what is wrong with those that cannot be reached."""
    from platformdirs import user_config_path

    found, warnings = [], []
    for path in (config or Path(FILE), user_config_path("aura", appauthor=False) / FILE):
        try:
            if path.is_file():
                found.append(path)
            elif path is config:
                raise ConfigError(f"{path}: no such file")
        except OSError as exc:
            warnings.append(f"{path}: cannot be read: {exc.strerror}")
            if path is config:
                raise ConfigError(warnings[-1]) from None
    return found, warnings


def _read_file(path: Path, sections: dict[str, Table], tables: dict[str, Table]) -> None:
    try:
        text = path.read_text(encoding="utf-8-sig")
        data = tomllib.loads(text)
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply") from None
    except tomllib.TOMLDecodeError as exc:
        line = re.search(r"\(at line (\d+), column \d+\)", str(exc))
        place = f"{path}:{line[1]}" if line else str(path)
        raise ConfigError(f"{place}: {re.sub(r' ?[(]at .*[)]$', '', str(exc))}") from None
    except ValueError:  # Python's own limit, of 4,300
        raise ConfigError(f"{path}: a number in it has too many digits") from None

    def where(*keys: str) -> str:
        line = line_of(text, keys)
        return f"{path}:{line}" if line else str(path)

    for section, content in data.items():
        if section not in SECTIONS and section != PROVIDERS:
            raise unknown_key(section, [*SECTIONS, PROVIDERS], lambda key: where(key or ""))
        if not isinstance(content, dict):
            raise ConfigError(f"{where(section)}: {section} must be a table: [{section}]")
        if section == PROVIDERS:
            for name, table in content.items():
                if not isinstance(table, dict):
                    raise ConfigError(f"{where(section, name)}: {name} must be a table: [providers.{name}]")
                _add(tables.setdefault(name, {}), table, lambda key, n=name: where(PROVIDERS, n, key), path)
        else:
            _add(sections[section], content, lambda key, s=section: where(s, key), path)


def _add(target: Table, content: Mapping[str, Any], where: Any, path: Path) -> None:
    for key, value in content.items():
        target.setdefault(key, Value(value, where(key), path.resolve().parent))


def _read_environment(environ: Mapping[str, str], sections: dict[str, Table], tables: dict[str, Table]) -> None:
    for variable in sorted(environ):
        # An empty one is not set: Compose's `${VAR:-}` gives one.
        if not variable.startswith("AURA_") or "__" not in variable or not environ[variable]:
            continue
        parts = variable.removeprefix("AURA_").lower().split("__")
        section, key, name = parts[0], parts[-1], "__".join(parts[1:-1])
        value = Value(_toml_or_string(environ[variable]), variable)
        if section == PROVIDERS and name:
            tables.setdefault(name, {})[key] = value
        elif section in SECTIONS and not name:
            sections[section].setdefault(key, value)
        else:
            raise ConfigError(f"{variable}: unknown setting{did_you_mean(variable, _known_variables().values())}")


def _known_variables() -> dict[str, str]:
    """The variable of each setting, by its key alone."""
    return {key: f"AURA_{name}__{key}".upper() for name, struct in SECTIONS.items() for key in keys(struct)}


def _strays(environ: Mapping[str, str], named: Collection[object]) -> list[str]:
    """A warning for each AURA_ variable that nothing reads."""
    known = _known_variables()
    # With one underscore, or without the section.
    meant = known | {variable.removeprefix("AURA_").replace("__", "_").lower(): variable for variable in known.values()}
    warnings = []
    for variable in sorted(environ):
        if not variable.startswith("AURA_") or "__" in variable or not environ[variable]:
            continue
        if variable not in VARIABLES and variable not in named:
            guess = meant.get(variable.removeprefix("AURA_").lower())
            hint = did_you_mean(guess or variable, [guess] if guess else VARIABLES)
            warnings.append(f"{variable} is not a setting{hint}")
    return warnings


def _toml_or_string(text: str) -> Any:
    try:
        data = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # no TOML, a number with too many digits, a thousand brackets
        return text
    value = data["value"]
    # No setting is a date, but an API version may look like one.
    return text if len(data) > 1 or isinstance(value, (date, time)) else value


def _section(name: str, table: Table) -> msgspec.Struct:
    def where(key: str | None) -> str:
        return table[key].origin if key in table else f"[{name}]"

    check_variables(table)
    return decode({key: value.value for key, value in table.items()}, SECTIONS[name], where)


def line_of(text: str, path: tuple[str, ...]) -> int | None:
    """The line (from 1) on which a key of a TOML text stands, if it stands there in one of the usual ways."""
    table: tuple[str, ...] = ()
    best = None
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]", line):
            table = _parts(header[1])
            here = table
        elif pair := re.match(r"\s*([A-Za-z0-9_\-.\"' ]+?)\s*=", line):
            here = table + _parts(pair[1])
        else:
            continue
        if here == path:
            return number
        if here == path[: len(here)]:
            best = number  # the table, or an inline table, that holds the key
    return best


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))
