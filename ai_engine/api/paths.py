"""The path of a request within the application, which may be mounted under a path of another one."""

from __future__ import annotations

from starlette.types import Scope


def root_of(scope: Scope) -> str:
    """Return the path under which the application is mounted, such as ``/ai``; else an empty text."""
    return str(scope.get("root_path", "")).rstrip("/")


def path_of(scope: Scope) -> str:
    """Return the path of a request within the application.

    >>> path_of({"path": "/ai/health", "root_path": "/ai"}), path_of({"path": "/health"})
    ('/health', '/health')
    """
    return str(scope["path"]).removeprefix(root_of(scope))
