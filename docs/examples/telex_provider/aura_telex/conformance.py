"""Telex in examples, for `aura test-plugin telex`."""

import msgspec

from aura_core import Usage
from aura_core.testing import Conformance, Dialect, Failure, Reply, Request, Transcript
from aura_telex import HEAD, frame


def split(body: bytes) -> list[bytes]:
    """The frames of a body."""
    frames = []
    while body:
        end = HEAD + int.from_bytes(body[1:HEAD], "big")
        frames.append(body[:end])
        body = body[end:]
    return frames


FRAMES = Dialect(
    "application/x-telex",
    lambda record: frame(b"T", record),
    {"signs of life between the frames": lambda body: b"".join(each + frame(b"K", b"") for each in split(body))},
    split=split,
    unknown=[frame(b"X", b"of tomorrow")],
)


def end(**fields: object) -> bytes:
    """The last frame."""
    return frame(b"E", msgspec.json.encode(fields))


def write(tokens: list[str]) -> bytes:
    """A whole answer of these tokens."""
    return FRAMES.body(*(token.encode() for token in tokens)) + end(why="stop")


def asked(request: Request) -> None:
    """What the kit asks, in frames."""
    *turns, parameters = split(request.body)
    assert [(turn[:1], turn[HEAD:]) for turn in turns] == [
        (b"S", b"You are brief."),
        (b"U", b"Hello?"),
        (b"A", b"Hello."),
        (b"U", b"How are you?"),
    ]
    assert msgspec.json.decode(parameters[HEAD:]) == {"model": "test-model", "temperature": 0.5, "max_tokens": 100}
    assert request.headers["x-session"] == "s-1"


conformance = Conformance(
    plugin="telex",
    settings={"base_url": "{url}"},
    dialect=FRAMES,
    write=write,
    request=asked,
    replies={"/login": Reply([b'{"session": "s-1"}'], headers={"content-type": "application/json"})},
    transcripts=[
        Transcript(
            name="an answer with its counts",
            body=b'T\x00\x00\x00\x05HelloE\x00\x00\x00\x21{"why": "length", "in":9,"out":2}',
            tokens=["Hello"],
            finish_reason="length",
            usage=Usage(9, 2),
        ),
        Transcript(
            name="a thinking model",
            body=frame(b"R", b"Hm.") + frame(b"T", b"Yes.") + end(why="stop"),
            reasoning=["Hm."],
            tokens=["Yes."],
        ),
    ],
    failures=[
        Failure(name="a session that has ended", status=401, body=b'{"error": "no such session"}', code="auth"),
        Failure(
            name="a failure in the middle",
            body=frame(b"T", b"Once") + frame(b"F", b'{"code": "jam", "message": "out of paper"}'),
            tokens=["Once"],
            code="llm_error",
        ),
    ],
)
