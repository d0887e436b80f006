"""A row as bytes: less than half a kilobyte for a busy proxy.

Little-endian: version (u8), looks (u16), how many small counts, numbers and gauges there are (u16 each). Then for each
of these three the ids of its series in rising order, each as its distance (u8) from the one before, and what belongs to
them: small counts (u8, whole and at most 255: most buckets of a histogram); numbers (f64); gauges' counts (u16) and
sums (f64). A distance beyond 255 is made of several, with a value of 0 at the ids between, which adds to nothing.
"""

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, chain
from operator import sub
from struct import Struct
from typing import Final, NamedTuple, TypeVar

from dashboard.domain.rollup import Row

T = TypeVar("T")

MOST_SERIES: Final = 1 << 16
_VERSION: Final = 1
_HEAD: Final = Struct("<BHHHH")
_LARGEST_SMALL: Final = 255
_LARGEST_GAP: Final = 255
_MOST_LOOKS: Final = 65535


class DamagedRowError(ValueError):
    """These bytes are no row."""


class Amounts(NamedTuple):
    """What some series grew by. The ids rise; some amounts are 0 and mean nothing."""

    ids: list[int]
    amounts: Sequence[float]


class Gauges(NamedTuple):
    """How many values some gauges had, and their sums. The ids rise; some counts are 0 and mean nothing."""

    ids: list[int]
    counts: Sequence[int]
    sums: Sequence[float]


def encode(row: Row) -> bytes:
    small = {key: int(n) for key, n in row.counters.items() if 0 < n <= _LARGEST_SMALL and n == int(n)}
    large = {key: n for key, n in row.counters.items() if n and key not in small}
    looks = min(row.looks, _MOST_LOOKS)
    (small_gaps, counts), (large_gaps, numbers), (gauge_gaps, gauges) = (
        _with_gaps(small, 0),
        _with_gaps(large, 0.0),
        _with_gaps(row.gauges, (0, 0.0)),
    )
    return b"".join(
        (
            _HEAD.pack(_VERSION, looks, len(counts), len(numbers), len(gauges)),
            small_gaps,
            bytes(counts),
            large_gaps,
            _doubles(len(numbers)).pack(*numbers),
            gauge_gaps,
            _shorts(len(gauges)).pack(*(min(count, _MOST_LOOKS) for count, _ in gauges)),
            _doubles(len(gauges)).pack(*(total for _, total in gauges)),
        )
    )


def decode(data: bytes) -> Row:
    """Raises DamagedRowError."""
    looks, parts = scan_counters(data)
    counters = chain.from_iterable(zip(*part, strict=True) for part in parts)
    gauges = zip(*scan_gauges(data), strict=True)
    return Row(
        looks,
        {key: amount for key, amount in counters if amount},
        {key: (count, total) for key, count, total in gauges if count},
    )


def scan_counters(data: bytes) -> tuple[int, tuple[Amounts, Amounts]]:
    """Looks, and each counter in one of the two; without building a row: charts read thousands.

    Raises DamagedRowError.
    """
    looks, small, large, _ = _head(data)
    counts_at = _HEAD.size + small
    large_at = counts_at + small
    try:
        numbers = _doubles(large).unpack_from(data, large_at + large)
    except struct.error as error:
        raise DamagedRowError(str(error)) from None
    return looks, (
        Amounts(list(accumulate(data[_HEAD.size : counts_at])), data[counts_at:large_at]),
        Amounts(list(accumulate(data[large_at : large_at + large])), numbers),
    )


def scan_gauges(data: bytes) -> Gauges:
    """The same for gauges."""
    _, small, large, gauges = _head(data)
    gauges_at = _HEAD.size + 2 * small + 9 * large
    try:
        counts = _shorts(gauges).unpack_from(data, gauges_at + gauges)
        sums = _doubles(gauges).unpack_from(data, gauges_at + 3 * gauges)
    except struct.error as error:
        raise DamagedRowError(str(error)) from None
    return Gauges(list(accumulate(data[gauges_at : gauges_at + gauges])), counts, sums)


def _head(data: bytes) -> tuple[int, int, int, int]:
    """Looks, and how many small counts, numbers and gauges there are."""
    try:
        version, looks, small, large, gauges = _HEAD.unpack_from(data)
    except struct.error as error:
        raise DamagedRowError(str(error)) from None
    if version != _VERSION:
        raise DamagedRowError(f"a row of version {version}")
    return looks, small, large, gauges


def _with_gaps(values: Mapping[int, T], nothing: T) -> tuple[bytes, list[T]]:
    """The distances between the ids, and what belongs to each."""
    keys = sorted(values)
    near = list(map(sub, keys, chain((0,), keys)))
    if max(near, default=0) <= _LARGEST_GAP:
        return bytes(near), [values[key] for key in keys]
    gaps, ordered, last = bytearray(), list[T](), 0
    for key in keys:
        steps, rest = divmod(key - last, _LARGEST_GAP)
        gaps += bytes((_LARGEST_GAP,)) * steps + bytes((rest,))
        ordered += [nothing] * steps
        ordered.append(values[key])
        last = key
    return bytes(gaps), ordered


def encode_totals(totals: Mapping[int, float]) -> bytes:
    """Plain numbers by id: what a target's counters stood at."""
    return _shorts(len(totals)).pack(*totals) + _doubles(len(totals)).pack(*totals.values())


def decode_totals(data: bytes) -> dict[int, float]:
    """Raises DamagedRowError."""
    if len(data) % 10:
        raise DamagedRowError("totals of an odd length")
    count = len(data) // 10
    ids = _shorts(count).unpack_from(data)
    return dict(zip(ids, _doubles(count).unpack_from(data, 2 * count), strict=True))


@lru_cache(maxsize=4096)
def _shorts(count: int) -> Struct:
    return Struct(f"<{count}H")


@lru_cache(maxsize=4096)
def _doubles(count: int) -> Struct:
    return Struct(f"<{count}d")
