"""Who may ask: the clients of this server by name, and what each of them may see and use."""

import msgspec


class Client(msgspec.Struct, frozen=True):
    """Somebody who may ask, as `[clients.NAME]` describes them.

    `max_streams` is the number of answers at once (0: only the server's limit). `agents` are the ids that the client
    may see, with `*` as a wildcard. An `operator` may also read the metrics and the list of providers.
    """

    name: str
    max_streams: int = 0
    agents: tuple[str, ...] = ("*",)
    operator: bool = False


DEFAULT = Client("default", operator=True)
"""Who sends the token of `[server]`; everybody, where no token is required; and commands that run in this process."""
