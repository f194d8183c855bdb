"""`GET /metrics` for Prometheus; it needs the extra `metrics` of aura-server.

Names and types follow OpenTelemetry's conventions for generative AI where these have one. Every label has few values.
The client and the agent stand on counters only: with the buckets of a histogram each of their pairs would be hundreds
of series.
"""

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.process_collector import ProcessCollector

from aura_core._version import __version__
from aura_core.answer.stream_record import Attempt, StreamRecord
from aura_core.limits import PROCESS_LOOKS
from aura_core.telemetry import shared_figures

ANSWER, ATTEMPT = "invoke_agent", "chat"
"""The operations: a whole answer of an agent, and each attempt at a provider for it."""

_FIRST_TOKEN = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_DURATION = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)
_LAG = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

_PROVIDER = ["gen_ai_provider_name", "provider", "gen_ai_request_model"]
_WHO = ["client", "agent"]

# What the library reads of this process, and how the workers' figures are put together.
_PROCESS = {
    "process_resident_memory_bytes": "livesum",
    "process_virtual_memory_bytes": "livesum",
    "process_open_fds": "livesum",
    "process_max_fds": "livemin",
    "process_start_time_seconds": "livemin",
}


class Metrics:
    """What has happened since the server started; with several workers, in all of them."""

    CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"

    def __init__(
        self, kind: Callable[[str], str], gauges: Mapping[str, Callable[[], int]], counts: Mapping[str, Any]
    ) -> None:
        """`kind` tells the kind of a provider instance by its name. `gauges` are called for what is there now, by the
        names in `GAUGES`; `counts` are what others have counted so far: `abandonments` by plugin, and the callables
        `lines_dropped` and `restarts`."""
        # They double the series, and Prometheus needs none of them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        self._kind = kind
        self._gauges = gauges
        self._counts = counts
        self._seen: dict[str, float] = {}
        self._looks = 0
        self._children: dict[tuple[Any, ...], Any] = {}
        self._process = ProcessCollector(registry=None)

        def counter(name: str, meaning: str, labels: list[str]) -> Counter:
            return Counter(name, meaning, labels, registry=registry)

        def histogram(name: str, meaning: str, labels: list[str], buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, meaning, labels, registry=registry, buckets=buckets)

        def gauge(name: str, meaning: str, mode: Any = "livesum", labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(name, meaning, labels, registry=registry, multiprocess_mode=mode)

        self._duration = histogram(
            "gen_ai_client_operation_duration_seconds",
            f"Time of an answer ({ANSWER}), and of each attempt at a provider ({ATTEMPT}).",
            ["gen_ai_operation_name", *_PROVIDER, "error_type"],
            _DURATION,
        )
        self._first = histogram(
            "gen_ai_client_operation_time_to_first_chunk_seconds",
            f"Time to the first token, reasoning included: of the answer ({ANSWER}) and of the attempt ({ATTEMPT}).",
            ["gen_ai_operation_name", *_PROVIDER],
            _FIRST_TOKEN,
        )
        self._usage = histogram(
            "gen_ai_client_token_usage",
            "Tokens of an answer, as the provider counts them.",
            ["gen_ai_operation_name", *_PROVIDER, "gen_ai_token_type"],
            _TOKENS,
        )
        self._lag = histogram(
            "aura_event_loop_lag_seconds", "How late the event loop was, looked at once a second.", [], _LAG
        )
        self._streams = counter(
            "aura_streams",
            "Answers that ended, by outcome and code.",
            [*_WHO, "door", "provider", "model", "outcome", "code"],
        )
        self._tokens = counter(
            "aura_tokens", "Tokens, as the providers count them.", [*_WHO, "provider", "model", "gen_ai_token_type"]
        )
        self._details = counter(
            "aura_token_details",
            "Parts of these tokens: of the input those read from or written to a cache, of the output reasoning.",
            [*_WHO, "provider", "model", "detail"],
        )
        self._refusals = counter(
            "aura_refusals", "Requests that were refused before an answer started.", ["code", "client", "door"]
        )
        self._abandoned = counter("aura_abandoned_cleanups", "Clean-ups that took too long.", ["plugin"])
        self._dropped = counter("aura_log_lines_dropped", "Log lines that were dropped, because nobody read them.", [])
        self._restarts = counter("aura_worker_restarts", "Workers that replaced one that crashed.", [])
        self._cpu = counter("process_cpu_seconds", "User and system CPU time.", [])
        self._now = {name: gauge(name, GAUGES[name]) for name in gauges}
        self._own = {
            name: gauge(name, f"As of the process; of several workers {_TOGETHER[mode]}.", mode)
            for name, mode in _PROCESS.items()
        }
        gauge("aura_workers", "Processes that answer.").set(1)
        gauge("aura_build_info", "The version of Aura.", "livemax", ("version",)).labels(__version__).set(1)

    def observe(self, record: StreamRecord, _ended: float = 0) -> None:
        """Count an answer that is over."""
        provider, model = record.provider, record.model or ""
        who = record.client, record.agent
        code = record.code or ""
        served = self._kind(provider), provider, model
        failed = "" if record.outcome == "done" else code or record.outcome
        child = self._child
        child(self._streams, *who, record.door, provider, model, record.outcome, code).inc()
        child(self._duration, ANSWER, *served, failed).observe(record.duration_ms / 1000)
        if record.first_token_ms is not None:
            child(self._first, ANSWER, *served).observe(record.first_token_ms / 1000)
        for attempt in record.attempts:
            self._observe_attempt(attempt)
        for kind, number in (("input", record.prompt_tokens), ("output", record.completion_tokens)):
            child(self._tokens, *who, provider, model, kind).inc(number)
            if number:  # 0: the provider did not say
                child(self._usage, ATTEMPT, *served, kind).observe(number)
        for part in ("cache_read", "cache_write", "reasoning"):
            if number := getattr(record, f"{part}_tokens"):
                child(self._details, *who, provider, model, part).inc(number)

    def _observe_attempt(self, attempt: Attempt) -> None:
        served = self._kind(attempt.provider), attempt.provider, attempt.model or ""
        failed = "" if attempt.outcome == "done" else attempt.code or attempt.outcome
        self._child(self._duration, ATTEMPT, *served, failed).observe(attempt.ms / 1000)
        if attempt.first_token_ms is not None:
            self._child(self._first, ATTEMPT, *served).observe(attempt.first_token_ms / 1000)

    def refused(self, code: str, client: str, door: str) -> None:
        """Count a refusal."""
        self._child(self._refusals, code, client, door).inc()

    def look(self, lag: float | None = None) -> None:
        """Take what is there now; `lag` is how late the event loop was, in seconds.

        It is called once a second: of several workers each can look only at itself, and any of them may be asked.
        """
        if lag is not None:
            self._lag.observe(lag)
        for name, gauge in self._now.items():
            gauge.set(self._gauges[name]())
        for plugin, number in self._counts["abandonments"].items():
            self._add(self._child(self._abandoned, plugin), f"abandoned {plugin}", number)
        self._add(self._dropped, "dropped", self._counts["lines_dropped"]())
        self._add(self._restarts, "restarts", self._counts["restarts"]())
        if self._looks % PROCESS_LOOKS == 0:
            self._look_at_process()
        self._looks += 1

    def _look_at_process(self) -> None:
        """Take the figures of the system. With thousands of connections it takes milliseconds to count their files."""
        for family in self._process.collect():
            for sample in family.samples:
                if sample.name in self._own:
                    self._own[sample.name].set(sample.value)
                elif sample.name == "process_cpu_seconds_total":
                    self._add(self._cpu, "cpu", sample.value)

    def _add(self, counter: Any, name: str, total: float) -> None:
        """Raise a counter by what has come since the last look."""
        counter.inc(max(0.0, total - self._seen.get(name, 0.0)))
        self._seen[name] = total

    def _child(self, metric: Any, *labels: str) -> Any:
        """The metric with these labels; a lookup in the library's own way costs more than all else here."""
        key = (metric, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child

    def render(self) -> bytes:
        """The text that Prometheus reads. It may be called in a thread."""
        self._look_at_process()
        registry = self._registry
        if shared_figures.are_shared():
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


_TOGETHER = {"livesum": "the sum", "livemin": "the least"}
GAUGES = {
    "aura_active_streams": "Answers under way.",
    "aura_buffered_bytes": "Bytes of requests and unread answers, of server.max_buffered.",
    "aura_resting_candidates": "Candidates of a fallback that are skipped after a failure.",
    "aura_open_connections": "Connections of clients.",
}
