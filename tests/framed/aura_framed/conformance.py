"""Frames in examples."""

from aura_core import Usage
from aura_core.testing import Conformance, Dialect, Failure, Transcript

FRAMES = Dialect("application/octet-stream", lambda record: len(record).to_bytes(4, "big") + record)


def write(tokens: list[str]) -> bytes:
    """A complete answer with these tokens."""
    return FRAMES.body(*({"t": token} for token in tokens), {"end": "stop"})


conformance = Conformance(
    plugin="framed",
    settings={"endpoint": "{url}/generate"},
    dialect=FRAMES,
    write=write,
    transcripts=[
        Transcript(
            name="an answer with its counts",
            body=b'\x00\x00\x00\x0b{"t":"Hey"}\x00\x00\x00\x1f{"end":"length","counts":[9,1]}',
            tokens=["Hey"],
            finish_reason="length",
            usage=Usage(9, 1),
        ),
    ],
    failures=[
        Failure(
            name="a fault in the middle",
            body=FRAMES.body({"t": "Hey"}, {"fault": "out of paper"}),
            tokens=["Hey"],
            code="llm_error",
        ),
    ],
)
