"""Read agent files: Markdown with front matter, one agent each; a broken file breaks only itself."""

import logging
import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from aura_core import files
from aura_core.config.decode import decode, keys
from aura_core.config.delimiters import split
from aura_core.config.fallback import FallbackEntry, Positive, Temperature, read_fallback
from aura_core.config.foreign import near_miss
from aura_core.config.front_matter import yaml_mapping
from aura_core.config.reading import check_folder, exposed, read_text, why_unreadable
from aura_core.config.untrusted import NotTrusted, Refusal
from aura_core.errors import ConfigError
from aura_core.limits import FRONT_MATTER_LIMIT, LONGEST_TIME
from aura_core.text import counted

log = logging.getLogger("aura.agents")

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NOT_AGENTS = {"readme.md", "agents.md"}


class FrontMatter(msgspec.Struct, frozen=True):
    """What may stand between the `---` lines of an agent file. No key is required."""

    name: Annotated[str | None, Meta(description="shown to people; the file's name without it")] = None
    description: Annotated[str, Meta(description="one sentence for the list of agents")] = ""
    provider: Annotated[str | None, Meta(description="provider instance that answers")] = None
    model: Annotated[str | None, Meta(description="model, in the provider's words")] = None
    temperature: Annotated[Temperature | None, Meta(description="0 is the most predictable")] = None
    max_tokens: Annotated[Positive | None, Meta(description="longest answer, in tokens")] = None
    options: Annotated[dict[str, Any], Meta(description="handed to the provider, which checks them")] = {}
    tags: Annotated[list[str], Meta(description="free words for clients to group by")] = []
    fallback: Annotated[
        list[FallbackEntry],
        Meta(description="providers that are asked next, in this order, while nothing has been said"),
    ] = []
    first_token_timeout: Annotated[
        Annotated[float, Meta(ge=0, le=LONGEST_TIME)] | None,
        Meta(description="seconds for the first token of each provider that another one follows, or of the only one"),
    ] = None


class Fault(str):
    """A line about a change that cannot be used."""

    __slots__ = ()


class Agent(msgspec.Struct, frozen=True):
    """A prompt, and which provider answers it with which model."""

    id: str
    front_matter: FrontMatter
    prompt: str
    path: Path | None = None
    lines: dict[str, int] = {}
    notes: tuple[str, ...] = ()

    def where(self, key: str | None = None) -> str:
        """The place of a key of the front matter for an error message: `agents/a.md:3`."""
        line = self.lines.get(key) if key else None
        return f"{self.path or self.id}:{line}" if line else str(self.path or self.id)


class Entry(msgspec.Struct, frozen=True):
    """The state of an agent id: a good agent, an error, or both: the last good version and the error of the new one.

    `refusal` is set if the file was not read because its folder is not trusted.
    """

    id: str
    agent: Agent | None
    error: str | None = None
    path: Path | None = None
    refusal: Refusal | None = None


ASSISTANT = Agent(
    "assistant",
    FrontMatter(name="Assistant", description="Answers while there is no agent file yet."),
    "You are a helpful assistant.",
)
BUILT_IN = {ASSISTANT.id: Entry(ASSISTANT.id, ASSISTANT)}


class AgentStore:
    """The agents of a directory, by id without regard to case. While it has never had an agent file: one `assistant`.

    `within` is the real path of the folder that it must lie in with all its files, where that is not trusted. `named`:
    a person has named the directory, so the built-in agent does not replace its agents while it cannot be read.
    """

    def __init__(self, directory: Path, within: Path | None = None, named: bool = False) -> None:
        self.directory = directory
        self.within = within
        self.problem: str | None = None  # of the directory itself; the agents are the last good ones
        self.refusal: Refusal | None = None  # of the directory itself
        self.entries: dict[str, Entry] = {}
        self.version = 0  # changes with the entries
        self._named = named
        self._seen: dict[str, files.Version | None] = {}  # the files of the last look
        self._known: dict[str, tuple[files.Version, Entry]] = {}  # the entry of each file that has not changed
        self._identity: tuple[int, int] | None = None  # of the directory in which agent files were found
        self.reload()

    def get(self, agent_id: str) -> Entry | None:
        """The entry of this id; case does not matter."""
        return self.entries.get(_key(agent_id))

    def reload(self) -> list[str]:
        """Look at the directory, and read again what has changed. Returns a line for each change, a `Fault` where it
        cannot be used.

        A file that broke keeps its last good version; a directory that cannot be read keeps all (see `problem`).
        """
        try:
            found = self._look()
        except ConfigError as exc:
            self.problem, self.refusal = str(exc), exc.refusal if isinstance(exc, NotTrusted) else None
            if not self.entries and not self._named:
                self._replace(BUILT_IN)
            return []
        self.problem = self.refusal = None
        if self.entries and found == self._seen and None not in found.values():
            return []
        self._seen = found
        after = self._read_all(found)
        for key, entry in after.items():
            old = self.entries.get(key)
            if entry.error and old is not None and old.agent is not None and old.agent is not ASSISTANT:
                after[key] = msgspec.structs.replace(entry, agent=old.agent)
        # Once there were agent files, the built-in agent must not answer in place of a deleted one.
        return self._replace(after or ({} if self._identity else BUILT_IN))

    def _replace(self, entries: dict[str, Entry]) -> list[str]:
        before = self.entries
        if before == entries:
            return []
        self.entries = entries
        self.version += 1
        return _changes(before, entries)

    def _look(self) -> dict[str, files.Version | None]:
        """The names of the agent files, in order, with the version of each. Raises ConfigError."""
        try:
            check_folder(self.directory, self.within, _shown(self.directory))
            found = _scan(self.directory)
            status = self.directory.stat()
        except FileNotFoundError:
            raise ConfigError(f"{self.directory}: there is no such folder") from None
        except NotADirectoryError:
            raise ConfigError(f"{self.directory}: it is not a folder") from None
        except OSError as exc:
            raise ConfigError(f"{self.directory}: cannot be read: {exc.strerror}") from None
        identity = status.st_dev, status.st_ino
        if found:
            self._identity = identity
        elif self._identity not in (None, identity):  # such as the mount point of a lost mount
            raise ConfigError(f"{self.directory}: it is a different folder than before, and empty")
        return found

    def _read_all(self, found: Mapping[str, files.Version | None]) -> dict[str, Entry]:
        """The entries of these files; a file of a known version is not read again."""
        entries: dict[str, Entry] = {}
        names: dict[str, list[str]] = {}
        known, self._known = self._known, {}
        folder = _shown(self.directory)
        for name, version in found.items():
            if version is not None and name in known and known[name][0] == version:
                entry = known[name][1]
            else:
                entry = _read(self.directory / name, folder / _as_unicode(name), self.within)
            if version is not None:
                self._known[name] = version, entry
            key = _key(entry.id)
            names.setdefault(key, []).append(_as_unicode(name))
            if len(same := names[key]) > 1:
                error = f"{', '.join(same)} are all the agent {key!r}; rename all but one"
                entry = Entry(entry.id, None, error, entry.path, entry.refusal)
            entries[key] = entry
        return entries

    @property
    def refusals(self) -> list[Refusal]:
        """What was not read because its folder is not trusted."""
        found = [self.refusal, *(entry.refusal for entry in self.entries.values())]
        return [refusal for refusal in found if refusal is not None]

    @property
    def exposed(self) -> str | None:
        """A warning about files that other users can change; None if there are none."""
        paths = [entry.path for entry in self.entries.values() if entry.path and not entry.refusal]
        found = [f"{path}: {why}" for path in paths if (why := exposed(path))]
        more = f" (and {counted(len(found) - 1, 'more file')})" if len(found) > 1 else ""
        return f"{found[0]}{more}; whoever can change an agent decides what it is told" if found else None


def agent_ids(directory: Path, within: Path | None = None) -> list[str]:
    """The ids of a directory's agents by the names of their files, which are not read. Raises NotTrusted.

    As in AgentStore, `within` is the folder that it must lie in, and without a file there is one `assistant`.
    """
    check_folder(directory, within, _shown(directory))
    try:
        ids = {_id_of(Path(name)) for name in _scan(directory)}
    except OSError:
        ids = set()
    return sorted(each for each in ids if ID.fullmatch(each)) or [ASSISTANT.id]


def _id_of(path: Path) -> str:
    return re.sub(r"\.agent$", "", path.stem, flags=re.IGNORECASE)


def _key(agent_id: str) -> str:
    """The id in lower case, if it is ASCII: Unicode would make a k of the Kelvin sign."""
    return agent_id.lower() if agent_id.isascii() else agent_id


def _scan(directory: Path) -> dict[str, files.Version | None]:
    """The names of what is to be read as agents, in order, with the version of each. Raises OSError."""
    found: dict[str, files.Version | None] = {}
    with os.scandir(directory) as items:
        for item in sorted(items, key=lambda item: item.name):
            if not _is_agents_name(item.name):
                continue
            try:
                status = item.stat()
            except FileNotFoundError:
                if item.is_symlink():  # a link without a target; any other file has just been deleted
                    found[item.name] = None
            except OSError:
                found[item.name] = None  # reading it reports why
            else:
                if not stat.S_ISDIR(status.st_mode):
                    found[item.name] = files.version(status)
    return found


def _is_agents_name(name: str) -> bool:
    name = name.lower()
    return name.endswith(".md") and name[0] not in "_." and name not in NOT_AGENTS


def _read(file: Path, path: Path, within: Path | None) -> Entry:
    """The agent of a file, which is shown as `path` in errors."""
    agent_id = _id_of(path)
    try:
        if not ID.fullmatch(agent_id):
            raise ConfigError(
                f"{path}: the file's name must begin with a letter or digit and go on with these or . _ - (at most 64)"
            )
        return Entry(agent_id, parse(agent_id, _text(file, path, within), path), None, path)
    except NotTrusted as exc:
        return Entry(agent_id, None, str(exc), path, exc.refusal)
    except ConfigError as exc:
        return Entry(agent_id, None, str(exc), path)
    except Exception as exc:  # a fault of ours must not hide the other agents
        log.exception("%s cannot be read", path)
        return Entry(agent_id, None, f"{path}: cannot be read ({type(exc).__name__}); the log says more", path)


def _text(file: Path, shown: Path, within: Path | None) -> str:
    try:
        return read_text(file, within, shown)
    except NotTrusted:
        raise
    except OSError as exc:
        raise ConfigError(f"{shown}: {why_unreadable(file, exc)}") from None
    except ConfigError as exc:
        raise ConfigError(f"{shown}: {exc}") from None


def _shown(path: Path) -> Path:
    """The path for messages: relative if it is below the current folder, and valid Unicode."""
    with suppress(ValueError, OSError):
        path = path.relative_to(Path.cwd())
    return Path(_as_unicode(str(path)))


def _as_unicode(name: str) -> str:
    """A file's name, which may be any bytes, with U+FFFD for bytes that are not UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def parse(agent_id: str, text: str, path: Path) -> Agent:
    """Make an agent from a file's text. Raises ConfigError with file and line."""
    if not text.strip():  # an editor may truncate a file before it writes it
        raise ConfigError(f"{path}: the file is empty")
    known = keys(FrontMatter)
    yaml, prompt = split(text, path, known)
    if yaml is None:
        return Agent(agent_id, FrontMatter(), prompt.strip(), path)
    if len(yaml) > FRONT_MATTER_LIMIT:
        raise ConfigError(f"{path}:1: the front matter is longer than {FRONT_MATTER_LIMIT // 1024} KiB")
    data, where = yaml_mapping(yaml, path, known)
    notes = []
    for key in data:
        if key in known:
            continue
        if guess := near_miss(key, known):
            raise ConfigError(f"{path}:{where.get(key, 2)}: unknown key {key!r}; did you mean {guess!r}?")
        notes.append(f"{path}:{where.get(key, 2)}: {key!r} is not Aura's and is ignored")
    for key in [key for key, value in data.items() if value is None]:
        del data[key]  # `model:` with nothing after it sets nothing

    def place(key: str | None) -> str:
        return f"{path}:{where[key]}" if key in where else str(path)

    listed = data.pop("fallback", None)
    front_matter = decode(data, FrontMatter, place)
    if listed is not None:
        fm = front_matter
        own = FallbackEntry(fm.provider or "", fm.model, fm.temperature, fm.max_tokens)
        front_matter = msgspec.structs.replace(fm, fallback=read_fallback(listed, own, place))
    return Agent(agent_id, front_matter, prompt.strip(), path, where, tuple(notes))


def _changes(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> list[str]:
    lines: list[str] = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old is new or old == new:
            continue
        if new is None:
            lines.append(f"{key}: removed")
        elif new.error:
            if old is None or old.error != new.error:
                lines.append(Fault(f"{new.id}: {new.error}" + (" (the last good version stays)" if new.agent else "")))
        elif old is None or new.agent is None or old.agent is None:
            lines.append(f"{new.id}: added" if old is None else f"{new.id}: good again")
        else:
            lines.extend(_differences(old.agent, new.agent) or ([f"{new.id}: good again"] if old.error else []))
    return lines


def _differences(old: Agent, new: Agent) -> list[str]:
    changed = [
        _difference(key, getattr(old.front_matter, key), getattr(new.front_matter, key))
        for key in keys(FrontMatter)
        if getattr(old.front_matter, key) != getattr(new.front_matter, key)
    ]
    if old.prompt != new.prompt:
        changed.append("prompt changed")
    return [f"{new.id}: {', '.join(changed)}"] if changed else []


def _difference(key: str, old: Any, new: Any) -> str:
    if isinstance(new, dict | list) or len(f"{old}{new}") > 60:
        return f"{key} changed"
    return f"{key} {_word(old)} → {_word(new)}"


def _word(value: Any) -> str:
    if value in (None, ""):
        return "unset"
    return f'"{value}"' if " " in str(value) else str(value)
