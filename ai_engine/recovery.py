"""A new database in the place of one that is lost or damaged."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from ai_engine.domain import clock
from ai_engine.domain.errors import CatalogueUnavailableError
from ai_engine.registry.outage import Outage
from ai_engine.registry.rebuild import Rebuilt, rebuild
from ai_engine.registry.stores import Stores
from ai_engine.settings import Settings
from ai_engine.wiring import build_stores, database_path, model_directory


def recover(settings: Settings, from_files: bool) -> Rebuilt:
    """Put a new database into service where the old one cannot be used, and take in what waited for it.

    A database that works is kept, and only what the files tell and it does not know is added. One that is
    damaged has been set aside by then, and stays where it is.

    Parameters
    ----------
    settings : Settings
        Of the registry.
    from_files : bool
        Add every version that is recorded beside the artifacts; else go on without those that the database
        does not know, with an empty one where there is none.
    """
    stores = build_stores(settings)
    with suppress(CatalogueUnavailableError):
        stores.catalogue.open()  # sets a damaged one aside
    if not _has_content(database_path(settings)):
        _keep_log(database_path(settings))
        model_directory(settings).release()
    try:
        found = rebuild(stores) if from_files else _give_up(stores)
        Outage(stores).replay()
        return found
    finally:
        stores.catalogue.close()


def _give_up(stores: Stores) -> Rebuilt:
    with stores.catalogue.write() as work:
        work.accept_loss(clock.now())
    return Rebuilt([], [])


def _has_content(path: str) -> bool:
    """Tell whether there is a database, be it one whose pages are still in its log."""
    return os.path.exists(path) and any(
        os.path.exists(name) and os.path.getsize(name) for name in (path, f"{path}-wal")
    )


def _keep_log(path: str) -> None:
    """Move the log of a database that is gone out of the way of a new one, which would delete it."""
    log, kept = f"{path}-wal", f"{path}-wal.lost-{time.time_ns()}"
    if os.path.exists(log) and os.path.getsize(log):
        os.rename(log, kept)
