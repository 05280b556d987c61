"""NovaCron AI Engine: a model registry that lives inside your service and never forgets what it learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ai_engine.version import __version__ as __version__

if TYPE_CHECKING:
    from ai_engine.domain.errors import *  # noqa: F403
    from ai_engine.models import ModelManager as ModelManager
    from ai_engine.models import ModelPerformance as ModelPerformance


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: importing the package alone costs nothing."""
    if name in ("ModelManager", "ModelPerformance"):
        from ai_engine import models

        return getattr(models, name)
    from ai_engine.domain import errors

    if name.endswith("Error") and hasattr(errors, name):
        return getattr(errors, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
