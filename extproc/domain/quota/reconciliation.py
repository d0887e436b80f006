"""Compares the credits that the plan charges with those that we counted. Pure.

Both are sums since the same moment, so that late figures and whole numbers make the difference wobble, not grow. What
makes it grow is work on the same plan that goes past this proxy, or a formula that is no longer right.
"""

from dataclasses import dataclass

from extproc.domain.quota.windows import CREDIT_LIMIT, QuotaReport, QuotaWindow


@dataclass(frozen=True, slots=True)
class Comparison:
    """Credits of one window since Unix time `since`: what the plan charged, and what the proxy counted."""

    window: str
    since: float
    charged: float
    counted: float

    @property
    def uncounted(self) -> float:
        """What was charged beyond what was counted; negative if more was counted."""
        return self.charged - self.counted

    @property
    def deviation(self) -> float | None:
        """`uncounted` as a share of what was charged; None while nothing was."""
        return self.uncounted / self.charged if self.charged > 0 else None


@dataclass(slots=True)
class _Page:
    """Where a window's comparison began, and how far it has come."""

    first: QuotaWindow
    latest: QuotaWindow
    counted_before: float
    counted: float
    since: float


class Reconciliation:
    """Keeps one comparison for each window that counts credits; it begins anew when the window resets."""

    def __init__(self) -> None:
        self._counted = 0.0
        self._pages: dict[str, _Page] = {}

    def count(self, credits: float) -> None:
        """Adds the credits of a request by the published formula."""
        self._counted += credits

    def take_report(self, report: QuotaReport, asked_at: float) -> None:
        """Takes in what the plan says that it charged."""
        windows = {window.name: window for window in report.windows if _is_comparable(window)}
        self._pages = {name: self._page(name, window, asked_at) for name, window in windows.items()}

    def comparisons(self) -> list[Comparison]:
        """The comparisons as of the last report."""
        return [
            Comparison(name, page.since, (page.latest.used or 0.0) - (page.first.used or 0.0), page.counted)
            for name, page in self._pages.items()
        ]

    def _page(self, name: str, window: QuotaWindow, asked_at: float) -> _Page:
        page = self._pages.get(name)
        if page is None or page.latest.is_over(asked_at) or page.latest.is_followed_by(window):
            return _Page(window, window, self._counted, 0.0, asked_at)
        page.latest = window
        page.counted = self._counted - page.counted_before
        return page


def _is_comparable(window: QuotaWindow) -> bool:
    return window.limit_type == CREDIT_LIMIT and window.used is not None
