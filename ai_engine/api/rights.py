"""Which right each endpoint needs, in one table: what is not in it is answered to nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from anyio import to_thread
from fastapi import Request
from starlette.datastructures import State

from ai_engine.access.auditing import Refusals
from ai_engine.access.principals import NOBODY, Principal
from ai_engine.api.json_response import Answer
from ai_engine.api.methods import READING
from ai_engine.api.problems import RefusedError, of_refusal
from ai_engine.domain.rights import Scope
from ai_engine.domain.search import Search

# Where a request carries who sent it.
PRINCIPAL: Final = "ai_engine.principal"


class Models(Enum):
    """Which models an endpoint is about."""

    IN_PATH = auto()  # one, which the path names
    BY_ENDPOINT = auto()  # told by the body or by a job: the endpoint asks `check_model`
    THEIRS = auto()  # a list: the endpoint leaves out what is not theirs
    ALL = auto()  # every one, so that a key for some of them is not enough
    NONE = auto()


@dataclass(frozen=True, slots=True)
class Right:
    """What an endpoint needs: one of some scopes, for the models that it is about.

    Attributes
    ----------
    scopes : tuple of Scope
        Any of them is enough. None: everybody may, without a key.
    """

    scopes: tuple[Scope, ...]
    models: Models = Models.IN_PATH


_OPEN: Final = Right((), Models.NONE)
_OF_JOBS: Final = (Scope.READ, Scope.TRAIN)

# By the name of the route, which is that of its function.
RIGHTS: Final[Mapping[str, Right]] = {
    "health": _OPEN,
    "live": _OPEN,
    "ready": _OPEN,
    "openapi": _OPEN,
    "documentation": _OPEN,
    "static": _OPEN,
    "favicon": _OPEN,
    "sign_in_page": _OPEN,
    "sign_in": _OPEN,
    "sign_out": _OPEN,
    "metrics": Right((Scope.READ,), Models.ALL),
    "dashboard": Right((Scope.READ,), Models.THEIRS),
    "models": Right((Scope.READ,), Models.THEIRS),
    "info": Right((Scope.READ,), Models.THEIRS),
    "versions": Right((Scope.READ,)),
    "training_history": Right((Scope.READ,)),
    "performance": Right((Scope.READ,)),
    "compare": Right((Scope.READ,)),
    "report": Right((Scope.READ,)),
    "predict": Right((Scope.PREDICT,)),
    "train": Right((Scope.TRAIN,), Models.BY_ENDPOINT),
    "train_model": Right((Scope.TRAIN,), Models.BY_ENDPOINT),
    "list_jobs": Right(_OF_JOBS, Models.THEIRS),
    "show_job": Right(_OF_JOBS, Models.BY_ENDPOINT),
    "follow_job": Right(_OF_JOBS, Models.BY_ENDPOINT),
    "cancel_job": Right((Scope.TRAIN, Scope.OPERATE), Models.BY_ENDPOINT),
    "activate": Right((Scope.OPERATE,)),
    "roll_back": Right((Scope.OPERATE,)),
    "delete": Right((Scope.OPERATE,)),
    "clean_up": Right((Scope.OPERATE,), Models.ALL),
    "list_schedules": Right((Scope.READ,), Models.THEIRS),
    "show_schedule": Right((Scope.READ,)),
    "set_schedule": Right((Scope.TRAIN,)),
    "remove_schedule": Right((Scope.TRAIN,)),
    "run_schedule": Right((Scope.TRAIN,)),
    "audit_log": Right((Scope.ADMIN,), Models.ALL),
}


def right_of(endpoint: str, state: State) -> Right | None:
    """Return what an endpoint of a running application needs; None where nobody may use it."""
    rights: Mapping[str, Right] = state.rights
    public = endpoint == "metrics" and state.service.settings.public_metrics
    return _OPEN if public else rights.get(endpoint)


def principal_of(request: Request) -> Principal:
    """Return who sent a request."""
    found: Principal = request.scope.get(PRINCIPAL, NOBODY)
    return found


class NotAllowedError(RefusedError):
    """A request whose sender lacks the right; `model` is what it was about, where that is one."""

    def __init__(self, detail: str, model: str | None = None) -> None:
        self.model = model
        super().__init__(403, "not-allowed", detail)


async def not_allowed(request: Request, error: Exception) -> Answer:
    """Answer who lacks a right, and write down that they tried to change something."""
    assert isinstance(error, NotAllowedError)
    if request.method not in READING:
        refusals: Refusals = request.app.state.service.refusals
        action = request.scope["route"].name.replace("_", "-")
        model = error.model or request.path_params.get("model_name")
        who = principal_of(request).name
        await to_thread.run_sync(refusals.note, who, action, model, error.code)
    return of_refusal(error)


async def authorize(request: Request) -> None:
    """Refuse a request whose sender lacks the right that its endpoint needs.

    Raises
    ------
    NotAllowedError
        With the scope or the model that is missing.
    """
    _check(request, principal_of(request))


def _check(request: Request, principal: Principal) -> None:
    right = right_of(request.scope["route"].name, request.app.state)
    if right is None:
        raise NotAllowedError("no right is defined for this endpoint, so that nobody has it")
    if not right.scopes:
        return
    check_scope(principal, request, *right.scopes)
    match right.models:
        case Models.IN_PATH:
            check_model(principal, request.path_params["model_name"])
        case Models.ALL if not principal.rights.cover_all:
            raise NotAllowedError(
                f"{request.method} {request.url.path} is about all models, and {principal.name} is for "
                f"{_listed(principal.rights.models)} only; use a key for all models",
            )


def theirs(principal: Principal, search: Search) -> Search:
    """Return a search among the models that somebody may see."""
    return search if principal.rights.cover_all else search.among(principal.rights.models)


def check_scope(principal: Principal, request: Request, *scopes: Scope) -> None:
    """Refuse who has none of some scopes. Raises NotAllowedError."""
    if not principal.rights.allow(*scopes):
        raise NotAllowedError(
            f"{request.method} {request.url.path[:200]} needs the scope {' or '.join(scopes)}, and "
            f"{principal.name} has {_listed(sorted(principal.rights.scopes))}",
        )


def check_model(principal: Principal, model: str) -> None:
    """Refuse who may not touch a model. Raises NotAllowedError."""
    if not principal.rights.cover(model):
        raise NotAllowedError(
            f"{principal.name} is for the models {_listed(principal.rights.models)}, and {model[:200]!r} is "
            "none of them",
            model,
        )


def _listed(texts: tuple[str, ...] | list[Scope]) -> str:
    return ", ".join(texts[:10]) or "none"
