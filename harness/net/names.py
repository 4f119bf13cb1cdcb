"""Names of hosts, looked up in the simulation: Twisted's two resolver interfaces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IResolverSimple
from zope.interface import implementer


@implementer(IHostnameResolver, IResolverSimple)
class Names:
    """Resolves names of hosts at once; an address is its own name.

    `find` returns the addresses of a name, none if there is no such host.
    """

    def __init__(self, find: Callable[[str], Sequence[str]]) -> None:
        self._find = find

    def getHostByName(self, name: str, timeout: Sequence[int] = ()) -> Deferred[str]:
        """Return a Deferred of the first IPv4 address; it fails with `DNSLookupError`."""
        for found in self._find(name):
            if ":" not in found:
                return succeed(found)
        return fail(DNSLookupError(f"no host of the simulated network is named {name!r}"))

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[Any] | None = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        """Report all addresses of a host; see `IHostnameResolver`."""
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        for found in self._find(hostName):
            kind = IPv6Address if ":" in found else IPv4Address
            if addressTypes is None or kind in addressTypes:
                address = kind(transportSemantics, found, portNumber)  # type: ignore[arg-type]
                resolutionReceiver.addressResolved(address)
        resolutionReceiver.resolutionComplete()
        return resolution


@implementer(IHostResolution)
class _Resolution:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """Do nothing: it is complete as soon as it has begun."""
