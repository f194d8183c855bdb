"""Read agent files: Markdown with front matter, one agent each; a broken file breaks only itself."""

import logging
import os
import re
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from aura_core.config.decode import decode, keys
from aura_core.config.fallback import FallbackEntry, Positive, Temperature, read_fallback
from aura_core.config.front_matter import yaml_mapping
from aura_core.config.reading import check_folder, exposed, read_text
from aura_core.config.suggest import nearest
from aura_core.config.untrusted import NotTrusted, Refusal
from aura_core.errors import ConfigError
from aura_core.limits import FRONT_MATTER_LIMIT, JUST_WRITTEN, LONGEST_TIME

log = logging.getLogger("aura.agents")

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NOT_AGENTS = {"readme.md", "agents.md"}
# Keys that other tools write into such files, one of them a letter from ours.
FOREIGN = {"mode", "tools", "handoffs", "target", "color", "agents", "infer", "version", "author", "license", "hooks"}


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
        Meta(
            description="seconds for the first token of each provider that has another one behind it, or of the only one"
        ),
    ] = None


class Agent(msgspec.Struct, frozen=True):
    """A prompt and who answers it."""

    id: str
    front_matter: FrontMatter
    prompt: str
    path: Path | None = None
    lines: dict[str, int] = {}
    notes: tuple[str, ...] = ()

    def where(self, key: str | None = None) -> str:
        """The place of a key of the front matter, for an error message."""
        line = self.lines.get(key) if key else None
        return f"{self.path or self.id}:{line}" if line else str(self.path or self.id)


class Entry(msgspec.Struct, frozen=True):
    """What an agent id stands for now: a good agent, an error, or the last good version and why the new one is not.

    `refusal` is set where the file was not read, as its folder is not trusted.
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
    """The agents of a directory, by id without regard to case. With no agent file at all: one `assistant`.

    `within` is the real path of the folder that it must lie in with all its files, where that is not trusted.
    """

    def __init__(self, directory: Path, within: Path | None = None) -> None:
        self.directory = directory
        self.within = within
        self.problem: str | None = None  # of the directory itself
        self.refusal: Refusal | None = None  # as well
        self.entries: dict[str, Entry] = {}
        self.version = 0  # another one whenever the entries are others
        self._known: dict[Path, tuple[_Version, Entry]] = {}  # what each file said, as long as it is that file
        self.reload()

    def get(self, agent_id: str) -> Entry | None:
        """The entry of this id, in whatever case it is asked for."""
        return self.entries.get(_key(agent_id))

    def reload(self) -> list[str]:
        """Read the directory again. What broke keeps its last good version. Returns a line for each change."""
        before = self.entries
        after: dict[str, Entry] = {}
        named: dict[str, list[str]] = {}
        told, self.problem, self.refusal, files = self.problem, None, None, list[Path]()
        try:
            files = self._files()
        except NotTrusted as exc:
            self.problem, self.refusal = str(exc), exc.refusal
        except FileNotFoundError:
            self.problem = f"{self.directory}: there is no such folder"
        except NotADirectoryError:
            self.problem = f"{self.directory}: it is not a folder"
        except OSError as exc:
            self.problem = f"{self.directory}: cannot be read: {exc.strerror}"
            self.entries = before or BUILT_IN
            self.version += not before
            return [] if self.problem == told else [f"{self.problem}; the agents stay as they were"]
        known, self._known = self._known, {}
        folder = _shown(self.directory)
        for path in files:
            version = _version(path)
            if version is not None and path in known and known[path][0] == version:
                entry = known[path][1]
            else:
                entry = _read(path, folder / _as_unicode(path.name), self.within)
            if version is not None:
                self._known[path] = version, entry
            key = _key(entry.id)
            named.setdefault(key, []).append(path.name)
            if len(names := named[key]) > 1:
                error = f"{', '.join(names)} are all the agent {key!r}; rename all but one"
                entry = Entry(entry.id, None, error, entry.path, entry.refusal)
            after[key] = entry
        for key, entry in after.items():
            old = before.get(key)
            if entry.error and old is not None and old.agent is not None and old.agent is not ASSISTANT:
                after[key] = msgspec.structs.replace(entry, agent=old.agent)
        if before == (after or BUILT_IN):
            return []
        self.entries = after or BUILT_IN
        self.version += 1
        return _changes(before, self.entries)

    @property
    def refusals(self) -> list[Refusal]:
        """What was not read, as its folder is not trusted."""
        found = [self.refusal, *(entry.refusal for entry in self.entries.values())]
        return [refusal for refusal in found if refusal is not None]

    @property
    def exposed(self) -> str | None:
        """Which files were read that other users can change."""
        paths = [entry.path for entry in self.entries.values() if entry.path and not entry.refusal]
        found = [f"{path}: {why}" for path in paths if (why := exposed(path))]
        more = f" (and {len(found) - 1} more files)" if len(found) > 1 else ""
        return f"{found[0]}{more}; whoever can change an agent decides what it is told" if found else None

    def _files(self) -> list[Path]:
        check_folder(self.directory, self.within, _shown(self.directory))
        with os.scandir(self.directory) as found:
            return [self.directory / name for name in sorted(item.name for item in found if _is_agent(item))]


def _key(agent_id: str) -> str:
    """The id without regard to case, of ASCII alone: in Unicode the Kelvin sign is a k, too."""
    return agent_id.lower() if agent_id.isascii() else agent_id


def _is_agent(item: "os.DirEntry[str]") -> bool:
    """Whether this is to be read as an agent; that it cannot be read, the attempt will tell."""
    name = item.name.lower()
    if not name.endswith(".md") or name[0] in "_." or name in NOT_AGENTS:
        return False
    try:
        return not stat.S_ISDIR(item.stat().st_mode)
    except FileNotFoundError:
        return False  # a link to nothing, or it has just gone
    except OSError:
        return True


_Version = tuple[int, ...]


def _version(path: Path) -> _Version | None:
    """What tells a file from itself before an edit; None where that is not certain: it has just been written."""
    try:
        status = path.stat()
    except OSError:
        return None
    if time.time() - max(status.st_mtime, status.st_ctime) < JUST_WRITTEN:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read(file: Path, path: Path, within: Path | None) -> Entry:
    """The agent of a file, which is called `path` where people read of it."""
    agent_id = re.sub(r"\.agent$", "", path.stem, flags=re.IGNORECASE)
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
        raise ConfigError(f"{shown}: cannot be read: {exc.strerror}") from None
    except ConfigError as exc:
        raise ConfigError(f"{shown}: {exc}") from None


def _shown(path: Path) -> Path:
    """The path as a person would write it: relative, where it is below the current folder; and fit to be printed."""
    with suppress(ValueError, OSError):
        path = path.relative_to(Path.cwd())
    return Path(_as_unicode(str(path)))


def _as_unicode(name: str) -> str:
    """A file's name, which may be any bytes, with U+FFFD for those that are not UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def parse(agent_id: str, text: str, path: Path) -> Agent:
    """Make an agent of a file's text. Raises ConfigError with file and line."""
    if not text.strip():  # an editor may empty a file before it writes; nobody asks for an agent without a prompt
        raise ConfigError(f"{path}: the file is empty")
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        first = next((n for n, line in enumerate(lines, 1) if line.strip()), 1)
        if lines[first - 1].strip() == "---":
            raise ConfigError(f"{path}:{first}: the line '---' that opens the front matter must be the first")
        return Agent(agent_id, FrontMatter(), text.strip(), path)
    end = next((n for n, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)
    if end is None:
        raise ConfigError(f"{path}:1: the front matter is not closed; end it with a line '---'")
    text = "\n".join(lines[1:end])
    if len(text) > FRONT_MATTER_LIMIT:
        raise ConfigError(f"{path}:1: the front matter is longer than {FRONT_MATTER_LIMIT // 1024} KiB")
    data, where = yaml_mapping(text, path)
    known = keys(FrontMatter)
    notes = []
    for key in data:
        if key in known:
            continue
        guess = None if key in FOREIGN else nearest(key, known)
        if guess:
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
    return Agent(agent_id, front_matter, "\n".join(lines[end + 1 :]).strip(), path, where, tuple(notes))


def _changes(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> list[str]:
    lines = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old is new or old == new:
            continue
        if new is None:
            lines.append(f"{key}: removed")
        elif new.error:
            if old is None or old.error != new.error:
                lines.append(f"{new.id}: {new.error}" + (" (the last good version stays)" if new.agent else ""))
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
