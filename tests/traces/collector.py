"""A collector of traces: a server for OTLP (http/protobuf) that decodes the spans it gets."""

import gzip
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

WAIT = 60
KINDS = {1: "internal", 2: "server", 3: "client"}


class Span(msgspec.Struct, frozen=True):
    """A span as it came. `kind` is `server`, `internal` or `client`; ids are hexadecimal, `parent` is "" for a root.
    `error` is the description of a status ERROR, None for another status. Times are in nanoseconds."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    state: str
    started: int
    ended: int
    attributes: dict[str, Any]
    events: dict[str, int]
    error: str | None
    resource: dict[str, Any]


class Collector:
    """A collector on a loopback port; a context manager.

    It answers with `status`. While `gate` is cleared it reads requests and answers none of them. `bodies` are the
    requests as they came, and `headers` those of the last one.
    """

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.gate = threading.Event()
        self.gate.set()
        self.spans: list[Span] = []
        self.bodies: list[bytes] = []
        self.headers: dict[str, str] = {}
        self._changed = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector._take({name.lower(): value for name, value in self.headers.items()}, body)
                collector.gate.wait(WAIT)
                self.send_response(collector.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True)

    def __enter__(self) -> "Collector":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def wait_until(self, met: Callable[[], object], what: str) -> None:
        """Wait until this is true of what has come."""
        with self._changed:
            names = "no spans"
            assert self._changed.wait_for(met, WAIT), f"{what}; there are {[s.name for s in self.spans] or names}"

    def answer(self, trace: str) -> "Tree":
        """The spans of this trace, once that of its request, which ends last, has come."""
        self.wait_until(lambda: any(s.kind == "server" for s in self._of(trace)), f"no request in the trace {trace}")
        return Tree(self._of(trace))

    def _of(self, trace: str) -> list[Span]:
        return [span for span in self.spans if span.trace == trace]

    def _take(self, headers: dict[str, str], body: bytes) -> None:
        body = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        spans = _decoded(body) if self.status == 200 else []
        with self._changed:
            self.headers = headers
            self.bodies.append(body)
            self.spans += spans
            self._changed.notify_all()


class Tree:
    """The spans of one request; there is exactly one for it, and at most one for an agent."""

    def __init__(self, spans: list[Span]) -> None:
        self.all = spans
        (self.request,) = [span for span in spans if span.kind == "server"]
        agents = [span for span in spans if span.kind == "internal"]
        assert len(agents) <= 1, agents
        self.agent = agents[0] if agents else None
        self.chats = sorted((span for span in spans if span.kind == "client"), key=lambda span: span.started)
        assert all(span.parent == self.request.id for span in agents)
        assert all(self.agent is not None and span.parent == self.agent.id for span in self.chats)


def _decoded(body: bytes) -> list[Span]:
    spans = []
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = _attributes(group.resource.attributes)
        for scope in group.scope_spans:
            spans += [
                Span(
                    span.name,
                    KINDS[span.kind],
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.trace_state,
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    _attributes(span.attributes),
                    {event.name: event.time_unix_nano for event in span.events},
                    span.status.message if span.status.code == 2 else None,
                    resource,
                )
                for span in scope.spans
            ]
    return spans


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind)
