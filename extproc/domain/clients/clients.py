"""The clients that may use the proxy: who has which token, and what each may use. Pure.

A client's token is never kept, only its SHA-256: tokens are random and long, so no slower hash is needed.
"""

import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

MOST_CLIENTS: Final = 1000
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_LARGEST_LIMIT: Final = 10**15
_TOKEN_BYTES: Final = 32
_KNOWN_FIELDS: Final = frozenset({"name", "sha256", "max_in_flight", "daily_tokens"})


@dataclass(frozen=True, slots=True)
class Client:
    """One client. `max_in_flight` requests at once and `daily_tokens` a day (UTC): None where nothing bounds them."""

    name: str
    sha256: str
    max_in_flight: int | None = None
    daily_tokens: int | None = None

    def as_dict(self) -> dict[str, object]:
        """The entry of the file."""
        fields = {"name": self.name, "sha256": self.sha256, "max_in_flight": self.max_in_flight}
        fields["daily_tokens"] = self.daily_tokens
        return {name: value for name, value in fields.items() if value is not None}


class ClientRegistry:
    """All clients, found by their tokens. Raises ValueError for two of one name or token, or for too many."""

    def __init__(self, clients: Iterable[Client] = ()) -> None:
        self.clients = tuple(clients)
        if len(self.clients) > MOST_CLIENTS:
            raise ValueError(f"{len(self.clients)} clients: need at most {MOST_CLIENTS}")
        for field in ("name", "sha256"):
            values = [getattr(client, field) for client in self.clients]
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise ValueError(f"{field} {twice} is there twice")

    def find(self, token: str) -> Client | None:
        """The client with this token. Takes as long for a wrong token as for a right one, whoever's it is."""
        digest, found = digest_of(token), None
        for client in self.clients:
            if hmac.compare_digest(client.sha256, digest):
                found = client
        return found

    def named(self, name: str) -> Client | None:
        return next((client for client in self.clients if client.name == name), None)

    def as_dict(self) -> dict[str, object]:
        """What `read_clients` reads."""
        return {"clients": [client.as_dict() for client in self.clients]}


def new_token() -> str:
    """A token that nobody can guess."""
    return f"zp-{secrets.token_urlsafe(_TOKEN_BYTES)}"


def digest_of(token: str) -> str:
    """What is kept of a token."""
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def read_clients(data: object) -> ClientRegistry:
    """Reads `{"clients": [{"name", "sha256", "max_in_flight"?, "daily_tokens"?}]}`. Raises ValueError with the first
    thing that is wrong."""
    if not isinstance(data, Mapping) or not isinstance(data.get("clients"), list):
        raise ValueError('no list "clients"')
    return ClientRegistry(_read_client(entry, number) for number, entry in enumerate(data["clients"], start=1))


def is_name(name: str) -> bool:
    """Whether a client may be called so: letters, digits, dots, hyphens and underscores, at most 48."""
    return _NAME.fullmatch(name) is not None


def _read_client(entry: object, number: int) -> Client:
    if not isinstance(entry, Mapping):
        raise ValueError(f"client {number} is no object")
    name, digest = entry.get("name"), entry.get("sha256")
    if not isinstance(name, str) or not is_name(name):
        raise ValueError(f"client {number}: its name must be letters, digits, '.', '-' and '_', at most 48")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ValueError(f"client {name}: sha256 must be 64 hexadecimal digits")
    unknown = sorted(str(field) for field in set(entry) - _KNOWN_FIELDS)
    if unknown:
        raise ValueError(f"client {name}: nothing is called {unknown[0]}")
    return Client(name, digest, _limit(entry, "max_in_flight", name), _limit(entry, "daily_tokens", name))


def _limit(entry: Mapping[str, Any], field: str, name: str) -> int | None:
    value = entry.get(field)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _LARGEST_LIMIT:
        raise ValueError(f"client {name}: {field} must be a whole number of at least 1")
    return value
