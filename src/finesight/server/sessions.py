"""Who may ask: programs send the token, the page exchanges it once for a cookie."""

import hmac
import time

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

DAYS = 30
"""How long the page's cookie is valid."""


class Sessions:
    """Makes and checks cookies that prove that the token was known, without containing it."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        # Cookies are shared by all ports of a host: two servers must not take each other's.
        self.cookie = f"finesight_{self._sign('name')[:8]}"

    def is_token(self, given: str) -> bool:
        """Whether this is the token; takes equally long for every wrong one."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token)

    def new(self) -> str:
        """Return the value of a cookie that is valid for `DAYS`."""
        until = str(int(time.time()) + DAYS * 86400)
        return f"{until}.{self._sign(until)}"

    def is_valid(self, cookie: str) -> bool:
        """Whether a cookie's value was made with this token and is not too old."""
        until, _, signature = cookie.partition(".")
        genuine = hmac.compare_digest(
            signature.encode("utf-8", "replace"), self._sign(until).encode()
        )
        return genuine and until.isdigit() and int(until) > time.time()

    def admits(self, headers: Headers) -> bool:
        """Whether a request's headers hold the token or a valid cookie."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.is_token(given.strip())
        value = cookie_parser(headers.get("cookie", "")).get(self.cookie)
        return value is not None and self.is_valid(value)

    def _sign(self, text: str) -> str:
        return hmac.new(self._token, f"finesight session {text}".encode(), "sha256").hexdigest()
