"""Ollama's errors as Aura's codes, each with what to do about it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from aura_core import ProviderError
from aura_ollama.scrub import Scrub
from aura_ollama.settings import OllamaSettings

_TOO_LONG = ("exceed_context_size", "longer than the context length", "exceeds the available context size")


NOT_OLLAMA = "The server's answer is not Ollama's protocol; is base_url right?"


def failure(error: Any, model: str, scrub: Scrub, status: int = 200) -> ProviderError:
    """An `error` text, of a status of its own or of a line in mid-stream."""
    text = error if isinstance(error, str) else str(error.get("message", "")) if isinstance(error, dict) else ""
    lower, text = text.lower(), scrub(text)
    if any(words in lower for words in _TOO_LONG):
        return ProviderError(
            "The conversation is longer than the model's context; shorten it or raise num_ctx.", "context_length"
        )
    if "not found" in lower and "model" in lower:
        return ProviderError(f"Ollama has no model {model!r}. Get it with: ollama pull {model}", "model_not_found")
    if "server busy" in lower or ("loading" in lower and "model" in lower):
        return ProviderError(f"Ollama is busy: {text}", "unavailable")
    if 400 <= status < 500:
        return ProviderError(f"Ollama refused the request: {text or f'status {status}'}", "bad_request")
    return ProviderError(f"Ollama failed: {text or f'status {status}'}")


def status_error(
    status: int, headers: Mapping[str, str], body: bytes, model: str, settings: OllamaSettings, scrub: Scrub
) -> ProviderError:
    """A status other than 200. The body of a 401 or 403 may hold a sign-in address with a key: it is not shown."""
    where = settings.url()
    if 300 <= status < 400:
        return ProviderError(f"{where} redirects to another address; name that one as base_url.", "bad_response")
    if status in (401, 403):
        key = settings.api_key_env
        hint = f"check the key in {key}" if key else "set api_key_env, if the server wants a key"
        return ProviderError(f"Ollama at {where} refused access to {model!r}; {hint}, or sign in there.", "auth")
    if status == 402:
        return ProviderError(f"The account at {where} has no credit left.", "quota_exceeded")
    if status == 408:
        return ProviderError(f"Ollama at {where} waited too long for the request.", "timeout")
    if status == 429:
        return ProviderError(f"Ollama at {where} limits the rate of requests.", "rate_limited", _retry_after(headers))
    if status in (502, 503, 504, 529):
        return ProviderError(
            f"Ollama at {where} is busy or not reachable (status {status}).", "unavailable", _retry_after(headers)
        )
    error = _error_of(body)
    if status in (404, 405) and error is None:
        return ProviderError(
            f"There is no Ollama server at {where} (status {status}); is base_url right?", "bad_request"
        )
    return failure(error, model, scrub, status)


def _error_of(body: bytes) -> Any:
    """The `error` of a JSON body; None where there is none, as with a proxy's page."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return decoded.get("error") if isinstance(decoded, dict) else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        return float(headers.get("retry-after", ""))
    except ValueError:
        return None
