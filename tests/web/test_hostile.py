"""Hostile model output: nothing in it runs, loads, deceives or breaks the page."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from aura_core.testing import AuraServer, Reply, Upstream

Serve = Callable[..., AuraServer]

CORPUS = {
    "a script": "<script>window.hit = 1</script>",
    "a handler": '<img src=x onerror="window.hit = 1"> <svg onload=window.hit=1>',
    "a frame": '<iframe srcdoc="<script>parent.hit = 1</script>"></iframe>',
    "a style": "<style>* { display: none !important }</style> <link rel=stylesheet href=//example.com/x.css>",
    "markup that closes ours": "</p></div></article></main><h1 id=mine>Mine</h1>",
    "a comment that never closes": "<!-- <p>",
    "links that run": "[a](javascript:window.hit=1) [b](JaVaScRiPt:window.hit=1) <javascript:window.hit=1>",
    "links that run, in disguise": "[a](&#106;avascript:window.hit=1) [b](java\tscript:hit=1) [c](<java\\script:x>) "
    "[d](\x01javascript:hit=1) [e]( javascript:hit=1) [f](vbscript:x) [g](data:text/html,<script>hit=1</script>)",
    "links to this server": "[a](/api/agents) [b](//example.com) [c](file:///etc/passwd) [d](blob:x) [e](#x)",
    "a link around markup": "[<img src=x onerror=hit=1>](https://example.com)",
    "attributes by quotes": '[a](https://example.com/"onmouseover="hit=1 "t\\" onclick=\\"hit=1")',
    "images": "![x](https://example.com/pixel.png) ![y](data:image/png;base64,AAAA) [![z](https://example.com/p)](https://x.y)",
    "a language that is none": '```"><img src=x onerror=window.hit=1>\ncode\n```',
    "a language with a class": "```x onclick=hit=1\ncode\n```",
    "a fence that never closes": "```python\nwhile True: pass\n",
    "a table that is none": "| a | b\n|---|\n| --- | --- | --- |\n|||||||||\n|-|-|\n",
    "deep quotations": ">" * 3000 + " deep",
    "deep lists": "".join("  " * depth + "- deep\n" for depth in range(300)),
    "deep emphasis": "*_" * 2000 + "x" + "_*" * 2000,
    "deep brackets": "[" * 5000 + "x" + "](y)" * 5000,
    "many openers": "*a **b _c ~~d `e [f ![g " * 1000,
    "many closers": "a* b** c_ d~~ " * 2000,
    "backticks of every length": " ".join("`" * length for length in range(1, 300)),
    "a long word": "x" * 200_000,
    "many lines": "a\n" * 20_000,
    "control characters": "a\x00b\x07c\x1b[31md\x7fe\u202eevil\u2066",
    "emoji": "\ufffd alone and \U0001f600 whole \U0001f469\u200d\U0001f469\u200d\U0001f467" * 2000,
    "prototype names": "[constructor](__proto__) &constructor; &__proto__;\n\n```__proto__\nx\n```",
    "ids and names": '<a id="aura-chats" name="status">x</a> <form><input name=parentNode></form>',
    "footnotes that never end": "[^a]: [^b]: [^c]" * 300 + "\n\n[^a][^b\n[^",
    "formulas that never end": "\\( $x $$ \\[ " * 500 + "\n\n$$\n<script>window.hit = 1</script>",
    "formulas with markup": "$<img src=x onerror=window.hit=1>$ \\(<script>window.hit=1</script>\\)",
    "alerts and tasks": "> [!NOTE]\n> - [x] <b>a</b>\n" * 300,
    "combining marks": "e" + "\u0301" * 5000,
}

CHECK = """() => ({
  hit: window.hit ?? null,
  tags: [...new Set([...document.querySelectorAll(".answer .text *")].map((e) => e.tagName.toLowerCase()))],
  hrefs: [...document.querySelectorAll(".answer .text a")].map((a) => [a.protocol, a.rel, a.target]),
  attributes: [...new Set([...document.querySelectorAll(".answer .text *")].flatMap((e) => e.getAttributeNames()))],
})"""

TAGS = """p h1 h2 h3 h4 h5 h6 ul ol li pre code span div blockquote hr table thead tbody tr th td a em strong del br
button sup input"""
ATTRIBUTES = """class type tabindex role aria-label data-language data-to title href rel target start scope dir
disabled checked"""


def ollama(*parts: str) -> list[bytes]:
    lines = [json.dumps({"message": {"content": part}, "done": False}) for part in parts]
    last = {"done": True, "done_reason": "stop", "prompt_eval_count": 1, "eval_count": 1}
    return [f"{line}\n".encode() for line in [*lines, json.dumps(last)]]


@pytest.fixture
def ask(page: Any, serve: Serve) -> Any:
    """Show the page an answer with these pieces, through a real upstream."""
    with Upstream() as upstream:
        agent = {"local.md": "---\nname: Local\nprovider: ollama\nmodel: m\n---\n"}
        server = serve(agent, toml=f'[providers.ollama]\nbase_url = "{upstream.url}"\n')
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(server.url)
        page.wait_for_selector(".picker option", state="attached")

        def show(*parts: str) -> Any:
            upstream.on("/api/chat", Reply(ollama(*parts)))
            count = page.locator(".answer").count()
            page.get_by_role("textbox", name="Message").fill("Go on")
            page.keyboard.press("Enter")
            answer = page.locator(".answer").nth(count)
            answer.locator("xpath=self::*[@data-state='done']").wait_for(timeout=60_000)
            return answer

        yield show
        assert [url for url in asked if not url.startswith(server.url)] == []


@pytest.mark.parametrize("name", CORPUS)
def test_no_model_output_runs(ask: Any, page: Any, name: str) -> None:
    text = CORPUS[name]
    ask(*(text[at : at + 4000] for at in range(0, len(text), 4000)))
    found = page.evaluate(CHECK)
    assert found["hit"] is None
    assert set(found["tags"]) <= set(TAGS.split())
    assert set(found["attributes"]) <= set(ATTRIBUTES.split())
    for protocol, rel, target in found["hrefs"]:
        assert protocol in ("http:", "https:", "mailto:")
        assert (rel, target) == ("noopener noreferrer", "_blank")
    # The page still works.
    assert ask("Still **here**").locator("strong").inner_text() == "here"


@pytest.mark.parametrize("newlines", [False, True], ids=["one line", "many lines"])
def test_ten_megabytes_of_backticks_do_not_block_the_page(ask: Any, page: Any, newlines: bool) -> None:
    part = ("`" * 79 + "\n") * 820 if newlines else "`" * 65_536
    answer = ask(*[part] * 160)
    assert len(answer.locator(".text").text_content()) > (0 if newlines else 10_000_000)
    # This is too much for another request.
    page.get_by_role("button", name="New chat").click()
    assert ask("Still **here**").locator("strong").inner_text() == "here"


def test_a_token_of_a_megabyte_is_shown(ask: Any) -> None:
    answer = ask("word " * 200_000)
    assert len(answer.locator(".text").text_content().split()) == 200_000


def test_a_link_that_is_refused_shows_where_it_would_have_led(ask: Any) -> None:
    answer = ask("[click](javascript:alert(1))")
    refused = answer.locator(".no-link")
    assert refused.inner_text() == "click"
    assert refused.get_attribute("title") == "javascript:alert(1)"
    assert answer.locator("a").count() == 0


def test_an_image_is_a_link_and_is_not_fetched(ask: Any) -> None:
    answer = ask("![a cat](https://example.com/cat.png)")
    assert answer.locator("img").count() == 0
    assert answer.locator("a.image").inner_text() == "a cat"
