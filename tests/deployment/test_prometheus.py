"""deploy/prometheus and deploy/grafana: the alerts' own tests, and every query on the figures of a real Aura."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from free_port import free_port

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "aura.json").read_text(encoding="utf-8"))
ADAPTER = ROOT / "deploy" / "kubernetes" / "monitoring" / "adapter-values.yaml"

Ask = Callable[[str], list[dict[str, Any]]]


def tool(name: str) -> str:
    return shutil.which(name) or pytest.skip(f"needs {name}")


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((RULES / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return list(group["rules"])


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> list[tuple[str, str]]:
    return [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]


def test_promtool_takes_the_rules_and_the_configuration() -> None:
    promtool = tool("promtool")
    subprocess.run([promtool, "check", "rules", "--lint-fatal", RULES / "alerts.yml"], check=True)
    # Without the files that it names: the token is not there.
    subprocess.run([promtool, "check", "config", "--syntax-only", RULES / "prometheus.yml"], check=True)


def test_each_alert_fires_when_it_should_and_not_before() -> None:
    done = subprocess.run(
        [tool("promtool"), "test", "rules", RULES / "alerts_test.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tested_with_a_case_that_fires_it() -> None:
    tests = yaml.safe_load((RULES / "alerts_test.yml").read_text(encoding="utf-8"))["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {alert["alert"] for alert in alerts()}


def test_each_alert_has_its_place_in_the_documentation() -> None:
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    for alert in alerts():
        assert f"\n#### {alert['alert']}\n" in page
        assert alert["annotations"]["runbook"] == f"docs/deployment.md#{alert['alert'].lower()}"


def test_the_dashboard_is_complete() -> None:
    assert [panel["id"] for panel in DASHBOARD["panels"]] == list(range(1, len(DASHBOARD["panels"]) + 1))
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        mine = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & mine, f"{panel['title']} lies on another panel"
        cells |= mine
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert {"instance", "agent", "client"} <= variables
    used = {name for _, query in queries() for name in re.findall(r"\$(\w+)", query)} - {"__rate_interval"}
    assert used <= variables
    for panel in panels():
        assert panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"


# On the figures of a real Aura

AGENTS = {
    "good.md": "---\nprovider: echo\nmodel: tiny\noptions: {tokens: 5}\n---\n",
    "bad.md": "---\nprovider: echo\noptions: {fail_after: 0, code: auth}\n---\n",
    "rests.md": "---\nprovider: echo\noptions: {fail_after: 0, code: unavailable}\nfallback: [{provider: backup}]\n"
    "---\n",
}
PROMETHEUS = """
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: aura
    authorization: {credentials: t}
    static_configs: [{targets: ["127.0.0.1:PORT"], labels: {namespace: aura, pod: aura-1}}]
"""


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """A Prometheus that scrapes an Aura which has answered, failed and refused: what a query gives there now."""
    prometheus, folder = tool("prometheus"), tmp_path_factory.mktemp("prometheus")
    (folder / "agents").mkdir()
    for name, text in AGENTS.items():
        (folder / "agents" / name).write_text(text)
    (folder / "aura.toml").write_text("[server]\nretries = 0\n[providers.backup]\nplugin = 'echo'\n")
    environ = os.environ | {"AURA_TRUST": str(folder), "AURA_TOKEN": "t", "AURA_PLUGINS": ""}
    command = [sys.executable, "-m", "aura_core", "serve", "--port", "0", "--workers", "2"]
    aura = subprocess.Popen(command, cwd=folder, env=environ, stderr=subprocess.PIPE, text=True)
    assert aura.stderr is not None
    port = int(aura.stderr.readline().split()[3].rpartition(":")[2])
    (folder / "prometheus.yml").write_text(PROMETHEUS.replace("PORT", str(port)))
    address = f"127.0.0.1:{free_port()}"
    command = [prometheus, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    scraper = subprocess.Popen([*command, f"--web.listen-address={address}"], stderr=subprocess.DEVNULL)
    client = httpx.Client(trust_env=False, timeout=60)

    def query(text: str) -> list[dict[str, Any]]:
        answer = client.get(f"http://{address}/api/v1/query", params={"query": text}).json()
        assert answer["status"] == "success", f"{text}: {answer.get('error')}"
        return list(answer["data"]["result"])

    def traffic() -> None:
        for agent in ("good", "bad", "rests"):
            url = f"http://127.0.0.1:{port}/api/agents/{agent}/chat/stream"
            client.post(url, json={"prompt": "hi"}, headers={"authorization": "Bearer t"})
            client.post(url, json={"prompt": "hi"})  # without a token

    try:
        end = time.monotonic() + 120
        # Two scrapes with answers in between, at least: what has grown counts.
        while True:
            traffic()
            try:
                grown = query('sum(increase(aura_streams_total{outcome="error"}[5m])) > 0')
                if grown and query("sum(increase(aura_event_loop_lag_seconds_count[5m])) > 0"):
                    break
            except httpx.TransportError:
                pass  # it starts
            assert time.monotonic() < end, "Prometheus sees no answers"
            time.sleep(0.3)
        yield query
    finally:
        client.close()
        for process in (scraper, aura):
            process.kill()
        scraper.wait()
        aura.communicate()


def test_every_panel_shows_something(ask: Ask) -> None:
    empty = []
    for title, query in queries():
        text = re.sub(r"\$(job|instance|agent|client)\b", ".*", query).replace("$__rate_interval", "1m")
        assert "$" not in text
        if not ask(text):
            empty.append(f"{title}: {text}")
    assert empty == []


def test_every_variable_of_the_dashboard_has_values(ask: Ask) -> None:
    for variable in DASHBOARD["templating"]["list"][1:]:
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
        assert match is not None
        found = ask(match[1].replace("$job", ".*"))
        assert {series["metric"].get(match[2]) for series in found} - {None, ""}, variable["name"]


def test_every_metric_of_the_alerts_is_there(ask: Ask) -> None:
    names = {name for alert in alerts() for name in re.findall(r"\b(?:aura|gen_ai_client|process)_\w+", alert["expr"])}
    names -= {"gen_ai_operation_name"}
    assert len(names) > 8
    # A plugin that does not clean up is none of this test's.
    missing = {name for name in names if not ask(name)} - {"aura_abandoned_cleanups_total"}
    assert missing == set()
    for alert in alerts():
        ask(alert["expr"])  # the query is valid
    refused = {series["metric"]["error_type"] for series in ask(_expression("AuraKeyOrQuota").removesuffix("> 0"))}
    assert refused == {"auth"}


def _expression(name: str) -> str:
    (found,) = [alert["expr"] for alert in alerts() if alert["alert"] == name]
    return str(found).strip()


def test_the_rule_of_the_autoscaler_finds_the_pods(ask: Ask) -> None:
    (rule,) = yaml.safe_load(ADAPTER.read_text(encoding="utf-8"))["rules"]["custom"]
    assert ask(rule["seriesQuery"])
    text = rule["metricsQuery"]
    for old, new in [
        ("<<.Series>>", "aura_active_streams"),
        ("<<.LabelMatchers>>", 'namespace="aura",pod=~"aura-1"'),
        ("<<.GroupBy>>", "pod"),
    ]:
        assert old in text
        text = text.replace(old, new)
    (series,) = ask(text)
    assert series["metric"] == {"pod": "aura-1"}
