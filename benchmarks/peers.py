"""Other gateways that a benchmark compares with Aura; each is skipped, with a reason, if it is not installed.

nginx comes from the system's packages. `litellm[proxy]` and `tensorzero` come from the Python package index, best
installed into a separate environment:
`uv venv peers && uv pip install --python peers 'litellm[proxy]' tensorzero uvloop`,
then `bench.py --peers-python peers/bin/python`.
"""

import json
import os
import shutil
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from processes import Missing, ServerProcess, free_port, wait

NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_rlimit_nofile 16384;
events {{ worker_connections 16384; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{upstream}; proxy_buffering off; proxy_http_version 1.1; }}
  }}
}}
"""

TENSORZERO = """
import asyncio, sys, tensorzero
async def main():
    gateway = await tensorzero._start_http_gateway(
        config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=True)
    print(gateway.base_url, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def nginx(folder: Path, upstream: int) -> ServerProcess:
    """The lower bound: bytes are copied without inspection."""
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, upstream=upstream))
    command = [nginx_binary() or "nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait(port, process)
    return ServerProcess(process, f"http://127.0.0.1:{port}/v1/chat/completions", time.perf_counter() - begin)


def tensorzero(folder: Path, upstream: int, python: str, models: Iterable[str]) -> ServerProcess:
    """TensorZero's gateway in Rust, as its Python package embeds it; nothing is stored."""
    config = ["[gateway]", "observability.enabled = false"]
    for model in models:
        config += [f'[models."{model}"]', 'routing = ["raw"]', f'[models."{model}".providers.raw]', 'type = "openai"']
        config += [f'model_name = "{model}"', f'api_base = "http://127.0.0.1:{upstream}/v1/"']
        config += ['api_key_location = "none"']
    (folder / "tensorzero.toml").write_text("\n".join(config))
    begin = time.perf_counter()
    process = subprocess.Popen(
        [python, "-c", TENSORZERO, str(folder / "tensorzero.toml")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    url = next((line.strip() for line in process.stdout if line.startswith("http")), None)
    if url is None:
        raise Missing("it did not start")
    seconds = time.perf_counter() - begin
    threading.Thread(target=lambda: deque(process.stdout or (), 0), daemon=True).start()
    return ServerProcess(process, f"{url.rstrip('/')}/chat/completions", seconds)


def litellm(folder: Path, upstream: int, python: str, models: Iterable[str]) -> ServerProcess:
    """LiteLLM's proxy, one worker."""
    listed = [
        {
            "model_name": model,
            "litellm_params": {
                "model": f"openai/{model}",
                "api_base": f"http://127.0.0.1:{upstream}/v1",
                "api_key": "benchmark",
            },
        }
        for model in models
    ]
    router = {"disable_cooldowns": True, "num_retries": 0}  # a client's hang-up is not a failure of the model
    (folder / "litellm.yaml").write_text(json.dumps({"model_list": listed, "router_settings": router}))
    port = free_port()
    begin = time.perf_counter()
    process = subprocess.Popen(
        [str(Path(python).with_name("litellm")), "--config", str(folder / "litellm.yaml"), "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ
        | {
            "LITELLM_LOG": "ERROR",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        },
    )
    wait(port, process)
    seconds = time.perf_counter() - begin
    time.sleep(2)  # it keeps starting
    return ServerProcess(process, f"http://127.0.0.1:{port}/v1/chat/completions", seconds)


def nginx_binary() -> str | None:
    """Where nginx is."""
    return shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")


def need(name: str, python: str) -> None:
    """Raise Missing, with instructions, if a peer is not installed."""
    if name == "nginx":
        if nginx_binary() is None:
            raise Missing("nginx is not installed (nginx-light in Debian)")
        return
    probe = [python, "-c", f"import importlib.util, sys; sys.exit(importlib.util.find_spec({name!r}) is None)"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        raise Missing(f"{name} is not installed for {Path(python).name}; see benchmarks/peers.py")
