"""`GET /metrics` for Prometheus; it needs the extra `metrics` of aura-server.

Names follow OpenTelemetry's conventions for generative AI where these have one. Every label has few values: provider
instances, outcomes, codes; with several workers each names itself, for one of them answers.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily

from aura_core.answer.stream_record import StreamRecord

FIRST_TOKEN = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
DURATION = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)


class Metrics:
    """What one process has done since it started."""

    CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"

    def __init__(
        self,
        active: Callable[[], int],
        buffered: Callable[[], int],
        resting: Callable[[], int],
        abandonments: Mapping[str, int],
        worker: int | None = None,
    ) -> None:
        """`active` counts the answers under way, `buffered` the bytes held for clients, `resting` the skipped
        candidates, `abandonments` the abandoned clean-ups by plugin; `worker` is this process's number, if
        there are several."""
        self._registry = registry = CollectorRegistry()
        self._worker = [] if worker is None else [str(worker)]
        label = ["worker"] if self._worker else []
        provider = "gen_ai_provider_name"
        for name, meaning, value in (
            ("aura_active_streams", "Answers under way.", active),
            ("aura_buffered_bytes", "Bytes of requests and unread answers, of server.max_buffered.", buffered),
            ("aura_resting_candidates", "Candidates of a fallback that are skipped after a failure.", resting),
        ):
            gauge = Gauge(name, meaning, label, registry=registry)
            (gauge.labels(*self._worker) if label else gauge).set_function(value)
        self._streams = Counter(
            "aura_streams",
            "Answers that ended, by outcome and code.",
            [provider, "outcome", "code", *label],
            registry=registry,
        )
        self._attempts = Counter(
            "aura_attempts",
            "Attempts at providers, retries and fallbacks included, by outcome and code.",
            ["provider", "outcome", "code", *label],
            registry=registry,
        )
        self._first_token = Histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "Time from the request to the first token, reasoning included.",
            [provider, *label],
            registry=registry,
            buckets=FIRST_TOKEN,
        )
        self._duration = Histogram(
            "gen_ai_server_request_duration_seconds",
            "Time from the request to the end of the answer.",
            [provider, *label],
            registry=registry,
            buckets=DURATION,
        )
        self._tokens = Counter(
            "gen_ai_client_token_usage",
            "Tokens as the providers count them.",
            [provider, "gen_ai_token_type", *label],
            registry=registry,
        )
        self._children: dict[tuple[Any, tuple[str, ...]], Any] = {}
        registry.register(_Abandonments(abandonments))

    def observe(self, record: StreamRecord) -> None:
        """Count an answer that is over."""
        provider = record.provider
        self._child(self._streams, provider, record.outcome, record.code or "").inc()
        for attempt in record.attempts:
            self._child(self._attempts, attempt.provider, attempt.outcome, attempt.code or "").inc()
        if record.first_token_ms is not None:
            self._child(self._first_token, provider).observe(record.first_token_ms / 1000)
        self._child(self._duration, provider).observe(record.duration_ms / 1000)
        self._child(self._tokens, provider, "input").inc(record.prompt_tokens)
        self._child(self._tokens, provider, "output").inc(record.completion_tokens)

    def _child(self, metric: Any, *labels: str) -> Any:
        """The metric with these labels; a lookup in the library's own way costs more than all else here."""
        child = self._children.get((metric, labels))
        if child is None:
            child = self._children[metric, labels] = metric.labels(*labels, *self._worker)
        return child

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self._registry)


class _Abandonments:
    """The plugins' clean-ups that were given up, as the runtime counts them."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[CounterMetricFamily]:
        family = CounterMetricFamily("aura_abandoned_cleanups", "Clean-ups that took too long.", labels=["plugin"])
        for plugin, count in self._counts.items():
            family.add_metric([plugin], count)
        return [family]
