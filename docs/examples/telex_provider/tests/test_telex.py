"""Telex keeps every promise of a provider, and logs in once, and again where its session has ended."""

from pathlib import Path

from aura_telex.conformance import write

from aura_core.testing import AuraServer, Check, Reply, Upstream

AGENT = "---\nprovider: telex\nmodel: tiny\n---\nYou are brief.\n"
LOGIN = Reply([b'{"session": "s-1"}'])


def test_conformance(check: Check) -> None:
    check.run()


def test_one_login_serves_all_answers_until_the_session_ends(tmp_path: Path) -> None:
    with Upstream(Reply([write(["Hello"])])) as upstream:
        upstream.on("/login", LOGIN)
        with AuraServer(tmp_path, {"it.md": AGENT}, f'[providers.telex]\nbase_url = "{upstream.url}"\n') as aura:
            assert [aura.ask("it")[-1].name for _ in range(2)] == ["done", "done"]
            assert [request.path for request in upstream.requests] == ["/login", "/generate", "/generate"]
            upstream.queue(Reply(status=401))
            assert aura.ask("it")[-1].data["code"] == "auth"
            assert aura.ask("it")[-1].name == "done"
    assert [request.path for request in upstream.requests][3:] == ["/generate", "/login", "/generate"]
