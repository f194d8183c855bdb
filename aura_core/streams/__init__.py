"""Read a model server, for provider plugins: its events and lines, its errors, its waiting times, its coded bodies."""

from typing import TYPE_CHECKING, Any

from aura_core.streams.body import error_body, whole_body
from aura_core.streams.causes import CAUSES, Cause, cause_of
from aura_core.streams.coding import Read, decoding
from aura_core.streams.coerce import count, parts
from aura_core.streams.failure import Endpoint, bad_response, failure, status_error, upstream_id
from aura_core.streams.ndjson import NdjsonReader
from aura_core.streams.reason import Reason, error_in, loads, read_reason
from aura_core.streams.scrub import Scrub
from aura_core.streams.sse import NotEvents, RecordTooLong, ServerSentEvent, SseReader
from aura_core.streams.waiting import retry_after

if TYPE_CHECKING:
    from aura_core.streams.aiohttp_body import AiohttpBody
    from aura_core.streams.connections import session

__all__ = [
    "CAUSES",
    "AiohttpBody",
    "Cause",
    "Endpoint",
    "NdjsonReader",
    "NotEvents",
    "Read",
    "Reason",
    "RecordTooLong",
    "Scrub",
    "ServerSentEvent",
    "SseReader",
    "bad_response",
    "cause_of",
    "count",
    "decoding",
    "error_body",
    "error_in",
    "failure",
    "loads",
    "parts",
    "read_reason",
    "retry_after",
    "session",
    "status_error",
    "upstream_id",
    "whole_body",
]


def __getattr__(name: str) -> Any:
    """`session` and `AiohttpBody`, which need aiohttp: the extra `aura-server[aiohttp]`. Others do not import it."""
    if name == "session":
        from aura_core.streams.connections import session

        return session
    if name == "AiohttpBody":
        from aura_core.streams.aiohttp_body import AiohttpBody

        return AiohttpBody
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
