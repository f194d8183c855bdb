"""Every setting of the core: its name, default and meaning, and where its value came from."""

import os
import re
from collections.abc import Collection, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, field

from aura_core.config.decode import NO_NUL, decode
from aura_core.config.sources import Sources, Table, Value, variables
from aura_core.config.suggest import did_you_mean
from aura_core.errors import ConfigError

FILE = "aura.toml"
YEAR = 366 * 86400.0
HEARTBEAT_LIMIT = 30.0  # seconds; two pings fit into the 45 s after which our clients give up

Seconds = Annotated[float, Meta(ge=0, le=YEAR)]


class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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
    heartbeat: Annotated[
        float,
        Meta(
            gt=0,
            le=HEARTBEAT_LIMIT,
            description="silence after which the comment `: ping` is sent; clients give up after 45 s",
        ),
    ] = 15
    keep_alive: Annotated[
        float,
        Meta(
            gt=0,
            le=YEAR,
            description="seconds that a connection may be idle; longer than what proxies in front assume (60)",
        ),
    ] = 75
    drain_timeout: Annotated[Seconds, Meta(description="what running answers get when the server stops")] = 10
    retries: Annotated[
        int, Meta(ge=0, le=10, description="further attempts at an unreachable provider before the first token")
    ] = 1


class AgentsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[agents]`: where the agent files are."""

    directory: Annotated[
        str,
        Meta(
            min_length=1,
            pattern=NO_NUL,
            description="folder of the agent files; relative to the file that says so, else to the current one",
        ),
    ] = "agents"


class DefaultsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[defaults]`: what agents get that do not say."""

    provider: Annotated[
        str | None, Meta(description="provider of agents that name none; without it Aura picks one that answers")
    ] = None


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "server": ServerSettings,
    "agents": AgentsSettings,
    "defaults": DefaultsSettings,
}
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


class Settings(msgspec.Struct):
    """All settings. `tables` holds the provider tables, each to be decoded by its own plugin."""

    server: ServerSettings
    agents: AgentsSettings
    defaults: DefaultsSettings
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
    sources = Sources(SECTIONS)
    sources.add_flags(flags)
    sources.add_environment(environ)
    files, warnings = _files(config)
    for path in files:
        sources.add_file(path)
    sections, tables = sources.sections, sources.tables
    decoded = {name: _section(name, sections[name]) for name in SECTIONS}
    server, agents, defaults = decoded["server"], decoded["agents"], decoded["defaults"]
    assert isinstance(server, ServerSettings)
    assert isinstance(agents, AgentsSettings)
    assert isinstance(defaults, DefaultsSettings)
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


def _check_callers(server: ServerSettings, table: Table) -> None:
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


def _strays(environ: Mapping[str, str], named: Collection[object]) -> list[str]:
    """A warning for each AURA_ variable that nothing reads."""
    known = variables(SECTIONS)
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


def _section(name: str, table: Table) -> msgspec.Struct:
    def where(key: str | None) -> str:
        return table[key].origin if key in table else f"[{name}]"

    check_variables(table)
    return decode({key: value.value for key, value in table.items()}, SECTIONS[name], where)
