"""A bound on interim answers (100 Continue): aiohttp reads any number, and a server that sends nothing else holds the
event loop for seconds."""

from typing import Any

from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

LIMIT = 16
"""Interim answers that may come before the answer; servers send one, or two."""
PIECE = 16 * 1024
"""Bytes that are parsed at once: of these, some 600 may be interim answers."""


class InterimLimit(ResponseHandler):
    """aiohttp's connection, which is closed, as what is no HTTP is, where more come."""

    _interim = 0

    def set_response_params(self, **params: Any) -> None:
        """Called by aiohttp with each request, before it is written."""
        self._interim = 0
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        if len(data) <= PIECE:
            super().data_received(data)
            return
        for start in range(0, len(data), PIECE):
            super().data_received(data[start : start + PIECE])
            if self.exception() is not None:
                return

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Called by aiohttp with the head of each answer that it has read, and its body."""
        if 100 <= data[0].code < 200:
            self._interim += 1
            if self._interim > LIMIT:
                if self.exception() is None:
                    self.set_exception(HttpProcessingError(message="too many interim answers"))
                    if self.transport is not None:
                        self.transport.close()
                return
        super().feed_data(data, size)
