"""What is tried against a server. Each attack gives a figure: what was tried, what became of it, what the server took.

An attack fails, with an AssertionError, when the server ends, logs a fault of its own, keeps anything, or when a client
that behaves well is not served meanwhile.
"""

import asyncio
import contextlib
import json
import random
import re
import resource
import socket
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from siege import Siege, Witness, request

AT_ONCE = 100
"""Connections that are opened at the same time: the others wait for the server to accept these."""
BODY = 4 * 1000 * 1000  # bytes; below max_body
SETTLE = 2.0  # seconds for which an attack is held


class Figure(NamedTuple):
    """A row of the table in docs/security-testing.md, with memory in MiB and times in seconds."""

    attack: str
    tried: str
    outcome: str
    peak: int
    served: int
    median: float
    slowest: float


class Attacker(asyncio.Protocol):
    """A connection that sends the given data, and reads only on request."""

    def __init__(self, data: bytes, reads: bool) -> None:
        self.transport: Any = None
        self.got = bytearray()
        self.closed = asyncio.get_running_loop().create_future()
        self._left = memoryview(data)
        self._reads = reads

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        if not self._reads:
            self.transport.pause_reading()
        self.resume_writing()

    def resume_writing(self) -> None:
        """Send the next pieces."""
        self._room = True
        while self._left and self._room and not self.transport.is_closing():
            piece, self._left = self._left[:65536], self._left[65536:]
            self.transport.write(piece)

    def pause_writing(self) -> None:
        self._room = False

    def data_received(self, data: bytes) -> None:
        self.got += data
        self._left = self._left[:0]  # a response before the end of the request: it was refused

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    @property
    def status(self) -> str:
        """The status of the response, and the code of a refusal; "held" while there is none."""
        if not self.got:
            return "dropped" if self.closed.done() else "held"
        code = re.search(rb'"code": ?"(\w+)"', self.got)
        return bytes(self.got[9:12]).decode() + (f" {code[1].decode()}" if code else "")


@contextlib.asynccontextmanager
async def attackers(aura: Siege, count: int, data: bytes, reads: bool) -> AsyncIterator[list[Attacker]]:
    """Open this many connections, each of which sends `data`; drop them at the end."""
    room, loop = asyncio.Semaphore(AT_ONCE), asyncio.get_running_loop()

    async def attack() -> Attacker:
        async with room:
            sock = socket.socket()
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # the kernel takes little for a client
            await loop.sock_connect(sock, ("127.0.0.1", aura.port))
            _, attacker = await loop.create_connection(lambda: Attacker(data, reads), sock=sock)
            return attacker

    opened = await asyncio.gather(*(attack() for _ in range(count)))
    try:
        yield opened
    finally:
        for attacker in opened:
            if not attacker.closed.done():
                attacker.transport.abort()
        await asyncio.gather(*(attacker.closed for attacker in opened))


def counted(clients: list[Attacker]) -> str:
    """The number of connections for each response."""
    found = Counter(client.status for client in clients)
    return ", ".join(f"{count:,} {status}" for status, count in found.most_common())


async def settled(aura: Siege, figure: Figure, witness: Witness) -> Figure:
    """Check that the attack leaked nothing, and that a client was served during it."""
    await aura.at_rest()
    faults = aura.faults()
    assert not faults, faults[0]
    assert not witness.wrong, witness.wrong[0]
    assert witness.first_token, "nobody was served"
    return figure


# Clients that do not read


async def never_read(aura: Siege, count: int, agent: str) -> Figure:
    """Request endless answers from an upstream that sends as fast as it can, and read nothing."""
    aura.forget_peak()
    question = request(agent, b'{"prompt":"hello"}')
    async with attackers(aura, count, question, reads=False), aura.witness("ollama-short") as witness:
        held = await aura.until("aura_active_streams", count)
        await asyncio.sleep(SETTLE)
        await aura.until("aura_buffered_bytes", 2**40, 20)  # until it no longer rises
        buffered = await aura.figure("aura_buffered_bytes")
    assert held >= count, f"only {held:.0f} of {count} answers began"
    return await settled(
        aura,
        Figure(
            f"clients that never read, `{agent}`",
            f"{count:,} answers",
            f"{count:,} held, {buffered / 2**20:.0f} MiB counted",
            aura.peak(),
            len(witness.first_token),
            witness.median(),
            witness.slowest(),
        ),
        witness,
    )


async def unread_answers(aura: Siege, count: int, route: str) -> Figure:
    """Let `echo` repeat a megabyte as one token, and do not read it."""
    aura.forget_peak()
    question = request("says", json.dumps({"prompt": "x" * 1_000_000}).encode(), route)
    async with attackers(aura, count, question, reads=False) as opened, aura.witness("says") as witness:
        await asyncio.sleep(2 * SETTLE)
        await aura.until("aura_buffered_bytes", 2**40, 20)
        peak = aura.peak()
        for attacker in opened:
            attacker.transport.resume_reading()
        await asyncio.wait([attacker.closed for attacker in opened], timeout=3 * SETTLE)
        outcome = counted(opened)
    return await settled(
        aura,
        Figure(
            f"a token of a megabyte, unread, `{route}`",
            f"{count:,} answers",
            outcome,
            peak,
            len(witness.first_token),
            witness.median(),
            witness.slowest(),
        ),
        witness,
    )


# Requests that do not end


async def unfinished_bodies(aura: Siege, count: int) -> Figure:
    """Send four megabytes less a byte."""
    aura.forget_peak()
    data = request("says", b'{"prompt":"' + b"x" * BODY, length=BODY + 13)
    async with attackers(aura, count, data, reads=True) as opened, aura.witness("says") as witness:
        await asyncio.sleep(2 * SETTLE)
        await aura.until("aura_buffered_bytes", 2**40, 10)
        outcome, refused = counted(opened), [each for each in opened if each.got]
        buffered = await aura.figure("aura_buffered_bytes")
    assert all(each.status == "503 too_many_streams" for each in refused), outcome
    assert all(b"retry-after: 1\r\n" in each.got.lower() for each in refused)
    return await settled(
        aura,
        Figure(
            "bodies that do not end",
            f"{count:,} of 4 MB",
            f"{outcome}; {buffered / 2**20:.0f} MiB counted",
            aura.peak(),
            len(witness.first_token),
            witness.median(),
            witness.slowest(),
        ),
        witness,
    )


async def unfinished_heads(aura: Siege, count: int) -> Figure:
    """Send 60 KiB of headers that do not end."""
    aura.forget_peak()
    data = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"x" * 60 * 1024
    async with attackers(aura, count, data, reads=True) as opened, aura.witness("says") as witness:
        await asyncio.sleep(SETTLE)
        outcome = counted(opened)
        buffered = await aura.figure("aura_buffered_bytes")
    return await settled(
        aura,
        Figure(
            "headers that do not end",
            f"{count:,} of 60 KiB",
            f"{outcome}; {buffered / 2**20:.0f} MiB counted",
            aura.peak(),
            len(witness.first_token),
            witness.median(),
            witness.slowest(),
        ),
        witness,
    )


async def idle_connections(aura: Siege, count: int) -> Figure:
    """Connect, and send nothing."""
    aura.forget_peak()
    async with attackers(aura, count, b"", reads=True) as opened, aura.witness("says") as witness:
        await asyncio.sleep(SETTLE)
        outcome = counted(opened)
    return await settled(
        aura,
        Figure(
            "idle connections",
            f"{count:,} connections",
            outcome,
            aura.peak(),
            len(witness.first_token),
            witness.median(),
            witness.slowest(),
        ),
        witness,
    )


async def long_prompts(aura: Siege, count: int, agent: str) -> Figure:
    """Send prompts of four megabytes, the last character of which takes four bytes, to a model that stalls."""
    aura.forget_peak()
    data = request(agent, b'{"prompt":"' + b"x" * BODY + "😀".encode() + b'"}')
    async with attackers(aura, count, data, reads=True) as opened, aura.witness("says") as witness:
        await asyncio.sleep(3 * SETTLE)
        outcome = counted(opened)
    return await settled(
        aura,
        Figure(
            f"long prompts, `{agent}`",
            f"{count:,} of 4 MB with an emoji",
            outcome,
            aura.peak(),
            len(witness.first_token),
            witness.median(),
            witness.slowest(),
        ),
        witness,
    )


# Invalid requests

STRANGE = [b"\0", b"\xff", b"\r\n", b"\r\n\r\n", b'"', b"{", b"[" * 200, b"\\ud800", b"-", b"1e999", b"0\r\n\r\n", b":"]
ALLOWED = {"200", "400", "401", "403", "404", "405", "408", "413", "415", "421", "422", "431", "502", "503"}


def strange_request(dice: random.Random) -> bytes:
    """A question with some bytes changed, in its body or anywhere."""
    turns = [{"role": "user", "content": "a😀"}, {"role": "assistant", "content": "b"}]
    body = json.dumps({"prompt": "hello", "conversationHistory": turns, "additionalContext": "c"}).encode()
    anywhere = dice.random() < 0.3
    route = dice.choice(["chat", "chat/stream"])
    text = bytearray(request("says", body, route, b"Connection: close\r\n") if anywhere else body)
    for _ in range(dice.randrange(1, 6)):
        start = dice.randrange(len(text) + 1)
        what = dice.randrange(4)
        if what == 0:
            text[start:start] = dice.choice(STRANGE)
        elif what == 1:
            del text[start : start + dice.randrange(20)]
        elif what == 2:
            text[start : start + 1] = dice.randbytes(1)
        else:
            text[start:start] = text[dice.randrange(len(text) + 1) :][: dice.randrange(60)]
    return bytes(text) if anywhere else request("says", bytes(text), route, b"Connection: close\r\n")


async def strange_requests(aura: Siege, count: int, seed: int = 0) -> Figure:
    """Send almost valid requests."""
    aura.forget_peak()
    statuses: Counter[str] = Counter()
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            data = strange_request(random.Random(seed + number))
            reader, writer = await asyncio.open_connection("127.0.0.1", aura.port)
            writer.write(data)
            text = b""
            with contextlib.suppress(TimeoutError, ConnectionError):  # a request that does not end is not answered
                text = await asyncio.wait_for(reader.read(), 0.5)
            writer.transport.abort()
            status = text[9:12].decode() or "no answer"
            assert status in ALLOWED or not text, f"request {seed + number}: {text[:200]!r}"
            statuses[status] += 1

    async with aura.witness("says") as witness:
        await asyncio.gather(*(work() for _ in range(20)))
    return await settled(
        aura,
        Figure(
            "requests that are nearly valid",
            f"{count:,} requests",
            ", ".join(f"{number:,} {status}" for status, number in statuses.most_common()),
            aura.peak(),
            len(witness.first_token),
            witness.median(),
            witness.slowest(),
        ),
        witness,
    )


async def upstream_faults(aura: Siege, count: int, provider: str, seed: int = 0) -> Figure:
    """Use a provider's server that fails in every known way."""
    aura.forget_peak()
    codes: Counter[str] = Counter()
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            _, text = await asyncio.wait_for(aura.ask(f"{provider}-fault", str(seed + number)), 60)
            ends = re.findall(rb"^event: (?:done|error)\ndata: (.*)\n\n", text, re.MULTILINE)
            # Exactly one terminal event, and nothing behind it but the end of the body.
            assert len(ends) == 1, f"fault {seed + number}: {text!r}"
            assert text.endswith(ends[0] + b"\n\n\r\n0\r\n\r\n"), f"fault {seed + number}: {text!r}"
            code = re.search(rb'"code": "(\w+)"', ends[0])
            codes[code[1].decode() if code else "done"] += 1

    async with aura.witness(f"{provider}-short") as witness:
        await asyncio.gather(*(work() for _ in range(20)))
    return await settled(
        aura,
        Figure(
            f"faults of a provider's server, `{provider}`",
            f"{count:,} faults",
            ", ".join(f"{number:,} {code}" for code, number in codes.most_common()),
            aura.peak(),
            len(witness.first_token),
            witness.median(),
            witness.slowest(),
        ),
        witness,
    )


# Little memory


async def all_at_once(aura: Siege, count: int) -> Figure:
    """Clients that never read, unfinished bodies, long prompts and unread answers, all at the same time."""
    aura.forget_peak()
    kinds: list[tuple[str, bytes, bool]] = [
        ("never read", request("ollama-wide", b'{"prompt":"hello"}'), False),
        ("never read", request("openai-endless", b'{"prompt":"hello"}'), False),
        ("unfinished", request("says", b'{"prompt":"' + b"x" * BODY, length=BODY + 13), True),
        ("long", request("ollama-stall", b'{"prompt":"' + b"x" * BODY + "😀".encode() + b'"}'), True),
        ("unread", request("says", json.dumps({"prompt": "x" * 1_000_000}).encode(), "chat"), False),
        ("halves", request("says", rb'{"prompt":"\ud800' + rb"\\" * 2_000_000 + b'"}', "chat"), True),
    ]
    async with contextlib.AsyncExitStack() as stack:
        several = [
            await stack.enter_async_context(attackers(aura, count // len(kinds), data, reads))
            for _, data, reads in kinds
        ]
        await asyncio.sleep(3 * SETTLE)
        outcome = counted([client for clients in several for client in clients if client.got or client.closed.done()])
    # During the attack others are served only if memory is left; afterwards they are served as usual.
    await aura.at_rest()
    async with aura.witness("ollama-short") as witness:
        await asyncio.sleep(SETTLE)
    return await settled(
        aura,
        Figure(
            "all of these at once",
            f"{count:,} connections",
            outcome or "all held",
            aura.peak(),
            len(witness.first_token),
            witness.median(),
            witness.slowest(),
        ),
        witness,
    )


def more_descriptors() -> None:
    """Let this process, and those that it starts, open as many connections as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
