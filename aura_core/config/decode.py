"""Decode what a person wrote into a Struct, with an error that says where, what, and what was probably meant."""

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
"""Gives the place of a key ("aura.toml:7"), or with None that of the whole."""

NO_NUL = r"^[^\x00]*$"
"""The pattern of a string that the system takes, for a file's name, say."""

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
    """Make a `struct` of `data`. Unknown keys are errors where the Struct forbids them.

    Raises ConfigError.
    """
    if struct.__struct_config__.forbid_unknown_fields:
        known = keys(struct)
        for key in data:
            if key not in known:
                raise unknown_key(key, known, where)
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
    """Msgspec's message in a person's words, and the top-level key that it is about. It never shows the value.

    The name of an unknown key stands in that message, unquoted: it may be a megabyte of anything.
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
    """What msgspec says, and the path that it says it of: `Expected `int` - at `$.server.port``."""
    said, _, path = text.rpartition(" - at `$")
    if not said or "`" in path[:-1] or not path.endswith("`"):
        return text, ""
    return said, path[:-1].removeprefix(".")
