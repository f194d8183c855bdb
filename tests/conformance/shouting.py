"""The example wrapper from docs/plugins.md."""

import contextlib

import msgspec

from aura_core import hookimpl


@hookimpl(wrapper=True)
def stream_chat(request):
    inner = yield

    async def shout():
        async with contextlib.aclosing(inner) as tokens:
            async for token in tokens:
                yield msgspec.structs.replace(token, content=token.content.upper())

    return shout()
