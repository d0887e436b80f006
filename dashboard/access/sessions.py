"""Session cookies that the server need not remember: an end, signed with a key made from the token. Pure."""

import hashlib
import hmac
from typing import Final

SESSION_SECONDS: Final = 30 * 86400


class Sessions:
    """Another token makes every session of the one before worthless."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._key = hashlib.sha256(b"zai-proxy dashboard session\0" + self._token).digest()

    def is_token(self, given: str) -> bool:
        """In a time that does not depend on how much of it is right."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token)

    def begin(self, now: float) -> str:
        """The value of a cookie that is good for 30 days from this Unix time."""
        end = str(int(now) + SESSION_SECONDS)
        return f"{end}.{self._sign(end)}"

    def is_valid(self, cookie: str, now: float) -> bool:
        end, _, signature = cookie.partition(".")
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), self._sign(end).encode()):
            return False
        return now < int(end) <= now + SESSION_SECONDS + 86400

    def _sign(self, end: str) -> str:
        return hmac.new(self._key, end.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
