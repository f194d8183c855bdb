"""Read OpenTelemetry's `OTEL_` variables: whether traces are exported, by which exporter, and which secrets these hold.

The names and their meanings are OpenTelemetry's (specification, "Environment Variable Specification" and "OTLP
Exporter Configuration"). Nothing of OpenTelemetry is imported here.
"""

from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from urllib.parse import unquote

import msgspec

EXTRA = "the core needs its extra otel (docs/monitoring.md)"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HEADERS = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
_EXPORTERS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
"""The exporter for each protocol of OTLP, by its entry point in the group `opentelemetry_traces_exporter`."""


class Wanted(msgspec.Struct, frozen=True):
    """An exporter of traces, as the variables ask for it.

    `variable` is the one that asks for it, and `value` what it says; `exporter` is the name of its entry point, "" if
    there is none for that. `address` is where OTLP is sent to, without a password; "" for other exporters.
    """

    variable: str
    value: str
    exporter: str
    address: str = ""

    @property
    def target(self) -> str:
        """Where the traces go, for people."""
        return self.address or f"the exporter {self.exporter}"


def wanted(environ: Mapping[str, str]) -> Wanted | None:
    """The exporter that the variables ask for; None if they ask for none. An empty variable counts as unset."""
    chosen = _value(environ, "OTEL_TRACES_EXPORTER")[1].lower()
    if _value(environ, "OTEL_SDK_DISABLED")[1].lower() == "true" or chosen == "none":
        return None
    variable, endpoint = _value(environ, *_ENDPOINTS)
    if not chosen and not endpoint:
        return None
    if chosen:
        variable = "OTEL_TRACES_EXPORTER"
    if chosen not in ("", "otlp"):
        return Wanted(variable, chosen, chosen)
    address = _without_password(endpoint)
    said, protocol = _value(environ, *_PROTOCOLS)
    if not protocol:
        return Wanted(variable, chosen or address, "otlp_proto_http", address or "http://localhost:4318")
    return Wanted(said, protocol, _EXPORTERS.get(protocol, ""), address or "the collector on this machine")


def problem(environ: Mapping[str, str]) -> str | None:
    """Why there are no traces although the variables ask for them, and what to do; None if nothing is known to be
    wrong."""
    asked = wanted(environ)
    if asked is None:
        return None
    said = f"{asked.variable}={asked.value}"
    if not asked.exporter:
        return f"there are no traces: {said} is not supported; set http/protobuf"
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        return f"there are no traces: {said} asks for them, and OpenTelemetry is not installed; {EXTRA}"
    if entry_point(asked) is None:
        # No distribution is named: who owns a guessed name could run code here.
        return f"there are no traces: {said} needs an exporter that is not installed; set otlp with http/protobuf"
    return None


def entry_point(asked: Wanted) -> EntryPoint | None:
    """The exporter, as its distribution declares it; None if none is installed."""
    found = entry_points(group="opentelemetry_traces_exporter")
    return next((each for each in found if each.name == asked.exporter), None)


def secrets(environ: Mapping[str, str]) -> list[str]:
    """The values of the headers for the collector, and the passwords in its addresses: they must never be logged."""
    return [secret for secret in _secrets(environ) if secret]


def _secrets(environ: Mapping[str, str]) -> Iterator[str]:
    for name in _HEADERS:
        for header in environ.get(name, "").split(","):
            value = unquote(header.partition("=")[2]).strip()
            yield value
            yield value.partition(" ")[2].strip()  # the token of `Bearer …`
    for name in _ENDPOINTS:
        yield unquote(_password(environ.get(name, "")))


def _value(environ: Mapping[str, str], *names: str) -> tuple[str, str]:
    """The first of these variables that is set, and its value; "" twice if none is."""
    for name in names:
        if value := environ.get(name, "").strip():
            return name, value
    return "", ""


def _password(url: str) -> str:
    """What stands between `:` and `@` of the address; "" if it has no user."""
    user, at, _ = _authority(url).rpartition("@")
    return user.partition(":")[2] if at else ""


def _without_password(url: str) -> str:
    user, at, _ = _authority(url).rpartition("@")
    return url.replace(user + at, "", 1) if at else url


def _authority(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]
