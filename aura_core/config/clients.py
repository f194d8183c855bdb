"""Read who may ask: `[clients.NAME]` with tokens from variables and files; the files also while the server runs."""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, field

from aura_core.clients import DEFAULT, Client, Tokens
from aura_core.config.decode import decode
from aura_core.config.environment import bearer_token
from aura_core.config.sources import CLIENTS, Table, Value, whole_path
from aura_core.config.untrusted import NOT_A_NAME, names_variable
from aura_core.credentials import read_secret
from aura_core.errors import ConfigError
from aura_core.files import Versions

log = logging.getLogger("aura.clients")

_NAME = re.compile(r"[a-z0-9][a-z0-9_.@-]{0,63}")
_AGENTS = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._*-]{0,63}")


class ClientSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[clients.NAME]`: somebody who may ask. With any client, every request needs a token."""

    token_env: Annotated[
        str | list[str],
        Meta(description="variable that holds the client's token, or several: the token of each is valid"),
    ] = []
    token_file: Annotated[
        str | list[str],
        Meta(description="file that holds the client's token, or several; it is read again when it changes"),
    ] = []
    max_streams: Annotated[
        int, Meta(ge=0, description="the client's answers at the same time, per process; 0: only the server's limit")
    ] = 0
    agents: Annotated[
        list[str], Meta(description="ids of the agents that the client may see and ask, with `*` as a wildcard")
    ] = field(default_factory=lambda: ["*"])
    operator: Annotated[
        bool, Meta(description="whether the client may read `/metrics` and `/api/providers`; without it they are 404")
    ] = False


class Holder(msgspec.Struct, frozen=True):
    """A client, and where its tokens are: the values of variables, and files. `place` is where that was said, `unset`
    are the named variables that are not set."""

    client: Client
    tokens: tuple[str, ...]
    files: tuple[Path, ...]
    place: str
    unset: tuple[str, ...] = ()


class Clients:
    """All clients, with their tokens as of the last `reload`.

    A `problem` says why the server must not start: a client without a token, or two with the same. `faults` are the
    clients with a variable or a file that holds no token, and why. With `required` every request needs a token, also
    while no token is valid.
    """

    def __init__(self, holders: Sequence[Holder] = ()) -> None:
        self.holders = list(holders)
        self.required = bool(holders)
        self.problem: str | None = None
        self._tokens = Tokens()
        self._held: dict[str, tuple[str, ...]] = {}
        self._versions = Versions()
        self._faults: dict[str, str] = {}
        self.faults: list[tuple[str, str]] = []
        self._read()
        self.problem = next(iter(self._faults.values()), None)

    @property
    def secrets(self) -> list[str]:
        """The tokens of all clients, which must never be shown."""
        return [token for tokens in self._held.values() for token in tokens]

    @property
    def default_token(self) -> str | None:
        """A token of the client `default`, which our own commands send."""
        return next(iter(self._held.get(DEFAULT.name, ())), None)

    def of(self, authorization: bytes) -> Client | None:
        """Who sends this header Authorization; None if its token is not valid."""
        return self._tokens.client_of(authorization) if self.required else DEFAULT

    def reload(self) -> None:
        """Read the files that have changed, and log what that changes. A client whose files hold no valid token any
        more keeps those that it had."""
        if self._versions.changed(path for holder in self.holders for path in holder.files):
            before, faults = self._held, self._faults
            self._read()
            for name in sorted(self._held):
                if self._held[name] != before.get(name):
                    log.info("the tokens of the client %r have changed", name)
            for name, fault in self._faults.items():
                if fault != faults.get(name):
                    log.error("%s; the client %r keeps the tokens that it had", fault, name)

    def _read(self) -> None:
        held: dict[str, tuple[str, ...]] = {}
        owners: dict[str, str] = {}
        self._faults, self.faults = {}, []
        for holder in self.holders:
            name = holder.client.name
            tokens, why = _tokens(holder)
            self.faults += [(name, each) for each in why]
            fault = "" if tokens else f"{holder.place}: the client {name!r} has no token: {'; '.join(why)}"
            if twins := [owners[token] for token in tokens if token in owners]:
                fault = f"{holder.place}: the clients {twins[0]!r} and {name!r} have the same token; give each its own"
            if fault:
                self._faults[name] = fault
                tokens = tuple(token for token in self._held.get(name, ()) if token not in owners)
            held[name] = tokens
            owners |= dict.fromkeys(tokens, name)
        self._held = held
        self._tokens.replace((token, holder.client) for holder in self.holders for token in held[holder.client.name])


def _tokens(holder: Holder) -> tuple[tuple[str, ...], list[str]]:
    """The tokens of a client, each once, and what is wrong with each variable and file that holds none."""
    found = list(holder.tokens)
    faults = [f"the variable {name} is not set; set it where Aura is started" for name in holder.unset]
    for path in holder.files:
        try:
            if token := read_secret(path):
                found.append(token)
            else:
                faults.append(f"{path} is empty")
        except ConfigError as exc:
            faults.append(f"{path} {exc}")
    return tuple(dict.fromkeys(found)), faults


def server_holder(variable: str, file: str, table: Table, environ: Mapping[str, str]) -> Holder | None:
    """The client `default`, whose token `[server]` names; None where no token is required. A variable or file that
    somebody has named must hold one; only the default variable may be unset. Raises ConfigError."""
    named = [key for key in ("token_env", "token_file") if key in table and table[key].value]
    place = f"{table[named[0]].origin}: {named[0]}" if named else "[server]"
    wanted = [variable] if variable and (table.get("token_env") or not file) else []
    holder = _holder(DEFAULT, wanted, [file] if file else [], place, table.get("token_file"), environ)
    return holder if named or holder.tokens else None


def client_holder(name: str, table: Table, environ: Mapping[str, str]) -> Holder:
    """What a table `[clients.NAME]` says. Raises ConfigError with file and line."""
    first = next(iter(table.values()), None)
    place = first.origin if first else f"[{CLIENTS}.{name}]"
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{place}: the name of a client is of the form [a-z0-9][a-z0-9_.@-]*, not {name!r}")
    if name == DEFAULT.name:
        raise ConfigError(f"{place}: the client {name!r} is whoever has the token of [server]; choose another name")

    def where(key: str | None) -> str:
        return table[key].origin if key in table else place

    given = decode({key: value.value for key, value in table.items()}, ClientSettings, where)
    variables, paths = _several(given.token_env), _several(given.token_file)
    if not all(map(names_variable, variables)):
        raise ConfigError(f"{where('token_env')}: token_env: {NOT_A_NAME}")
    if not variables and not paths:
        raise ConfigError(f"{place}: the client {name!r} has neither token_env nor token_file; nobody could be it")
    for pattern in given.agents:
        if not _AGENTS.fullmatch(pattern):
            raise ConfigError(f"{where('agents')}: agents: {pattern!r} is not an agent's id, nor one with * in it")
    agents = tuple(pattern.lower() for pattern in given.agents)
    client = Client(name, given.max_streams, agents, given.operator)
    key = "token_env" if variables else "token_file"
    return _holder(client, variables, paths, f"{where(key)}: {key}", table.get("token_file"), environ)


def _holder(
    client: Client,
    variables: Sequence[str],
    paths: Sequence[str],
    place: str,
    said: Value | None,
    environ: Mapping[str, str],
) -> Holder:
    tokens = {name: bearer_token(environ, name) for name in variables}
    return Holder(
        client,
        tuple(token for token in tokens.values() if token),
        tuple(whole_path(said, path) for path in paths),
        place,
        tuple(name for name, token in tokens.items() if not token),
    )


def named_variables(table: Table) -> list[Any]:
    """The variables that a table names, before it is decoded."""
    named = table["token_env"].value if "token_env" in table else []
    return named if isinstance(named, list) else [named]


def _several(named: str | list[str]) -> list[str]:
    return [name for name in ([named] if isinstance(named, str) else named) if name]
