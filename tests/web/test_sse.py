"""The parser against Chromium's own EventSource: the same events from the same bytes, however they are split."""

from typing import Any

import pytest

from aura_core.testing import Reply, Upstream

NAMES = ["message", "token", "done", "error ", " x", "tok:en", "é", "error\u2028"]

VECTORS: dict[str, bytes] = {
    "one event": b"data: hello\n\n",
    "as Aura writes it": b': ok\n\nevent: token\ndata: {"content": "Hello"}\n\nevent: done\ndata: {}\n\n',
    "CRLF": b"event: token\r\ndata: a\r\n\r\ndata: b\r\n\r\n",
    "CR": b"event: token\rdata: a\r\rdata: b\r\r",
    "every line end in one event": b"event: token\rdata: a\r\ndata: b\n\r\n",
    "LF CR is two line ends": b"data: a\n\rdata: b\n\n",
    "CR CR LF": b"data: a\r\r\ndata: b\r\n\r\n",
    "CR at the end": b"data: a\r\r",
    "a byte order mark": b"\xef\xbb\xbfdata: a\n\n",
    "two byte order marks": b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n",
    "a byte order mark inside": b"data: \xef\xbb\xbfa\n\n",
    "comments": b":\n: ping\n:data: no\ndata: a\n:in between\ndata: b\n\n: after\n\n",
    "many lines of data": b"data: a\ndata: b\ndata:\ndata: c\n\n",
    "data without a colon": b"data\n\n",
    "two of those": b"data\ndata\n\ndata:\n\n",
    "empty data": b"data:\n\n",
    "one space only is dropped": b"data:  a\ndata:b\ndata:\tc\n\n",
    "a colon in the value": b"data: a:b: c\n\n",
    "a colon at the start of the value": b"data::a\n\n",
    "an event without data is none": b"event: token\n\ndata: a\n\n",
    "the name is forgotten": b"event: token\ndata: a\n\ndata: b\n\n",
    "the last name counts": b"event: token\nevent: done\ndata: a\n\n",
    "an empty name is message": b"event: token\nevent:\ndata: a\n\n",
    "a name after the data": b"data: a\nevent: token\n\n",
    "unknown fields": b"Data: a\ndata : b\nfoo: c\n data: d\ndata: e\n\n",
    "id and retry": b"id: 1\nretry: 3000\ndata: a\n\nid: 2\x00\nretry: x\ndata: b\n\n",
    "an unfinished event": b"data: a\n\ndata: b\n",
    "an unfinished line": b"data: a\n\ndata: b",
    "nothing": b"",
    "blank lines": b"\n\n\r\r\r\n\ndata: a\n\n\n\n",
    "NUL": b"data: a\x00b\nevent: tok\x00en\n\ndata: c\n\n",
    "UTF-8": "data: zażółć 日本 👩‍👩‍👧 é\n\n".encode(),
    "broken UTF-8": b"data: a\xffb\xc3\n\ndata: \xf0\x9f\x98\n\ndata: \xed\xa0\x80\n\n",
    "a cut character at the end": b"data: a\n\ndata: \xe2\x82",
    "line separators of Unicode": "data: a\u2028b\u2029c\u0085d\x0b\x0ce\n\n".encode(),
    "a name with a space": b"event:  x\ndata: a\n\nevent: error \ndata: b\n\n",
    "a name with a colon": b"event: tok:en\ndata: a\n\n",
    "a name in another alphabet": "event: é\ndata: a\n\nevent: error\u2028\ndata: b\n\n".encode(),
    "field names alone": b"event\ndata\nid\nretry\n\n",
    "a colon alone": b":\n\n:\ndata: a\n\n",
}

ORACLE = """([url, names]) => new Promise((resolve) => {
  const source = new EventSource(url);
  const found = [];
  for (const name of names) source.addEventListener(name, (event) => found.push([event.type, event.data]));
  source.addEventListener("error", () => { source.close(); resolve(found); });
})"""

OURS = """async (bytes) => {
  const { SseParser } = await import("/web/sse.js");
  const body = Uint8Array.from(bytes);
  const parse = (...parts) => {
    const parser = new SseParser();
    return parts.flatMap((part) => parser.push(part)).map(({ name, data }) => [name, data]);
  };
  const splits = [parse(body), parse(...Array.from(body, (_, at) => body.subarray(at, at + 1)))];
  for (let at = 0; at <= body.length; at++) splits.push(parse(body.subarray(0, at), body.subarray(at)));
  return splits;
}"""


@pytest.fixture(scope="module")
def vectors() -> Any:
    with Upstream() as upstream:
        for number, body in enumerate(VECTORS.values()):
            headers = {"content-type": "text/event-stream", "access-control-allow-origin": "*"}
            upstream.on(f"/{number}", Reply([body] if body else [], headers=headers))
        yield upstream


@pytest.mark.parametrize("name", VECTORS)
def test_the_parser_agrees_with_chromium_at_every_split(modules: Any, vectors: Upstream, name: str) -> None:
    url = f"{vectors.url}/{list(VECTORS).index(name)}"
    expected = modules.evaluate(ORACLE, [url, NAMES])
    ours = modules.evaluate(OURS, list(VECTORS[name]))
    assert len(ours) == len(VECTORS[name]) + 3
    # EventSource does not report an event without a listener for its name.
    for split in ours:
        assert [event for event in split if event[0] in NAMES] == expected


def test_most_vectors_have_events_so_that_they_prove_something(modules: Any) -> None:
    assert len(VECTORS) >= 35
    counts = [len(modules.evaluate(OURS, list(body))[0]) for body in VECTORS.values()]
    assert sum(counts) >= 50


def test_an_endless_line_is_refused_instead_of_filling_the_memory(modules: Any) -> None:
    message = modules.evaluate("""async () => {
      const { SseParser, MAX_LINE } = await import("/web/sse.js");
      const parser = new SseParser();
      try {
        for (let size = 0; size <= MAX_LINE; size += 2 ** 20) parser.push(new Uint8Array(2 ** 20).fill(97));
      } catch (error) { return error.message; }
    }""")
    assert message == "a line of the stream is too long"
