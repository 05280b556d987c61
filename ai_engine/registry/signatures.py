"""Signatures of versions: who can write rows and files, but has not the key, cannot have anything loaded.

A signature binds the bytes of a version, by their digest, and how they are read to its id and its name.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Protocol

from ai_engine.domain.entities import Artifact, Digest, ModelVersion, NewVersion
from ai_engine.domain.errors import SignatureError


class Signer(Protocol):
    """Signs, and knows what it signed."""

    def sign(self, message: bytes) -> str:
        """Return the signature of a message, a short text."""

    def signed(self, message: bytes, signature: str) -> bool:
        """Tell whether a signature is one of this signer's, with whichever of its keys."""


def signed(new: NewVersion, signer: Signer | None) -> NewVersion:
    """Return a version whose bytes are known, with its signature where somebody signs."""
    if signer is None:
        return new
    return replace(new, artifact=signed_artifact(new.model_id, new.name, new.artifact, signer))


def signed_artifact(model_id: str, name: str, artifact: Artifact, signer: Signer) -> Artifact:
    """Return the stored bytes of a version with their signature."""
    return replace(artifact, signature=signer.sign(_message(model_id, name, artifact)))


def check_signature(version: ModelVersion, signer: Signer | None) -> None:
    """Refuse a version that is not signed, where versions have to be.

    Raises
    ------
    SignatureError
        If it has no signature, or one that is not this signer's.
    """
    if signer is None:
        return
    artifact = version.artifact
    if artifact.signature is None:
        raise SignatureError(version.label, "are not signed")
    if not signer.signed(_message(version.model_id, version.name, artifact), artifact.signature):
        raise SignatureError(version.label, "have a signature that no key here made for them")


def seal_mark(digest: Digest, identity: str, code: Digest, signer: Signer | None) -> str:
    """Return what a seal holds of the executed part of a file: nobody without the key can seal one."""
    if signer is None:
        return code
    return signer.sign(json.dumps(["seal", digest, identity, code]).encode())


def _message(model_id: str, name: str, artifact: Artifact) -> bytes:
    return json.dumps(["version", model_id, name, artifact.digest, artifact.format]).encode()
