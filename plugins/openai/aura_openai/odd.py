"""Read a chunk whose fields have other types than in OpenAI's reference: text is coerced, other fields are ignored.

Mistral and Cohere send `content` as a list of parts, Cloudflare as a number, MiniMax thinks in `reasoning_details`.
Values are as `aura_core.streams.loads` returns them: a number is its text.
"""

from typing import Any

from aura_core import Token, Usage
from aura_core.streams import count, parts

_THOUGHTS = ("reasoning", "reasoning_content", "thinking", "reasoning_details")
_PROMPT = ("prompt_tokens", "input_tokens")
_COMPLETION = ("completion_tokens", "output_tokens")


def first_choice(fields: dict[str, Any]) -> dict[str, Any]:
    """The first choice of a chunk, {} if there is none."""
    choices = fields.get("choices")
    if isinstance(choices, dict):
        choices = [choices] if "delta" in choices else list(choices.values())
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and not count(choice.get("index")):
            return choice
    return {}


def token(fields: dict[str, Any], choice: dict[str, Any]) -> Token:
    """The token of this choice."""
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        delta = {"content": delta}
    text, thought = parts(delta.get("content"))
    text += parts(delta.get("refusal"))[0]
    for name in _THOUGHTS:
        thought = thought or "".join(parts(delta.get(name)))
    usage = _usage(fields.get("usage")) or _usage(choice.get("usage")) or _usage(inside(fields, "x_groq", "usage"))
    return Token(text, thought, _finish(choice.get("finish_reason")), usage)


def _finish(reason: Any) -> str | None:
    if isinstance(reason, dict):
        reason = reason.get("type") or reason.get("reason")
    if isinstance(reason, list):
        reason = reason[0] if reason else None
    return reason if isinstance(reason, str) and reason else None


def _usage(used: Any) -> Usage | None:
    """The counts under any of their names; a total alone counts as the answer's."""
    if not isinstance(used, dict):
        return None
    prompt, completion = _sum(used, _PROMPT), _sum(used, _COMPLETION)
    completion = completion or max(0, count(used.get("total_tokens")) - prompt)
    if not (prompt or completion):
        return None
    read = count(used.get("prompt_cache_hit_tokens")) or count(inside(used, "prompt_tokens_details", "cached_tokens"))
    written = count(inside(used, "prompt_tokens_details", "cache_write_tokens"))
    thought = count(inside(used, "completion_tokens_details", "reasoning_tokens"))
    return Usage(prompt, completion, read, written, thought)


def _sum(used: dict[str, Any], names: tuple[str, ...]) -> int:
    return next((number for name in names if (number := count(used.get(name)))), 0)


def filtered(results: Any) -> str:
    """The categories that Azure's content filter found, as `hate (high), violence`."""
    found = []
    for category, result in results.items() if isinstance(results, dict) else ():
        if inside(result, "filtered") is True:
            severity = inside(result, "severity")
            found.append(f"{category} ({severity})" if isinstance(severity, str) else str(category))
    return ", ".join(found)


def inside(fields: Any, *names: str) -> Any:
    """The value at the end of this path of objects, None if it ends before."""
    for name in names:
        fields = fields.get(name) if isinstance(fields, dict) else None
    return fields
