"""Read a model server, for provider plugins: its events and lines, its errors, its waiting times, its coded bodies."""

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

__all__ = [
    "CAUSES",
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
    "status_error",
    "upstream_id",
    "whole_body",
]
