"""Faulty providers: a correct one, aura_acme, with one mistake each, and the check that must detect it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from aura_core.testing.checks import DOOR_PROMISES, PROMISES

AT_ONCE = 6
"""How many kits run at the same time: they mostly wait."""
LIMIT = 900
"""Seconds for all checks of one mutant; on a busy machine they take minutes."""


class Mutant(NamedTuple):
    """One mistake: replacements in the module's text."""

    mistake: str
    caught_by: str
    edits: list[tuple[str, str]]


def edited(source: str, mutant: Mutant | None) -> str:
    """The module's text with the mistake."""
    for old, new in mutant.edits if mutant else []:
        assert source.count(old) == 1, f"{source.count(old)} times: {old}"
        source = source.replace(old, new)
    return source


def broken_promises(
    folder: Path, group: str, only: Iterable[str] = (), name: str = "acme", environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The broken promises of the module aura_NAME in this folder, as reported by `aura test-plugin` in a subprocess.

    `group` is the entry-point group of its description. `only` are the promises to look at, by default all.
    """
    info = folder / f"aura_{name}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: aura-{name}\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(
        f"[aura]\n{name} = aura_{name}\n[{group}]\n{name} = aura_{name}.conformance:conformance\n"
    )
    command = [sys.executable, "-m", "aura_core", "test-plugin", name, "--json"]
    command += [word for promise in only for word in ("--only", promise)]
    environ = {**environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.stdout, done.stderr
    checks = json.loads(done.stdout)["checks"]
    assert [each["name"] for each in checks] == list(
        only or (PROMISES if group == "aura.conformance" else DOOR_PROMISES)
    )
    broken = {each["name"]: each["detail"] for each in checks if each["status"] == "failed"}
    assert done.returncode == (1 if broken else 0)
    return broken


def sample(mutants: Sequence[Any], every: int, names: Sequence[str]) -> list[Any]:
    """All mutants as parameters of a test, of which only every `every`-th is tried outside of `just mutants`."""
    return [
        pytest.param(mutant, id=name.replace(" ", "-"), marks=() if number % every == 0 else (pytest.mark.mutants,))
        for number, (mutant, name) in enumerate(zip(mutants, names, strict=True))
    ]


LOOP = """\
                async for data in found:
                    yield token(data)
"""
TOKEN = "    return Token(event.text, event.thinking, event.finish, counted(event.usage))\n"
STREAM = 'async with client.stream("POST", "/chat", content=content, headers=request.headers) as response:\n'
KEY = '            headers["authorization"] = f"Bearer {key}"\n'
REFUSED = "            if response.status_code != 200:\n"
FED = "        for event in reader.feed(chunk):\n"
BURST = "        fed = reader.feed(chunk)\n        time.sleep(3 if len(fed) > 1000 else 0)\n        for event in fed:\n"
ALL_AT_ONCE = "                for data in [data async for data in found]:\n                    yield token(data)\n"
HINT = 'f"Acme refused access; {hint}."'
OWN_SECRET = 'secret(settings, "api_key")'
OWN_KEY = 'extra={"own_default": "ACME_API_KEY"})\n    ] = '
OVER_AIOHTTP = [
    ("        async with httpx.AsyncClient(\n", "        async with OverAiohttp(\n"),
    (
        "def body(",
        """\
class OverAiohttp:
    def __init__(self, base_url, headers, timeout, **_):
        import ssl

        import aiohttp
        from aiohttp.client_proto import ResponseHandler
        from aura_core.streams.connections import Connection, session

        self.base_url = base_url
        limits = aiohttp.ClientTimeout(None, sock_connect=timeout.connect)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.session = session(context, headers=headers, timeout=limits)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.session.close()

    @asynccontextmanager
    async def stream(self, method, path, content, headers):
        import aiohttp
        import httpx

        try:
            async with self.session.request(
                method, self.base_url + path, data=content, headers=headers, allow_redirects=False
            ) as response:
                response.status_code = response.status
                response.aiter_raw = response.content.iter_any
                yield response
        except aiohttp.ClientError as exc:
            raise httpx.TransportError(type(exc).__name__) from exc


def body(""",
    ),
]
API_KEY_FILE = (
    '    api_key_file: Annotated[str, Meta(description="file that holds the API key;'
    ' it goes before api_key_env")] = ""\n'
)
CONTEXT = "        context = ssl."
ASYNCIO = ("import re\n", "import asyncio\nimport os\nimport re\nimport time\n")

MUTANTS = [
    Mutant(
        "holds the request against a cancel",
        "cancel-before",
        [
            ASYNCIO,
            (
                STREAM,
                'question = client.build_request("POST", "/chat", content=content, headers=request.headers)\n'
                "        sending = asyncio.ensure_future(client.send(question, stream=True))\n"
                "        async with aclosing(await asyncio.shield(sending)) as response:\n",
            ),
        ],
    ),
    Mutant(
        "swallows the cancel",
        "cancel-after",
        [
            ASYNCIO,
            (
                LOOP,
                """\
                said = False
                try:
                    async for data in found:
                        yield token(data)
                        said = True
                except asyncio.CancelledError:
                    if not said:
                        raise
                    await asyncio.sleep(600)
""",
            ),
        ],
    ),
    Mutant(
        "says twice that it is done",
        "finish",
        [
            (
                LOOP,
                LOOP
                + "                    if token(data).finish_reason:\n"
                + "                        yield Token(finish_reason=token(data).finish_reason)\n",
            )
        ],
    ),
    Mutant(
        "calls every end a stop",
        "finish",
        [(TOKEN, TOKEN.replace("event.finish,", '"stop" if event.finish else None,'))],
    ),
    Mutant(
        "loses the last token",
        "text",
        [(TOKEN, TOKEN.replace("event.text,", '"" if event.finish else event.text,'))],
    ),
    Mutant("trims white space", "text", [(TOKEN, TOKEN.replace("event.text", "event.text.strip()"))]),
    Mutant(
        "splits lines at U+2028",
        "text",
        [
            ("reader.feed(chunk)", 'reader.feed(chunk.replace("\u2028".encode(), b"\\n"))'),
        ],
    ),
    Mutant(
        "cuts tokens into characters",
        "tokens",
        [
            (
                LOOP,
                """\
                async for data in found:
                    one = token(data)
                    for character in one.content if len(one.content) < 100 else [one.content]:
                        yield Token(character)
                    yield Token("", one.reasoning, one.finish_reason, one.usage)
""",
            )
        ],
    ),
    Mutant(
        "decodes each read by itself",
        "utf8",
        [("reader.feed(chunk)", "reader.feed(chunk.decode(errors='replace').encode())")],
    ),
    Mutant(
        "wants a space after the colon",
        "framing",
        [("reader.feed(chunk)", """reader.feed(chunk.replace(b'data:{"text"', b'datum:{"text"'))""")],
    ),
    Mutant(
        "accepts what it does not decode",
        "encoding",
        [(', "accept-encoding": "identity"}', "}")],
    ),
    Mutant(
        "thinks aloud",
        "reasoning",
        [(TOKEN, TOKEN.replace("event.text, event.thinking", 'event.thinking + event.text, ""'))],
    ),
    Mutant(
        "invents usage",
        "usage",
        [
            (
                TOKEN,
                TOKEN.replace(
                    "counted(event.usage)", "counted(event.usage) or (Usage(1, 1) if event.finish else None)"
                ),
            )
        ],
    ),
    Mutant(
        "demands that what it does not need is right",
        "side-fields",
        [("    usage: Any = None", "    usage: Usage | None = None")],
    ),
    Mutant(
        "refuses what it does not know",
        "side-fields",
        [("class Event(msgspec.Struct):", "class Event(msgspec.Struct, forbid_unknown_fields=True):")],
    ),
    Mutant(
        "takes a word that it does not know for an end",
        "failing-finish",
        [(TOKEN, TOKEN.replace("event.finish,", 'event.finish if event.finish in (None, "length") else "stop",'))],
    ),
    Mutant(
        "reads a coded answer as it comes",
        "coded",
        [('if (coding := response.headers.get("content-encoding", "identity")) != "identity":', 'if coding := "":')],
    ),
    Mutant(
        "hides an error as text",
        "errors",
        [
            (
                'raise ProviderError("Acme failed in the middle of the answer.", "llm_error")',
                'return Token(f"[error: {event.error}]", finish_reason="stop")',
            )
        ],
    ),
    Mutant("takes a refused key for a bad request", "errors", [(f'{HINT}, "auth"', f'{HINT}, "bad_request"')]),
    Mutant("has a code of its own", "errors", [('"rate_limited", wait)', '"rate_limit", wait)')]),
    Mutant(
        "has a word of its own for the end",
        "finish",
        [(TOKEN, TOKEN.replace("event.finish,", '"fine" if event.finish == "stop" else event.finish,'))],
    ),
    Mutant("forgets when to come back", "errors", [('"rate_limited", wait)', '"rate_limited")')]),
    Mutant(
        "takes a closed connection for an empty answer",
        "dropped",
        [
            (
                "    except httpx.TransportError:\n        if not answered:",
                "    except httpx.TransportError as exc:\n        if isinstance(exc, httpx.ConnectError):",
            )
        ],
    ),
    Mutant(
        "asks again where a new connection ended",
        "dropped",
        [
            (
                "    except httpx.TransportError:\n",
                "    except httpx.TransportError:\n        try:\n            if not answered:\n"
                '                await client.post("/chat", content=msgspec.json.encode(body(request)))\n'
                "        except httpx.TransportError:\n            pass\n",
            )
        ],
    ),
    Mutant(
        "ends silently on truncation",
        "truncation",
        [
            (
                LOOP,
                """\
                finished = False
                async for data in found:
                    yield token(data)
                    finished = finished or b'"finish"' in data
                if not finished:
                    yield Token(finish_reason="stop")
""",
            )
        ],
    ),
    Mutant(
        "reads on where the framing broke, as aiohttp does",
        "truncation",
        [*OVER_AIOHTTP, (CONTEXT, "        Connection.set_exception = ResponseHandler.set_exception\n" + CONTEXT)],
    ),
    Mutant(
        "takes what comes unasked for the next answer, as httpx does",
        "unasked",
        [(", max_keepalive_connections=0", "")],
    ),
    Mutant(
        "takes what comes unasked for the next answer, as aiohttp does",
        "unasked",
        [*OVER_AIOHTTP, (CONTEXT, "        Connection.data_received = ResponseHandler.data_received\n" + CONTEXT)],
    ),
    Mutant("takes a line without an end", "bounds", [('SseReader("Acme")', 'SseReader("Acme", 2**40)')]),
    Mutant(
        "waits for the whole answer",
        "stall",
        [(LOOP, ALL_AT_ONCE)],
    ),
    Mutant(
        "asks again by itself",
        "retries",
        [
            (
                REFUSED,
                "            if response.status_code == 503:\n"
                '                await client.post("/chat", content=msgspec.json.encode(body(request)))\n' + REFUSED,
            )
        ],
    ),
    Mutant(
        "starves the loop",
        "loop",
        [ASYNCIO, (FED, BURST)],
    ),
    Mutant(
        "reads without await",
        "loop",
        [
            ASYNCIO,
            (
                STREAM,
                "async with aclosing(Blocking(client, content, request.headers)) as response:\n",
            ),
            (
                "def body(",
                """\
class Blocking:
    def __init__(self, client, content, headers):
        import httpx
        self.client = httpx.Client(base_url=client.base_url, headers={**client.headers, **headers}, trust_env=False)
        self.response = self.client.send(self.client.build_request("POST", "/chat", content=content), stream=True)
        self.status_code, self.headers = self.response.status_code, self.response.headers

    async def aiter_raw(self):
        for chunk in self.response.iter_raw():
            yield chunk

    async def aclose(self):
        self.client.close()


def body(""",
            ),
        ],
    ),
    Mutant(
        "never closes its client",
        "cleanup",
        [
            *OVER_AIOHTTP,
            ("        await self.session.close()\n", "        KEPT.append(self.session)\n"),
            ("class Event(", "KEPT = []\n\n\nclass Event("),
        ],
    ),
    Mutant(
        "limits its pool",
        "concurrency",
        [("limits=httpx.Limits(max_connections=None", "limits=httpx.Limits(max_connections=100")],
    ),
    Mutant(
        "leaks a part of the key",
        "secrets",
        [
            (
                REFUSED,
                "            if response.status_code == 401 and b'<' not in (said := await response.aread()):\n"
                '                raise ProviderError(f"Acme refused access: {said.decode()}", "auth")\n' + REFUSED,
            )
        ],
    ),
    Mutant(
        "leaks a part of the key that a failing server tells",
        "secrets",
        [
            (
                REFUSED,
                "            if response.status_code == 500 and b'<' not in (said := await response.aread()):\n"
                '                raise ProviderError(f"Acme failed: {said.decode()}")\n' + REFUSED,
            )
        ],
    ),
    Mutant(
        "logs its key for information",
        "secrets",
        [
            ("import re\n", "import logging\nimport re\n"),
            (KEY, KEY + '            logging.getLogger("aura.acme").info("the key is %s", key)\n'),
        ],
    ),
    Mutant("follows a redirect", "hosts", [("follow_redirects=False", "follow_redirects=True")]),
    Mutant("follows a redirect, as aiohttp does", "hosts", [*OVER_AIOHTTP, (", allow_redirects=False", "")]),
    Mutant("goes through any proxy", "hosts", [("trust_env=False", "trust_env=True")]),
    Mutant(
        "sends its key to every server",
        "hosts",
        [ASYNCIO, (OWN_SECRET, OWN_SECRET + ' or os.environ.get("ACME_API_KEY", "")')],
    ),
    Mutant("forgets the headers of the request", "headers", [(", headers=request.headers", "")]),
    Mutant(
        "sends the headers of earlier requests, too",
        "headers",
        [
            (", headers=request.headers", ", headers=KEPT.update(request.headers) or dict(KEPT)"),
            ("class Event(", "KEPT = {}\n\n\nclass Event("),
        ],
    ),
    Mutant(
        "reads its key from a variable only",
        "secret-files",
        [ASYNCIO, (OWN_SECRET, 'os.environ.get(settings.api_key_env or " ", "").strip()')],
    ),
    Mutant("has no file for its key", "settings", [(API_KEY_FILE, "")]),
    Mutant(
        "trims what is asked",
        "content",
        [
            (
                '"messages": request.messages',
                '"messages": [{"role": m.role, "content": m.content.strip()} for m in request.messages]',
            )
        ],
    ),
    Mutant("forgets the history", "request", [('"messages": request.messages', '"messages": request.messages[-1:]')]),
    Mutant("sends what nobody set", "request", [("    if request.temperature is not None:\n", "    if True:\n")]),
    Mutant(
        "sets a limit that nobody set, under its own name",
        "request",
        [
            (
                '    if request.max_tokens is not None:\n        found["max_tokens"] = request.max_tokens\n',
                '    found["limits"] = {"output": request.max_tokens or 4096}\n',
            )
        ],
    ),
    Mutant(
        "sets a limit that nobody set, under another name than its own",
        "request",
        [('"stream": True}', '"stream": True, "max_completion_tokens": 4096}')],
    ),
    Mutant("imports its SDK at once", "import-cost", [("import re\n", "import re\n\nimport httpx as sdk\n")]),
    Mutant("wants a keyword", "hooks", [("def open_client(settings:", "def open_client(*, settings:")]),
    Mutant(
        "keeps its key in a file",
        "settings",
        [
            (
                "    connect_timeout: Annotated[",
                '    api_key: Annotated[str, Meta(description="the API key")] = ""\n    connect_timeout: Annotated[',
            )
        ],
    ),
    Mutant("has one key for all instances", "settings", [(f'{OWN_KEY}""', f'{OWN_KEY}"ACME_API_KEY"')]),
]
