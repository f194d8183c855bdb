"""Ollama's protocol in examples, for `aura test-plugin ollama`: responses, and the answers that they must become."""

from aura_core import Usage
from aura_core.testing import NDJSON, Conformance, Failure, Reply, Transcript


def write(tokens: list[str]) -> bytes:
    """A whole answer of these tokens."""
    lines = [{"message": {"role": "assistant", "content": token}, "done": False} for token in tokens]
    return NDJSON.body(*lines, {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"})


conformance = Conformance(
    plugin="ollama",
    settings={"base_url": "{url}"},
    dialect=NDJSON,
    write=write,
    replies={
        "/api/version": Reply([b'{"version":"0.12.0"}']),
        "/api/tags": Reply([b'{"models":[{"name":"m","model":"m"}]}']),
        "/api/show": Reply([b'{"capabilities":["completion"],"model_info":{"llama.context_length":4096}}']),
    },
    transcripts=[
        Transcript(
            name="an answer with its counts",
            body=b'{"model":"m","message":{"role":"assistant","content":"Hello"},"done":false}\n'
            b'{"model":"m","message":{"role":"assistant","content":" world"},"done":true,"done_reason":"stop",'
            b'"total_duration":5000000,"prompt_eval_count":9,"eval_count":2}\n',
            tokens=["Hello", " world"],
            usage=Usage(9, 2),
        ),
        Transcript(
            name="an answer that is too long",
            body=b'{"message":{"content":"Once"}}\n{"message":{"content":""},"done":true,"done_reason":"length"}\n',
            tokens=["Once"],
            finish_reason="length",
        ),
        Transcript(
            name="a thinking model",
            body=b'{"message":{"content":"","thinking":"Hm"}}\n{"message":{"content":"","thinking":"."}}\n'
            b'{"message":{"content":"Yes."}}\n{"message":{"content":""},"done":true,"done_reason":"stop"}\n',
            reasoning=["Hm", "."],
            tokens=["Yes."],
        ),
    ],
    failures=[
        Failure(name="a missing model", status=404, body=b'{"error":"model \'m\' not found"}', code="model_not_found"),
        Failure(
            name="a model without thoughts",
            status=400,
            body=b'{"error":"\\"m\\" does not support thinking"}',
            code="bad_request",
        ),
        Failure(
            name="a prompt that is too long",
            status=400,
            body=b'{"error":"{\\"error\\":{\\"type\\":\\"exceed_context_size_error\\"}}"}',
            code="context_length",
        ),
        Failure(
            name="an error in the middle",
            body=b'{"message":{"content":"Once"}}\n{"error":"an error was encountered while running the model"}\n',
            tokens=["Once"],
            code="llm_error",
        ),
    ],
)
