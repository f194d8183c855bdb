"""Read a model server, for provider plugins: its events and lines, its errors, its waiting times, its coded bodies."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aura_core.streams.address import header_value, web_address
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
    from aura_core.streams.events_answer import NotProtocol, sse_answer, words_as_error
    from aura_core.streams.prepared import PreparedPost
    from aura_core.streams.raw_client import RawClient
    from aura_core.streams.transport import certificates, http_client, request_error

__all__ = [
    "CAUSES",
    "AiohttpBody",
    "Cause",
    "Endpoint",
    "NdjsonReader",
    "NotEvents",
    "NotProtocol",
    "PreparedPost",
    "RawClient",
    "Read",
    "Reason",
    "RecordTooLong",
    "Scrub",
    "ServerSentEvent",
    "SseReader",
    "bad_response",
    "cause_of",
    "certificates",
    "count",
    "decoding",
    "error_body",
    "error_in",
    "failure",
    "header_value",
    "http_client",
    "loads",
    "parts",
    "read_reason",
    "request_error",
    "retry_after",
    "session",
    "sse_answer",
    "status_error",
    "upstream_id",
    "web_address",
    "whole_body",
    "words_as_error",
]


_LAZY = {
    "AiohttpBody": "aiohttp_body",
    "NotProtocol": "events_answer",
    "PreparedPost": "prepared",
    "RawClient": "raw_client",
    "certificates": "transport",
    "http_client": "transport",
    "request_error": "transport",
    "session": "connections",
    "sse_answer": "events_answer",
    "words_as_error": "events_answer",
}


def __getattr__(name: str) -> Any:
    """What needs aiohttp (the extra `aura-server[aiohttp]`) or httpx2 over it (`aura-server[sdk]`); others do not
    import it."""
    if name in _LAZY:
        return getattr(import_module(f"aura_core.streams.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
