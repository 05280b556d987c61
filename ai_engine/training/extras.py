"""The one place that answers for the packages of the ``train`` extra."""

from __future__ import annotations

from importlib.util import find_spec

from ai_engine.domain.errors import MissingDependencyError

EXTRA = "train"
# What is imported, and what it is called in a package index.
PACKAGES = {"numpy": "numpy", "sklearn": "scikit-learn", "pyarrow": "pyarrow"}


def require_training_packages() -> None:
    """Return if models can be trained here; call it before importing a module that needs the extra.

    Raises
    ------
    MissingDependencyError
        Naming the first package that is missing and the command that installs it.
    """
    for module, package in PACKAGES.items():
        if find_spec(module) is None:
            raise MissingDependencyError(package, EXTRA)


def can_train() -> bool:
    """Tell whether models can be trained here."""
    return all(find_spec(module) is not None for module in PACKAGES)
