"""Check that a container's server is ready: the image runs `python -m aura_core.cli.health_check`.

The server's own command line, settings and variables say where it listens.
"""

import os
import socket
import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from aura_core.cli import aura
from aura_core.cli.options import load_settings
from aura_core.cli.serve import command
from aura_core.errors import ConfigError
from aura_core.limits import HEALTH_CHECK_TIMEOUT

ANY = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}  # noqa: S104  # `::` serves IPv4, too


def is_ready(process: int) -> bool:
    """Whether the server that this process runs takes requests."""
    words = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="surrogateescape").split("\0")[:-1]
    # Before it are the interpreter, and perhaps an init.
    arguments = words[words.index("serve") + 1 :] if "serve" in words else []
    context = command.make_context("serve", arguments, parent=aura.make_context("aura", []), resilient_parsing=True)
    given = context.params
    settings = load_settings(given["config"], given["agents_directory"], host=given["host"], port=given["port"])
    server = settings.server
    connection = HTTPConnection(ANY.get(server.host, server.host), server.port, timeout=HEALTH_CHECK_TIMEOUT)
    if given["uds"] is not None:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(HEALTH_CHECK_TIMEOUT)
        connection.sock.connect(str(given["uds"]))
    connection.request("GET", "/health/ready", headers={"host": "localhost"})
    return connection.getresponse().status == 200


def main() -> int:
    """The exit code: 0 where the server is ready. An argument names another process than the container's first."""
    try:
        return 0 if is_ready(int(sys.argv[1]) if len(sys.argv) > 1 else 1) else 1
    except (OSError, HTTPException, ConfigError):
        return 1


if __name__ == "__main__":
    os._exit(main())
