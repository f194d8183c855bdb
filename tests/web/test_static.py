"""The page's files: their contents, who may fetch them, and their policy."""

from collections.abc import Callable

import httpx
import pytest

from aura_core.server.page import read_page
from aura_core.testing import AuraServer

Serve = Callable[..., AuraServer]


def get(server: AuraServer, path: str, **headers: str) -> httpx.Response:
    return httpx.get(server.url + path, headers=headers, trust_env=False, timeout=30)


def test_the_page_is_html_under_a_policy_that_allows_nothing_unsafe(serve: Serve) -> None:
    answer = get(serve(), "/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-cache"
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert (policy["require-trusted-types-for"], policy["trusted-types"]) == ("'script'", "'none'")
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("name", sorted(read_page()))
def test_every_file_of_the_page_is_served_with_its_own_type(serve: Serve, name: str) -> None:
    kinds = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    answer = get(serve(), f"/web/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kinds[name.rpartition(".")[2]])
    assert answer.content == read_page()[name].content


def test_a_file_that_the_browser_has_is_not_sent_again(serve: Serve) -> None:
    server = serve()
    etag = get(server, "/web/view.js").headers["etag"]
    again = get(server, "/web/view.js", **{"if-none-match": f'"other", W/{etag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert get(server, "/web/view.js", **{"if-none-match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    "path", ["/web/secret.js", "/web/..%2fagents.py", "/web/%2e%2e/agents.py", "/web/", "/web/a/b"]
)
def test_only_known_files_are_served(serve: Serve, path: str) -> None:
    answer = get(serve(), path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_page_needs_no_token_and_says_nothing_about_the_installation(serve: Serve) -> None:
    agents = {"secret-agent.md": "---\nprovider: echo\n---\n"}
    server = serve(agents, environ={"AURA_TOKEN": "s3cret"})
    assert get(server, "/api/agents").status_code == 401
    for path in ["/", *(f"/web/{name}" for name in read_page())]:
        answer = get(server, path)
        assert answer.status_code == 200
        assert b"secret-agent" not in answer.content


def test_head_is_answered_without_a_body(serve: Serve) -> None:
    answer = httpx.head(serve().url + "/", trust_env=False, timeout=30)
    assert (answer.status_code, answer.content) == (200, b"")


def test_nothing_of_the_page_comes_from_elsewhere_or_writes_markup() -> None:
    for name, file in read_page().items():
        text = file.content.decode()
        # The only address in the files is SVG's namespace.
        assert "://" not in text.replace("http://www.w3.org/2000/svg", "").replace("https?:", ""), name
        for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]:
            assert word not in text, f"{word} in {name}"
