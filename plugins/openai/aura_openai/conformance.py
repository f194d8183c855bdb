"""OpenAI's protocol in examples, for `aura test-plugin openai`: responses, and the answers that they must become."""

from aura_core import Usage
from aura_core.testing import SSE, Conformance, Failure, Reply, Transcript


def write(tokens: list[str]) -> bytes:
    """A whole answer of these tokens."""
    said = [{"choices": [{"index": 0, "delta": {"content": token}, "finish_reason": None}]} for token in tokens]
    return SSE.body(*said, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, b"[DONE]")


transcripts = [
    Transcript(
        name="an answer with its usage",
        body=SSE.body(
            b'{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},'
            b'"finish_reason":null}],"usage":null}',
            b'{"id":"c","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}],"usage":null}',
            b'{"id":"c","choices":[{"index":0,"delta":{"content":" world"},"finish_reason":null}],"usage":null}',
            b'{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}',
            b'{"id":"c","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}',
            b"[DONE]",
        ),
        tokens=["Hello", " world"],
        usage=Usage(9, 2),
    ),
    Transcript(
        name="an answer that is too long",
        body=SSE.body(
            b'{"choices":[{"index":0,"delta":{"content":"Once"}}]}',
            b'{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}',
            b"[DONE]",
        ),
        tokens=["Once"],
        finish_reason="length",
    ),
    Transcript(
        name="an answer that the filter stops",
        body=SSE.body(
            b'{"choices":[{"index":0,"delta":{"content":"Once"}}]}',
            b'{"choices":[{"index":0,"finish_reason":"content_filter"}]}',
        ),
        tokens=["Once"],
        finish_reason="content_filter",
    ),
    Transcript(
        name="a thinking model",
        body=SSE.body(
            b'{"choices":[{"index":0,"delta":{"reasoning_content":"Hm"}}]}',
            b'{"choices":[{"index":0,"delta":{"reasoning_content":"."}}]}',
            b'{"choices":[{"index":0,"delta":{"content":"Yes."}}]}',
            b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
        ),
        reasoning=["Hm", "."],
        tokens=["Yes."],
    ),
]

failures = [
    Failure(
        name="a wrong key",
        status=401,
        body=b'{"error":{"message":"Incorrect API key provided: sk-aura-********5a63.","code":"invalid_api_key"}}',
        code="auth",
    ),
    Failure(
        name="no credit",
        status=429,
        body=b'{"error":{"message":"You exceeded your current quota.","code":"insufficient_quota"}}',
        code="quota_exceeded",
    ),
    Failure(
        name="a rate limit",
        status=429,
        headers={"retry-after": "20"},
        body=b'{"error":{"message":"Rate limit reached.","code":"rate_limit_exceeded"}}',
        code="rate_limited",
        retry_after=20,
    ),
    Failure(
        name="a prompt that is too long",
        status=400,
        body=b'{"error":{"message":"The maximum context length is 8192 tokens.","code":"context_length_exceeded"}}',
        code="context_length",
    ),
    Failure(
        name="an error in the middle",
        body=SSE.body(
            b'{"choices":[{"index":0,"delta":{"content":"Once"}}]}', b'{"error":{"message":"The server had an error."}}'
        ),
        tokens=["Once"],
        code="llm_error",
    ),
]

models = Reply(
    [b'{"object":"list","data":[{"id":"m","object":"model"}]}'], headers={"content-type": "application/json"}
)

conformance = Conformance(
    plugin="openai",
    settings={"base_url": "{url}/v1"},
    dialect=SSE,
    write=write,
    replies={"/v1/models": models},
    transcripts=transcripts,
    failures=[
        *failures,
        Failure(
            name="a missing model",
            status=404,
            body=b'{"error":{"message":"The model `m` does not exist","code":"model_not_found"}}',
            code="model_not_found",
        ),
    ],
)
