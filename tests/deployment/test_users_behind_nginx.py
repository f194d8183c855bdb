"""Users whom only nginx knows, as docs/deployment.md has it: a limit for each, one request id in both logs."""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from aura_core.testing import AuraServer

PAGE = Path(__file__).parents[2] / "docs" / "deployment.md"
FLAGS = re.MULTILINE | re.DOTALL
TOKENS = {"alice": "a1" * 32, "bob": "b0" * 32}
STALLS = "---\nprovider: echo\noptions: {stall_after: 1}\n---\n"
_MAIN = "%s\ndaemon off;\npid nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\n%s\n%s\n}\n"
_TEMPORARY = "".join(f"    {each}_temp_path {each};\n" for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))


@pytest.fixture
def aura(tmp_path: Path) -> Iterator[AuraServer]:
    with AuraServer(tmp_path, {"stalls.md": STALLS, "echo.md": "---\nprovider: echo\n---\n"}) as server:
        yield server


@pytest.fixture
def nginx(aura: AuraServer, tmp_path: Path) -> Iterator[str]:
    """nginx's address."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin") or pytest.skip("needs nginx")
    match = re.search(
        r"^### Users that only nginx knows$.*?^```nginx\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    assert match is not None
    listener = socket.create_server(("127.0.0.1", 0))
    port, text = listener.getsockname()[1], match[1]
    for old, new in [
        ("include /etc/nginx/aura-users.map", f"include {tmp_path}/users.map"),
        ("listen 127.0.0.1:8080", f"listen 127.0.0.1:{port}"),
        ("access_log /var/log/nginx/aura.log", f"access_log {tmp_path}/nginx.log"),
        ("proxy_pass http://127.0.0.1:5300", f"proxy_pass {aura.url}"),
    ]:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (tmp_path / "users.map").write_text("".join(f'"Bearer {token}" {name};\n' for name, token in TOKENS.items()))
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(_MAIN % ("user root;" if os.geteuid() == 0 else "", _TEMPORARY, text))
    # As in an upgrade, nginx inherits the open socket, so that no other process can take its port.
    process = subprocess.Popen(
        [program, "-p", str(tmp_path), "-c", str(configuration), "-e", "stderr"],
        stderr=subprocess.PIPE, text=True, pass_fds=[listener.fileno()],
        env=os.environ | {"NGINX": f"{listener.fileno()};"},
    )  # fmt: skip
    with closing(listener):
        yield f"http://127.0.0.1:{port}"
    process.terminate()
    assert "emerg" not in process.communicate(timeout=60)[1]


def test_a_limit_for_each_user_and_one_request_id_in_both_logs(nginx: str, aura: AuraServer, tmp_path: Path) -> None:
    records = list[Any]()
    aura.runtime.observers.append(lambda record, _ended: records.append(record))

    async def run() -> str:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http, AsyncExitStack() as held:

            async def ask(user: str, agent: str) -> httpx.Response:
                headers = {"authorization": f"Bearer {TOKENS.get(user, user)}"}
                url = f"{nginx}/api/agents/{agent}/chat/stream"
                return await held.enter_async_context(http.stream("POST", url, json={"prompt": "hi"}, headers=headers))

            for wrong in ("x", "nobody", TOKENS["bob"][:-1]):
                refused = await ask(wrong, "echo")
                assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert [(await ask("alice", "stalls")).status_code for _ in range(5)] == [200] * 5
            assert (await ask("alice", "echo")).status_code == 429
            answered = await ask("bob", "echo")
            assert answered.status_code == 200
            assert [started.bound.agent.id for started in aura.runtime.relays.values()].count("stalls") == 5
            assert b"event: done" in await answered.aread()
            return answered.headers["x-request-id"]

    identity = asyncio.run(run())
    end = time.monotonic() + 30
    while len(records) < 6 or "user=bob" not in (log := (tmp_path / "nginx.log").read_text()):
        assert time.monotonic() < end, (records, log)
        time.sleep(0.02)
    assert identity in [record.request_id for record in records]
    assert f"user=bob id={identity} status=200" in log
    assert log.count("user= ") == 3
    assert not any(token in log for token in TOKENS.values())
