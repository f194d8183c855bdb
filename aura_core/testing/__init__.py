"""What tests of Aura and of its plugins run against: a scripted upstream, a real server, and the conformance kit."""

from aura_core.testing.conformance import KEY, Failure, Transcript
from aura_core.testing.dialects import NDJSON, SSE, Dialect
from aura_core.testing.door_conformance import Dialog, Heard
from aura_core.testing.runner import Check, Conformance, DoorConformance
from aura_core.testing.server import AuraServer
from aura_core.testing.sse import SseEvent, events
from aura_core.testing.upstream import Reply, Request, Upstream, split_at

__all__ = [
    "KEY",
    "NDJSON",
    "SSE",
    "AuraServer",
    "Check",
    "Conformance",
    "Dialect",
    "Dialog",
    "DoorConformance",
    "Failure",
    "Heard",
    "Reply",
    "Request",
    "SseEvent",
    "Transcript",
    "Upstream",
    "events",
    "split_at",
]
