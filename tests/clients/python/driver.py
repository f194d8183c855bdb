"""What the drivers of Python clients share: play scenarios, and print what the client made of each.

A driver is run in its client's environment, without Aura: `python NAME.py '{"demo": URL, "own": URL, "cut": URL}'`.
Each line that it reads is a scenario's name. A scenario fills `said`; an exception that ends it is added. One line of
JSON is the answer.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

Said = dict[str, Any]
Scenario = Callable[[dict[str, str], Said], None]

PROMPT = "Hello brave new world"
HISTORY = [
    ("system", "Be brief."),
    ("user", "My name is Alice."),
    ("assistant", "Hello Alice."),
    ("user", "What is my name?"),
]


def play(scenarios: dict[str, Scenario]) -> None:
    """Play what is asked for, until there are no more lines."""
    given = json.loads(sys.argv[1])
    for line in sys.stdin:
        name = line.strip()
        said: Said = {}
        try:
            scenarios[name](given, said)
        except Exception as exc:
            said |= {"error": type(exc).__name__, "message": str(exc), "status": getattr(exc, "status_code", None)}
        print("\n@" + json.dumps({"scenario": name} | said), flush=True)  # the client itself may print, too


def add(said: Said, key: str, text: str | None) -> None:
    """Add a piece of text to what was said."""
    if text:
        said[key] = said.get(key, "") + text
        said["pieces"] = said.get("pieces", 0) + (key == "text")
