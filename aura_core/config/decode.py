"""Decode what a person wrote into a Struct; errors say where, what, and what was probably meant."""

import math
import re
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any, TypeVar

import msgspec

from aura_core.config.suggest import did_you_mean
from aura_core.errors import ConfigError
from aura_core.interrupts import plugin_code

T = TypeVar("T", bound=msgspec.Struct)
Where = Callable[[str | None], str]
"""Returns the place of a key ("aura.toml:7"); with None the place of the whole."""

NO_NUL = r"^[^\x00]*$"
"""The pattern of a string that the system accepts as a file's name."""

_MISSING = "Object missing required field `"
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}


@cache
def keys(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    """The keys that a person may write for this Struct."""
    return tuple(field.encode_name for field in msgspec.structs.fields(struct))


def decode(data: Mapping[str, Any], struct: type[T], where: Where) -> T:
    """Make a `struct` from `data`. Unknown keys are errors if the Struct forbids them.

    Raises ConfigError.
    """
    if struct.__struct_config__.forbid_unknown_fields:
        known = keys(struct)
        for key in data:
            if key not in known:
                raise unknown_key(key, known, where)
    for key, value in data.items():
        if isinstance(value, float) and not math.isfinite(value):  # msgspec lets `nan` pass every limit
            raise ConfigError(f"{where(key)}: {key}: expected a finite number")
    try:
        with plugin_code():  # the Struct may be a plugin's, with a __post_init__
            return msgspec.convert(data, struct)
    except msgspec.ValidationError as exc:
        wrong, text = explain(exc)
        raise ConfigError(f"{where(wrong)}: {text}") from None
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # a plugin may raise SystemExit, or anything else
        raise ConfigError(f"{where(None)}: {struct.__name__} cannot be made of it ({type(exc).__name__})") from exc


def unknown_key(key: str, known: Collection[str], where: Where) -> ConfigError:
    """The error for a key that does not exist."""
    hint = did_you_mean(key, known) or f"; known are {', '.join(sorted(known))}"
    return ConfigError(f"{where(key)}: unknown key {key!r}{hint}")


def explain(exc: msgspec.ValidationError) -> tuple[str | None, str]:
    """The top-level key that a message of msgspec is about, and the message in plain words, without the value.

    The message holds the name of an unknown key, unquoted: it may be a megabyte of anything.
    """
    text, path = _place(str(exc))
    key = path.partition(".")[0].partition("[")[0]
    if text.startswith(_MISSING):
        text = f"{text.removeprefix(_MISSING).removesuffix('`')!r} is missing"
    text = text.replace("Expected `str` matching regex '\\\\S'", "it must not be blank")
    text = text.replace(f"Expected `str` matching regex {NO_NUL!r}", "it must not hold the character NUL")
    text = text.replace("Expected `str` of length >= 1", "it must not be empty")
    text = re.sub(r"`([^`]*)`", lambda m: " or ".join(_WORDS.get(w, w) for w in m[1].split(" | ")), text)
    text = text[:1].lower() + text[1:]
    return key or None, f"{path}: {text}" if path else text


def _place(text: str) -> tuple[str, str]:
    """The text and the path of a message such as `Expected `int` - at `$.server.port``."""
    said, _, path = text.rpartition(" - at `$")
    if not said or "`" in path[:-1] or not path.endswith("`"):
        return text, ""
    return said, path[:-1].removeprefix(".")
