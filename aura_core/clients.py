"""Who may ask: the clients of this server by name, what each of them may see and use, and their tokens."""

import hmac
from collections.abc import Iterable
from fnmatch import fnmatchcase
from hashlib import sha256

import msgspec


class Client(msgspec.Struct, frozen=True):
    """Somebody who may ask, as `[clients.NAME]` describes them.

    `max_streams` is the number of answers at once (0: only the server's limit). `agents` are the ids that the client
    may see, in lower case, with `*` as a wildcard. An `operator` may also read the metrics and the list of providers.
    """

    name: str
    max_streams: int = 0
    agents: tuple[str, ...] = ("*",)
    operator: bool = False

    def sees(self, agent_id: str) -> bool:
        """Whether the client may know of an agent with this id."""
        return "*" in self.agents or any(fnmatchcase(agent_id.lower(), pattern) for pattern in self.agents)


DEFAULT = Client("default", operator=True)
"""Who sends the token of `[server]`; everybody, where no token is required; and commands that run in this process."""

NOBODY = Client("", agents=())
"""Who has not said who they are: refused, or on a path that needs no token."""


class Tokens:
    """The tokens of all clients. They are kept as digests of one length, so that a comparison tells nothing."""

    def __init__(self) -> None:
        self._digests: list[tuple[bytes, Client]] = []

    def replace(self, tokens: Iterable[tuple[str, Client]]) -> None:
        """From now on these are valid, and no others."""
        self._digests = [(_digest(token.encode()), client) for token, client in tokens]

    def client_of(self, authorization: bytes) -> Client | None:
        """Who sends this header Authorization; None if its token is not valid."""
        scheme, _, given = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        digest, found = _digest(given.strip()), None
        for known, client in self._digests:  # all of them, so that the time does not say which was nearly right
            if hmac.compare_digest(digest, known):
                found = client
        return found


def _digest(token: bytes) -> bytes:
    return sha256(token).digest()
