"""Send spans to a collector in the background: one that is slow, broken or missing costs no answer anything.

A fault of the collector is logged once, and once more when it is over.
"""

import asyncio
import logging
import os
import threading
import uuid
from collections.abc import Sequence
from contextlib import suppress

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from aura_core._version import __version__
from aura_core.errors import words_of
from aura_core.limits import COLLECTOR_TIME, MESSAGE_LIMIT, TRACES_FLUSH, UNKNOWN_WORDS
from aura_core.telemetry.otel_variables import Wanted, entry_point
from aura_core.text import counted, printable

log = logging.getLogger("aura.traces")

_SDK = logging.getLogger("opentelemetry")


class NoExporter(Exception):
    """The exporter that the variables ask for cannot be used; the message says why and what to do."""


def make_exporter(wanted: Wanted, **options: float) -> SpanExporter:
    """The exporter, which reads its own variables. Raises NoExporter."""
    try:
        found = entry_point(wanted)
        assert found is not None  # the caller has looked
        exporter: SpanExporter = found.load()(**options)
    except Exception as exc:  # it comes from any distribution, and its variables may hold anything
        raise NoExporter(f"{wanted.variable}: the exporter {wanted.exporter} fails: {words_of(exc)}") from exc
    return exporter


class SpanExport:
    """A provider of tracers whose spans go to a collector; `close` it."""

    def __init__(self, wanted: Wanted) -> None:
        """Start the exporting thread, so call it after the process has forked. Raises NoExporter."""
        self._watched = _Watched(make_exporter(wanted))
        # Not at the interpreter's exit, where it would take up to 30 s: `close` does it.
        self.provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        try:
            self.provider.add_span_processor(BatchSpanProcessor(self._watched))
        except ValueError as exc:
            raise NoExporter(f"the variables OTEL_BSP_… are not valid: {exc}") from exc
        _SDK.addHandler(self._watched.hearing)
        self._propagated, _SDK.propagate = _SDK.propagate, False

    async def close(self) -> None:
        """Send what is left, for at most `TRACES_FLUSH` seconds."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def drain() -> None:
            self.provider.shutdown()
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(done.set)

        # Not in the loop's executor: the process would wait for it.
        threading.Thread(target=drain, name="aura-traces", daemon=True).start()
        try:
            async with asyncio.timeout(TRACES_FLUSH):
                await done.wait()
        except TimeoutError:
            self._watched.give_up()
        else:
            _SDK.removeHandler(self._watched.hearing)
            _SDK.propagate = self._propagated


def ask_collector(wanted: Wanted) -> str | None:
    """Send it no spans, for at most `COLLECTOR_TIME` seconds. Returns why it takes none; None if it does."""
    try:
        watched = _Watched(make_exporter(wanted, timeout=COLLECTOR_TIME))
    except NoExporter as why:
        return str(why)
    propagated, _SDK.propagate = _SDK.propagate, False
    _SDK.addHandler(watched.hearing)
    try:
        result = watched.export([])
        watched.shutdown()
    finally:
        _SDK.removeHandler(watched.hearing)
        _SDK.propagate = propagated
    return None if result is SpanExportResult.SUCCESS else watched.hearing.reason


def _resource() -> Resource:
    """What the spans are of; the variables OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES come first."""
    own = {"service.name": "aura", "service.version": __version__, "service.instance.id": str(uuid.uuid4())}
    said = Resource.create().attributes
    unsaid = {key: value for key, value in own.items() if key not in said or str(said[key]).startswith("unknown_")}
    return Resource.create({"process.pid": os.getpid(), **unsaid})


class _Watched(SpanExporter):
    """An exporter whose fault is logged once, with its reason."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.hearing = _Hearing()
        self._lost = 0
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            with self.hearing:
                result = self._exporter.export(spans)
        except Exception as exc:
            result = SpanExportResult.FAILURE
            self.hearing.reason = words_of(exc)
        if result is not SpanExportResult.SUCCESS:
            self._lost += len(spans)
            if spans:
                self._fail("the collector takes no traces, which are lost until it does")
        elif self._failing:
            self._failing = False
            log.info("the collector takes traces again; lost: %s", counted(self._lost, "span"))
            self._lost = 0
        return result

    def _fail(self, what: str) -> None:
        if not self._failing:
            self._failing = True
            log.warning("%s: %s", what, self.hearing.reason or "the exporter does not say why")

    def give_up(self) -> None:
        """The process ends, and the collector has not taken what was left."""
        self._fail(f"the collector did not take the last traces within {TRACES_FLUSH:g} s")
        self.hearing.muted = True

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class _Hearing(logging.Handler):
    """Hears what OpenTelemetry logs, which repeats a fault with each batch: while spans are exported only the first
    reason is kept, and everything else is logged once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.reason = ""
        self.muted = False
        self._exporting: int | None = None  # the thread that does
        self._said = set[str]()

    def __enter__(self) -> None:
        self.reason, self._exporting = "", threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self._exporting = None

    def emit(self, record: logging.LogRecord) -> None:
        if self.muted:
            return
        if record.thread == self._exporting:
            self.reason = self.reason or _message(record)
        elif record.msg not in self._said and len(self._said) < UNKNOWN_WORDS:
            self._said.add(record.msg)
            log.warning("OpenTelemetry: %s", _message(record))


def _message(record: logging.LogRecord) -> str:
    try:
        return printable(record.getMessage())[:MESSAGE_LIMIT]
    except Exception:  # an argument of it may raise
        return f"a message of {record.name} that cannot be written"
