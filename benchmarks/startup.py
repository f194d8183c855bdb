"""Start-up compared with the imports that any server of this kind needs: `uv run python benchmarks/startup.py`."""

import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

IMPORTS = "import litestar, uvicorn, httpx"
READY = "aura serve, ready"
ALL_READY = "aura serve with all plugins, ready"
PROVIDERS = ("ollama", "openai", "azure", "anthropic")


def use_compiled_files() -> None:
    """Let Python keep compiled files, as every installation does; without them it needs twice as long."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def imports(statement: str = IMPORTS) -> tuple[float, int]:
    """Seconds and KiB of a process that only imports modules."""
    code = f"{statement}\nprint(open('/proc/self/status').read())"
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return time.perf_counter() - begin, _rss(done.stdout)


def serve(folder: str, plugins: Sequence[str] = ("ollama",)) -> tuple[float, int]:
    """Seconds until `aura serve` is ready, and its KiB when the clients are open; with several plugins it has an agent
    of each, and of each the client."""
    agents = Path(folder, "_".join(plugins))
    agents.mkdir(exist_ok=True)
    for plugin in plugins if len(plugins) > 1 else ():
        (agents / f"{plugin}.md").write_text(f"---\nprovider: {plugin}\nmodel: m\n---\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = os.environ | {"AURA_PLUGINS": ",".join(plugins), "XDG_CONFIG_HOME": folder, "AURA_TRUST": folder}
    environ |= {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k", "AZURE_OPENAI_API_KEY": "k"}
    environ |= {"AZURE_OPENAI_ENDPOINT": "http://127.0.0.1:9"}
    begin = time.perf_counter()
    command = [sys.executable, "-m", "aura_core", "serve", "--port", str(port), "--agents", str(agents)]
    with subprocess.Popen(command, cwd=folder, env=environ, stderr=subprocess.DEVNULL) as process:
        while not _ready(port):
            time.sleep(0.001)
        seconds = time.perf_counter() - begin
        time.sleep(1 if len(plugins) == 1 else 4)  # clients are opened in the background
        memory = _rss(Path(f"/proc/{process.pid}/status").read_text())
        process.terminate()
    return seconds, memory


def _ready(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as sock:
            sock.sendall(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return sock.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _rss(status: str) -> int:
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found is not None
    return int(found[1])


def once(folder: Path) -> dict[str, dict[str, float]]:
    """Milliseconds and MiB of each, once."""
    runs = {
        "a bare python": imports("pass"),
        IMPORTS: imports(),
        "import aura_core": imports("import aura_core"),
        READY: serve(str(folder)),
        ALL_READY: serve(str(folder), PROVIDERS),
    }
    return {name: {"ms": seconds * 1000, "mib": kib / 1024} for name, (seconds, kib) in runs.items()}


def main() -> None:
    """Print medians and ratios of an interleaved run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    use_compiled_files()
    alone: list[tuple[float, int]] = []
    aura: list[tuple[float, int]] = []
    whole: list[tuple[float, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        imports(), serve(folder), serve(folder, PROVIDERS)  # compiled files and a warm cache for all
        for _ in range(rounds):
            alone.append(imports())
            aura.append(serve(folder))
            whole.append(serve(folder, PROVIDERS))
    for index, (name, unit, scale) in enumerate((("time", "ms", 1000.0), ("memory", "MiB", 1 / 1024))):
        base, ours, full = (statistics.median(run[index] for run in runs) * scale for runs in (alone, aura, whole))
        print(f"{name}: {IMPORTS!r} {base:.0f} {unit}, aura serve {ours:.0f} {unit}: {ours / base:.2f} times")
        print(f"{name}: aura serve with all plugins {full:.0f} {unit}: {full / base:.2f} times")


if __name__ == "__main__":
    main()
