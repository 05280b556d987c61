from __future__ import annotations

import pytest

from ai_engine.access.networks import parse_networks
from ai_engine.domain.errors import InvalidInputError
from ai_engine.domain.rights import Scope

TEXT = " 10.0.0.0/8=predict, 10.1.0.0/16=read+train ,::1/128=admin"


@pytest.mark.parametrize(
    ("address", "scopes"),
    [
        ("10.255.255.255", {Scope.PREDICT}),
        ("10.1.2.3", {Scope.PREDICT, Scope.READ, Scope.TRAIN}),
        ("11.0.0.0", None),
        ("9.255.255.255", None),
        ("::1", {Scope.ADMIN}),
        ("::ffff:10.0.0.1", {Scope.PREDICT}),
        ("::2", None),
        ("not an address", None),
        (None, None),
    ],
)
def test_an_address_has_what_its_networks_have(address: str | None, scopes: set[Scope] | None) -> None:
    rights = parse_networks("open_to", TEXT).rights(address)
    assert (None if rights is None else set(rights.scopes)) == scopes


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.0/8",
        "10.0.0.0/8=",
        "10.0.0.0/8=write",
        "10.0.0.1/8=read",
        "engine=read",
        "=read",
        "10.0.0.0/33=read",
    ],
)
def test_what_is_no_network_is_told(text: str) -> None:
    with pytest.raises(InvalidInputError, match="AI_ENGINE_OPEN_TO"):
        parse_networks("AI_ENGINE_OPEN_TO", f"127.0.0.1=read,{text}")


def test_nothing_opens_nothing() -> None:
    assert parse_networks("open_to", " , ").rights("127.0.0.1") is None
