"""Read a secret from the file or the variable that a plugin's settings name."""

import os
from typing import Any

from aura_core.errors import ConfigError, ProviderError
from aura_core.limits import SECRET_LIMIT


def secret(settings: Any, name: str, required: bool = False) -> str:
    """The secret of these settings, without the white space around it; "" where none is set.

    `secret(settings, "api_key")` reads the file that `api_key_file` names, else the variable that `api_key_env` names.
    Where `required`, a missing one is an error. Raises ProviderError `auth`, whose message holds neither the secret nor
    the file's path.
    """
    file, variable = getattr(settings, f"{name}_file", ""), getattr(settings, f"{name}_env", "")
    if file:
        place = f"The file that {name}_file names"
        found = _of_file(place, file)
        if not found:
            raise ProviderError(f"{place} is empty; write the secret into it.", "auth")
    else:
        place = f"The variable {variable}"
        found = os.environ.get(variable, "").strip() if variable else ""
    if len(found) > SECRET_LIMIT:
        raise ProviderError(f"{place} holds more than {SECRET_LIMIT} characters; set it to the secret alone.", "auth")
    if not (found.isascii() and found.isprintable()):
        raise ProviderError(f"{place} holds characters that no header can carry; set it to the secret alone.", "auth")
    if not found and required:
        raise ProviderError(_missing(name, variable), "auth")
    return found


def _of_file(place: str, file: str) -> str:
    from pathlib import Path  # here, so that `import aura_core` stays light

    from aura_core.files import as_text, read_file

    try:
        return as_text(read_file(Path(file))).strip()
    except OSError as exc:
        why = exc.strerror or type(exc).__name__
    except ConfigError as exc:
        why = f"it {exc}"
    except ValueError:  # a NUL in its name
        why = "it has no valid name"
    raise ProviderError(f"{place} cannot be read: {why}.", "auth")


def _missing(name: str, variable: str) -> str:
    what = name.replace("_", " ").replace("api", "API")
    if variable:
        return f"The variable {variable} holds no {what}; set it where Aura is started."
    return (
        f"No {what} is configured: let {name}_env in the provider's table name the variable that"
        f" holds it, or {name}_file the file."
    )
