"""Hold a conversation in a terminal: read messages of one or many lines until the person leaves."""

import sys
from collections.abc import Callable

from prompt_toolkit import PromptSession
from prompt_toolkit.application import create_app_session
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.input.typeahead import get_typeahead
from prompt_toolkit.key_binding import KeyBindings, KeyPress, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout.processors import TabsProcessor
from prompt_toolkit.output import Output, create_output
from prompt_toolkit.output.plain_text import PlainTextOutput
from prompt_toolkit.utils import is_dumb_terminal

from aura_core.cli.terminal import Screen
from aura_core.config.suggest import did_you_mean

COMMANDS = {
    "/help": "list this",
    "/exit": "leave; so do /quit, exit, quit and Ctrl-D",
}
KEYS = {
    "Enter": "send the message",
    "Alt-Enter": "begin a new line; so do Esc Enter, and a \\ at the end of a line",
    "Up, Down": "earlier messages of this conversation; Ctrl-R searches them",
    "Ctrl-C": "stop the answer, or clear the line",
    "Ctrl-Z": "pause, until the shell's fg",
}
_LEAVE = {"/exit", "/quit", "exit", "quit"}
_ENTER = {Keys.ControlM, Keys.ControlJ}


def converse(name: str, notes: Screen, ask: Callable[[str], object]) -> None:
    """Call `ask` with each message until the person leaves."""
    messages = _Messages()
    notes.line((f"{name} - /help lists the keys, Ctrl-D leaves", "dim"))
    while True:
        notes.line()
        try:
            message = messages.read()
        except EOFError:
            return
        except KeyboardInterrupt:
            notes.line(("Ctrl-D leaves", "dim"))
            continue
        word = message.strip().lower()
        if word in _LEAVE:
            return
        if word == "/help":
            for key, meaning in (COMMANDS | KEYS).items():
                notes.line((f"  {key:<10}  ", "bold"), meaning)
        elif word.startswith("/") and word[1:].isalpha():
            hint = did_you_mean(word, COMMANDS) or "; /help lists the commands"
            notes.line((f"nothing was sent: there is no command {word}{hint}", "yellow"))
        elif word:
            ask(message)


class _Messages:
    """Reads messages from the terminal. A pasted text is one message, however many lines it has."""

    def __init__(self) -> None:
        # As an argument the output would also switch off the simple prompt that a dumb terminal gets.
        with create_app_session(output=_output()):
            self._session: PromptSession[str] = PromptSession(
                "> ",
                multiline=True,
                prompt_continuation="  ",
                key_bindings=_keys(),
                enable_suspend=True,
                input_processors=[TabsProcessor(char1=" ", char2=" ")],  # else a tab of a paste is shown as ^I
            )

    def read(self) -> str:
        """The next message. Raises EOFError for Ctrl-D and KeyboardInterrupt for Ctrl-C."""
        ahead = self._typed_ahead()
        # On a dumb terminal the text that a prompt starts with is not shown by itself.
        return self._session.prompt(f"> {ahead}" if is_dumb_terminal() else "> ", default=ahead)

    def _typed_ahead(self) -> str:
        """The text that was typed or pasted while an answer came. It becomes the start of the next message: each of its
        lines would be a request if it were sent at once."""
        source = self._session.input
        keys = list[KeyPress]()
        with source.raw_mode():
            keys += get_typeahead(source)
            while more := source.read_keys() or source.flush_keys():
                keys += more
        return "".join(map(_text_of, keys)).removesuffix("\n")


def _text_of(key: KeyPress) -> str:
    if key.key in _ENTER:
        return "\n"
    if key.key == Keys.BracketedPaste:
        return key.data.replace("\r\n", "\n").replace("\r", "\n")
    return "" if isinstance(key.key, Keys) else key.data


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter", filter=has_focus(DEFAULT_BUFFER))
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.char_before_cursor == "\\":
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter", filter=has_focus(DEFAULT_BUFFER))
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


def _output() -> Output:
    """The terminal, without requests for the cursor's position, which some terminals answer late or never."""
    if is_dumb_terminal():
        return PlainTextOutput(sys.stdout)
    output = create_output(sys.stdout)  # this is stderr: see keep_stdout
    if hasattr(output, "enable_cpr"):
        output.enable_cpr = False
    return output
