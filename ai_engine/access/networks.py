"""Addresses that may do something without a key, for clients that cannot send one."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.rights import Rights, Scope, checked_scopes

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class OpenNetworks:
    """Networks, each with what whoever is in it may do without a key."""

    entries: tuple[tuple[_Network, frozenset[Scope]], ...] = ()

    def rights(self, address: str | None) -> Rights | None:
        """Return what an address may do without a key; None where it is in none of the networks."""
        if not self.entries or address is None:
            return None
        try:
            found: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address)
        except ValueError:
            return None
        # Of a socket that listens on IPv6 and IPv4 alike.
        found = getattr(found, "ipv4_mapped", None) or found
        given = [scopes for network, scopes in self.entries if found in network]
        return Rights(frozenset().union(*given)) if given else None


def parse_networks(setting: str, text: str) -> OpenNetworks:
    """Return the networks of a setting such as ``10.0.0.0/8=predict,127.0.0.0/8=read+predict``.

    >>> parse_networks("open_to", "10.0.0.0/8=predict").rights("10.1.2.3")
    Rights(scopes=frozenset({<Scope.PREDICT: 'predict'>}), models=('*',))
    >>> parse_networks("open_to", "10.0.0.0/8=predict").rights("11.1.2.3")

    Raises
    ------
    InvalidInputError
        Where a part is not of this form.
    """
    entries = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        network, equals, scopes = part.partition("=")
        try:
            found = ipaddress.ip_network(network.strip())
        except ValueError as error:
            raise InvalidInputError(setting, f"{part!r}: {error}; give 10.0.0.0/8=predict") from None
        if not equals:
            raise InvalidInputError(
                setting, f"{part!r} names no scopes; give {network}=predict or read+predict"
            )
        try:
            entries.append((found, checked_scopes(filter(None, scopes.split("+")))))
        except InvalidInputError as error:
            raise InvalidInputError(setting, f"{part!r}: {error.problem}") from None
    return OpenNetworks(tuple(entries))
