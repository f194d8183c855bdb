"""Switch traces on where OpenTelemetry's variables ask for them, and import nothing for them elsewhere."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aura_core.telemetry.otel_variables import EXTRA, wanted

if TYPE_CHECKING:
    from aura_core.telemetry.traces import Traces

log = logging.getLogger("aura.traces")


def open_traces(environ: Mapping[str, str]) -> "Traces | None":
    """The traces of this process; None where nobody asked for any, or where they are not possible, which is logged.

    Call it after the process has forked: it starts a thread.
    """
    asked = wanted(environ)
    if asked is None:
        return None
    try:
        from aura_core.telemetry.span_export import NoExporter, SpanExport
        from aura_core.telemetry.traces import Traces
    except ModuleNotFoundError as exc:
        log.warning("there are no traces: %s is set, but %s is missing; %s", asked.variable, exc.name, EXTRA)
        return None
    try:
        traces = Traces(SpanExport(asked))
    except NoExporter as why:
        log.warning("there are no traces: %s", why)
        return None
    log.info("traces go to %s", asked.address or asked.exporter)
    return traces
