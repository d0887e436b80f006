"""From SCRAPE_TARGETS to the addresses that are asked: as they stand, or all that a name has at the moment."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import urlsplit

Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]

_RESOLVED = "dns+http"
_AGAIN_AFTER: Final = 15.0
_LONGEST_LOOKUP: Final = 5.0
_FIRST_LOOKUP: Final = 1.0
_MOST_ADDRESSES: Final = 64


@dataclass(frozen=True, slots=True)
class Address:
    """One proxy's metrics. `host` is what its Host header has to say, if not what the URL says."""

    url: str
    name: str
    host: str | None = None


@dataclass(slots=True)
class Lookup:
    """What is known of one name. `error` says why the last look-up failed; the addresses of the one before stay."""

    source: str
    addresses: list[Address]
    error: str | None = None
    due_at: float = 0.0
    pending: asyncio.Task[None] | None = None


async def resolve(host: str, port: int) -> list[str]:
    """Every address of a name, by the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class TargetResolver:
    """Keeps the addresses of all targets; names are looked up again every 15 s, off to the side."""

    def __init__(self, sources: Sequence[str], look_up: Resolve = resolve) -> None:
        self._look_up = look_up
        self._fixed = [Address(url, _name(url)) for url in sources if urlsplit(url).scheme != _RESOLVED]
        self._lookups = [Lookup(url, []) for url in sources if urlsplit(url).scheme == _RESOLVED]

    @property
    def lookups(self) -> Sequence[Lookup]:
        return self._lookups

    async def current(self, steady: float) -> list[Address]:
        """The addresses at this monotonic time. Waits a moment, and only for a name that was never looked up."""
        for lookup in self._lookups:
            if lookup.pending is None and steady >= lookup.due_at:
                lookup.due_at = steady + _AGAIN_AFTER
                lookup.pending = asyncio.create_task(self._refresh(lookup))
        first = [each.pending for each in self._lookups if each.pending and not each.addresses and not each.error]
        if first:
            await asyncio.wait(first, timeout=_FIRST_LOOKUP)
        return self.known()

    def known(self) -> list[Address]:
        """The addresses that need no looking up any more."""
        every = [*self._fixed, *(address for lookup in self._lookups for address in lookup.addresses)]
        return list({address.url: address for address in every}.values())

    async def close(self) -> None:
        pending = [lookup.pending for lookup in self._lookups if lookup.pending]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    async def _refresh(self, lookup: Lookup) -> None:
        parts = urlsplit(lookup.source)
        host, port = parts.hostname or "", parts.port or 80
        try:
            async with asyncio.timeout(_LONGEST_LOOKUP):
                found = await self._look_up(host, port)
        except TimeoutError:
            lookup.error = f"no answer of the name server within {_LONGEST_LOOKUP:g} s"
        except OSError as error:
            lookup.error = error.strerror or str(error) or "the name can't be looked up"
        else:
            lookup.error = None if found else "the name has no address"
            header = f"{host}:{port}" if parts.port else host
            addresses = sorted(found)[:_MOST_ADDRESSES]
            lookup.addresses = [
                Address(f"http://{_in_url(each)}:{port}{parts.path}", f"{_in_url(each)}:{port}", header)
                for each in addresses
            ]
        finally:
            lookup.pending = None


def beside(metrics_url: str, name: str) -> str:
    """Another resource of the same proxy: `http://host:9090/metrics` and `status` give `http://host:9090/status`."""
    return f"{metrics_url.rpartition('/')[0]}/{name}" if urlsplit(metrics_url).path else f"{metrics_url}/{name}"


def _name(url: str) -> str:
    return urlsplit(url).netloc


def _in_url(address: str) -> str:
    try:
        is_v6 = ipaddress.ip_address(address.partition("%")[0]).version == 6
    except ValueError:
        is_v6 = False
    return f"[{address}]" if is_v6 else address
