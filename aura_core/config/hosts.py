"""The headers Host that are served besides loopback names: names, `*.example.com`, addresses and networks."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from aura_core.config.loopback import is_loopback

# A host as a header names it, perhaps with its port.
_NAME = r"(\[[0-9a-f:.]+\]|[^\s:\[\]/?#@*]+)(:\d{1,5})?"
_HOST = re.compile(_NAME, re.IGNORECASE)
_ORIGIN = re.compile(rf"null|[a-z][a-z0-9+.-]*://{_NAME}/*", re.IGNORECASE)
_ANY = "*."


class Hosts:
    """The entries of `allowed_hosts`."""

    def __init__(self, entries: Iterable[str]) -> None:
        """`entries` are such that `is_host` holds."""
        self._names = set[str]()
        self._suffixes: tuple[str, ...] = ()
        self._networks: list[IPv4Network | IPv6Network] = []
        for entry in map(str.lower, entries):
            if entry.startswith(_ANY):
                self._suffixes += (entry.removeprefix("*"),)
            elif "/" in entry:
                self._networks.append(ip_network(entry))
            else:
                self._names.add(entry)

    def __bool__(self) -> bool:
        return bool(self._names or self._suffixes or self._networks)

    def serves(self, name: str, host: str) -> bool:
        """Whether one of the entries is this name, or covers it. `host` is the name with the port of the header, if it
        has one; both in lower case."""
        for each in (name, host):
            if each in self._names or (self._suffixes and each.endswith(self._suffixes)):
                return True
        return bool(self._networks) and self._in_network(name)

    def _in_network(self, name: str) -> bool:
        try:
            address = ip_address(name.strip("[]"))
        except ValueError:  # a name
            return False
        return any(address in network for network in self._networks)


def is_host(text: str) -> bool:
    """Whether this may stand in `allowed_hosts`."""
    if "/" not in text:
        return _HOST.fullmatch(text.removeprefix(_ANY)) is not None
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def is_this_machine(entry: str) -> bool:
    """Whether an entry of `allowed_hosts` means only this machine."""
    match = _HOST.fullmatch(entry)
    return match is not None and is_loopback(match[1].strip("[]"))


def is_origin(text: str) -> bool:
    """Whether this may stand in `allowed_origins`."""
    return _ORIGIN.fullmatch(text) is not None
