"""Decode a body that came with a Content-Encoding although none was requested, with a limit on the decoded size."""

import asyncio
import importlib
import zlib
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aura_core.errors import ProviderError
from aura_core.limits import DECODED_LIMIT, DECODED_PIECE

Read = Callable[[], Awaitable[bytes]]

_GZIP = 16 + zlib.MAX_WBITS
_PLAIN = (b"data:", b"event:", b"id:", b"retry:", b": ", b'{"', b"[{", b"<!", b"<h", b"<H")


class _Decoder(Protocol):
    error: type[Exception]
    """The exception that `feed` raises for data that is not in the coding."""

    def feed(self, data: bytes) -> bytes:
        """At most DECODED_PIECE decoded bytes of `data` and of the input left over from the last call."""

    @property
    def more(self) -> bool:
        """Whether `feed(b"")` may give more."""


class _Zlib:
    """gzip (also of several members), and deflate with or without zlib's header."""

    error: type[Exception] = zlib.error

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._inner = zlib.decompressobj(bits)
        self._left = b""
        self._seen = b""  # the first two bytes, until something was decoded: the header may be missing
        self._full = False

    def feed(self, data: bytes) -> bytes:
        data = self._left + data
        if self._inner.eof and data:
            if self._bits != _GZIP or not data.startswith(b"\x1f\x8b"):
                self._left, self._full = b"", False  # padding
                return b""
            self._inner = zlib.decompressobj(self._bits)
        try:
            out = self._inner.decompress(data, DECODED_PIECE)
        except zlib.error:
            if self._bits != zlib.MAX_WBITS or len(self._seen) > 1:
                raise
            self._bits = -zlib.MAX_WBITS
            self._inner = zlib.decompressobj(self._bits)
            out = self._inner.decompress(self._seen + data, DECODED_PIECE)
        if len(self._seen) < 2:
            self._seen += data[:2]
        self._left = self._inner.unconsumed_tail or self._inner.unused_data
        self._full = len(out) == DECODED_PIECE
        return out

    @property
    def more(self) -> bool:
        return bool(self._left) or self._full


class _Bounded:
    """A decoder of brotli (1.2 and later) or of zstd (Python 3.14, backports.zstd), which bound their output."""

    def __init__(self, step: Callable[[bytes], bytes], error: type[Exception]) -> None:
        self._step = step
        self.error = error
        self._full = False

    def feed(self, data: bytes) -> bytes:
        out = self._step(data)
        self._full = bool(out)
        return out

    @property
    def more(self) -> bool:
        return self._full


def _brotli() -> _Decoder | None:
    module = _found("brotli", "brotlicffi")
    inner = module.Decompressor() if module is not None else None
    if not hasattr(inner, "can_accept_more_data"):  # older versions do not limit their output
        return None
    return _Bounded(lambda data: bytes(inner.process(data, output_buffer_limit=DECODED_PIECE)), module.error)  # type: ignore[union-attr]


def _zstd() -> _Decoder | None:
    module = _found("compression.zstd", "backports.zstd")
    if module is None:
        return None
    inner = module.ZstdDecompressor()
    return _Bounded(
        lambda data: b"" if inner.eof else bytes(inner.decompress(data, max_length=DECODED_PIECE)), module.ZstdError
    )


def _found(*names: str) -> Any:
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


_DECODERS: dict[str, Callable[[], _Decoder | None]] = {
    "gzip": lambda: _Zlib(_GZIP),
    "x-gzip": lambda: _Zlib(_GZIP),
    "deflate": lambda: _Zlib(zlib.MAX_WBITS),
    "br": _brotli,
    "zstd": _zstd,
}


def decoding(read: Read, coding: str | None, server: str, out_limit: int = DECODED_LIMIT) -> Read:
    """`read` itself, or a reader of the decoded body if `coding` names a Content-Encoding; both give b"" at the end.

    The reader raises ProviderError `bad_response` for a coding that is not supported, for a body that is not in it, and
    for one that decodes to more than `out_limit` bytes. A body that is plain in spite of its header is read as it is.
    """
    if not coding:
        return read
    names = [name for name in coding.lower().replace(" ", "").split(",") if name not in ("", "identity")]
    if not names:
        return read
    return _Coded(read, names, server, out_limit).read


class _Coded:
    def __init__(self, read: Read, names: list[str], server: str, out_limit: int) -> None:
        self._read = read
        self._coding = ", ".join(names)[:40]
        self._server = server
        self._limit = out_limit
        self._out = 0
        made = _DECODERS[names[0]]() if len(names) == 1 and names[0] in _DECODERS else None
        self._decoder = made
        self._begin = True
        self._plain = False

    async def read(self) -> bytes:
        while True:
            if self._decoder is not None and not self._begin and not self._plain and self._decoder.more:
                await asyncio.sleep(0)  # let other tasks run between the pieces of a large body
                out = self._decoded(b"")
            else:
                data = await self._read()
                if not data:
                    return b""
                if self._begin:
                    self._begin = False
                    self._plain = data.startswith(_PLAIN)
                if self._plain:
                    return data
                out = self._decoded(data)
            if out:
                return out

    def _decoded(self, data: bytes) -> bytes:
        if self._decoder is None:
            raise ProviderError(
                f"{self._server} sent its answer in the coding {self._coding!r}, although none was asked for; switch"
                " the compression off there, or in the proxy before it.",
                "bad_response",
            )
        try:
            out = self._decoder.feed(data)
        except self._decoder.error as exc:
            raise ProviderError(
                f"{self._server} sent an answer that is not in the coding {self._coding!r}, which it names.",
                "bad_response",
            ) from exc
        self._out += len(out)
        if self._out > self._limit:
            raise ProviderError(
                f"{self._server} sent a coded answer ({self._coding}) that becomes more than"
                f" {self._limit // 2**20} MiB.",
                "bad_response",
            )
        return out
