"""The page works behind a proxy that serves it below a prefix and strips that: all its addresses are relative."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from chat_page import Chat, echo

from aura_core.testing import AuraServer

NGINX = """
daemon off;
pid nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {
        listen 127.0.0.1:%d;
        location /tools/aura/ { proxy_pass %s/; proxy_set_header Host $http_host; proxy_buffering off; }
    }
}
"""


def test_the_page_answers_below_a_prefix(page: Any, serve: Callable[..., AuraServer], tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin") or pytest.skip("needs nginx")
    aura = serve({"echo.md": echo("Echo"), "whole.md": echo("Whole", streaming=False)})
    # It inherits the listening socket: whoever connects waits until nginx has started.
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    (tmp_path / "nginx.conf").write_text(NGINX % (port, aura.url))
    process = subprocess.Popen(
        [nginx, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"],
        env=os.environ | {"NGINX": f"{listener.fileno()};"},
        pass_fds=[listener.fileno()],
    )
    listener.close()
    try:
        lost: list[str] = []
        page.on("response", lambda answer: lost.append(answer.url) if answer.status >= 400 else None)
        chat = Chat(page, SimpleNamespace(url=f"http://127.0.0.1:{port}/tools/aura/"))  # type: ignore[arg-type]
        chat.ask("Hello there", agent="echo").get_by_text("Hello there").wait_for()
        chat.ask("Hello again", agent="whole").get_by_text("Hello again").wait_for()
        assert lost == []
    finally:
        process.terminate()
        process.wait(30)
