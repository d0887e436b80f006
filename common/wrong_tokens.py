"""Slows down whoever tries tokens. Pure: the caller brings the time, and does the waiting.

A wrong token's answer waits: ever longer for each network that goes on, and for all networks once many try a few each.
Only so many wait at a time. While they do, a token is looked at only if it comes from a network that

* has sent no more wrong ones within ten minutes than people mistype,
* has shown a right one before, or
* is this machine, where whatever passes others on (a reverse proxy) may stand.

So who has a right token is not shut out by those who guess, and however many guess, from however many addresses, few of
their tokens are looked at: those that wait, and three of each of 10,000 networks in ten minutes. Behind an address that
right tokens come from guesses have no such bound, only the pause.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

_FREE_TRIES: Final = 3
_FREE_TRIES_OF_ALL: Final = 60
_FREE_TRIES_BACK_PER_SECOND: Final = 1.0
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 5.0
_DOUBLINGS: Final = 5
_FORGIVEN_AFTER: Final = 600.0
_MOST_NETWORKS: Final = 10_000
_IPV6_CLIENT_BITS: Final = 64
_LONGEST_NAME: Final = 64


class WrongTokens:
    """Remembers the wrong tokens of each network. `most_waiting` answers wait at a time, and hold `most_bytes` in all.

    Times are steady seconds. At most 10,000 networks are remembered; a further one is treated like one that guesses.
    """

    def __init__(self, most_waiting: int, most_bytes: int = 0) -> None:
        self._most_waiting = most_waiting
        self._most_bytes = most_bytes
        self._waiting = 0
        self._bytes = 0
        # By network: how many, and when the last came. The longest quiet stand first.
        self._tries: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._right: OrderedDict[str, None] = OrderedDict()
        self._free_of_all = 0.0
        self._free_of_all_at = 0.0

    def may_try(self, peer: str, now: float) -> bool:
        """Whether a token of this peer is looked at at all."""
        if self._waiting < self._most_waiting:
            return True
        network = network_of(peer)
        return network in self._right or _is_loopback(network) or self._tries_of(network, now) <= _FREE_TRIES

    def right(self, peer: str) -> None:
        """A right token has come from this peer."""
        network = network_of(peer)
        self._right[network] = None
        self._right.move_to_end(network)
        if len(self._right) > _MOST_NETWORKS:
            self._right.popitem(last=False)

    @contextmanager
    def wrong(self, peer: str, now: float, size: int = 0) -> Iterator[float | None]:
        """A wrong token has come from `peer`: for how many seconds its answer has to wait, in this context. None if too
        many wait already; then it is refused at once. `size` bytes are held meanwhile; one alone may hold any number.
        """
        pause = self._pause(network_of(peer), now)
        if not pause:
            yield pause
            return
        size = min(size, self._most_bytes)
        if self._waiting >= self._most_waiting or self._bytes + size > self._most_bytes:
            yield None
            return
        self._waiting += 1
        self._bytes += size
        try:
            yield pause
        finally:
            self._waiting -= 1
            self._bytes -= size

    def _pause(self, network: str, now: float) -> float:
        tries = self._tries_of(network, now) + 1
        if network in self._tries or len(self._tries) < _MOST_NETWORKS:
            self._tries[network] = (tries, now)
            self._tries.move_to_end(network)
        if tries > _FREE_TRIES:
            return _doubled(tries - _FREE_TRIES)
        since = max(0.0, now - self._free_of_all_at)
        taken = max(0.0, self._free_of_all - since * _FREE_TRIES_BACK_PER_SECOND) + 1.0
        self._free_of_all = min(taken, _FREE_TRIES_OF_ALL + _DOUBLINGS + 1.0)
        self._free_of_all_at = now
        return _doubled(int(self._free_of_all) - _FREE_TRIES_OF_ALL)

    def _tries_of(self, network: str, now: float) -> int:
        """Wrong tokens of a network that are not forgiven. One that there is no room to remember counts as one that
        guesses on."""
        while self._tries and now - next(iter(self._tries.values()))[1] > _FORGIVEN_AFTER:
            self._tries.popitem(last=False)
        if network in self._tries:
            return self._tries[network][0]
        return 0 if len(self._tries) < _MOST_NETWORKS else _FREE_TRIES + _DOUBLINGS


def network_of(peer: str) -> str:
    """What stands for a client: its address, and of IPv6 the 64 bits before those that it may choose itself."""
    return _network(peer[:_LONGEST_NAME])


@lru_cache(maxsize=1024)
def _network(peer: str) -> str:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address) or address.is_loopback:
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), _IPV6_CLIENT_BITS), strict=False))


def _is_loopback(network: str) -> bool:
    try:
        return ipaddress.ip_address(network).is_loopback
    except ValueError:
        return False


def _doubled(beyond: int) -> float:
    """The pause of the first, second … wrong token beyond those that cost nothing; none for those before."""
    return 0.0 if beyond < 1 else min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(beyond - 1, _DOUBLINGS))
