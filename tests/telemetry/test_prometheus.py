"""A real Prometheus scrapes two workers under load: each answer is counted once, and the queries of the docs work.

`just prometheus` does it for a minute.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from aura_process import Process

PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"
QUERIES = re.findall(r"^```promql\n(.+?)\n```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
SECONDS = float(os.environ.get("AURA_SCRAPED_SECONDS", "4"))
CLIENTS = 8
ECHO = "---\nprovider: echo\nmodel: tiny\noptions: {tokens: 20, delay: 0.01}\n---\n"
AGENTS = {
    "good.md": ECHO,
    "bad.md": "---\nprovider: echo\nmodel: tiny\noptions: {tokens: 9, fail_after: 3, code: llm_error}\n---\n",
    "next.md": "---\nprovider: dead\nmodel: m\nfallback: [{provider: echo, model: tiny}]\n---\n",
}
TOML = "[server]\nretries = 0\n[providers.dead]\nplugin = 'ollama'\nbase_url = 'http://127.0.0.1:{port}'\n"
SCRAPING = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: aura
    static_configs: [{{targets: ["{target}"]}}]
"""

Query = Callable[[str], list[dict[str, Any]]]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a system that can fork")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


def _until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


class Prometheus:
    """A Prometheus of Debian's that scrapes one target."""

    def __init__(self, folder: Path, target: str) -> None:
        folder.mkdir()
        (folder / "prometheus.yml").write_text(SCRAPING.format(target=target))
        self.url = f"http://127.0.0.1:{_free_port()}"
        self._popen = subprocess.Popen(
            [
                shutil.which("prometheus") or pytest.skip("needs prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={self.url.removeprefix('http://')}",
                "--log.level=error",
            ],
            cwd=folder,
        )

    def ready(self) -> bool:
        assert self._popen.poll() is None, "it has ended"
        try:
            return bool(httpx.get(f"{self.url}/-/ready", trust_env=False, timeout=10).is_success)
        except httpx.TransportError:
            return False

    def query(self, text: str) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": text}, trust_env=False, timeout=60)
        assert answer.status_code == 200, f"{text}: {answer.text}"
        return list(answer.json()["data"]["result"])

    def value(self, text: str) -> float:
        """The value of a query that gives one; NaN where it gives none."""
        found = self.query(text)
        return float(found[0]["value"][1]) if found else float("nan")

    def stop(self) -> None:
        self._popen.terminate()
        self._popen.wait(60)


class Run(NamedTuple):
    """What was scraped: Prometheus, the server, how many answers each agent gave, as their clients counted, and where
    the workers keep their figures."""

    prometheus: Prometheus
    aura: Process
    answers: dict[str, int]
    figures: Path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Clients that ask for a while, while Prometheus scrapes; the last figures are scraped."""
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "agents").mkdir()
    for name, text in AGENTS.items():
        (folder / "agents" / name).write_text(text)
    (folder / "aura.toml").write_text(TOML.format(port=_free_port()))
    figures = folder / "figures"
    figures.mkdir()
    aura = Process(folder, "--workers", "2", AURA_PLUGINS="ollama", PROMETHEUS_MULTIPROC_DIR=str(figures))
    prometheus = None
    try:
        prometheus = Prometheus(folder / "scraper", aura.url.removeprefix("http://"))
        _until(prometheus.ready, "Prometheus is ready")
        _until(lambda: prometheus.value("aura_workers") == 2, "both workers are scraped")
        answers = dict.fromkeys(("good", "bad", "next"), 0)
        lock = threading.Lock()

        def ask_each() -> None:
            # Each request on a connection of its own, so that both workers get some.
            for agent in answers:
                url = f"{aura.url}/api/agents/{agent}/chat/stream"
                answer = httpx.post(url, json={"prompt": "hi"}, trust_env=False, timeout=60)
                assert answer.text.count("event: done") + answer.text.count("event: error") == 1
                httpx.get(f"{aura.url}/nothing", trust_env=False, timeout=60)
                with lock:
                    answers[agent] += 1

        def ask_on() -> None:
            ask_each()
            while time.monotonic() < end:
                ask_each()

        ask_each()  # a series that Prometheus has not seen before has not grown
        _until(lambda: prometheus.value("sum(aura_streams_total)") == 3, "the first answers are scraped")
        end = time.monotonic() + SECONDS
        threads = [threading.Thread(target=ask_on) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        yield Run(prometheus, aura, answers, figures)
    finally:
        if prometheus is not None:
            prometheus.stop()
        aura.popen.kill()
        aura.exit()


def _scraped(url: str) -> str:
    return httpx.get(f"{url}/metrics", trust_env=False, timeout=60).text


def _sum(text: str, start: str) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(start))


def test_every_answer_is_counted_once_whichever_worker_is_asked(run: Run) -> None:
    total = sum(run.answers.values())
    assert min(run.answers.values()) > 0
    _until(lambda: _sum(_scraped(run.aura.url), "aura_streams_total{") == total, "all workers have counted")
    for _ in range(20):  # each on a connection of its own
        assert _sum(_scraped(run.aura.url), "aura_streams_total{") == total
    _until(lambda: run.prometheus.value("sum(aura_streams_total)") == total, "Prometheus has the last figures")
    for agent, number in run.answers.items():
        assert run.prometheus.value(f'sum(aura_streams_total{{agent="{agent}"}})') == number
    count = "gen_ai_client_operation_duration_seconds_count"
    assert run.prometheus.value(f'sum({count}{{gen_ai_operation_name="invoke_agent"}})') == total
    dead = run.prometheus.value(f'sum({count}{{provider="dead", error_type="unavailable"}})')
    assert 1 <= dead <= run.answers["next"], "it rests after its first failure"
    assert run.prometheus.value(f'sum({count}{{gen_ai_operation_name="chat"}})') == total + dead
    written = 20 * run.answers["good"] + run.answers["next"]
    tokens = run.prometheus.value('sum(aura_tokens_total{gen_ai_token_type="output", agent!="bad"})')
    assert tokens == written
    assert run.prometheus.value('sum(aura_refusals_total{code="not_found"})') == total
    assert run.prometheus.value("sum(resets(aura_streams_total[1h]))") == 0, "no scrape saw less than one before"


def test_promtool_finds_nothing_to_complain_about(run: Run) -> None:
    promtool = shutil.which("promtool") or pytest.skip("needs promtool")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=_scraped(run.aura.url), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_docs_ask_for_what_an_operator_wants_to_know() -> None:
    assert len(QUERIES) == 11
    for part in ("aura_tokens_total[1d]", 'outcome="error"', "histogram_quantile(0.95", 'token_type="output"'):
        assert any(part in query for query in QUERIES), part


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_of_the_docs_gives_figures(query: str, run: Run) -> None:
    if "cache_read" in query:  # echo reads from no cache
        assert run.prometheus.query(query) == []
        return
    _until(lambda: run.prometheus.query(query), query)
    values = [float(series["value"][1]) for series in run.prometheus.query(query)]
    assert max(values) > 0
    if query.startswith("sum(rate(aura_streams_total"):
        assert 0.2 < values[0] < 0.5, "one in three answers fails"


def test_a_worker_that_is_killed_takes_no_figures_with_it(run: Run) -> None:
    before = _scraped(run.aura.url)
    children = Path(f"/proc/{run.aura.popen.pid}/task/{run.aura.popen.pid}/children")
    if not children.exists():
        pytest.skip("needs Linux's /proc")
    killed = children.read_text().split()
    for pid in killed:
        os.kill(int(pid), signal.SIGKILL)

    def replaced() -> bool:
        now = children.read_text().split()
        if len(now) != 2 or {*now} & {*killed}:
            return False
        try:
            return _sum(_scraped(run.aura.url), "aura_workers ") == 2
        except httpx.TransportError:
            return False

    _until(replaced, "both are replaced")
    after = _scraped(run.aura.url)
    for name in ("aura_streams_total{", "aura_tokens_total{", "aura_refusals_total{"):
        assert _sum(after, name) == _sum(before, name) > 0
    (folder,) = run.figures.iterdir()
    assert len(list(folder.glob("counter_*.db"))) == 2, "a worker's successor goes on in its file"
    run.aura.popen.terminate()
    run.aura.exit(60)
    assert list(run.figures.iterdir()) == [], "the folder is removed at the end"
