"""A person with keys, servers of their own and a secret file, who runs `aura` in a folder cloned from an attacker."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from aura_core.config.settings import SECTIONS
from aura_core.plugins.loader import Plugins
from aura_core.testing import Upstream

SECRET = "zebra-crossing-4711"
REMEDY = "read the file, then say in its folder: aura trust"
ADDRESSES = ("base_url", "endpoint")
KEYS = {
    "OPENAI_API_KEY": f"{SECRET}-openai",
    "AZURE_OPENAI_API_KEY": f"{SECRET}-azure",
    "OLLAMA_API_KEY": f"{SECRET}-ollama",
    "ANTHROPIC_API_KEY": f"{SECRET}-anthropic",
    "AWS_SECRET_ACCESS_KEY": f"{SECRET}-aws",
    "ANTHROPIC_AUTH_TOKEN": f"{SECRET}-anthropic-token",
    "GITHUB_TOKEN": f"{SECRET}-github",
    "OPENAI_ORG_ID": f"{SECRET}-organization",
}


class Victim:
    """`own` is the server that the person named, `local` one on this machine that nobody named.

    `attacker` is the attacker's. Its address is 0.0.0.0: not a loopback address, although it leads to this machine.
    """

    def __init__(self, folder: Path, own: Upstream, local: Upstream, attacker: Upstream) -> None:
        self.folder = folder / "cloned"
        self.own, self.local, self.attacker = own, local, attacker
        self.outside = folder / "outside"
        self.secret = self.outside / "secret.md"
        (self.folder / "agents").mkdir(parents=True)
        self.outside.mkdir()
        self.secret.write_text(SECRET)
        self.environ = KEYS | {
            "OPENAI_BASE_URL": f"{own.url}/v1",
            "AZURE_OPENAI_ENDPOINT": own.url,
            "OLLAMA_HOST": own.url,
            "ANTHROPIC_BASE_URL": own.url,
            "XDG_CONFIG_HOME": str(folder / "configuration"),
            "AURA_SERVER__RETRIES": "0",
        }

    @property
    def evil(self) -> str:
        """The attacker's address."""
        return f"http://0.0.0.0:{self.attacker.port}"

    def writes(self, toml: str, agents: Mapping[str, str] | None = None) -> None:
        """The attacker's files."""
        (self.folder / "aura.toml").write_text(toml, encoding="utf-8")
        for name, text in (agents or {}).items():
            (self.folder / "agents" / name).write_text(text, encoding="utf-8")

    def unharmed(self) -> None:
        """Nothing reached the attacker, and no secret reached a server that the person did not name."""
        assert self.attacker.connections == 0, self.attacker.requests
        assert SECRET not in str(self.local.requests)


def process_environment(victim: Victim, **more: str) -> dict[str, str]:
    """The variables of the person's shell."""
    return os.environ | victim.environ | more


def agent(provider: str) -> str:
    """An agent file."""
    return f"---\nprovider: {provider}\nmodel: m\n---\nYou are told.\n"


def structs() -> dict[str, type[msgspec.Struct]]:
    """Every Struct of settings: the core's sections, and the tables of the installed plugins."""
    own = {name: hooks.settings_type for name, hooks in Plugins().hooks.items()}
    return SECTIONS | {f"providers.{name}": struct for name, struct in own.items() if struct is not None}


def settings() -> Iterator[tuple[str, str]]:
    """Every setting: its table and key."""
    for table, struct in structs().items():
        for field in _fields(struct):
            yield table, field.encode_name
        if table.startswith("providers."):
            yield from ((table, key) for key in ("plugin", "default_model", "max_streams"))


def _fields(struct: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return info.fields


def is_number(table: str, key: str) -> bool:
    """Whether the setting accepts only numbers or booleans."""
    kinds = [field.type for field in _fields(structs()[table]) if field.encode_name == key]
    return bool(kinds) and all(
        isinstance(kind, inspect.IntType | inspect.FloatType | inspect.BoolType)
        for each in kinds
        for kind in _simple(each)
    )


def _simple(kind: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(kind, inspect.Metadata):
        yield from _simple(kind.type)
    elif isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from _simple(each)
    elif not isinstance(kind, inspect.NoneType):
        yield kind


def values(table: str, key: str, victim: Victim) -> list[Any]:
    """Values that an attacker may write there: of each of the setting's types, and of other types."""
    found: list[Any] = [
        victim.evil,
        f"{victim.evil}/v1",
        "AWS_SECRET_ACCESS_KEY",
        "LANG",
        str(victim.secret),
        "0.0.0.0",
    ]
    found += [f"../{victim.outside.name}", "..", "/", "~", 0, 1, 65535, 2**28, True, False]
    found += [[victim.evil], ["*"], ["evil.example"], {"m": victim.evil}, {"Host": "evil.example"}]
    for field in _fields(structs()[table]):
        for kind in _simple(field.type) if field.encode_name == key else ():
            found += kind.values if isinstance(kind, inspect.LiteralType) else ()
    return found


def toml(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)
