"""What a model and a version may be called, and how a version is spelled on disk."""

from __future__ import annotations

import re
from hashlib import sha256

from ai_engine.domain.errors import InvalidNameError

MAX_NAME = 200
MAX_VERSION = 64
# The path segments of the REST API that stand where a model's name stands.
RESERVED = frozenset({"info", "performance", "cleanup"})
_ALLOWED = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9 ._+-]*[A-Za-z0-9_+-])?", re.ASCII)
_ALPHABET = "ASCII letters, digits, spaces and . _ - +"
# Lower case only, so that two names can never be one file where the file system folds case.
_PLAIN = re.compile(r"[a-z0-9_][a-z0-9._+-]{0,59}", re.ASCII)


def check_name(name: object) -> str:
    """Return `name` if a model may bear it; raise InvalidNameError if not."""
    valid = _check("name", name, MAX_NAME)
    if valid in RESERVED:
        raise InvalidNameError("name", name, f"is reserved, as are {', '.join(sorted(RESERVED - {valid}))}")
    return valid


def check_save_id(save_id: object) -> str:
    """Return `save_id` if a save may be told from others by it; raise InvalidNameError if not."""
    return _check("save_id", save_id, MAX_VERSION)


def check_version(version: object) -> str:
    """Return `version` if a version may be called that; raise InvalidNameError if not."""
    return _check("version", version, MAX_VERSION)


def _check(what: str, value: object, longest: int) -> str:
    if not isinstance(value, str):
        raise InvalidNameError(what, value, f"is a {type(value).__name__}, not a string")
    if not 1 <= len(value) <= longest:
        raise InvalidNameError(what, value[:80], f"has {len(value)} characters; 1 to {longest} are allowed")
    if not _ALLOWED.fullmatch(value):
        raise InvalidNameError(
            what,
            value,
            f"is not allowed: {_ALPHABET}, starting with a letter, a digit or _, "
            "not ending with a space or a dot",
        )
    return value


def file_name(name: str, version: str) -> str:
    """Spell the `.pkl` of a version: readable, and another for each pair, whatever case and length.

    ``@`` stands in no valid name, so the pair can be read back; what is not plain carries a digest.

    >>> file_name("cpu-forecast", "1.4.0")
    'cpu-forecast@1.4.0.pkl'
    >>> file_name("CPU forecast", "1.4.0")
    'cpu_forecast~4443e32ad53103211237c99b@1.4.0.pkl'
    """
    return f"{encode(name)}@{encode(version)}.pkl"


def is_file_of(file: str, name: str, version: str) -> bool:
    """Tell whether a file is called as that of a version is, or as it is where that name was taken.

    >>> is_file_of("cpu-forecast@1.4.0~2.pkl", "cpu-forecast", "1.4.0")
    True
    """
    stem = re.escape(file_name(name, version).removesuffix(".pkl"))
    return re.fullmatch(rf"{stem}(?:~[0-9]{{1,9}})?\.pkl", file, re.ASCII) is not None


def encode(text: str) -> str:
    """Spell a name or a version so that it can stand in a file's name."""
    if _PLAIN.fullmatch(text):
        return text
    readable = re.sub(r"[^a-z0-9._+-]", "_", text.lower())[:60]
    return f"{readable}~{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"
