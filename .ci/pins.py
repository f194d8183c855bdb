"""Update constraints.txt and [tool.uv] constraint-dependencies from uv's resolution; --check only compares."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAD = "# Pins of everything that the workspace needs; made by `just pin`.\n"


def exported() -> list[str]:
    """The pins of uv's resolution, without addresses."""
    command = ["uv", "export", "--no-emit-workspace", "--no-hashes", "--no-header", "--no-annotate"]
    out = subprocess.run(
        [*command, "--all-packages", "--all-extras", "--all-groups", "--quiet"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.strip() for line in out.stdout.splitlines() if line.strip() and not line.startswith("#")]


def in_pyproject(pins: list[str]) -> str:
    """The text of pyproject.toml with these pins."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines = "".join(f"  {_quoted(pin)},\n" for pin in pins)
    return re.sub(
        r"(?ms)^constraint-dependencies = \[\n.*?^\]", lambda _: f"constraint-dependencies = [\n{lines}]", text
    )


def _quoted(pin: str) -> str:
    return f'"{pin}"' if '"' not in pin else f"'{pin}'"


def main() -> None:
    """Write, or compare and fail."""
    pins = exported()
    wanted = {ROOT / "constraints.txt": HEAD + "\n".join(pins) + "\n", ROOT / "pyproject.toml": in_pyproject(pins)}
    for path, text in wanted.items():
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path.name} is not what uv resolves; run: just pin")


if __name__ == "__main__":
    main()
