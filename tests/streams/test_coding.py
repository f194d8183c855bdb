"""A body in a coding that was not requested is decoded, up to a size limit, or the error names its coding."""

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable

import brotli
import pytest

from aura_core import ProviderError
from aura_core.streams import coding, decoding

TEXT = b"".join(b'data: {"n":%d}\n\n' % number for number in range(20_000))


def reader(*chunks: bytes) -> Callable[[], Awaitable[bytes]]:
    left = list(chunks)

    async def read() -> bytes:
        return left.pop(0) if left else b""

    return read


def read_all(name: str, *chunks: bytes, limit: int = coding.DECODED_LIMIT) -> tuple[bytes, int]:
    """The decoded data, and its largest piece."""

    async def run() -> tuple[bytes, int]:
        read, whole, largest = decoding(reader(*chunks), name, "It", limit), b"", 0
        while piece := await read():
            whole += piece
            largest = max(largest, len(piece))
        return whole, largest

    return asyncio.run(run())


def deflate(data: bytes, bits: int) -> bytes:
    made = zlib.compressobj(wbits=bits)
    return made.compress(data) + made.flush()


CODED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT),
    "GZIP": gzip.compress(TEXT),
    "identity, gzip": gzip.compress(TEXT),
    "deflate": zlib.compress(TEXT),
    "deflate ": deflate(TEXT, -15),
}


@pytest.mark.parametrize("size", [1, 1000, 10**9])
@pytest.mark.parametrize("name", CODED)
def test_a_coded_body_is_read_in_pieces(name: str, size: int) -> None:
    coded = CODED[name]
    whole, largest = read_all(name, *(coded[at : at + size] for at in range(0, len(coded), size)))
    assert whole == TEXT
    assert largest <= 2 * coding.DECODED_PIECE


def test_several_gzip_members_and_padding_are_decoded() -> None:
    assert read_all("gzip", gzip.compress(b"data: 1\n\n"), gzip.compress(b"data: 2\n\n") + b"\0" * 9)[0] == (
        b"data: 1\n\ndata: 2\n\n"
    )


def test_each_flushed_piece_comes_at_once() -> None:
    made = zlib.compressobj(wbits=31)
    first = made.compress(b"data: 1\n\n") + made.flush(zlib.Z_SYNC_FLUSH)

    async def run() -> bytes:
        return await decoding(reader(first), "gzip", "It")()

    assert asyncio.run(run()) == b"data: 1\n\n"


@pytest.mark.parametrize("name", ["", "identity", "Identity", "identity,identity"])
def test_an_identity_body_is_passed_through(name: str) -> None:
    read = reader(b"x")
    assert decoding(read, name, "It") is read
    assert decoding(read, None, "It") is read


@pytest.mark.parametrize("body", [b'{"error":1}', b"data: x\n\n", b": ping\n\n", b"<html>"])
@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd", "compress"])
def test_a_plain_body_with_a_coding_header_is_read_as_plain(name: str, body: bytes) -> None:
    assert read_all(name, body, b"more")[0] == body + b"more"


@pytest.mark.parametrize(("name", "body"), [("gzip", b"\x1f\x8bnonsense"), ("deflate", b"\xff\xff\xff")])
def test_a_body_that_does_not_match_its_coding_is_a_bad_response(name: str, body: bytes) -> None:
    with pytest.raises(ProviderError, match=name) as caught:
        read_all(name, body)
    assert caught.value.code == "bad_response"


@pytest.mark.parametrize("name", ["compress", "gzip, br", "dcb", "aes128gcm"])
def test_a_coding_that_cannot_be_read_is_named(name: str) -> None:
    with pytest.raises(ProviderError, match=name) as caught:
        read_all(name, b"\x01\x02")
    assert caught.value.code == "bad_response"


@pytest.mark.parametrize("name", ["br", "zstd"])
def test_a_coding_without_a_decoder_at_hand_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coding, "_found", lambda *_: None)
    with pytest.raises(ProviderError, match=name):
        read_all(name, b"\x01\x02")


@pytest.mark.parametrize("name", ["gzip", "deflate"])
def test_a_decompression_bomb_is_a_bad_response_and_is_never_completely_in_memory(name: str) -> None:
    bomb = deflate(b"\n" * (8 * 2**20), 31 if name == "gzip" else 15)
    with pytest.raises(ProviderError, match="MiB") as caught:
        read_all(name, bomb, limit=2**20)
    assert caught.value.code == "bad_response"


def test_brotli_and_zstd_are_read_where_a_decoder_that_bounds_its_output_is_installed() -> None:
    zstd = coding._found("compression.zstd", "backports.zstd")
    for name, compress in (("br", brotli.compress), ("zstd", zstd.compress)):
        whole, largest = read_all(name, compress(TEXT))
        assert whole == TEXT
        assert largest <= 4 * coding.DECODED_PIECE
        with pytest.raises(ProviderError, match="MiB"):
            read_all(name, compress(b"\n" * (8 * 2**20)), limit=2**20)
        with pytest.raises(ProviderError, match=name):
            read_all(name, b"\x01nonsense" * 9)
