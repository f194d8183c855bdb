"""Describe a settings Struct: what `aura init` writes as comments, and docs/settings.md as tables."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import NODEFAULT, inspect

_WORDS = {
    inspect.IntType: "whole number",
    inspect.FloatType: "number",
    inspect.StrType: "string",
    inspect.BoolType: "true or false",
    inspect.ListType: "list",
    inspect.DictType: "table",
    inspect.NoneType: "",
}


class Field(msgspec.Struct, frozen=True):
    """One key that a person may write. `default` is TOML, "" without one; `variable` is a vendor's variable."""

    key: str
    kind: str
    default: str
    description: str
    variable: str | None = None


def fields(struct: type[msgspec.Struct]) -> Iterator[Field]:
    """The keys of a Struct, in its order."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        meta = field.type if isinstance(field.type, inspect.Metadata) else inspect.Metadata(field.type)
        extra = meta.extra or {}
        default: Any = field.default
        if default is NODEFAULT and field.default_factory is not NODEFAULT:
            default = field.default_factory()
        default = extra.get("own_default", default)
        description = (meta.extra_json_schema or {}).get("description", "")
        yield Field(field.encode_name, _kind(field.type), toml(default), description, extra.get("env"))


def _kind(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.Metadata):
        return _kind(kind.type)
    if isinstance(kind, inspect.UnionType):
        return " or ".join(dict.fromkeys(word for each in kind.types if (word := _kind(each))))
    if isinstance(kind, inspect.LiteralType):
        return ", ".join(f"`{value}`" for value in kind.values)
    return _WORDS.get(type(kind), "")


def toml(value: Any) -> str:
    """A default as TOML; "" for None and for a required value."""
    if value is None or value is NODEFAULT:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return "{}" if not value else "{ " + ", ".join(f'"{k}" = {toml(v)}' for k, v in value.items()) + " }"
    return msgspec.json.encode(value).decode()
