"""The chat page at `/` and its files: read once, known names only, and a policy that lets in nothing from elsewhere."""

import hashlib
from importlib.resources import files
from typing import Annotated, Any

import msgspec
from litestar import HttpMethod, Request, Response, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter

from aura_core.problems import Problem

# Litestar adds the charset to texts.
MEDIA_TYPES = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",  # the icon
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # No script may turn text into markup, not even ours.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)

HEADERS = {
    # A new version of Aura shows at the next load; until then a revalidation costs one 304.
    "cache-control": "no-cache",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class StaticFile(msgspec.Struct, frozen=True):
    """A file of the page, as it is sent."""

    content: bytes
    media_type: str
    etag: str


def read_page() -> dict[str, StaticFile]:
    """Every file of the page by its name."""
    found = {}
    for file in (files("aura_core") / "web").iterdir():
        media_type = MEDIA_TYPES.get(file.name.rpartition(".")[2])
        if media_type is not None:
            content = file.read_bytes()
            found[file.name] = StaticFile(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:16]}"')
    return found


def page_routes() -> list[HTTPRouteHandler]:
    """`/` and `/web/NAME`."""
    known = read_page()
    methods = [HttpMethod.GET, HttpMethod.HEAD]

    @route("/", http_method=methods, include_in_schema=False)
    async def index(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _answer(request, known["index.html"])

    @route("/web/{name:str}", http_method=methods, include_in_schema=False)
    async def static_file(request: Request[Any, Any, Any], name: Annotated[str, Parameter()]) -> Response[bytes]:
        if name not in known:
            raise Problem("not_found", "The page has no such file.")
        return _answer(request, known[name])

    return [index, static_file]


def _answer(request: Request[Any, Any, Any], file: StaticFile) -> Response[bytes]:
    headers = HEADERS | {"etag": file.etag}
    if file.media_type.startswith("text/html"):
        headers["content-security-policy"] = POLICY
    given = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if file.etag in given:
        return Response(b"", status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
