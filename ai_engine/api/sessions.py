"""Sessions of people who signed in with a key: a signed cookie, and a token that forms and scripts repeat.

The cookie names the key and no secret: what it allows is what the key allows when a request comes, and it
ends when the key does. A page of another site can make a browser send the cookie, but cannot read the
token.
"""

from __future__ import annotations

import hmac
import secrets
import time
from dataclasses import dataclass
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from typing import Final

from ai_engine.domain.keys import ApiKey, is_key_id

COOKIE: Final = "ai_engine_session"
TOKEN_HEADER: Final = "X-CSRF-Token"
TOKEN_FIELD: Final = "csrf_token"
# A working day; seconds.
LIFETIME: Final = 12 * 3600


@dataclass(frozen=True, slots=True)
class Session:
    """A session as a cookie tells it.

    Attributes
    ----------
    key_id : str
        The key that was signed in with.
    mark : str
        Of the key's digest: another key with this id is not it.
    token : str
        What every change has to repeat.
    """

    key_id: str
    mark: str
    token: str

    def is_of(self, key: ApiKey) -> bool:
        """Tell whether this key was signed in with."""
        return hmac.compare_digest(self.mark, _mark(key))


class Sessions:
    """Makes and reads cookies.

    Parameters
    ----------
    secret : bytes or None
        What cookies are signed with; None for a secret of this process, whose end ends every session.
    """

    def __init__(self, secret: bytes | None = None) -> None:
        self._secret = secret or secrets.token_bytes(32)

    def cookie(self, key: ApiKey, now: float | None = None) -> str:
        """Return the cookie of a new session."""
        expires = int(time.time() if now is None else now) + LIFETIME
        content = f"{key.key_id}.{_mark(key)}.{expires}.{secrets.token_hex(16)}"
        return f"{content}.{self._signature('session', content)}"

    def read(self, cookie: str, now: float | None = None) -> Session | None:
        """Return the session of a cookie; None where it is none of ours, altered, or over."""
        content, _, signature = cookie.rpartition(".")
        if not cookie.isascii() or not hmac.compare_digest(signature, self._signature("session", content)):
            return None
        key_id, mark, expires, _ = content.split(".")
        if int(expires) <= (time.time() if now is None else now) or not is_key_id(key_id):
            return None
        return Session(key_id, mark, self._signature("token", content))

    def _signature(self, purpose: str, content: str) -> str:
        return hmac.new(self._secret, f"{purpose}:{content}".encode(), sha256).hexdigest()


def cookie_in(headers: list[str]) -> str | None:
    """Return the session cookie among the Cookie headers of a request.

    >>> cookie_in(["theme=dark; ai_engine_session=a.b"])
    'a.b'
    """
    for header in headers:
        if COOKIE not in header:
            continue
        parsed: SimpleCookie = SimpleCookie()
        try:
            parsed.load(header)
        except CookieError:
            continue
        if COOKIE in parsed:
            return parsed[COOKIE].value
    return None


def _mark(key: ApiKey) -> str:
    return sha256(b"session:" + key.digest).hexdigest()[:32]
