"""The example wrapper from docs/plugins.md."""

import contextlib

from aura_core import Token, hookimpl


@hookimpl(wrapper=True)
def stream_chat(request):
    inner = yield

    async def shout():
        async with contextlib.aclosing(inner) as tokens:
            async for token in tokens:
                yield Token(token.content.upper(), token.reasoning, token.finish_reason, token.usage)

    return shout()
