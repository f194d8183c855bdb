"""Azure's variant of OpenAI's protocol, for `aura test-plugin azure`: the content filter's chunks and refusals."""

from aura_openai.conformance import failures, models, transcripts, write

from aura_core.testing import SSE, Conformance, Failure, Transcript

conformance = Conformance(
    plugin="azure",
    settings={"endpoint": "{url}", "api_key_env": "AZURE_OPENAI_API_KEY"},
    dialect=SSE,
    write=write,
    replies={"/openai/v1/models": models},
    transcripts=[
        *transcripts,
        Transcript(
            name="annotations of the filter",
            body=SSE.body(
                b'{"choices":[],"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{}}]}',
                b'{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}',
                b'{"choices":[{"index":0,"finish_reason":null,"content_filter_results":{},"content_filter_offsets":{}}]}',
                b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
                b'{"choices":[{"index":0,"finish_reason":null,"content_filter_results":{},"content_filter_offsets":{}}]}',
                b"[DONE]",
            ),
            tokens=["Hi"],
        ),
    ],
    failures=[
        *failures,
        Failure(
            name="a refused prompt",
            status=400,
            body=b'{"error":{"message":"The response was filtered.","code":"content_filter","status":400}}',
            code="content_filtered",
        ),
        Failure(
            name="a missing deployment",
            status=404,
            body=b'{"error":{"code":"DeploymentNotFound","message":"The API deployment does not exist."}}',
            code="model_not_found",
        ),
    ],
)
