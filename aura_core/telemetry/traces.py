"""The spans of a request and its answer: the request, the agent in it, and in that each attempt at a provider.

Names and attributes follow OpenTelemetry's conventions for HTTP and for generative AI; those of our own begin with
`aura.`. No prompt and no answer is ever recorded. The spans of an answer are completed when it is over, from the
figures that the log gets, too: a token costs nothing.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from time import time_ns
from typing import Any
from urllib.parse import urlsplit

import msgspec
from opentelemetry import context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from aura_core._version import __version__
from aura_core.answer.stream_record import Attempt, StreamRecord
from aura_core.telemetry.span_export import SpanExport
from aura_core.text import printable
from aura_core.types import ChatRequest

FIRST_TOKEN = "aura.first_token"
"""The event of an attempt's span at its first token."""
_W3C = TraceContextTextMapPropagator()
_METHODS = frozenset(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"))
_PORTS = {"http": 80, "https": 443}
Attributes = dict[str, Any]


class HttpRequest(msgspec.Struct, frozen=True):
    """A request of a client. `headers` are `traceparent` and `tracestate`, as far as it has them; `server` is the
    address that it came to, if that is known."""

    method: str
    path: str
    scheme: str
    version: str
    server: tuple[str, int | None] | None
    headers: Mapping[str, str]


class Traces:
    """The spans of one process."""

    def __init__(self, export: SpanExport, redact: Callable[[str], str]) -> None:
        """`redact` removes secrets from what clients and providers say."""
        self._export = export
        self._redact = redact
        self._tracer = export.provider.get_tracer("aura", __version__)

    def request(self, request: HttpRequest) -> "RequestSpan":
        """Begin the span of a request, in the trace of its client."""
        return RequestSpan(self._tracer, request, self._redact(request.path))

    def answer(self, agent: str, name: str | None, stream: bool) -> "AnswerSpans":
        """Begin the spans of an answer, in the span of the current request."""
        return AnswerSpans(self._tracer, agent, name, stream, self._redact)

    async def close(self) -> None:
        """Send what is left, for a limited time."""
        await self._export.close()


class RequestSpan:
    """The span of a request; what is begun within `with` is in it."""

    def __init__(self, tracer: Tracer, request: HttpRequest, path: str) -> None:
        """`path` is that of the request, without secrets."""
        self._method = request.method if request.method in _METHODS else "_OTHER"
        attributes: Attributes = {
            "http.request.method": self._method,
            "url.path": printable(path),
            "url.scheme": request.scheme,
            "network.protocol.version": request.version,
        }
        if self._method == "_OTHER":
            attributes["http.request.method_original"] = printable(request.method)
        if request.server is not None:
            attributes |= _place(*request.server)
        parent = _W3C.extract(request.headers)
        self._span = tracer.start_span(self._name(""), parent, SpanKind.SERVER, attributes)

    def _name(self, route: str) -> str:
        method = "HTTP" if self._method == "_OTHER" else self._method
        return f"{method} {route}" if route else method

    def __enter__(self) -> "RequestSpan":
        self._token = context.attach(set_span_in_context(self._span))
        return self

    def __exit__(self, *_: object) -> None:
        context.detach(self._token)

    def end(self, status: int, route: str, refusal: str, failure: str, more: Attributes) -> None:
        """Complete it. `status` is 0 if the client left before the answer began; `refusal` is the code of a refusal,
        `failure` the class of an exception that nobody caught."""
        span = self._span
        if span.is_recording():
            if route:
                span.update_name(self._name(route))
                span.set_attribute("http.route", route)
            if status:
                span.set_attribute("http.response.status_code", status)
            if error := refusal or failure:
                span.set_attribute("error.type", error)
            if failure or status >= 500:
                span.set_status(StatusCode.ERROR)
            span.set_attributes(more)
        span.end()


class AnswerSpans:
    """The span of an agent's answer, and that of each attempt at a provider in it."""

    def __init__(
        self, tracer: Tracer, agent: str, name: str | None, stream: bool, redact: Callable[[str], str]
    ) -> None:
        self._tracer = tracer
        self._redact = redact
        self._stream = stream
        self._began = time_ns()
        attributes: Attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.id": agent,
            "gen_ai.agent.name": printable(name or agent),
            "gen_ai.request.stream": stream,
        }
        self._span = tracer.start_span(
            f"invoke_agent {agent}", None, SpanKind.INTERNAL, attributes, start_time=self._began
        )
        self._context = set_span_in_context(self._span)
        self._attempts: list[AttemptSpan] = []

    def attempt(self, provider: str, kind: str) -> "AttemptSpan":
        """Begin the span of an attempt at this instance; `kind` is the conventions' name for its provider."""
        # The first one begins with the answer.
        began = time_ns() if self._attempts else self._began
        attempt = AttemptSpan(self._tracer, self._context, provider, kind, self._stream, began)
        self._attempts.append(attempt)
        return attempt

    def end(self, record: StreamRecord) -> None:
        """Complete all spans, as the figures of the answer say."""
        unended = self._attempts
        if self._span.is_recording():
            for attempt in record.attempts:
                # In order. One that was given up before it began has no span yet.
                own = next((each for each in unended if each.provider == attempt.provider), None)
                if own is None:
                    began = self._began + _nanoseconds(attempt.after_ms)
                    own = AttemptSpan(self._tracer, self._context, attempt.provider, "", self._stream, began)
                else:
                    unended.remove(own)
                own.end(attempt, record if attempt is record.attempts[-1] else None, self._redact(attempt.error))
                if own.kind and attempt.provider == record.provider:
                    self._span.set_attribute("gen_ai.provider.name", own.kind)
            self._span.set_attributes(_of_answer(record))
            _set_outcome(self._span, record.outcome, record.code, self._redact(record.error or ""))
        for each in unended:
            each.span.end()
        self._span.end()


class AttemptSpan:
    """The span of one attempt."""

    def __init__(
        self, tracer: Tracer, parent: context.Context, provider: str, kind: str, stream: bool, began: int
    ) -> None:
        self.provider = provider
        self.kind = kind
        self._began = began
        attributes: Attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.stream": stream,
            "aura.provider": provider,
        }
        if kind:
            attributes["gen_ai.provider.name"] = kind
        self.span = tracer.start_span("chat", parent, SpanKind.CLIENT, attributes, start_time=began)
        self._context = set_span_in_context(self.span, parent)

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """These headers for the provider, with this span as their trace."""
        carrier = {name: value for name, value in headers.items() if name not in ("traceparent", "tracestate")}
        _W3C.inject(carrier, self._context)
        return carrier

    def asks(self, request: ChatRequest) -> None:
        """Note what is asked for, besides the messages. What the plugin then does in this task is in this span."""
        if self.span.is_recording():
            if request.temperature is not None:
                self.span.set_attribute("gen_ai.request.temperature", request.temperature)
            if request.max_tokens is not None:
                self.span.set_attribute("gen_ai.request.max_tokens", request.max_tokens)
        context.attach(self._context)  # until the task of the attempts ends

    def end(self, attempt: Attempt, answer: StreamRecord | None, error: str) -> None:
        """Complete it. `answer` is given for the last attempt, to which the cost and the end of the answer belong;
        `error` is the attempt's message, without secrets."""
        span = self.span
        attributes = {**_place_of(attempt.address), **({} if answer is None else _cost(answer))}
        if attempt.model:
            model = printable(attempt.model)
            span.update_name(f"chat {model}")
            attributes["gen_ai.request.model"] = model
        if attempt.first_token_ms is not None:
            span.add_event(FIRST_TOKEN, timestamp=self._began + _nanoseconds(attempt.first_token_ms))
            attributes["gen_ai.response.time_to_first_chunk"] = attempt.first_token_ms / 1000
        if attempt.upstream_status:
            attributes["http.response.status_code"] = attempt.upstream_status
        upstream_id = attempt.upstream_id or (answer.upstream_id if answer is not None else None)
        if upstream_id:
            attributes["aura.upstream_id"] = printable(upstream_id)
        span.set_attributes(attributes)
        _set_outcome(span, attempt.outcome, attempt.code, error)
        span.end(min(self._began + _nanoseconds(attempt.ms), time_ns()))


def _of_answer(record: StreamRecord) -> Attributes:
    """What the log says of an answer, besides its end."""
    attributes = _cost(record) | {
        "aura.client": printable(record.client),
        "aura.door": record.door,
        "aura.provider": record.provider,
        "aura.request_id": record.request_id,
    }
    if record.model:
        attributes["gen_ai.request.model"] = printable(record.model)
    if record.first_token_ms is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = record.first_token_ms / 1000
    return attributes


def _cost(record: StreamRecord) -> Attributes:
    """The tokens of an answer; nothing where its provider did not count them."""
    counted = {
        "gen_ai.usage.input_tokens": record.prompt_tokens,
        "gen_ai.usage.output_tokens": record.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": record.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": record.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": record.reasoning_tokens,
    }
    return {name: tokens for name, tokens in counted.items() if tokens}


def _set_outcome(span: Span, outcome: str, code: str | None, error: str) -> None:
    """Note how an answer or an attempt ended: `done` with a finish reason, `error` with a code, or `cancelled`. `error`
    is the message, without secrets."""
    span.set_attribute("aura.outcome", outcome)
    if outcome == "error":
        span.set_attribute("error.type", code or "llm_error")
        span.set_status(Status(StatusCode.ERROR, printable(error) or None))
    elif outcome == "done" and code is not None:
        span.set_attribute("gen_ai.response.finish_reasons", [code])


def _nanoseconds(milliseconds: float) -> int:
    return int(milliseconds * 1e6)


@lru_cache(maxsize=256)
def _place_of(url: str) -> Attributes:
    """The host and the port of an instance's address; nothing where it holds none."""
    try:
        parts = urlsplit(url)
        return _place(parts.hostname or "", parts.port or _PORTS.get(parts.scheme))
    except ValueError:  # a port that is no number
        return {}


def _place(host: str, port: int | None) -> Attributes:
    place = {"server.address": printable(host)} if host else {}
    return place if port is None or not host else place | {"server.port": port}
