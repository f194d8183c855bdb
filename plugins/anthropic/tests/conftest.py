"""The SDK is imported before any test: it takes seconds on a busy machine, and a plugin's client may take ten to open."""

import anthropic  # noqa: F401
