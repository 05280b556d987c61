"""What an operator can set. The environment is read once, by entry points; nothing else reads it."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Final

from ai_engine.domain.errors import InvalidInputError

DEFAULT_MODEL_DIR = "/tmp/novacron_models"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a process; ABOUT says what each one does, `variable` what it is called outside."""

    model_dir: str = DEFAULT_MODEL_DIR
    database_url: str | None = None
    artifact_url: str | None = None
    journal_dir: str | None = None
    lock_timeout: float = 10.0
    host: str = "127.0.0.1"
    port: int = 8000
    allowed_hosts: str = ""
    no_auth: bool = False
    open_to: str = ""
    public_metrics: bool = False
    rate_limit: int | None = None
    max_requests: int = 1000
    trusted_proxies: str = ""
    tls_cert: str | None = None
    tls_key: str | None = None
    signing_key: str | None = None
    max_body_bytes: int = 64 * 1024 * 1024
    max_upload_bytes: int = 2 * 1024**3
    request_timeout: float = 30.0
    training_timeout: float = 3600.0
    training_memory: int | None = None
    workers: int | None = None
    queue: int = 1000
    sources: str | None = None
    resource_models: int = 100
    verify_rate: float = 8e6
    cleanup_keep: int | None = None
    cleanup_every: float = 86400.0
    metrics_models: int = 100
    log_level: str | None = None
    log_format: str = "text"


ABOUT = {
    "model_dir": "Directory of the models.",
    "database_url": "The catalogue, as `sqlite:///path`. Default: model_registry.db in the model directory.",
    "artifact_url": "Directory of the artifacts. Default: the model directory.",
    "journal_dir": "Where changes wait while the database is down. Default: in the model directory.",
    "lock_timeout": "Seconds that a change waits for another program's before the database counts as locked.",
    "host": "Address that `serve` listens on.",
    "port": "Port that `serve` listens on.",
    "allowed_hosts": "More host names of this server, separated by commas.",
    "no_auth": "Let everybody who reaches the server do anything, without a key.",
    "open_to": "Addresses that need no key, each with its scopes: `10.0.0.0/8=predict,::1/128=read+predict`.",
    "public_metrics": "Answer /metrics without a key.",
    "rate_limit": "Requests a minute of each key, or of each address without one. Default: no limit.",
    "max_requests": "Requests that are answered at once; more are refused with 503.",
    "trusted_proxies": "Addresses of proxies, by commas, whose X-Forwarded-For and -Proto are believed.",
    "tls_cert": "File with the certificate chain, PEM; `serve` then speaks HTTPS.",
    "tls_key": "File with the private key of the certificate, PEM.",
    "signing_key": "File with the key that signs, outside of the model directory. "
    "Default: signing.key in ~/.local/share/novacron-ai-engine.",
    "max_body_bytes": "Largest request body, in bytes.",
    "max_upload_bytes": "Largest body of CSV, JSON lines or Parquet, in bytes.",
    "request_timeout": "Seconds for a client to send a head or 64 KiB of a body, or to take 64 KiB; 0: none.",
    "training_timeout": "Seconds after which a training is ended.",
    "training_memory": "Bytes of memory that a training of a job may take. Default: no limit.",
    "workers": "Trainings that run at once in `serve` and `worker`; 0: none. Default: as many as cores.",
    "queue": "Trainings that may wait.",
    "sources": "Directory of the files that schedules set over HTTP train on. Default: none can be set.",
    "resource_models": "Models of single resources that trainings beside answers may make; 0: none.",
    "verify_rate": "Bytes a second at which `serve` re-reads artifacts to find rot; 0: never.",
    "cleanup_keep": "Versions of each model that `serve` keeps when it cleans up. Default: no clean-up.",
    "cleanup_every": "Seconds between two clean-ups of `serve`.",
    "metrics_models": "Models that have series of their own in /metrics; 0: none.",
    "log_level": "Least level that is logged. Default: info for `serve`, warning for every other command.",
    "log_format": "How log lines are written to standard error: text, or json for one object a line.",
}
# Settings that take one of a few words.
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "log_level": ("debug", "info", "warning", "error", "critical"),
    "log_format": ("text", "json"),
}

# Variables of the original service, and a directory within what they name. HOST counts where it is an
# address: some shells tell the machine's name there.
ORIGINAL: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "model_dir": (("MODEL_PATH", ""), ("NOVACRON_DATA_DIR", "models")),
    "log_level": (("LOG_LEVEL", ""),),
    "host": (("HOST", ""),),
    "port": (("PORT", ""),),
}
# Whole numbers that need not be set.
_OPTIONAL_NUMBERS: Final = ("cleanup_keep", "training_memory", "workers", "rate_limit")
_SWITCHES: Final = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(
    ("0", "false", "no", "off"), False
)
_HOST_NAME: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::[0-9]{1,5})?", re.ASCII)
_SECRET: Final = re.compile(
    r"([?&;#][^=&;#]*(?:pass|pwd|secret|token|key|credential|sig)[^=&;#]*=)[^&;#]*", re.IGNORECASE
)


def variable(name: str) -> str:
    """Return the environment variable of a setting.

    >>> variable("model_dir")
    'AI_ENGINE_MODEL_DIR'
    """
    return f"AI_ENGINE_{name.upper()}"


def from_environment(
    environment: Mapping[str, str] = os.environ, serving: bool = True, **given: Any
) -> Settings:
    """Return the settings of the environment; those in `given` that are not None count before it.

    Parameters
    ----------
    serving : bool
        Take the variables of the original service too, where ours are not set. Within another program they
        are that program's own.

    Raises
    ------
    InvalidInputError
        If a variable is not of its setting's type; it is named.
    """
    values: dict[str, Any] = {}
    for setting in fields(Settings):
        if given.get(setting.name) is not None:
            values[setting.name] = given[setting.name]
        elif found := _found(setting.name, environment, serving):
            values[setting.name] = _parsed(setting.name, *found)
    return Settings(**values)


def _found(setting: str, environment: Mapping[str, str], serving: bool) -> tuple[str, str] | None:
    """Return the variable that a setting is taken from, and its text; None where none is set."""
    own = variable(setting)
    if environment.get(own):
        return own, environment[own]
    for name, below in ORIGINAL.get(setting, ()) if serving else ():
        text = environment.get(name)
        if text and not (name == "HOST" and _version(text) is None and text != "localhost"):
            return name, os.path.join(text, below) if below else text
    return None


def origins(environment: Mapping[str, str] = os.environ, **given: Any) -> dict[str, str]:
    """Return where `from_environment` takes each setting from: ``flag``, ``environment`` or ``default``.

    >>> origins({"AI_ENGINE_PORT": "80"}, host="::1")["port"]
    'environment'
    """
    return {
        setting.name: "flag"
        if given.get(setting.name) is not None
        else "environment"
        if _found(setting.name, environment, serving=True)
        else "default"
        for setting in fields(Settings)
    }


def without_secrets(url: str) -> str:
    """Return a URL with its passwords replaced: rather too much than too little.

    >>> without_secrets("postgresql://engine:s3cr:t@db/models?sslmode=require&sslpassword=x")
    'postgresql://engine:***@db/models?sslmode=require&sslpassword=***'
    >>> without_secrets("sqlite:///models.db")
    'sqlite:///models.db'
    """
    scheme, colon, rest = url.partition("://")
    if not colon:
        return url
    # A password may hold any sign, another @ or a slash included.
    login, at, host = rest.rpartition("@")
    user, hidden, _ = login.partition(":")
    login = f"{user}:***" if hidden else user
    return f"{scheme}://{login}{at}" + _SECRET.sub(r"\1***", host)


def kind(name: str) -> type:
    """Return the type of a setting's value.

    >>> kind("port"), kind("cleanup_keep"), kind("model_dir")
    (<class 'int'>, <class 'int'>, <class 'str'>)
    """
    if name in _OPTIONAL_NUMBERS:
        return int
    default = getattr(Settings(), name)
    return type(default) if isinstance(default, (int, float)) else str


def _parsed(setting: str, name: str, text: str) -> Any:
    wanted = kind(setting)
    if setting in CHOICES:
        if text.lower() not in CHOICES[setting]:
            raise InvalidInputError(name, f"{text!r} is none of {', '.join(CHOICES[setting])}")
        return text.lower()
    if wanted is str:
        return text
    if wanted is bool:
        if text.lower() not in _SWITCHES:
            raise InvalidInputError(name, f"{text!r} is neither 1 (yes) nor 0 (no)")
        return _SWITCHES[text.lower()]
    try:
        return wanted(text)
    except ValueError:
        raise InvalidInputError(name, f"{text!r} is not a number") from None


@lru_cache(maxsize=8)  # every request asks
def host_names(settings: Settings) -> frozenset[str]:
    """Return the names of `Settings.allowed_hosts` as a Host header has them, without ports.

    >>> sorted(host_names(Settings(allowed_hosts="Engine.internal:8000, ::1")))
    ['[::1]', 'engine.internal']

    Raises
    ------
    InvalidInputError
        Where one is no name, as a wildcard is not.
    """
    given = (part.strip().lower() for part in settings.allowed_hosts.split(","))
    names = (f"[{name}]" if _version(name) == 6 else name for name in given if name)
    found = set()
    for name in names:
        match = _HOST_NAME.fullmatch(name)
        if match is None:
            raise InvalidInputError(
                variable("allowed_hosts"),
                f"{name!r} is no host name; give whole names, such as engine.example.org, without wildcards",
            )
        found.add(match.group(1))
    return frozenset(found)


def is_address(host: str) -> bool:
    """Tell whether this is an IP address.

    >>> is_address("10.0.0.1"), is_address("::1"), is_address("engine")
    (True, True, False)
    """
    return _version(host) is not None


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("example.org")
    (True, True, False, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # Of a socket that listens on IPv6 and IPv4 alike.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def check_reach(settings: Settings, guarded: Callable[[], bool]) -> None:
    """Return if it was said who may do what where the service is to be reached.

    Parameters
    ----------
    guarded : callable
        Tells whether requests need a key.

    Raises
    ------
    InvalidInputError
        If other machines would reach it, and nobody said that they may.
    """
    if not (is_loopback(settings.host) or settings.no_auth or settings.open_to or guarded()):
        raise InvalidInputError(
            "--host",
            f"{settings.host} can be reached from other machines, and there are no keys yet to tell who may "
            "do what. Make one with `ai-engine keys create NAME --scope read`, listen on 127.0.0.1, or type "
            "--no-auth (AI_ENGINE_NO_AUTH=1) if everybody who reaches it may do anything",
        )


def _version(host: str) -> int | None:
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return None
