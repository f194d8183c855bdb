"""Decide what the files of an untrusted folder may set; every setting that is not listed here is refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from aura_core.config.loopback import is_loopback, is_loopback_url
from aura_core.errors import ConfigError
from aura_core.limits import REFUSED_VALUE

REMEDY = "read the file, then say in its folder: aura trust"

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9]{20}")  # the name of a variable has underscores between its words

# What an untrusted folder may set besides numbers and booleans: the rule for a value, and the rule in words.
# `providers` stands for the table of every provider.
_LISTED: dict[tuple[str, str], tuple[Callable[[Any], bool], str]] = {
    ("server", "host"): (lambda value: isinstance(value, str) and is_loopback(value), "only a loopback address"),
    ("agents", "directory"): (lambda value: _is_below(value), "only a folder below it"),
    ("defaults", "provider"): (lambda value: True, ""),
    ("providers", "plugin"): (lambda value: True, ""),
    ("providers", "default_model"): (lambda value: True, ""),
    ("providers", "max_streams"): (lambda value: type(value) is int, "only a number"),
    **{
        ("providers", key): (is_loopback_url, "only a loopback address, such as http://127.0.0.1:8080")
        for key in ("base_url", "endpoint")
    },
}
ADDRESSES = {key for (section, key), (rule, _) in _LISTED.items() if rule is is_loopback_url and section == "providers"}
"""The settings of a provider that hold its address."""
_NUMBERS = (inspect.IntType, inspect.FloatType, inspect.BoolType)
# Refusals of these stop the start: without them others could reach the server than its author meant.
_STOPS = ("host", "token_", "allowed_")


class Refusal(msgspec.Struct, frozen=True):
    """A setting or file of an untrusted folder that was refused.

    `place` is the file and line, `key` the setting ("" if it is about the file itself), `why` the rule, `asks` what a
    person should see before trusting the folder. `stops`: Aura must not serve without it.
    """

    place: str
    key: str
    why: str
    asks: str
    stops: bool = False

    def __str__(self) -> str:
        return ": ".join(filter(None, [self.place, self.key, f"{self.why}; {REMEDY}"]))


class NotTrusted(ConfigError):
    """A file or a setting of a folder that is not trusted was refused."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def refused_setting(
    section: str, key: str, value: Any, struct: type[msgspec.Struct] | None, place: str, table: str = ""
) -> Refusal | None:
    """Why an untrusted folder may not set this; None if it may. For the table of a provider `section` is `providers`
    and `table` its name; `struct` has the known settings."""
    limit = ""
    if listed := _LISTED.get((section, key)):
        rule, limit = listed
        if rule(value):
            return None
    elif struct is not None and _is_number(struct, key):
        return None
    why = f"a folder that is not trusted may set {limit}" if limit else "a folder that is not trusted may not set this"
    stops = section == "server" and key.startswith(_STOPS)
    return Refusal(place, key, why, f"[{table or section}] {key} = {_shown(key, value)}", stops)


def refused_client(name: str, place: str) -> Refusal:
    """The refusal of a table `[clients.NAME]`: who may ask is never a folder's to say."""
    why = "a folder that is not trusted may not say who may ask"
    return Refusal(place, f"[clients.{name}]", why, f"a client of its own: [clients.{name}]", stops=True)


def changed_table(name: str, place: str) -> Refusal:
    """The refusal of a provider's table that a trusted source has set as well."""
    why = "your own settings have this table, which a folder that is not trusted may not change"
    return Refusal(place, f"[providers.{name}]", why, f"a change of your own [providers.{name}]")


def _is_number(struct: type[msgspec.Struct], key: str) -> bool:
    """Whether a setting accepts only numbers and booleans."""
    return any(field.encode_name == key and _all_numbers(field.type) for field in _fields(struct))


def _all_numbers(kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.Metadata):
        return _all_numbers(kind.type)
    if isinstance(kind, inspect.UnionType):
        return all(isinstance(each, inspect.NoneType) or _all_numbers(each) for each in kind.types)
    return isinstance(kind, _NUMBERS)


def _fields(struct: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return info.fields


def secret_settings(struct: type[msgspec.Struct]) -> list[str]:
    """The settings that name a variable or file with a secret: each `NAME_env`, and its sibling `NAME_file`."""
    known = [field.encode_name for field in _fields(struct)]
    secrets = {key.removesuffix("_env") for key in known if key.endswith("_env")}
    return [key for key in known for name in secrets if key in (f"{name}_env", f"{name}_file")]


def _is_below(directory: object) -> bool:
    """Whether the path of an agents' folder is one below the folder of its file."""
    if not isinstance(directory, str) or directory.startswith("~"):
        return False
    path = Path(directory)
    return not path.anchor and ".." not in path.parts


NOT_A_NAME = "expected the name of a variable, not the key itself"


def names_variable(text: str) -> bool:
    """Whether this is the name of a variable rather than a secret."""
    return bool(_VARIABLE.fullmatch(text)) and not _LIKE_A_KEY.search(text)


def _shown(key: str, value: Any) -> str:
    """A value for the terminal: short, and without what may be a secret."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    if key not in ADDRESSES and (_LIKE_A_KEY.search(text) or re.search(r"(^|_)(key|token|secret|password)$", key)):
        return "…"
    return text if len(text) <= REFUSED_VALUE else f"{text[: REFUSED_VALUE - 1]}…"
