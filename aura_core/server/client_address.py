"""Where a request comes from: the address of its connection, or what a trusted proxy says of it."""

import ipaddress
from collections.abc import Collection
from functools import lru_cache

from litestar.types import Scope

from aura_core.config.settings import Network
from aura_core.limits import PROXIES_FOLLOWED


class ClientAddresses:
    """Finds the address of each request's client, for the log. Only trusted proxies may name another one."""

    def __init__(self, trusted: Collection[Network | None]) -> None:
        """`trusted` are the networks of proxies; None stands for whoever connects to a Unix socket."""
        self._networks = [each for each in trusted if each is not None]
        self._socket = any(each is None for each in trusted)
        self._trusts = lru_cache(maxsize=64)(self._look_up)

    def of(self, scope: Scope, forwarded: bytes | None) -> str:
        """The client's address; "" for a client on a Unix socket. `forwarded` is the header X-Forwarded-For, of which
        the last address counts that is not a trusted proxy's: whatever stands before it was sent by that client."""
        peer = scope["client"]
        address = peer[0] if peer else ""
        if forwarded is None or not (self._trusts(address) if address else self._socket):
            return address
        for entry in reversed(forwarded.decode("latin-1").rsplit(",", PROXIES_FOLLOWED)[-PROXIES_FOLLOWED:]):
            given = _bare(entry.strip())
            if given is None:  # "unknown", a hidden name (RFC 7239, 6.3), or nonsense
                return address
            address = given
            if not self._trusts(address):
                break
        return address

    def _look_up(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any((mapped or parsed) in network for network in self._networks)


def _bare(entry: str) -> str | None:
    """An address of X-Forwarded-For without its port, which some proxies add; None for anything else."""
    if entry.startswith("["):
        entry = entry[1:].partition("]")[0]
    elif entry.count(":") == 1:
        entry = entry.partition(":")[0]
    try:
        return str(ipaddress.ip_address(entry))
    except ValueError:
        return None
