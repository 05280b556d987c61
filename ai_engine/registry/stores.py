"""The stores that a registry works over."""

from __future__ import annotations

from dataclasses import dataclass

from ai_engine.artifacts.protocol import ArtifactStore
from ai_engine.catalogue.protocol import Catalogue
from ai_engine.directory.protocol import OutageJournal, VersionFiles
from ai_engine.registry.signatures import Signer


@dataclass(frozen=True, slots=True)
class Stores:
    """Who exists, their bytes, the files that people see, and what waits for the catalogue."""

    catalogue: Catalogue
    artifacts: ArtifactStore
    version_files: VersionFiles
    journal: OutageJournal
    signer: Signer | None = None  # None: versions are not signed, and need not be
