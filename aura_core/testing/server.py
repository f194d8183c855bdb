"""A real Aura for tests: uvicorn on a loopback port, in a thread of its own."""

import asyncio
import os
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from aura_core.config import settings
from aura_core.runtime import Runtime
from aura_core.testing.sse import SseEvent, events

_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # reading them takes longer than a request


class AuraServer:
    """Aura with agent files and settings of a test's own; a context manager.

    `agents` maps file names to texts, `toml` is the text of aura.toml, `environ` replaces the environment. `flags` are
    settings as on the command line: `{"server.heartbeat": 0.1}`.
    """

    def __init__(
        self,
        folder: Path,
        agents: Mapping[str, str] | None = None,
        toml: str = "",
        environ: Mapping[str, str] | None = None,
        flags: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        (folder / "agents").mkdir(exist_ok=True)
        for name, text in (agents or {}).items():
            (folder / "agents" / name).write_text(text, encoding="utf-8")
        config = folder / "aura.toml"
        config.write_text(toml, encoding="utf-8")
        self._environ = dict(os.environ if environ is None else environ)
        given = {"server.port": 0, "agents.directory": str(folder / "agents")} | dict(flags or {})
        self.runtime = Runtime(settings.load(given, self._environ, config), self._environ)

    def __enter__(self) -> "AuraServer":
        from aura_core.server.serve import DrainingServer  # heavy
        from aura_core.server.sockets import listen

        ready = threading.Event()
        self._server = DrainingServer(self.runtime, settled=ready.set)
        sock = listen("127.0.0.1", self.runtime.settings.server.port)
        self.port: int = sock.getsockname()[1]
        self._thread = threading.Thread(target=self._server.run, args=[[sock]], name="aura", daemon=True)
        self._thread.start()
        assert ready.wait(60), "Aura did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive(), "Aura did not stop"

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that the server runs on, in its own thread."""
        assert self._server._loop is not None
        return self._server._loop

    def tell(self) -> None:
        """Have the log and the metrics told of all answers that are over; by itself that happens a moment later."""

        async def tell() -> None:
            self.runtime.tell()

        asyncio.run_coroutine_threadsafe(tell(), self.loop).result(60)

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self.port}"

    def post(self, agent: str, prompt: str = "Hello", route: str = "chat/stream", **body: Any) -> httpx.Response:
        """Ask an agent; the whole response."""
        return httpx.post(
            f"{self.url}/api/agents/{agent}/{route}",
            json={"prompt": prompt, **body},
            timeout=30,
            trust_env=False,
            verify=_NO_CERTIFICATES,
        )

    def ask(self, agent: str, prompt: str = "Hello", **body: Any) -> list[SseEvent]:
        """Ask an agent; the events of its answer."""
        response = self.post(agent, prompt, **body)
        assert response.status_code == 200, response.text
        return events(response.content)
