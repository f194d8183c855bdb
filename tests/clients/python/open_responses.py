"""Check events and responses against the types of Open Responses: one JSON object a line in, the faults of each out."""

import json
import sys
from typing import Any

import openresponses_types as published
from pydantic import BaseModel, ValidationError

EVENTS: dict[str, type[BaseModel]] = {
    word.value: kind
    for name, kind in vars(published).items()
    if name.endswith("StreamingEvent") and isinstance(kind, type)
    for word in kind.model_fields["type"].annotation  # an enum of one
}


def faults(value: Any) -> list[str]:
    """What the published types say against it; nothing where they take it."""
    kind = published.ResponseResource if value.get("object") == "response" else EVENTS.get(value["type"])
    if kind is None:
        return [f"no event {value['type']} is published"]
    try:
        kind.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as exc:
        return [f"{value.get('type', 'response')}: {error['loc']}: {error['msg']}" for error in exc.errors()]
    return []


for line in sys.stdin:
    print(json.dumps(faults(json.loads(line))), flush=True)
