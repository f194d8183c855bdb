"""Every setting of the core: its name, default and meaning, and where its value came from."""

import ipaddress
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from aura_core.config import trust
from aura_core.config.clients import Clients, client_holder, named_variables, server_holder
from aura_core.config.decode import NO_NUL, decode
from aura_core.config.environment import variable
from aura_core.config.hosts import is_host, is_origin, is_this_machine
from aura_core.config.loopback import is_loopback
from aura_core.config.reading import exposed
from aura_core.config.sources import Sources, Table, Value, variables
from aura_core.config.suggest import did_you_mean
from aura_core.config.untrusted import NOT_A_NAME, NotTrusted, Refusal, names_variable
from aura_core.errors import ConfigError
from aura_core.limits import HEARTBEAT_LIMIT, LONGEST_TIME

FILE = "aura.toml"

UNIX_SOCKET = "unix"
"""What `trusted_proxies` calls a proxy that connects to a Unix socket."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Seconds = Annotated[float, Meta(ge=0, le=LONGEST_TIME)]


class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[server]`: where Aura listens, and its limits. Times are in seconds, and 0 means none."""

    host: Annotated[str, Meta(pattern=r"\S", description="address to listen on; beyond loopback it needs a token")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Meta(ge=0, le=65535, description="port to listen on; 0 picks a free one")] = 5300
    token_env: Annotated[
        str,
        Meta(description="variable that holds the bearer token; if it is set here, it must hold one"),
    ] = "AURA_TOKEN"
    token_file: Annotated[
        str, Meta(pattern=NO_NUL, description="file that holds the bearer token; it is read again when it changes")
    ] = ""
    allowed_hosts: Annotated[
        list[str],
        Meta(description="Host names that are served, besides loopback names; also `*.example.com` and `10.0.0.0/8`"),
    ] = []
    allowed_origins: Annotated[
        list[str], Meta(description="web origins that may call, besides the server's own; they get CORS answers")
    ] = []
    max_streams: Annotated[int, Meta(ge=1, description="answers that run at the same time, per process")] = 1000
    max_body: Annotated[int, Meta(ge=1024, description="largest request body, in bytes")] = 4_194_304
    max_buffered: Annotated[
        int,
        Meta(
            ge=1024 * 1024,
            description="bytes of request bodies and of answers not yet read, all clients together, per process;"
            " at least twice `max_body`",
        ),
    ] = 268_435_456
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
            le=LONGEST_TIME,
            description="seconds that a connection may be idle; longer than what proxies in front assume (60)",
        ),
    ] = 75
    drain_timeout: Annotated[Seconds, Meta(description="what running answers get when the server stops")] = 10
    drain_delay: Annotated[
        Seconds,
        Meta(
            description="before that, how long new answers are still taken while `/health/ready` is 503, so that"
            " balancers see it; 5 behind one"
        ),
    ] = 0
    trusted_proxies: Annotated[
        list[str],
        Meta(
            description="addresses and networks of proxies in front, whose X-Forwarded-For is believed for the log;"
            " `unix` is whoever connects to a Unix socket"
        ),
    ] = []
    retries: Annotated[
        int, Meta(ge=0, le=10, description="further attempts at an unreachable provider before the first token")
    ] = 1
    fallback_after: Annotated[
        Seconds,
        Meta(description="wait for the first token of a provider with a fallback; an agent's first_token_timeout wins"),
    ] = 15


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[log]`: what `aura serve` writes to stderr, and how."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="the least serious lines that are written: `warning` leaves out answers that succeeded"),
    ] = "info"
    format: Annotated[
        Literal["auto", "text", "json"], Meta(description="`auto` is text on a terminal, else one JSON object a line")
    ] = "auto"
    access: Annotated[bool, Meta(description="write a line for each HTTP request, besides that of each answer")] = False


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


class ProviderSettings(msgspec.Struct, frozen=True):
    """What every table `[providers.NAME]` may set, whatever its plugin; the rest is the plugin's."""

    default_model: Annotated[str | None, Meta(description="model of agents that name none")] = None
    max_streams: Annotated[
        int,
        Meta(
            ge=0,
            description="answers of this provider at the same time, per process; 0: no limit."
            " Beyond it an agent's next provider is asked",
        ),
    ] = 0


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "server": ServerSettings,
    "log": LogSettings,
    "agents": AgentsSettings,
    "defaults": DefaultsSettings,
}
CONFIG = "AURA_CONFIG"
VARIABLES = ("AURA_TOKEN", "AURA_PLUGINS", CONFIG, trust.VARIABLE)

# The forms of Host and Origin headers, as the guard compares them.
_CALLERS: dict[str, tuple[Callable[[str], bool], str]] = {
    "allowed_hosts": (
        is_host,
        "not a host such as aura.example.com, *.example.com, [fd00::1], 10.0.0.5:5300 or 10.0.0.0/8",
    ),
    "allowed_origins": (
        is_origin,
        "not an origin such as https://app.example.com or http://10.0.0.5:8080",
    ),
}


class Settings(msgspec.Struct):
    """All settings. `tables` holds the provider tables, each to be decoded by its own plugin; `clients` is who may ask.

    `trusted` is what makes the current folder a trusted one, if anything does. `file_within` is that folder where its
    aura.toml is not trusted, `agents_within` where its agents are not; `refusals` is what it asked for and did not get.
    `again` reads the same sources once more.
    """

    server: ServerSettings
    log: LogSettings
    agents: AgentsSettings
    defaults: DefaultsSettings
    directory: Path
    tables: dict[str, Table] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    clients: Clients = field(default_factory=Clients)
    trusted: str | None = None
    file_within: Path | None = None
    agents_within: Path | None = None
    refusals: list[Refusal] = field(default_factory=list)
    again: Callable[[], "Settings"] | None = None

    @property
    def unguarded(self) -> str | None:
        """Why Aura must not listen at its host: an untrusted folder asks for other guards, a client has no token, or
        others could reach it without one."""
        return self.unguarded_at(self.server.host, self.origins.get("server.host", "[server] host"))

    def unguarded_at(self, host: str | None, origin: str) -> str | None:
        """Why Aura must not listen at this address, which `origin` names; None is a Unix socket."""
        for refusal in self.refusals:
            if refusal.stops:
                return str(refusal)
        if self.clients.problem is not None:
            return self.clients.problem
        if self.clients.required or host is None or is_loopback(host):
            return None
        return (
            f"{origin}: refusing to listen on {host} without a token; "
            f"set the variable {self.server.token_env or 'AURA_TOKEN'}, or listen on 127.0.0.1"
        )

    @property
    def token(self) -> str | None:
        """The token that our own commands send to a server."""
        return self.clients.default_token


def load(
    flags: Mapping[str, Any], environ: Mapping[str, str], config: Path | None = None, *, trusting: bool = False
) -> Settings:
    """Read all sources; what comes first wins: flags ({"server.port": 1}), AURA_*, ./aura.toml, the user's aura.toml.

    `config`, or AURA_CONFIG, is read instead of ./aura.toml and trusted; with `trusting` the current folder is, too.
    Raises ConfigError for what is wrong outside the provider tables.
    """
    again = partial(load, flags, environ, config, trusting=trusting)
    sources = Sources(SECTIONS)
    sources.add_flags(flags)
    sources.add_environment(environ)
    here = _current_folder()
    trusted = ("you said so" if trusting else trust.why_trusted(here, environ)) if here else None
    named_file = variable(environ, CONFIG)
    config = config or (Path(named_file) if named_file else None)
    file_within = None if config or trusted or _by_root(Path(FILE), here) else here
    files, warnings = _files(config)
    read = []
    for path in files:
        within = file_within if path == Path(FILE) else None
        try:
            sources.add_file(path, within, _fixed(sources, files) if within else ())
        except NotTrusted as exc:
            sources.refusals.append(exc.refusal)
            continue
        read.append(path)
        if found := exposed(path):
            warnings.append(f"{path}: {found}; whoever can change it decides where prompts and keys go")
    sections, tables = sources.sections, sources.tables
    decoded = {name: _section(name, sections[name]) for name in SECTIONS}
    server, log, agents, defaults = decoded["server"], decoded["log"], decoded["agents"], decoded["defaults"]
    assert isinstance(server, ServerSettings)
    assert isinstance(log, LogSettings)
    assert isinstance(agents, AgentsSettings)
    assert isinstance(defaults, DefaultsSettings)
    _check_callers(server, sections["server"])
    _check_sizes(server, sections["server"])
    if "trusted_proxies" in sections["server"]:
        proxies(server.trusted_proxies, sections["server"]["trusted_proxies"].origin)
    named = [server.token_env, *(v.value for table in tables.values() for k, v in table.items() if k.endswith("_env"))]
    named += [variable for table in sources.clients.values() for variable in named_variables(table)]
    clients = _clients(server, sources, environ)
    said = sections["agents"].get("directory")
    # Path's own expanduser raises where there is no such user.
    directory = _folder(said) / os.path.expanduser(agents.directory)  # noqa: PTH111
    return Settings(
        server,
        log,
        agents,
        defaults,
        directory,
        tables,
        {f"{name}.{key}": value.origin for name, table in sections.items() for key, value in table.items()},
        read,
        [
            *_strays(environ, named),
            *_open_names(server, clients, sections["server"]),
            *trust.warnings(environ),
            *warnings,
        ],
        clients,
        trusted,
        file_within,
        None if trusted or _named(said) or _by_root(directory, here) else here,
        sources.refusals,
        again,
    )


def _clients(server: ServerSettings, sources: Sources, environ: Mapping[str, str]) -> Clients:
    default = server_holder(server.token_env, server.token_file, sources.sections["server"], environ)
    others = [client_holder(name, table, environ) for name, table in sorted(sources.clients.items())]
    return Clients([default, *others] if default else others)


def _open_names(server: ServerSettings, clients: Clients, table: Table) -> Iterator[str]:
    """A warning where others are expected to reach the server, and none of them needs a token."""
    names = [name for name in server.allowed_hosts if not is_this_machine(name)]
    if names and not clients.required:
        yield (
            f"{table['allowed_hosts'].origin}: allowed_hosts: {names[0]} is not this machine alone, and no token is"
            f" required, so that everybody may ask; set the variable {server.token_env or 'AURA_TOKEN'}"
        )


def _current_folder() -> Path | None:
    """The real path of the current folder; None if it was deleted."""
    try:
        return Path.cwd().resolve()
    except OSError:
        return None


def _by_root(path: Path, here: Path | None) -> bool:
    """Whether this is in the current folder, and only root can change it."""
    return here is not None and Path(os.path.realpath(path)).is_relative_to(here) and trust.by_root(path)


def _fixed(sources: Sources, files: list[Path]) -> set[str]:
    """The providers' tables that variables and the user's own file set: an untrusted folder may not change them."""
    own = Sources(SECTIONS)
    for path in files[1:]:
        own.add_file(path)
    return {name for tables in (sources.tables, own.tables) for name, table in tables.items() if table}


def _named(directory: Value | None) -> bool:
    """Whether a person has named the folder of the agents: in a flag, in a trusted file, or as an absolute path in a
    variable. A relative path in a variable means whatever folder a command is run in."""
    if directory is None or not directory.trusted:
        return False
    variable = directory.folder is None and not directory.origin.startswith("-")
    return not variable or os.path.isabs(os.path.expanduser(str(directory.value)))  # noqa: PTH111, PTH117


def check_variables(table: Table) -> None:
    """Refuse a key in place of the name of its variable, in a setting `…_env`, without repeating it.

    Raises ConfigError.
    """
    for key, value in table.items():
        name = value.value
        if not key.endswith("_env") or not isinstance(name, str) or not name:
            continue
        if not names_variable(name):
            raise ConfigError(f"{value.origin}: {key}: {NOT_A_NAME}")


def _check_callers(server: ServerSettings, table: Table) -> None:
    for key, (is_one, otherwise) in _CALLERS.items():
        for entry in getattr(server, key):
            if not is_one(entry):
                raise ConfigError(f"{table[key].origin}: {key}: {entry!r} is {otherwise}")


def proxies(trusted: Collection[str], origin: str = "[server]") -> list[Network | None]:
    """The networks of `trusted_proxies`, which `origin` sets; None stands for the Unix socket. Raises ConfigError."""
    found: list[Network | None] = []
    for entry in trusted:
        try:
            found.append(None if entry == UNIX_SOCKET else ipaddress.ip_network(entry, strict=False))
        except ValueError:
            raise ConfigError(
                f"{origin}: trusted_proxies: {entry!r} is not an address or a network such as"
                f" 10.0.0.0/8, nor {UNIX_SOCKET!r}"
            ) from None
    return found


def _check_sizes(server: ServerSettings, table: Table) -> None:
    if server.max_buffered < 2 * server.max_body:
        said = table.get("max_buffered") or table["max_body"]
        raise ConfigError(
            f"{said.origin}: max_buffered: {server.max_buffered} is less than twice max_body ({server.max_body}):"
            " the server would refuse a body of that size"
        )


def _folder(directory: Value | None) -> Path:
    """The folder that a relative folder of agents is relative to."""
    if directory and directory.folder:
        return directory.folder
    try:
        return Path.cwd()
    except OSError as exc:
        raise ConfigError(f"the current folder cannot be found: {exc.strerror}; change to another") from None


def _files(config: Path | None) -> tuple[list[Path], list[str]]:
    """The settings files that exist, and a warning for each that cannot be reached."""
    found, warnings = [], []
    own = trust.own_folder()
    for path in (config or Path(FILE), *([own / FILE] if own else [])):
        try:
            if path.is_file():
                found.append(path)
            elif path is config:
                raise ConfigError(f"{path}: no such file")
            elif os.path.lexists(path):  # such as a link without a target: reading it reports the error
                found.append(path)
        except OSError as exc:
            warnings.append(f"{path}: cannot be read: {exc.strerror}")
            if path is config:
                raise ConfigError(warnings[-1]) from None
    return found, warnings


def _strays(environ: Mapping[str, str], named: Collection[object]) -> list[str]:
    """A warning for each AURA_ variable that Aura does not read."""
    known = variables(SECTIONS)
    # With one underscore, or without the section.
    meant = known | {name.removeprefix("AURA_").replace("__", "_").lower(): name for name in known.values()}
    warnings = []
    for name in sorted(environ):
        if not name.startswith("AURA_") or "__" in name or not variable(environ, name):
            continue
        if name not in VARIABLES and name not in named:
            guess = meant.get(name.removeprefix("AURA_").lower())
            hint = did_you_mean(guess or name, [guess] if guess else VARIABLES)
            warnings.append(f"{name} is not a setting{hint}")
    return warnings


def _section(name: str, table: Table) -> msgspec.Struct:
    def where(key: str | None) -> str:
        return table[key].origin if key in table else f"[{name}]"

    check_variables(table)
    return decode({key: value.value for key, value in table.items()}, SECTIONS[name], where)
