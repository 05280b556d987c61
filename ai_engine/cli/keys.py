"""The commands `keys …`: who may do what over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ai_engine.cli.options import STORAGE, AsJson, with_settings
from ai_engine.cli.output import print_json, print_table
from ai_engine.settings import Settings

if TYPE_CHECKING:
    from ai_engine.access.keyring import NewKey
    from ai_engine.domain.keys import ApiKey

app = typer.Typer(
    help="Make keys for the REST API, and let them end. Once there is a key, every request needs one.",
    rich_markup_mode=None,
    no_args_is_help=True,
)
Key = Annotated[str, typer.Argument(help="The key's id or name.", show_default=False)]


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.add_typer(app, name="keys")


@app.command()
@with_settings(*STORAGE)
def create(
    settings: Settings,
    name: Annotated[str, typer.Argument(help="Whose it is; the audit log names it.", show_default=False)],
    scope: Annotated[
        list[str],
        typer.Option(
            help="What it allows: read, predict, train, operate, or admin for all. May be repeated.",
            show_default=False,
        ),
    ],
    models: Annotated[
        list[str] | None,
        typer.Option(
            help="The models that it is for: a pattern such as 'team-a-*'. May be repeated. Default: all.",
            show_default=False,
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(help="When it ends: 30d, 12h, 90m. Default: when it is revoked.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, and show it this once."""
    from ai_engine.domain.durations import parse_duration
    from ai_engine.domain.rights import Rights, checked_patterns, checked_scopes
    from ai_engine.wiring import open_keyring, open_registry

    scopes = [one for text in scope for one in text.replace("+", ",").split(",") if one.strip()]
    rights = Rights(checked_scopes(scopes), checked_patterns(models or ()))
    lifetime = None if expires is None else parse_duration("--expires", expires)
    with open_registry(settings) as registry:
        _show(open_keyring(registry, settings).create(name, rights, lifetime), as_json)


@app.command()
@with_settings(*STORAGE)
def rotate(
    settings: Settings,
    key: Key,
    grace: Annotated[
        str | None,
        typer.Option(
            help="For how long the old key goes on, such as 1h. Default: it ends now.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key with the same rights in the place of one, and show it this once."""
    from ai_engine.domain.durations import parse_duration
    from ai_engine.wiring import open_keyring, open_registry

    span = timedelta() if grace is None else parse_duration("--grace", grace)
    with open_registry(settings, must_exist=True) as registry:
        _show(open_keyring(registry, settings).rotate(key, span), as_json)


@app.command()
@with_settings(*STORAGE)
def revoke(settings: Settings, key: Key, as_json: AsJson = False) -> None:
    """Let a key end now: requests with it are refused from then on."""
    from ai_engine.wiring import open_keyring, open_registry

    with open_registry(settings, must_exist=True) as registry:
        keyring = open_keyring(registry, settings)
        ended = keyring.revoke(key)
        left = keyring.any_valid()
    if as_json:
        print_json({"revoked": [_shape(one) for one in ended]})
        return
    for one in ended:
        print(f"{one.key_id} ({one.name}) is revoked")
    if not left:
        print(
            "No valid key is left: every request is refused until you make one with `ai-engine keys create`."
        )


@app.command("list")
@with_settings(*STORAGE)
def list_keys(settings: Settings, as_json: AsJson = False) -> None:
    """List every key that was ever made, the oldest first; never the keys themselves."""
    from ai_engine.wiring import open_keyring, open_registry

    with open_registry(settings, must_exist=True) as registry:
        keys = open_keyring(registry, settings).all()
    if as_json:
        print_json({"keys": [_shape(key) for key in keys]})
        return
    if not keys:
        print("There is no key: whoever reaches the server on this machine may do anything.")
        return
    print_table(
        ("key", "name", "status", "scopes", "models", "expires", "last used"),
        [
            (
                shape["key_id"],
                shape["name"],
                shape["status"],
                " ".join(shape["scopes"]),
                " ".join(shape["models"]),
                shape["expires_at"],
                shape["last_used_at"],
            )
            for shape in map(_shape, keys)
        ],
    )


def _shape(key: ApiKey) -> dict[str, Any]:
    """Return a key (JSON values), without its digest."""
    from ai_engine.domain import clock

    return {
        "key_id": key.key_id,
        "name": key.name,
        "status": key.ended(clock.now()) or "valid",
        "scopes": sorted(key.rights.scopes),
        "models": list(key.rights.models),
        "created_at": clock.to_iso(key.created_at),
        "created_by": key.created_by,
        "expires_at": clock.to_iso(key.expires_at),
        "revoked_at": clock.to_iso(key.revoked_at),
        "last_used_at": clock.to_iso(key.last_used_at),
    }


def _show(made: NewKey, as_json: bool) -> None:
    shape = _shape(made.key)
    if as_json:
        told = ("key_id", "name", "scopes", "models", "expires_at")
        print_json({"key": made.text} | {field: shape[field] for field in told})
        return
    print(made.text)
    print()
    print(f"This is the key {shape['key_id']} of {shape['name']}; it is not shown again. Send it as")
    print("    Authorization: Bearer KEY")
