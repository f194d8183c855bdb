"""Import the SDK before any test: on a busy machine that alone takes longer than a client may take to open."""

import anthropic  # noqa: F401
