"""Collect settings from flags, AURA_ variables and aura.toml; each value keeps the place that set it."""

import os
import string
import tomllib
from collections.abc import Callable, Collection, Mapping
from datetime import date, time
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from aura_core.config.decode import keys, unknown_key
from aura_core.config.environment import variable
from aura_core.config.reading import read_text, why_unreadable
from aura_core.config.suggest import did_you_mean
from aura_core.config.untrusted import NotTrusted, Refusal, changed_table, refused_client, refused_setting
from aura_core.errors import ConfigError
from aura_core.limits import DOTS_LIMIT

PROVIDERS = "providers"
CLIENTS = "clients"
NAMED = (PROVIDERS, CLIENTS)
"""The tables that have tables: `[providers.NAME]`."""
_KEY = frozenset(string.ascii_letters + string.digits + "_-.\"' ")


class Value(msgspec.Struct, frozen=True):
    """One value that somebody set.

    `origin` is `--port`, `AURA_SERVER__PORT` or `aura.toml:3`, `folder` the base of relative paths in a file. `trusted`
    is False if an untrusted folder set it.
    """

    value: Any
    origin: str
    folder: Path | None = None
    trusted: bool = True


Table = dict[str, Value]


class Sources:
    """All values that somebody set; what is added first wins. `known` are the sections of aura.toml beside those of
    NAMED.

    `sections` holds a table for each of them, `tables` one for each named provider, `clients` one for each client.
    """

    def __init__(self, known: Mapping[str, type[msgspec.Struct]]) -> None:
        self.sections: dict[str, Table] = {name: {} for name in known}
        self.tables: dict[str, Table] = {}
        self.clients: dict[str, Table] = {}
        self._named = {PROVIDERS: self.tables, CLIENTS: self.clients}
        self.refusals: list[Refusal] = []
        self._known = known

    def add_flags(self, flags: Mapping[str, Any]) -> None:
        """Add what the command line says: `{"server.port": 1}`."""
        for name, value in flags.items():
            section, key = name.split(".")
            flag = {"agents": "agents", "log": f"log-{key}"}.get(section, key)
            self.sections[section].setdefault(key, Value(value, f"--{flag}"))

    def add_environment(self, environ: Mapping[str, str]) -> None:
        """Add the variables `AURA_SECTION__KEY`. Raises ConfigError for one that is not a setting."""
        for origin in sorted(environ):
            text = variable(environ, origin)
            # An empty one is not set: Compose's `${VAR:-}` gives one.
            if not origin.startswith("AURA_") or "__" not in origin or not text:
                continue
            parts = origin.removeprefix("AURA_").lower().split("__")
            section, key, name = parts[0], parts[-1], "__".join(parts[1:-1])
            value = Value(_toml_or_string(text), origin)
            if section in NAMED and name:
                self._named[section].setdefault(name, {}).setdefault(key, value)
            elif section in self.sections and not name:
                self.sections[section].setdefault(key, value)
            else:
                hint = did_you_mean(origin, variables(self._known).values())
                raise ConfigError(f"{origin}: unknown setting{hint}")

    def add_file(self, path: Path, within: Path | None = None, fixed: Collection[str] = ()) -> None:
        """Add what an aura.toml says. Raises ConfigError with file and line.

        `within` is the folder of a file that is not trusted: what it may not set goes to `refusals`, and the tables of
        providers named in `fixed` it may not change. What plugins declare is only known later: `trusted` tells.
        """
        text, data = _parsed(path, within)

        lines = _lines(text)

        def where(*keys: str) -> str:
            # A key of an inline table stands on the line of that table.
            line = next((lines[keys[:end]] for end in range(len(keys), 0, -1) if keys[:end] in lines), None)
            return f"{path}:{line}" if line else str(path)

        for section, content in data.items():
            if section not in self.sections and section not in NAMED:
                raise unknown_key(section, [*self.sections, *NAMED], lambda key: where(key or ""))
            if not isinstance(content, dict):
                raise ConfigError(f"{where(section)}: {section} must be a table: [{section}]")
            if section not in NAMED:
                place = partial(where, section)
                if within is not None:
                    content = self._permitted(section, content, place)
                _add(self.sections[section], content, place, path, within is None)
                continue
            for name, table in content.items():
                if not isinstance(table, dict):
                    raise ConfigError(f"{where(section, name)}: {name} must be a table: [{section}.{name}]")
                if within is not None and section == CLIENTS:
                    self.refusals.append(refused_client(name, where(section, name)))
                    continue
                if within is not None and name in fixed and table:  # an empty table changes nothing
                    self.refusals.append(changed_table(name, where(section, name)))
                    continue
                named = self._named[section].setdefault(name, {})
                _add(named, table, partial(where, section, name), path, within is None)

    def _permitted(self, section: str, content: Mapping[str, Any], where: Callable[[str], str]) -> dict[str, Any]:
        """What an untrusted folder may set of a section; the rest is noted, unless something set it before."""
        permitted = {}
        for key, value in content.items():
            struct, refusal = self._known[section], None
            if key in keys(struct) and key not in self.sections[section]:  # an unknown key gets its own error later
                refusal = refused_setting(section, key, value, struct, where(key))
            if refusal is None:
                permitted[key] = value
            else:
                self.refusals.append(refusal)
        return permitted


def whole_path(value: Value | None, path: str) -> Path:
    """The path that a setting names: a relative one belongs to the folder of the file that says so."""
    # Path's own expanduser raises where there is no such user.
    return ((value.folder if value else None) or Path()) / os.path.expanduser(path)  # noqa: PTH111


def variables(known: Mapping[str, type[msgspec.Struct]]) -> dict[str, str]:
    """The variable of each setting of these sections, by the key without its section."""
    return {key: f"AURA_{name}__{key}".upper() for name, struct in known.items() for key in keys(struct)}


def _add(target: Table, content: Mapping[str, Any], where: Callable[[str], str], path: Path, trusted: bool) -> None:
    folder = path.absolute().parent  # of a link its own, not that of its target
    for key, value in content.items():
        target.setdefault(key, Value(value, where(key), folder, trusted))


def _parsed(path: Path, within: Path | None) -> tuple[str, dict[str, Any]]:
    try:
        text = read_text(path, within)
    except OSError as exc:
        raise ConfigError(f"{path}: {why_unreadable(path, exc)}") from None
    except NotTrusted:
        raise
    except ConfigError as exc:
        raise ConfigError(f"{path}: {exc}") from None
    try:
        for number, line in enumerate(text.split("\n"), 1):
            if line.count(".") > DOTS_LIMIT:
                raise ConfigError(
                    f"{path}:{number}: more than {DOTS_LIMIT} dots stand in one line; write several lines"
                )
        return text, tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply") from None
    except tomllib.TOMLDecodeError as exc:
        said, _, where = str(exc).rpartition("(at ")  # "(at line 3, column 5)", "(at end of document)"
        line = where.removeprefix("line ").partition(",")[0]
        place = f"{path}:{line}" if line.isdecimal() else str(path)
        raise ConfigError(f"{place}: {said.rstrip() or exc}") from None
    except ValueError:  # Python's own limit, of 4,300
        raise ConfigError(f"{path}: a number in it has too many digits") from None


def _toml_or_string(text: str) -> Any:
    try:
        data = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # not TOML, a number with too many digits, a thousand brackets
        return text
    value = data["value"]
    # No setting is a date, but an API version may look like one.
    return text if len(data) > 1 or isinstance(value, (date, time)) else value


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """The first line (from 1) of each table and key of a TOML text, for keys that are written in a usual form."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line.startswith("["):
            table = here = _parts(line.lstrip("[ \t").partition("]")[0])
        elif "=" in line and (key := line.partition("=")[0].strip()) and _KEY.issuperset(key):
            here = table + _parts(key)
        else:
            continue
        found.setdefault(here, number)
    return found


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))
