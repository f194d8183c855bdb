"""Read a secret from the file or the variable that settings name."""

import os
from typing import TYPE_CHECKING, Any

from aura_core.errors import ConfigError, ProviderError
from aura_core.limits import SECRET_LIMIT

if TYPE_CHECKING:
    from pathlib import Path


def secret(settings: Any, name: str, required: bool = False) -> str:
    """The secret of these settings, without the white space around it; "" where none is set.

    `secret(settings, "api_key")` reads the file that `api_key_file` names, else the variable that `api_key_env` names.
    Where `required`, a missing one is an error. Raises ProviderError `auth`, whose message holds neither the secret nor
    the file's path.
    """
    file, variable = _names(settings, name)
    place = f"The file that {name}_file names" if file else f"The variable {variable}"
    try:
        if file:
            found = read_secret(file)
            if not found:
                raise ConfigError("is empty; write the secret into it")
        else:
            found = checked_secret(os.environ.get(variable, "").strip() if variable else "")
    except ConfigError as exc:
        raise ProviderError(f"{place} {exc}.", "auth") from None
    if not found and required:
        raise ProviderError(_missing(name, variable), "auth")
    return found


def secret_place(settings: Any, name: str) -> str:
    """Where these settings have a secret, for messages: the name of the setting for a file, or of the variable.

    `secret_place(settings, "api_key")` is "api_key_file" where that is set, else what `api_key_env` names, or "".
    """
    file, variable = _names(settings, name)
    return f"{name}_file" if file else variable


def read_secret(file: "Path | str") -> str:
    """The secret in a file, without the white space around it. Raises ConfigError, whose text holds neither the secret
    nor the file's path: "cannot be read: …"."""
    from pathlib import Path  # here, so that `import aura_core` stays light

    from aura_core.files import as_text, read_file

    try:
        found = as_text(read_file(Path(file))).strip()
    except OSError as exc:
        raise ConfigError(f"cannot be read: {exc.strerror or type(exc).__name__}") from None
    except ConfigError as exc:
        raise ConfigError(f"cannot be read: it {exc}") from None
    except ValueError:  # a NUL in its name
        raise ConfigError("cannot be read: it has no valid name") from None
    return checked_secret(found)


def checked_secret(found: str) -> str:
    """The same text. Raises ConfigError if no header can carry it."""
    if len(found) > SECRET_LIMIT:
        raise ConfigError(f"holds more than {SECRET_LIMIT} characters; set it to the secret alone")
    if not (found.isascii() and found.isprintable()):
        raise ConfigError("holds characters that no header can carry; set it to the secret alone")
    return found


def _names(settings: Any, name: str) -> tuple[str, str]:
    """The file and the variable of a secret."""
    return getattr(settings, f"{name}_file", ""), getattr(settings, f"{name}_env", "")


def _missing(name: str, variable: str) -> str:
    what = name.replace("_", " ").replace("api", "API")
    if variable:
        return f"The variable {variable} holds no {what}; set it where Aura is started."
    return (
        f"No {what} is configured: let {name}_env in the provider's table name the variable that"
        f" holds it, or {name}_file the file."
    )
