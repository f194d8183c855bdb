"""A provider's server that attacks: endless answers as fast as they are taken, and every fault that a seed picks.

It speaks Ollama's and OpenAI's protocol. The model's name says what comes: `short` five words; `tiny`, `endless` and
`wide` tokens of 5, 200 and 8192 characters for ever; `stall` one token and then nothing; `fault` what the number in the
prompt picks.
"""

import asyncio
import json
import random
import re
import sys
import zlib
from typing import Any

import uvloop

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECE = 16 * 1024
TOKENS = {"tiny": "word ", "endless": "x" * 200, "wide": "x" * 8192}


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Dialect:
    """How one of the protocols encodes a token, and the end."""

    def __init__(self, ollama: bool) -> None:
        self.ollama = ollama
        self.head = HEAD % (b"application/x-ndjson" if ollama else b"text/event-stream")

    def token(self, text: str) -> bytes:
        """One token, as a chunk."""
        if self.ollama:
            return _chunk(json.dumps({"message": {"role": "assistant", "content": text}}).encode() + b"\n")
        said = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}
        return _chunk(b"data: " + json.dumps(said).encode() + b"\n\n")

    def end(self) -> bytes:
        """The finish reason, and the end of the body."""
        if self.ollama:
            return _chunk(b'{"done":true,"done_reason":"stop","prompt_eval_count":1,"eval_count":5}\n') + b"0\r\n\r\n"
        said = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
        return _chunk(said) + b"0\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.transport.set_write_buffer_limits(high=PIECE)
        self.buffer = bytearray()
        self.room = asyncio.Event()
        self.room.set()
        self.task: asyncio.Task[None] | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.room.set()
        if self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        self.room.clear()

    def resume_writing(self) -> None:
        self.room.set()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, _ = bytes(self.buffer[:65536]).partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        whole = len(head) + 4 + int(length[1] if length else 0)
        if not separator or len(self.buffer) < whole:
            return
        body = bytes(self.buffer[len(head) + 4 : whole])
        self.buffer.clear()
        if not body:
            self.transport.write(b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"data":[]}')
            return
        dialect = Dialect(b"/api/chat" in head.partition(b"\r\n")[0])
        asked = json.loads(body)
        prompt = asked["messages"][-1]["content"]
        del body, data
        self.task = asyncio.ensure_future(self.answer(dialect, asked["model"], prompt[:100]))

    async def answer(self, dialect: Dialect, model: str, prompt: str) -> None:
        """Send what the model's name specifies."""
        write = self.transport.write
        if model == "fault":
            await self.fail(dialect, random.Random(int(prompt)))
            return
        write(dialect.head)
        if model == "short":
            write(b"".join(dialect.token(f"word{number} ") for number in range(5)) + dialect.end())
        elif model == "stall":
            write(dialect.token("word "))
        else:
            token = dialect.token(TOKENS[model])
            piece = token * max(1, PIECE // len(token))
            while not self.transport.is_closing():
                await self.room.wait()
                write(piece)

    async def fail(self, dialect: Dialect, dice: random.Random) -> None:
        """Some tokens, unless the head is already invalid; then a fault."""
        write, fault = self.transport.write, dice.choice(FAULTS)
        good = b"".join(dialect.token(f"word{number} ") for number in range(dice.randrange(4)))
        if fault == "no head":
            pass
        elif fault == "garbage":
            write(dice.randbytes(dice.randrange(1, 5000)))
        elif fault == "interim answers":
            write(b"HTTP/1.1 100 Continue\r\n\r\n" * dice.choice([3, 50, 20_000]))
        elif fault == "a status":
            status, body = dice.choice([400, 401, 404, 429, 500, 503, 529]), dice.randbytes(dice.randrange(2000))
            write(b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
        elif fault == "a redirect":
            write(b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
        elif fault == "a bomb":
            bomb = zlib.compress(b"\0" * 80_000_000)
            write(b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: %d\r\n\r\n%b" % (len(bomb), bomb))
        elif fault == "a long line":
            write(dialect.head + good)
            for _ in range(150):
                await self.room.wait()
                write(_chunk(b"x" * 65536))
        elif fault == "flipped bits":
            whole = bytearray(dialect.head + good + dialect.token("word ") + dialect.end())
            for _ in range(dice.randrange(1, 10)):
                whole[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
            write(bytes(whole))
        elif fault == "cut":
            whole = dialect.head + good + dialect.token("word ") + dialect.end()
            write(whole[: dice.randrange(len(whole))])
        elif fault == "two answers":
            write(2 * (dialect.head + good + dialect.end()))
        elif fault == "byte by byte":
            for byte in dialect.head + good + dialect.end():
                write(bytes([byte]))
                await asyncio.sleep(0)
        await asyncio.sleep(dice.random() / 20)
        if dice.random() < 0.5:
            self.transport.abort()
        else:
            self.transport.close()


FAULTS = [
    "no head",
    "garbage",
    "interim answers",
    "a status",
    "a redirect",
    "a bomb",
    "a long line",
    "flipped bits",
    "cut",
    "two answers",
    "byte by byte",
]


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    sys.set_int_max_str_digits(0)
    uvloop.run(_serve())
