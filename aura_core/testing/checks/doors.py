"""Checks of a door's pure functions: what they make of requests, texts, ends, failures and refusals."""

from collections.abc import Iterator

from aura_core.door import AgentInfo, AgentRoute, AnswerRoute, End, Failure, ListRoute
from aura_core.errors import CODES
from aura_core.problems import PROBLEMS, Problem
from aura_core.testing.door_conformance import Dialog, Heard
from aura_core.testing.door_harness import DoorHarness, Thought, frames, heard, whole
from aura_core.testing.door_registry import check
from aura_core.testing.harness import Broken, Inapplicable
from aura_core.types import Message, Usage

TEXTS = [
    "Hello world",
    " lead\n\n two  spaces\r\n\tand a tab \n",
    'a "quote", a \\ and a \\n',
    "data: x\n\nevent: done\n\n: a comment\n\n[DONE]",
    '{"done": true}\n{"error": "no"}\n',
    "\u2028 \u2029 \x85 \x00 \x1f \x7f",
    "日本語 👩‍👩‍👧 \U0001f600 é",
    "<script>alert(1)</script></data>",
]
"""Texts that some framing or other mistakes for its own."""
DONE = End("stop", Usage(3, 4))
_AGENT = AgentInfo("says", "Says", "", "echo", None, None, True, [])


def _pieces(text: str) -> Iterator[list[str]]:
    """The text in two pieces, cut at each place; in its characters; and whole."""
    yield [text]
    yield list(text)
    for at in range(1, len(text)):
        yield [text[:at], text[at:]]


def _expect(seen: Heard, text: str, reason: str | None, what: str) -> None:
    if seen.text != text:
        raise Broken(f"{what}: a client hears {seen.text[:100]!r} of {text[:100]!r}")
    if seen.errors:
        raise Broken(f"{what}: a client hears the error {seen.errors[0][:100]!r}")
    if reason is not None and len(seen.ends) != 1:
        raise Broken(f"{what}: a client hears {len(seen.ends)} ends")


@check("door-routes")
async def routes(harness: DoorHarness) -> None:
    """The plugin loads, its doors open, and each answer route has a dialog in the description."""
    asked = {harness.route(dialog.request("says", [], True)[0]).path for dialog in harness.description.dialogs}
    lost = [route.path for route in harness.routes if isinstance(route, AnswerRoute) and route.path not in asked]
    if lost:
        raise Broken(f"no dialog of its description asks at {lost[0]}")


@check("door-question", "door-routes")
async def question(harness: DoorHarness) -> None:
    """A request becomes the agent's id, the turns in their order with every character, and whether it is streamed."""
    turns = [Message("user", TEXTS[0]), Message("assistant", TEXTS[1])]
    conversations = [[*turns, Message("user", text)] for text in TEXTS] + [[Message("user", "x" * 100_000)]]
    for dialog in harness.description.dialogs:
        for stream in (True, False):
            if (dialog.hear if stream else dialog.hear_whole) is None:
                continue
            for messages in conversations:
                asked = harness.question(dialog, messages, stream)
                if asked.agent != "says":
                    raise Broken(f"{dialog.name}: the agent is {asked.agent!r}; the client named 'says'")
                if asked.messages != messages:
                    raise Broken(f"{dialog.name}: {messages!r} became {asked.messages!r}"[:300])
                if asked.stream is not stream:
                    raise Broken(f"{dialog.name}: stream is {asked.stream}; the client asked for {stream}")


@check("door-text", "door-routes", "door-question")
async def text(harness: DoorHarness) -> None:
    """Text arrives with every character, wherever it is cut into tokens, and whatever pings come between."""
    for dialog in harness.streams():
        for said in TEXTS:
            for pieces in _pieces(said):
                encoder = harness.encoder(dialog)
                made = frames(encoder, pieces, DONE)
                _expect(heard(dialog.hear, b"".join(made), dialog.name), said, "stop", dialog.name)
            made = frames(harness.encoder(dialog), list(said), DONE)
            pinged = encoder.ping.join(made)
            _expect(heard(dialog.hear, pinged, dialog.name), said, "stop", f"{dialog.name} with pings")


@check("door-reasoning", "door-routes", "door-question", "door-text")
async def reasoning(harness: DoorHarness) -> None:
    """A model's reasoning is never part of the text: it comes as such, or not at all."""
    for dialog in harness.streams():
        pieces: list[Thought | str] = [Thought("hm "), Thought('"hm"\n'), "one", Thought("oh"), " two"]
        made = frames(harness.encoder(dialog), pieces, DONE)
        seen = heard(dialog.hear, b"".join(made), dialog.name)
        _expect(seen, "one two", "stop", dialog.name)
        if seen.reasoning not in ("", 'hm "hm"\noh'):
            raise Broken(f"{dialog.name}: a client hears the reasoning {seen.reasoning!r}")


@check("door-cut", "door-routes", "door-question", "door-text", "door-reasoning")
async def cut(harness: DoorHarness) -> None:
    """A stream that was cut is never taken for one that ended: only the last frame says how it ended."""
    for dialog in harness.streams():
        made = frames(harness.encoder(dialog), ["one", Thought("hm"), " two"], DONE)
        said = b"".join(made[:-1])
        for at in range(len(said) + 1):
            seen = heard(dialog.hear, said[:at], f"{dialog.name}, cut after {at} bytes")
            if seen.ends or seen.errors:
                raise Broken(f"{dialog.name}: a client hears an end in a stream that was cut after {at} bytes")
            if not "one two".startswith(seen.text):
                raise Broken(f"{dialog.name}: a client hears {seen.text!r} in a stream that was cut after {at} bytes")


@check("door-end", "door-routes", "door-question", "door-text")
async def end(harness: DoorHarness) -> None:
    """An answer has one end, and one that reached its limit is told from one that is complete."""
    for dialog in harness.streams():
        ends = {}
        for reason in ("stop", "length", "content_filter", "tool_calls"):
            for pieces in (["one"], []):
                made = frames(harness.encoder(dialog), pieces, End(reason, Usage(3, 4)))
                seen = heard(dialog.hear, b"".join(made), dialog.name)
                _expect(seen, "".join(pieces), reason, f"{dialog.name}, {reason}")
                ends[reason] = seen.ends[0]
        if ends["length"] == ends["stop"]:
            raise Broken(f"{dialog.name}: both `length` and `stop` are told as {ends['stop']!r}")


@check("door-error", "door-routes", "door-question", "door-text", "door-reasoning")
async def error(harness: DoorHarness) -> None:
    """A failure is one end, with its message, before the first text and after some; the text before it stays."""
    for dialog in harness.streams():
        for code in CODES:
            failure = Failure(f'It failed: "{code}"\nTry again.', code, 7.5 if code == "rate_limited" else None)
            for pieces in ([], ["one", " two"], [Thought("hm")]):
                said = b"".join(frames(harness.encoder(dialog), pieces, failure))
                seen = heard(dialog.hear, said, f"{dialog.name}, {code}")
                if len(seen.errors) != 1 or seen.ends:
                    what = f"{len(seen.errors)} errors and {len(seen.ends)} ends"
                    raise Broken(f"{dialog.name}, {code}: a client hears {what}")
                if failure.message not in seen.errors[0]:
                    raise Broken(f"{dialog.name}, {code}: a client hears {seen.errors[0]!r} of {failure.message!r}")
                if seen.text != "".join(piece for piece in pieces if isinstance(piece, str)):
                    raise Broken(f"{dialog.name}, {code}: a client hears the text {seen.text!r}")


@check("door-whole", "door-routes", "door-question")
async def one_piece(harness: DoorHarness) -> None:
    """An answer in one piece holds every character of the text, and says how it ended."""
    for dialog in harness.wholes():
        for said in [*TEXTS, ""]:
            for reason in ("stop", "length"):
                body = whole(harness.encoder(dialog, stream=False), said, "hm", reason)
                if type(body) is not bytes:
                    raise Broken(f"{dialog.name}: whole returned {type(body).__name__}, not bytes")
                _expect(heard(dialog.hear_whole, body, dialog.name), said, reason, f"{dialog.name} in one piece")


@check("door-separate", "door-routes", "door-question", "door-text")
async def separate(harness: DoorHarness) -> None:
    """Nothing of one client's answer is in another's, however they alternate."""
    for dialog in harness.streams():
        words = [[f"{name}{number} " for number in range(5)] for name in ("first", "second")]
        alone = [_answer(harness, dialog, name, said) for name, said in zip("ab", words, strict=True)]
        encoders = [harness.encoder(dialog, identity=name) for name in "ab"]
        together = [[encoder.begin()] for encoder in encoders]
        for encoder, made in zip(encoders, together, strict=True):
            made.append(encoder.answering("kit", "model-of-the-kit"))
        for pair in zip(*words, strict=True):
            for encoder, made, word in zip(encoders, together, pair, strict=True):
                made.append(encoder.text(word))
        for encoder, made in zip(encoders, together, strict=True):
            made.append(encoder.done(DONE))
        if [b"".join(made) for made in together] != alone:
            raise Broken(f"{dialog.name}: two answers at once are not the bytes of each alone")
    for dialog in harness.description.dialogs:
        first = harness.question(dialog, [Message("user", "first")])
        harness.question(dialog, [Message("user", "second")])
        if [message.content for message in first.messages] != ["first"]:
            raise Broken(f"{dialog.name}: a second request changed what the first one asked")


def _answer(harness: DoorHarness, dialog: Dialog, identity: str, words: list[str]) -> bytes:
    return b"".join(frames(harness.encoder(dialog, identity=identity), words, DONE))


@check("door-refusals", "door-routes")
async def refusals(harness: DoorHarness) -> None:
    """Every refusal of the core is told in the door's words: its reason, and a status of the same kind."""
    hostile = 'Send "it"\nagain: <b> é 👩'
    table = harness.table
    for door in harness.own:
        for code in (*PROBLEMS, *CODES):
            problem = Problem(code, f"{code}. {hostile}", 7, "one" if code in CODES else "", "messages[0]")
            try:
                reply = door.refuse(problem, "kit")
                words = harness.description.hear_refusal(reply.body)
            except Exception as exc:
                raise Broken(f"{code} cannot be refused: {type(exc).__name__}: {exc}") from None
            if problem.detail not in words:
                raise Broken(f"of the refusal {problem.detail!r} a client hears {words!r}")
            exact = code in ("unauthorized", "agent_not_found", "not_found", "method_not_allowed")
            if reply.status != problem.status if exact else reply.status // 100 != problem.status // 100:
                raise Broken(f"{code} has the status {reply.status}, not {problem.status}")
            if table.refuse(door.routes[0].path, problem, "kit").body != reply.body:
                raise Broken(f"the core does not take the reply to {code}: {reply!r}"[:300])


@check("door-lists", "door-routes")
async def lists(harness: DoorHarness) -> None:
    """A list of agents names those that can answer, and may be empty; an agent that does not exist is refused."""
    listed = [route for route in harness.routes if isinstance(route, (ListRoute, AgentRoute))]
    if not listed:
        raise Inapplicable("it has no list of agents")
    with harness.serve() as served:
        for route in listed:
            if isinstance(route, ListRoute):
                fixed = route.encode([]) == route.encode([_AGENT])  # a version, say
                answer = served.client.get(route.path)
            else:
                head, _, tail = route.path.partition("{")
                answer = served.client.get(f"{head}says{tail.partition('}')[2]}")
                missing = served.client.get(f"{head}no-such-agent{tail.partition('}')[2]}")
                if missing.status_code != 404:
                    raise Broken(f"GET {route.path} of an agent that is not there has {missing.status_code}, not 404")
                harness.description.hear_refusal(missing.content)
                fixed = False
            if answer.status_code != 200 or (b"says" not in answer.content and not fixed):
                raise Broken(f"GET {route.path} gives {answer.status_code}: {answer.text[:100]!r}, without the agent")
