"""Read environment variables: white space around a value is ignored, and a token must be valid in a header."""

from collections.abc import Mapping

from aura_core.errors import ConfigError


def variable(environ: Mapping[str, str], name: str) -> str:
    """The value of a variable without the white space around it; "" where it is not set.

    A value that was read from a file often ends in a line break.
    """
    return environ.get(name, "").strip()


def bearer_token(environ: Mapping[str, str], name: str) -> str | None:
    """The token that a variable holds; None where it is empty or not set. Raises ConfigError without the token."""
    token = variable(environ, name)
    if not token and environ.get(name):
        raise ConfigError(f"{name}: the token is only white space; set another one, or unset the variable")
    if not (token.isascii() and token.isprintable()):
        raise ConfigError(f"{name}: the token holds characters that no header can carry; set another one, of ASCII")
    return token or None
