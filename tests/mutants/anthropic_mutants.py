"""Faulty copies of aura-anthropic: the mistakes of mutants.py that can be made in it, and the check for each."""

from mutants import Mutant

RETURN = (
    "    return sse_answer(ask, client.server, request.model, Events(client.server, request.model).token, is_cut)\n"
)
INSIDE = """\
    return other(sse_answer(ask, client.server, request.model, Events(client.server, request.model).token, is_cut))


async def other(answer):
    import asyncio
    import time
    from contextlib import aclosing

    async with aclosing(answer):
"""
TEXT = "                return Token(delta.text)\n"
KEY = 'key = secret(settings, "api_key", required=settings.api_key_env not in ("", ANTHROPIC_KEY))'
CLIENT = "        self.official = official\n"
POST = "\n    async def post(self, path, content, model, headers):\n"
FINISH = "_FINISH.get(word, reason)"


def wrapped(loop: str) -> list[tuple[str, str]]:
    """The stream's tokens, but taken in another way: the body of a loop over `answer`."""
    return [(RETURN, INSIDE + "".join(f"        {line}\n" for line in loop.splitlines()))]


MUTANTS = [
    Mutant(
        "holds the request against a cancel",
        "cancel-before",
        [
            (
                CLIENT,
                CLIENT + POST + "        import asyncio\n"
                "        return await asyncio.shield(super().post(path, content, model, headers))\n",
            )
        ],
    ),
    Mutant(
        "swallows the cancel",
        "cancel-after",
        wrapped(
            "try:\n    async for token in answer:\n        yield token\n"
            "except asyncio.CancelledError:\n    await asyncio.sleep(600)"
        ),
    ),
    Mutant(
        "says twice that it is done",
        "finish",
        wrapped(
            "async for token in answer:\n    yield token\n    if token.finish_reason:\n"
            "        yield Token(finish_reason=token.finish_reason)"
        ),
    ),
    Mutant("calls every end a stop", "finish", [(FINISH, '"stop"')]),
    Mutant("takes a word that it does not know for an end", "failing-finish", [(FINISH, '_FINISH.get(word, "stop")')]),
    Mutant("trims white space", "text", [(TEXT, TEXT.replace("delta.text", "delta.text.strip()"))]),
    Mutant(
        "cuts tokens into characters",
        "tokens",
        wrapped(
            "async for token in answer:\n    for character in token.content[:200]:\n        yield Token(character)\n"
            '    yield Token(token.content[200:], token.reasoning, token.finish_reason, token.usage, token.detail, "")'
        ),
    ),
    Mutant("thinks aloud", "reasoning", [('return Token("", delta.thinking)', "return Token(delta.thinking)")]),
    Mutant(
        "invents usage",
        "usage",
        [("        if not isinstance(used, dict):\n            return None\n", "        used = used or {}\n")],
    ),
    Mutant(
        "counts cached tokens beside the prompt's",
        "usage",
        [('Usage(counts["input_tokens"] + read + written,', 'Usage(counts["input_tokens"],')],
    ),
    Mutant(
        "demands that what it does not need is right",
        "side-fields",
        [
            (
                "        except _MALFORMED:\n            return self._rare(event)",
                "        except ZeroDivisionError:\n            return LIFE",
            )
        ],
    ),
    Mutant(
        "hides an error as text",
        "errors",
        [
            (
                'if kind == "error" or fields.get("error"):\n            raise failure(',
                'if kind == "error":\n            return Token("[error]", finish_reason="stop")\n'
                '        if fields.get("error"):\n            raise failure(',
            )
        ],
    ),
    Mutant(
        "takes a closed connection for something that is not the protocol",
        "dropped",
        [
            (
                CLIENT,
                CLIENT + POST + "        from aura_core import ProviderError\n"
                "        try:\n"
                "            return await super().post(path, content, model, headers)\n"
                "        except ProviderError as exc:\n"
                "            if exc.upstream_status:\n"
                "                raise\n"
                '            raise ProviderError(exc.message, "bad_response") from exc\n',
            )
        ],
    ),
    Mutant(
        "ends silently on truncation",
        "truncation",
        wrapped(
            "finished = False\nasync for token in answer:\n    yield token\n"
            "    finished = finished or bool(token.finish_reason)\n"
            'if not finished:\n    yield Token(finish_reason="stop")'
        ),
    ),
    Mutant(
        "waits for the whole answer",
        "stall",
        wrapped("for token in [token async for token in answer]:\n    yield token"),
    ),
    Mutant("asks again by itself", "retries", [("max_retries=0", "max_retries=1")]),
    Mutant(
        "starves the loop",
        "loop",
        wrapped("async for token in answer:\n    time.sleep(0.01)\n    yield token"),
    ),
    Mutant(
        "never closes its client",
        "cleanup",
        [
            (
                "    async with http_client(context, settings.connect_timeout) as http:\n",
                "    KEPT.append(http_client(context, settings.connect_timeout))\n"
                "    if http := await KEPT[-1].__aenter__():\n",
            ),
            ('NO_KEY = "aura-sends-no-key"\n', 'NO_KEY = "aura-sends-no-key"\nKEPT = []\n'),
        ],
    ),
    Mutant(
        "limits its pool",
        "concurrency",
        [
            *wrapped("async with POOL:\n    async for token in answer:\n        yield token"),
            ("def stream(client:", "import asyncio\n\nPOOL = asyncio.Semaphore(100)\n\n\ndef stream(client:"),
        ],
    ),
    Mutant("leaks a part of the key", "secrets", [("Scrub(credential)", 'Scrub("")')]),
    Mutant(
        "logs its key for information",
        "secrets",
        [(KEY, KEY + '\n    __import__("logging").getLogger("aura.acme").info("the key is %s", key)')],
    ),
    Mutant(
        "sends its key to every server",
        "hosts",
        [(KEY, KEY + ' or __import__("os").environ.get(ANTHROPIC_KEY, "")')],
    ),
    Mutant(
        "reads its key from a variable only",
        "secret-files",
        [(KEY, 'key = __import__("os").environ.get(settings.api_key_env, "")')],
    ),
    Mutant("forgets the headers of the request", "headers", [("found = dict(request.headers)", "found = {}")]),
    Mutant(
        "has no file for its key",
        "settings",
        [
            (
                '    api_key_file: Annotated[str, Meta(description="file that holds the API key; it goes before'
                ' api_key_env")] = ""\n',
                "",
            ),
        ],
    ),
    Mutant(
        "has one key for all instances",
        "settings",
        [
            (
                '            extra={"own_default": ANTHROPIC_KEY},\n        ),\n    ] = ""',
                "        ),\n    ] = ANTHROPIC_KEY",
            )
        ],
    ),
    Mutant(
        "trims what is asked",
        "content",
        [
            (
                "        message for message in request.messages"
                ' if message.role != "system" and message.content.strip()\n',
                '        {"role": each.role, "content": each.content.strip()}\n'
                '        for each in request.messages if each.role != "system" and each.content.strip()\n',
            )
        ],
    ),
    Mutant(
        "forgets the history",
        "request",
        [("message for message in request.messages if", "message for message in request.messages[-1:] if")],
    ),
    Mutant(
        "sends what nobody set",
        "request",
        [('fields |= {"model": request.model,', 'fields |= {"top_k": 40, "model": request.model,')],
    ),
    Mutant(
        "ignores the agent's limit",
        "request",
        [('request.max_tokens or fields.get("max_tokens") or', 'fields.get("max_tokens") or')],
    ),
    Mutant(
        "imports its SDK at once",
        "import-cost",
        [
            (
                "from aura_core import ChatRequest, Model, Token, hookimpl\n",
                "import anthropic\nfrom aura_core import ChatRequest, Model, Token, hookimpl\n",
            )
        ],
    ),
    Mutant(
        "wants a keyword",
        "hooks",
        [
            (
                'settings: AnthropicSettings, client: "AnthropicClient")',
                'settings: AnthropicSettings, *, client: "AnthropicClient")',
            )
        ],
    ),
]
