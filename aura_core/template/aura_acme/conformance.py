"""Acme's protocol in examples: what the conformance kit plays to the plugin, and what it must make of it."""

from aura_core import Usage
from aura_core.testing import SSE, Conformance, Failure, Reply, Transcript


def write(tokens: list[str]) -> bytes:
    """A whole answer of these tokens."""
    return SSE.body(*({"text": token} for token in tokens), {"finish": "stop"})


conformance = Conformance(
    plugin="acme",
    settings={"base_url": "{url}"},
    dialect=SSE,
    write=write,
    # What the server answers on other paths than the chat's.
    replies={"/models": Reply([b'{"models": [{"name": "tiny", "context": 4096}]}'])},
    # What must be sent: the kit asks for `You are brief.`, `Hello?`, `Hello.`, `How are you?`, 0.5 and 100.
    request={
        "model": "test-model",
        "messages": [
            {"role": "system", "content": "You are brief."},
            {"role": "user", "content": "Hello?"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": "How are you?"},
        ],
        "stream": True,
        "temperature": 0.5,
        "max_tokens": 100,
    },
    # Record what the real server sends (curl -N), and say what it means.
    transcripts=[
        Transcript(
            name="an answer with its usage",
            body=b'data: {"text": "Hello"}\n\n'
            b'data: {"text": " world", "finish": "stop", "usage": {"prompt": 9, "completion": 2, "cache_read": 4}}\n\n',
            tokens=["Hello", " world"],
            usage=Usage(9, 2, cache_read=4),
        ),
        Transcript(
            name="an answer that is too long",
            body=b'data: {"text": "Once"}\n\ndata: {"text": " upon"}\n\ndata: {"finish": "length"}\n\n',
            tokens=["Once", " upon"],
            finish_reason="length",
        ),
        Transcript(
            name="a thinking model",
            body=b'data: {"thinking": "Hm."}\n\ndata: {"text": "Yes."}\n\ndata: {"finish": "stop"}\n\n',
            reasoning=["Hm."],
            tokens=["Yes."],
        ),
    ],
    failures=[
        Failure(name="a missing model", status=404, body=b'{"error": "no such model"}', code="model_not_found"),
        Failure(
            name="an error in the middle",
            body=b'data: {"text": "Once"}\n\ndata: {"error": "out of memory"}\n\n',
            tokens=["Once"],
            code="llm_error",
        ),
    ],
)
