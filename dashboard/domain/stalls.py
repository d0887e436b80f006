"""How long each running request has been silent. Pure: the caller brings the time."""

from collections.abc import Iterable

from dashboard.domain.proxy_status import Running


class StallWatch:
    """Remembers when the answer of each request last grew; what runs no longer is forgotten."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, float]] = {}

    def update(self, running: Iterable[Running], now: float) -> None:
        """Takes in all that runs at this monotonic time. One that is seen first counts as just heard of."""
        seen = {}
        for request in running:
            size = request.response_bytes or 0
            known = self._seen.get(request.id)
            seen[request.id] = known if known is not None and known[0] == size else (size, now)
        self._seen = seen

    def silent(self, request_id: str, now: float) -> float | None:
        """Seconds of silence; None for a request that is not known."""
        known = self._seen.get(request_id)
        return None if known is None else max(0.0, now - known[1])
