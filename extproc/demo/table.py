"""How the demo looks: a live table for a terminal, one line for everything else. Shows numbers, fetches nothing."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from extproc.demo.numbers import Numbers, Totals

_BAR_WIDTH: Final = 30
# Lines of the screen that are taken by the text above the table, by the rest of the table, and by the prompt below it.
_OTHER_LINES: Final = 25
_FEWEST_ROWS: Final = 2
_WIDEST: Final = 110

Running = Sequence[Mapping[str, Any]]
"""The `requests` of /status."""


def table(numbers: Numbers, running: Running, state: str, *, width: int, height: int) -> RenderableType:
    """The whole live table for a screen of this size; `state` is a word for its title."""
    rows = height - _OTHER_LINES
    running_now = (Text(), _running(running, rows)) if rows >= _FEWEST_ROWS else ()
    body = Group(_figures(numbers), *running_now)
    return Panel(body, title=f"zai-proxy demo: {state}", width=min(width, _WIDEST), padding=(0, 1))


def line(numbers: Numbers) -> str:
    """The same in one line of plain text."""
    totals = numbers.totals
    statuses = _counts(totals.requests)
    parts = [
        f"workers {totals.workers}/{totals.max_workers}",
        f"pacing {_pacing(totals)}",
        f"requests {sum(totals.requests.values())}{statuses and f' ({statuses})'} {numbers.requests_per_second:.1f}/s",
        f"tokens {_tokens(numbers)}",
        f"cost ${totals.cost:.4f}",
        f"first byte {_times(numbers)}",
        f"errors {_counts(totals.errors) or 'none'}",
        f"refused {_counts(totals.refused) or 'none'}",
        f"retries {totals.retries}",
    ]
    return " | ".join(parts)


def _figures(numbers: Numbers) -> Table:
    totals = numbers.totals
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True, min_width=10)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    grid.add_row("Workers", _bar(totals.workers, totals.max_workers))
    grid.add_row("Pacing", _pacing(totals))
    grid.add_row("Requests", f"{sum(totals.requests.values()):,}   {numbers.requests_per_second:.1f}/s")
    grid.add_row("", _statuses(totals.requests))
    grid.add_row("Tokens", _tokens(numbers))
    grid.add_row("Cost", f"${totals.cost:.4f} at list price")
    grid.add_row("First byte", f"{_times(numbers)}   last minute")
    grid.add_row("Errors", _counts(totals.errors) or "none")
    grid.add_row("Refused", f"{_counts(totals.refused) or 'none'}   retries {totals.retries:,}")
    return grid


def _running(running: Running, rows: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), expand=True)
    for name in ("Running now", "Model"):
        table.add_column(name, no_wrap=True, overflow="ellipsis", ratio=2)
    table.add_column("Client", no_wrap=True)
    table.add_column("Age", justify="right", no_wrap=True)
    table.add_column("Received", justify="right", no_wrap=True)
    shown = running if len(running) <= rows else running[: rows - 1]
    for each in shown:
        age, received = f"{each['age_seconds']:.1f} s", decimal(each["response_bytes"])
        table.add_row(each["path"], each["model"] or "", each["client"], age, received)
    if len(shown) < len(running):
        table.add_row(f"and {len(running) - len(shown)} more")
    for _ in range(rows - table.row_count):
        table.add_row()  # a table that keeps its height does not jump
    return table


def _bar(busy: int, most: int) -> Text:
    share = busy / most if most else 0.0
    filled = min(_BAR_WIDTH, round(share * _BAR_WIDTH))
    color = "green" if share < 0.7 else "yellow" if share < 1 else "red"
    bar = Text("█" * filled, style=color)
    bar.append("░" * (_BAR_WIDTH - filled), style="dim")
    return bar.append(f"  {busy} of {most} busy", style="default")


def _pacing(totals: Totals) -> str:
    if not totals.allowed_at_once:
        return "off"
    allowed = f"{totals.allowed_at_once:.0f} at once, {totals.allowed_per_second:.1f}/s"
    return f"{allowed}   {totals.waiting} waiting"


def _statuses(requests: Mapping[str, int]) -> Text:
    colors = {"2": "green", "4": "yellow", "5": "red"}
    return Text("  ").join(
        Text.assemble((f"{status}:", colors.get(status[0], "")), f" {count:,}") for status, count in requests.items()
    )


def _tokens(numbers: Numbers) -> str:
    tokens = numbers.totals.tokens
    shown = [("in", "input"), ("cached", "cache_read"), ("out", "output")]
    counts = "  ".join(f"{name} {tokens.get(direction, 0):,}" for name, direction in shown)
    return f"{counts}   {numbers.tokens_per_second:,.0f}/s"


def _times(numbers: Numbers) -> str:
    named: Iterable[tuple[str, float | None]] = (("p50", numbers.first_byte_p50), ("p95", numbers.first_byte_p95))
    return "  ".join(f"{name} {'-' if seconds is None else f'{seconds:.2f} s'}" for name, seconds in named)


def _counts(by_label: Mapping[str, int]) -> str:
    return "  ".join(f"{name} {count:,}" for name, count in by_label.items())
