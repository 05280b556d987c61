"""Files that a command writes for its user."""

from __future__ import annotations

import os
from pathlib import Path

from ai_engine.domain.errors import InvalidInputError


def write_file(option: str, output: Path, data: bytes, force: bool) -> None:
    """Write a file atomically.

    Parameters
    ----------
    option : str
        The option that named it, for errors.
    output : Path
    data : bytes
    force : bool
        Whether a file that exists is replaced.

    Raises
    ------
    InvalidInputError
        If it exists, or cannot be written.
    """
    if output.exists() and not force:
        raise InvalidInputError(option, f"{output} exists; give another, or --force to replace it")
    if output.exists() and not output.is_file():  # a device or a pipe: nothing of it is to be replaced
        try:
            output.write_bytes(data)
        except OSError as error:
            raise InvalidInputError(option, f"{output} cannot be written: {error.strerror}") from error
        return
    part = output.with_name(f"{output.name}.part{os.getpid()}")
    try:
        part.write_bytes(data)
        part.replace(output)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InvalidInputError(option, f"{output} cannot be written: {error.strerror}") from error
