"""124 kinds of wrong providers: a correct one, aura_messages, with one fault each, and the check that must tell it.

The names are those of a study in which a session broke a provider of the Messages API on purpose, and ran the kit.
"""

from typing import NamedTuple


class Kind(NamedTuple):
    """One fault: replacements in the text of aura_messages.

    `caught_by` is the check that names it. `minimal` is the check that does so with the minimal description, "" where
    it is not tried with that one. `escapes` says why no check tells it; `minimal_escapes` the same for the minimal
    description.
    """

    name: str
    caught_by: str
    edits: list[tuple[str, str]]
    minimal: str = ""
    escapes: str = ""
    minimal_escapes: str = ""


STREAM = (
    'async with client.http.stream("POST", "/v1/messages", content=content, headers=request.headers) as response:\n'
)
BUILT = 'client.http.build_request("POST", "/v1/messages", content=content, headers=request.headers)'
RAISE = "                raise status_error(server, response.status_code, response.headers, said, request.model)\n"
SAID = "                said = await error_body(read, httpx.TransportError)\n" + RAISE
LOOP = """\
            while piece := await read():
                for event in reader.feed(piece):
                    token = state.token(event.data, server, request.model)
                    if token is not None:
                        yield token
"""
YIELD = "                    if token is not None:\n                        yield token\n"
TEXT = "                return Token(event.delta.text)\n"
THINKING = 'if event.delta.type == "thinking_delta":\n                return Token(reasoning=event.delta.thinking)\n'
FAILED = "            raise failure(server, read_reason(data), model)\n"
STOPPED = "        return None\n\n    def counted"
REASON = '            reason = REASONS.get(event.delta.stop_reason or "", event.delta.stop_reason)\n'
INVALID = "            raise bad_response(server, data, begun=True) from None\n"
BEGIN = "    content = msgspec.json.encode(body(request))\n"
TURNS = '[{"role": m.role, "content": m.content} for m in request.messages if m.role != "system"]'
SYSTEM = '        found["system"] = system\n'
COUNTS = "        return Token(usage=Usage(now.input_tokens + read + written, now.output_tokens, read, written))\n"
TIMEOUT = "httpx.Timeout(None, connect=settings.connect_timeout)"
KEYED = '        headers["x-api-key"] = key\n'
IMPORTS = ("import logging\n", "import asyncio\nimport contextlib\nimport logging\nimport os\nimport time\n")
LOST = '            raise ProviderError(f"{server.name} does not answer; is it running?", "unavailable") from None\n\n\ndef body'
HEALTH = '    """Whether the server knows the key."""\n    await listed(client)\n'
MODELS = "    return [Model(model.id, model.display_name) for model in await listed(client)]\n"
READER = "            reader = SseReader(server.name)\n"

NAIVE = """\
            rest, lines = b"", []
            while piece := await read():
                *found, rest = (rest + piece).split(b"\\n")
                if len(rest) > 2**23:
                    raise bad_response(server)
                for line in map(bytes.rstrip, found):
                    if line.startswith(b"data:"):
                        lines.append(line[5:])
                    elif not line and lines:
                        token = state.token(b"\\n".join(lines), server, request.model)
                        lines = []
                        if token is not None:
                            yield token
"""
EACH_LINE = """\
            rest = b""
            while piece := await read():
                *found, rest = (rest + piece).replace(b"\\r\\n", b"\\n").split(b"\\n")
                for line in found:
                    if line.startswith(b"data:"):
                        token = state.token(line[5:], server, request.model)
                        if token is not None:
                            yield token
"""
AHEAD = """\
            came: asyncio.Queue[Token | None] = asyncio.Queue()

            async def ahead() -> None:
                try:
                    while piece := await read():
                        for event in reader.feed(piece):
                            token = state.token(event.data, server, request.model)
                            if token is not None:
                                came.put_nowait(token)
                finally:
                    came.put_nowait(None)

            reading = asyncio.create_task(ahead())
            while (token := await came.get()) is not None:
                yield token
            await reading
"""
AHEAD_BUT_WELL = AHEAD.replace(
    """\
            while (token := await came.get()) is not None:
                yield token
            await reading
""",
    """\
            try:
                while (token := await came.get()) is not None:
                    yield token
                await reading
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
""",
)


def on(status: str, then: str) -> list[tuple[str, str]]:
    """Do something else for some statuses; `said` is the body."""
    return [(RAISE, f"                if response.status_code in ({status},):\n                    {then}\n{RAISE}")]


def shown_raw(status: int, code: str) -> list[tuple[str, str]]:
    """Show the server's own words for a status."""
    return on(str(status), f'raise ProviderError(f"It says: {{read_reason(said) or said.decode()}}", "{code}")')


def in_auth_message(part: str) -> list[tuple[str, str]]:
    """Show a part of the key when it is refused."""
    return on("401", f'raise ProviderError(f"Check the key {{client.key{part}}}.", "auth")')


def logged(how: str, part: str = "") -> list[tuple[str, str]]:
    """Write the key, or a part of it, to the log."""
    return [(KEYED, f'{KEYED}        log.{how}("the key is %s", key{part})\n')]


def asked_again(status: str) -> list[tuple[str, str]]:
    """Ask a second time after a status."""
    return on(status, 'await client.http.post("/v1/messages", content=content)')


def read_timeout(seconds: str) -> list[tuple[str, str]]:
    """Give up reading after some time."""
    return [(TIMEOUT, f"httpx.Timeout(None, connect=settings.connect_timeout, read={seconds})")]


def means(word: str, meaning: str) -> list[tuple[str, str]]:
    """Take a reason for another one."""
    return [(REASON, f'{REASON}            reason = "{meaning}" if event.delta.stop_reason == "{word}" else reason\n')]


def before_request(what: str) -> list[tuple[str, str]]:
    """Do something before each request."""
    return [IMPORTS, (BEGIN, f"{BEGIN}    {what}\n")]


KINDS = [
    Kind("401-is-bad_request", "errors", on("401", 'raise ProviderError("Refused.", "bad_request")'), "errors"),
    Kind("429-is-unavailable", "errors", on("429", 'raise ProviderError("Too many.", "unavailable")')),
    Kind(
        "accepts-gzip-reads-raw",
        "encoding",
        [
            ('"accept-encoding": "identity"', '"accept-encoding": "gzip"'),
            (
                'read = decoding(pieces(response), response.headers.get("content-encoding"), server.name)\n'
                "            if response.status_code != 200:\n" + SAID,
                "read = pieces(response)\n            if response.status_code != 200:\n" + SAID,
            ),
        ],
    ),
    Kind(
        "aiter_lines",
        "text",
        [
            (
                LOOP,
                """\
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    token = state.token(line[5:].encode(), server, request.model)
                    if token is not None:
                        yield token
""",
            )
        ],
    ),
    Kind("assistant-turns-dropped", "request", [(TURNS, TURNS.replace('!= "system"', '== "user"'))], "request"),
    Kind(
        "background-task-left",
        "cleanup",
        before_request("vars(client.http).setdefault('left', []).append(asyncio.create_task(asyncio.sleep(3600)))"),
    ),
    Kind(
        "body-of-unknown-500-shown",
        "secrets",
        on("500", 'raise ProviderError(f"It failed: {said.decode(errors=\'replace\')}", "unavailable")'),
    ),
    Kind(
        "cache-tokens-not-counted",
        "usage",
        [("now.input_tokens + read + written", "now.input_tokens")],
        "usage",
        minimal_escapes="only a transcript with tokens of a cache says how a vendor counts them",
    ),
    Kind(
        "client-not-closed",
        "cleanup",
        [
            IMPORTS,
            ("async with httpx.AsyncClient(", "async with contextlib.nullcontext(httpx.AsyncClient("),
            ("        ) as opened:", "        )) as opened:"),
            ("max_keepalive_connections=0", "max_keepalive_connections=None"),
        ],
    ),
    Kind("context-window-is-stop", "finish", means("model_context_window_exceeded", "stop")),
    Kind("crashes-on-non-JSON", "broken-records", [(INVALID, "            raise\n")], "broken-records"),
    Kind("cut-off-is-unavailable", "truncation", [("        if not answered:\n", "        if True:\n")], "truncation"),
    Kind(
        "decodes-chunks-with-replace",
        "utf8",
        [("reader.feed(piece)", 'reader.feed(piece.decode(errors="replace").encode())')],
        "utf8",
    ),
    Kind("dropped-is-interrupted", "dropped", [(LOST, LOST.replace('"unavailable"', '"interrupted"'))], "dropped"),
    Kind(
        "empty-message",
        "errors",
        [
            (
                RAISE,
                RAISE.replace("raise status_error", 'raise ProviderError("", status_error').replace(
                    "model)", "model).code)"
                ),
            )
        ],
        "errors",
    ),
    Kind(
        "end-of-body-is-stop",
        "truncation",
        [
            (YIELD, YIELD + "                        done = done or token.finish_reason is not None\n"),
            (READER, READER + "            done = False\n"),
            (
                "    except httpx.ConnectTimeout:",
                '            if not done:\n                yield Token(finish_reason="stop")\n    except httpx.ConnectTimeout:',
            ),
        ],
        "truncation",
    ),
    Kind("error-event-ignored", "errors", [(FAILED, "            return None\n")], "errors"),
    Kind("error-event-is-text", "errors", [(FAILED, "            return Token(str(event.error))\n")]),
    Kind(
        "error-response-never-closed",
        "release",
        [
            (
                STREAM,
                f"response = await client.http.send({BUILT}, stream=True)\n"
                "        if response.status_code != 200:\n"
                "            vars(client.http).setdefault('kept', []).append(response)\n"
                '            raise status_error(server, response.status_code, response.headers, b"", request.model)\n'
                "        async with contextlib.aclosing(response):\n",
            ),
            IMPORTS,
        ],
    ),
    Kind(
        "every-exception-swallowed",
        "errors",
        [
            (
                "    except httpx.ConnectTimeout:",
                "    except ProviderError:\n        return\n    except httpx.ConnectTimeout:",
            )
        ],
    ),
    Kind(
        "finish-twice",
        "finish",
        [
            (
                STOPPED,
                '        return Token(finish_reason="stop") if event.type == "message_stop" else None\n\n    def counted',
            )
        ],
        "finish",
    ),
    Kind("first-20-of-key-in-auth-message", "secrets", in_auth_message("[:20]")),
    Kind(
        "first-token-lstripped",
        "text",
        [
            (
                TEXT,
                "                begun, self.begun = self.begun, True\n                return Token(event.delta.text if begun else event.delta.text.lstrip())\n",
            ),
            ("        self.counts = Counts()\n", "        self.counts = Counts()\n        self.begun = False\n"),
        ],
        "text",
    ),
    Kind("follows-redirects", "hosts", [("follow_redirects=False", "follow_redirects=True")]),
    Kind(
        "html-in-message",
        "errors",
        [
            (
                RAISE,
                RAISE.replace(
                    "raise status_error",
                    'raise ProviderError(said.decode(errors="replace") or "It failed.", status_error',
                ).replace("model)", "model).code)"),
            )
        ],
        "errors",
    ),
    Kind("httpx-at-import", "import-cost", [("import msgspec\n", "import httpx\nimport msgspec\n")]),
    Kind("key-in-info-log", "secrets", logged("info")),
    Kind(
        "key-in-repr-of-exception",
        "secrets",
        on("401, 403", 'log.warning("it failed: %r", RuntimeError(client.key))'),
    ),
    Kind("key-in-warning-log", "secrets", logged("warning"), "secrets"),
    Kind(
        "key-to-every-instance",
        "hosts",
        [
            IMPORTS,
            (
                'key = secret(settings, "api_key")',
                'key = secret(settings, "api_key") or os.environ.get("MESSAGES_API_KEY", "")',
            ),
        ],
    ),
    Kind("last-12-of-key-in-auth-message", "secrets", in_auth_message("[-12:]")),
    Kind("last-12-of-key-in-warning-log", "secrets", logged("warning", "[-12:]")),
    Kind("last-20-of-key-in-auth-message", "secrets", in_auth_message("[-20:]")),
    Kind("last-6-of-key-in-auth-message", "secrets", in_auth_message("[-6:]")),
    Kind("last-8-of-key-in-auth-message", "secrets", in_auth_message("[-8:]")),
    Kind("max_tokens-of-agent-ignored", "request", [("request.max_tokens or 4096", "4096")], "request"),
    Kind(
        "missing-message_delta-is-stop",
        "missing-end",
        [
            (
                STOPPED,
                '        done = getattr(self, "done", False)\n        return Token(finish_reason="stop") if event.type == "message_stop" and not done else None\n\n    def counted',
            ),
            (REASON, REASON + "            self.done = True\n"),
        ],
        "missing-end",
    ),
    Kind(
        "one-answer-at-a-time",
        "concurrency",
        [
            IMPORTS,
            (
                STREAM,
                "async with vars(client.http).setdefault('lock', asyncio.Lock()), "
                + STREAM.removeprefix("async with "),
            ),
        ],
    ),
    Kind(
        "one-event-late",
        "stall",
        [
            (READER, READER + "            held = None\n"),
            (
                YIELD,
                "                    if token is not None:\n                        if held is not None:\n                            yield held\n                        held = token\n",
            ),
            (
                "    except httpx.ConnectTimeout:",
                "            if held is not None:\n                yield held\n    except httpx.ConnectTimeout:",
            ),
        ],
        "stall",
    ),
    Kind("overloaded-is-llm_error", "errors", on("529", 'raise ProviderError("Overloaded.", "llm_error")'), "errors"),
    Kind(
        "pairs-merged",
        "tokens",
        [
            (READER, READER + '            held = ""\n'),
            (
                YIELD,
                """\
                    if token is not None and token.content and not held:
                        held = token.content
                    elif token is not None:
                        yield msgspec.structs.replace(token, content=held + token.content)
                        held = ""
""",
            ),
        ],
        "tokens",
    ),
    Kind("pause_turn-is-stop", "finish", means("pause_turn", "stop")),
    Kind(
        "ping-drops-next-token",
        "text",
        [
            (
                '        if event.type == "message_start" and',
                '        if event.type == "ping":\n            self.pinged = True\n        if event.type == "message_start" and',
            ),
            (
                TEXT,
                "                pinged, self.pinged = self.pinged, False\n                return None if pinged else Token(event.delta.text)\n",
            ),
            ("        self.counts = Counts()\n", "        self.counts = Counts()\n        self.pinged = False\n"),
        ],
        "unknown-records",
    ),
    Kind("pool-of-100", "concurrency", [("max_connections=None", "max_connections=100")]),
    Kind("raw-stop-reason", "finish", [(REASON, "            reason = event.delta.stop_reason\n")]),
    Kind("read-timeout-0.2s", "timeouts", read_timeout("0.2")),
    Kind("read-timeout-0.6s", "timeouts", read_timeout("0.6")),
    Kind("reads-ahead-without-limit", "backpressure", [IMPORTS, (LOOP, AHEAD)]),
    Kind(
        "reads-whole-body-first",
        "stall",
        [
            (
                LOOP,
                """\
            for event in reader.feed(await whole_body(read, server.name)):
                token = state.token(event.data, server, request.model)
                if token is not None:
                    yield token
""",
            )
        ],
        "stall",
    ),
    Kind("refusal-is-stop", "finish", means("refusal", "stop"), "failing-finish"),
    Kind("retries-429-by-itself", "retries", asked_again("429")),
    Kind("retries-500-by-itself", "retries", asked_again("500")),
    Kind("retries-503-by-itself", "retries", asked_again("503"), "retries"),
    Kind(
        "retry-after-in-ms",
        "errors",
        [
            (
                RAISE,
                RAISE.replace("raise ", "refused = ")
                + "                refused.retry_after = refused.retry_after and refused.retry_after * 1000\n                raise refused\n",
            )
        ],
    ),
    Kind(
        "retry-after-lost",
        "errors",
        [
            (
                RAISE,
                RAISE.replace("raise ", "refused = ")
                + "                refused.retry_after = None\n                raise refused\n",
            )
        ],
    ),
    Kind(
        "second-finish-late-text",
        "finish",
        [
            (
                STOPPED,
                '        return Token("late", finish_reason="stop") if event.type == "message_stop" else None\n\n    def counted',
            )
        ],
    ),
    Kind(
        "secret-as-a-setting",
        "settings",
        [
            (
                "    connect_timeout: Annotated",
                '    api_key: Annotated[str, Meta(description="the key")] = ""\n    connect_timeout: Annotated',
            )
        ],
    ),
    Kind(
        "signature-as-reasoning",
        "reasoning",
        [
            (
                THINKING,
                THINKING
                + '            if event.delta.type == "signature_delta":\n                return Token(reasoning=str(event.delta.signature))\n',
            )
        ],
    ),
    Kind("skips-non-JSON", "broken-records", [(INVALID, "            return None\n")], "broken-records"),
    Kind(
        "state-shared-by-answers",
        "concurrency",
        [(READER, "            reader = vars(client.http).setdefault('reader', SseReader(server.name))\n")],
    ),
    Kind("status-529-503-is-llm_error", "errors", on("503, 529", 'raise ProviderError("It failed.", "llm_error")')),
    Kind(
        "swallows-CancelledError-and-goes-on",
        "cancel-after",
        [
            IMPORTS,
            (
                LOOP,
                """\
            said = False
            try:
                while piece := await read():
                    for event in reader.feed(piece):
                        token = state.token(event.data, server, request.model)
                        if token is not None:
                            yield token
                            said = said or bool(token.content)
            except asyncio.CancelledError:
                if not said:
                    raise
                await asyncio.sleep(600)
""",
            ),
        ],
        "cancel-after",
    ),
    Kind("system-dropped", "request", [(SYSTEM, "        pass\n")], "request"),
    Kind(
        "temperature-1-when-unset",
        "request",
        [
            (
                "    if request.temperature is not None:\n",
                "    found['temperature'] = 1\n    if request.temperature is not None:\n",
            )
        ],
        "request",
    ),
    Kind(
        "thinking-as-text",
        "reasoning",
        [("Token(reasoning=event.delta.thinking)", "Token(event.delta.thinking)")],
        "reasoning",
    ),
    Kind("time.sleep-20ms-per-token", "loop", [IMPORTS, (YIELD, YIELD + "                        time.sleep(0.02)\n")]),
    Kind("time.sleep-2s-before-request", "loop", before_request("time.sleep(2)")),
    Kind(
        "tool-json-as-text",
        "text",
        [
            (
                THINKING,
                THINKING
                + '            if event.delta.type == "input_json_delta":\n                return Token(str(event.delta.partial_json))\n',
            )
        ],
        "text",
        minimal_escapes="only a transcript of a tool call says how a vendor sends its arguments",
    ),
    Kind("trusts-proxies-of-the-environment", "hosts", [("trust_env=False", "trust_env=True")]),
    Kind(
        "turn-texts-swapped",
        "request",
        [
            (
                TURNS,
                '[{"role": m.role, "content": n.content} for m, n in zip(request.messages, [*request.messages[1:], request.messages[0]], strict=True) if m.role != "system"]',
            )
        ],
    ),
    Kind("unbounded-line", "bounds", [("SseReader(server.name)", "SseReader(server.name, 2**40)")], "bounds"),
    Kind(
        "unknown-delta-fails",
        "unknown-records",
        [
            (
                THINKING,
                THINKING
                + '            if event.delta.type not in ("signature_delta", "input_json_delta"):\n                raise bad_response(server, data, begun=True)\n',
            )
        ],
        "unknown-records",
    ),
    Kind(
        "unknown-event-fails",
        "unknown-records",
        [
            (
                STOPPED,
                '        if event.type not in ("message_start", "content_block_start", "content_block_delta", "ping",\n'
                '                              "content_block_stop", "message_stop"):\n'
                "            raise bad_response(server, data, begun=True)\n" + STOPPED,
            )
        ],
        "unknown-records",
    ),
    Kind(
        "unknown-settings-taken",
        "settings",
        [("frozen=True, forbid_unknown_fields=True", "frozen=True")],
    ),
    Kind("upstream-message-shown-raw-on-400-only", "secrets", shown_raw(400, "bad_request")),
    Kind("upstream-message-shown-raw-on-401", "secrets", shown_raw(401, "auth")),
    Kind("upstream-message-shown-raw-on-403-only", "secrets", shown_raw(403, "auth")),
    Kind("upstream-message-shown-raw-on-404-only", "secrets", shown_raw(404, "model_not_found")),
    Kind("upstream-message-shown-raw-on-429-only", "secrets", shown_raw(429, "rate_limited")),
    Kind("upstream-message-shown-raw-on-500-only", "secrets", shown_raw(500, "unavailable")),
    Kind("upstream-message-shown-raw-on-529-only", "secrets", shown_raw(529, "unavailable")),
    Kind("usage-doubled", "usage", [("now.output_tokens, read, written))", "2 * now.output_tokens, read, written))")]),
    Kind(
        "usage-of-message_delta-lost",
        "usage",
        [("usage=counted.usage if counted else None)", "usage=None)")],
    ),
    Kind(
        "usage-zero-where-none",
        "usage",
        [("usage=counted.usage if counted else None)", "usage=counted.usage if counted else Usage())")],
    ),
    # What the kit did not see in that study
    Kind(
        "check_health-leaks-key",
        "other-hooks",
        [
            (
                HEALTH,
                '    try:\n        await listed(client)\n    except ProviderError as exc:\n        raise ProviderError(f"{exc} with {client.key}", exc.code) from None\n',
            )
        ],
    ),
    Kind(
        "check_health-says-always-ok",
        "other-hooks",
        [(HEALTH, "    try:\n        await listed(client)\n    except ProviderError:\n        pass\n")],
    ),
    Kind("check_request-raises", "other-hooks", [("[] if request.max_tokens", "[] if request.limits")]),
    Kind(
        "content-type-not-looked-at",
        "",
        [],
        escapes="it is no fault: the correct provider does not look at it either, as `SseReader` tells by the body"
        " whether it holds events, and a stream with an odd Content-Type is an answer nevertheless",
    ),
    Kind("data-lines-not-joined", "framing", [(LOOP, EACH_LINE)]),
    Kind(
        "default_model-returns-a-number",
        "other-hooks",
        [("return found[0].id if found else None", "return len(found)")],
    ),
    Kind("first-12-of-key-in-auth-message", "secrets", in_auth_message("[:12]")),
    Kind("first-6-of-key-in-auth-message", "secrets", in_auth_message("[:6]")),
    Kind("first-8-of-key-in-auth-message", "secrets", in_auth_message("[:8]")),
    Kind("httpx-default-timeout", "timeouts", [(f"            timeout={TIMEOUT},\n", "")]),
    Kind("key-in-auth-message", "secrets", in_auth_message("")),
    Kind("key-in-debug-log", "secrets", logged("debug")),
    Kind(
        "key-of-an-unnamed-variable",
        "hosts",
        [
            IMPORTS,
            (
                'key = secret(settings, "api_key")',
                'key = secret(settings, "api_key") or os.environ.get("ANOTHER_VENDORS_KEY", "")',
            ),
        ],
    ),
    Kind("last-4-of-key-in-auth-message", "secrets", in_auth_message("[-4:]")),
    Kind(
        "list_models-blocks",
        "other-hooks",
        [
            (
                MODELS,
                """\
    import httpx

    url = f"{client.http.base_url}/v1/models"
    try:
        response = httpx.get(url, headers=client.http.headers, trust_env=False, timeout=None)
        response.raise_for_status()
    except httpx.HTTPError:
        raise ProviderError("No models.", "unavailable") from None
    return [Model(model.id) for model in msgspec.json.decode(response.content, type=Listed).data]
""",
            )
        ],
    ),
    Kind("list_models-returns-strings", "other-hooks", [("[Model(model.id, model.display_name) for", "[model.id for")]),
    Kind("no-connect-timeout", "timeouts", [(TIMEOUT, "None")]),
    Kind("no-stream-true", "request", [(', "stream": True}', "}")]),
    Kind("options-dropped", "options", [('{**request.options, "model"', '{"model"')]),
    Kind(
        "options-mutated",
        "options",
        [
            (
                '    found = {**request.options, "model": request.model, "stream": True}\n',
                '    found = request.options\n    found |= {"model": request.model, "stream": True}\n',
            )
        ],
    ),
    Kind("prints-tokens", "quiet", [(YIELD, YIELD + "                        print(token.content, end='')\n")]),
    Kind("read-timeout-1.0s", "timeouts", read_timeout("1.0")),
    Kind("read-timeout-3.0s", "timeouts", read_timeout("3.0")),
    Kind("read-timeout-30s", "timeouts", read_timeout("30")),
    Kind("read-timeout-5s", "timeouts", read_timeout("5")),
    Kind("reads-ahead-without-limit-but-well", "backpressure", [IMPORTS, (LOOP, AHEAD_BUT_WELL)]),
    Kind(
        "response-closed-only-at-the-end",
        "release",
        [
            (STREAM, f"response = await client.http.send({BUILT}, stream=True)\n        if True:\n"),
            (
                "    except httpx.ConnectTimeout:",
                "            await response.aclose()\n    except httpx.ConnectTimeout:",
            ),
        ],
    ),
    Kind(
        "response-never-closed",
        "release",
        [(STREAM, f"response = await client.http.send({BUILT}, stream=True)\n        if True:\n")],
    ),
    Kind("retries-by-itself", "retries", asked_again("529")),
    Kind(
        "retries-connections",
        "dropped",
        [
            (
                "            trust_env=False,\n",
                "            trust_env=False,\n            transport=httpx.AsyncHTTPTransport(retries=2),\n",
            )
        ],
    ),
    Kind(
        "roles-swapped",
        "request",
        [(TURNS, TURNS.replace('"role": m.role', '"role": "assistant" if m.role == "user" else "user"'))],
    ),
    Kind(
        "swallows-CancelledError",
        "cancel-after",
        [
            IMPORTS,
            (
                "    except httpx.ConnectTimeout:",
                "    except asyncio.CancelledError:\n        return\n    except httpx.ConnectTimeout:",
            ),
        ],
    ),
    Kind(
        "system-among-the-messages",
        "request",
        [(TURNS, TURNS.removesuffix(' if m.role != "system"]') + "]"), (SYSTEM, "        pass\n")],
    ),
    Kind(
        "system-as-user-turn",
        "request",
        [(SYSTEM, '        found["messages"].insert(0, {"role": "user", "content": system})\n')],
    ),
    Kind("time.sleep-50ms-before-request", "loop", before_request("time.sleep(0.05)")),
    Kind("unbounded-data-lines", "bounds", [(LOOP, NAIVE)]),
    Kind(
        "unbounded-error-body",
        "error-bodies",
        [(SAID, SAID.replace("error_body(read, httpx.TransportError)", "response.aread()"))],
    ),
    Kind(
        "upstream-message-shown-raw-in-events",
        "secrets",
        [
            (
                FAILED,
                '            raise ProviderError(f"It failed: {event.error}", failure(server, read_reason(data), model).code)\n',
            )
        ],
    ),
    Kind(
        "upstream-message-shown-raw-on-400",
        "secrets",
        on("400", 'raise ProviderError(msgspec.json.decode(said)["error"]["message"], "bad_request")'),
    ),
    Kind(
        "waits-1s-before-the-end",
        "delay",
        [
            IMPORTS,
            (REASON, REASON + "            self.ended = True\n"),
            (
                YIELD,
                "                    if token is not None:\n                        if token.finish_reason:\n                            await asyncio.sleep(1)\n                        yield token\n",
            ),
        ],
    ),
]
