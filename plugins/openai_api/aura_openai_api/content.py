"""What a client's messages say: text, or a list of parts that are text. Anything else is refused by its field."""

import msgspec

from aura_core import Message, Problem

SYSTEM_ROLES = ("system", "developer")
SPOKEN_ROLES = ("user", "assistant")
TOOL_ROLES = ("tool", "function")
TEXT_PARTS = ("text", "input_text", "output_text")
TYPE_LIMIT = 60
"""Characters of a client's own word that a refusal repeats."""


def refused(field: str, why: str) -> Problem:
    """A request that this door does not take. `field` is a path: `messages[0].content[1]`."""
    return Problem("invalid_request", f"{field}: {why}", field=field)


class Part(msgspec.Struct, frozen=True, gc=False):
    """One part of a message's content. A refusal is what an assistant said earlier."""

    type: str
    text: str | None = None
    refusal: str | None = None


Content = str | list[Part] | None


class Typed(msgspec.Struct, frozen=True, gc=False):
    """An object of which only the type matters."""

    type: str = ""


class Conversation:
    """Messages in the order in which the client sent them, sorted into what the core takes.

    `field` is the parameter that holds them. Messages that say nothing are left out.
    """

    def __init__(self, field: str) -> None:
        self.messages: list[Message] = []
        self._field = field
        self._system: list[str] = []

    @property
    def context(self) -> str:
        """What the system and developer messages say."""
        return "\n\n".join(self._system)

    def add_system(self, text: str | None) -> None:
        """Add to what the system says."""
        if text and not text.isspace():
            self._system.append(text)

    def add(self, role: str, content: Content, number: int) -> None:
        """Add the message of this number. Raises Problem. A body may hold a hundred thousand of them."""
        text = self._joined(content, number) if isinstance(content, list) else content
        if role in SPOKEN_ROLES:
            if text and not text.isspace():
                self.messages.append(Message(role, text))  # type: ignore[arg-type]  # it is one of two
        elif role in SYSTEM_ROLES:
            self.add_system(text)
        elif role in TOOL_ROLES:
            raise self.refused(number, "messages of tools are not supported: agents call no tools")
        else:
            raise self.refused(number, "expected one of: system, developer, user, assistant", ".role")

    def check(self) -> None:
        """Raise Problem where nobody has said anything."""
        if not self.messages:
            raise refused(self._field, "no message of a user or an assistant has text")

    def refused(self, number: int, why: str, rest: str = "") -> Problem:
        """A refusal that names the message, or the `rest` of the path to a part of it."""
        return refused(f"{self._field}[{number}]{rest}", why)

    def _joined(self, content: list[Part], number: int) -> str:
        """The texts of all parts, without anything between them."""
        texts = []
        for index, part in enumerate(content):
            if part.type in TEXT_PARTS:
                texts.append(part.text or "")
            elif part.type == "refusal":
                texts.append(part.refusal or "")
            else:
                why = f"'{part.type[:TYPE_LIMIT]}' is not supported: agents take text only"
                raise self.refused(number, why, f".content[{index}]")
        return "".join(texts)


def smaller(*limits: int | None) -> int | None:
    """The smallest of those limits that were given."""
    return min((limit for limit in limits if limit is not None), default=None)
