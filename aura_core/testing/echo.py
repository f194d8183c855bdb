"""The core's own provider, described for the kit: it has no server, so its transcripts are agents' options."""

from aura_core.testing.conformance import Failure, Transcript
from aura_core.testing.runner import Conformance
from aura_core.types import Usage

conformance = Conformance(
    plugin="echo",
    transcripts=[
        Transcript(name="the prompt", tokens=["Hello"], usage=Usage(1, 1)),
        Transcript(
            name="a text",
            options={"text": " lead\n\n two  spaces 👩‍👩‍👧 日本語 \n"},
            tokens=[" lead", "\n\n two", "  spaces", " 👩‍👩‍👧", " 日本語", " \n"],
            usage=Usage(1, 6),
        ),
        Transcript(
            name="a text that is cut",
            options={"text": "one two three", "tokens": 2},
            tokens=["one", " two"],
            finish_reason="length",
            usage=Usage(1, 2),
        ),
        Transcript(
            name="a text that is filtered",
            options={"text": "one", "finish_reason": "content_filter"},
            tokens=["one"],
            finish_reason="content_filter",
            usage=Usage(1, 1),
        ),
        Transcript(
            name="a thought",
            options={"reasoning": "hm hm", "text": "yes"},
            reasoning=["hm", " hm"],
            tokens=["yes"],
            usage=Usage(1, 1),
        ),
    ],
    failures=[
        Failure(
            name="a failure before the first token",
            options={"fail_after": 0, "code": "rate_limited", "retry_after": 60},
            code="rate_limited",
            retry_after=60,
        ),
        Failure(
            name="a failure after one token",
            options={"text": "one two", "fail_after": 1, "code": "unavailable"},
            tokens=["one"],
            code="unavailable",
        ),
    ],
)
