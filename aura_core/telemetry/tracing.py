"""Switch traces on where OpenTelemetry's variables ask for them, and import nothing for them elsewhere."""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from aura_core.telemetry.otel_variables import problem, wanted

if TYPE_CHECKING:
    from aura_core.telemetry.traces import Traces

log = logging.getLogger("aura.traces")


def open_traces(environ: Mapping[str, str], redact: Callable[[str], str]) -> "Traces | None":
    """The traces of this process; None where nobody asked for any, or where they are not possible.

    Call it after the process has forked: it starts a thread. What `problem` tells is not logged again. `redact` removes
    secrets from texts.
    """
    asked = wanted(environ)
    if asked is None or problem(environ) is not None:
        return None
    from aura_core.telemetry.span_export import NoExporter, SpanExport
    from aura_core.telemetry.traces import Traces

    try:
        return Traces(SpanExport(asked), redact)
    except NoExporter as why:
        log.warning("there are no traces: %s", why)
        return None


def unreachable(environ: Mapping[str, str]) -> str | None:
    """Why the collector takes no traces; None if it does, or if none were asked for. It takes some seconds."""
    asked = wanted(environ)
    if asked is None or not asked.address or problem(environ) is not None:
        return None
    from aura_core.telemetry.span_export import ask_collector

    return ask_collector(asked)
