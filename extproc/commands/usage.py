"""`zai-proxy usage`: who used what, as the running proxy has counted it."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click
import httpx
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from extproc.domain.cache.report import cold_lines, whose
from extproc.launch.addresses import metrics_url
from extproc.settings import Settings

_TIMEOUT: Final = 5.0
_NAMES: Final = ("day (UTC)", "client", "program", "model")
_FIGURES: Final = ("requests", "input", "output", "list price", "credits")
_UNKNOWN: Final = "–"
_NO_CREDITS: Final = (
    f"{_UNKNOWN}: nobody has published how many credits this model takes. "
    "A row of several models has the credits of the others."
)
_ANY_WIDTH: Final = 10_000
_NOTHING: Final = "No request has been counted yet. Without STATE_DIR each start of the proxy begins the counts anew."

Row = Mapping[str, Any]
"""A row of `usage` in /status."""


def show_usage(settings: Settings, days: int, as_json: bool, cache_alone: bool) -> None:
    """Prints the usage of the last `days` days and what the cache gave in the last hour, or that alone (as JSON the
    usage, or the cache). Exits with 1 if the proxy does not answer."""
    url = f"{metrics_url(settings)}/status"
    try:
        answer = httpx.get(url, timeout=_TIMEOUT, trust_env=False)
        status = answer.raise_for_status().json()
        rows = _rows(status, days)
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        click.echo(f"{url} does not answer as zai-proxy does: is it running, and is METRICS_PORT right?", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(status.get("cache", {}) if cache_alone else rows, indent=2))
        return
    if not cache_alone:
        print_usage(rows, Console())
    for line in _cache_lines(status):
        click.echo(line)


def print_usage(rows: Sequence[Row], console: Console) -> None:
    """Prints a table, or two lines for each row if a terminal is too narrow for the table. In a file or a pipe the
    table is as wide as it has to be, without lines between its columns. Nothing is cut or wrapped."""
    if not rows:
        console.print(_NOTHING, highlight=False, soft_wrap=True)
        return
    table = Table(box=box.HEAVY_HEAD if console.is_terminal else None)
    for name in _NAMES:
        table.add_column(name, no_wrap=True)
    for name in _FIGURES:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, (*_names(row), *_figures(row))))
    width = Measurement.get(console, console.options.update(width=_ANY_WIDTH), table).maximum
    if not console.is_terminal:
        console.width = width
    if width <= console.width:
        console.print(table)
    else:
        for line in _narrow_lines(rows):
            console.print(Text(line), soft_wrap=True)
    if any(row["credits"] is None for row in rows):
        console.print(_NO_CREDITS, highlight=False, soft_wrap=True)


def _narrow_lines(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        requests, tokens_in, tokens_out, price, credits = _figures(row)
        yield "  ".join(name for name in _names(row) if name)
        yield (
            f"  requests {requests}, tokens {tokens_in} in and {tokens_out} out, list price {price}, credits {credits}"
        )


def _rows(status: Any, days: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = status["usage"]
    kept = sorted({row["day"] for row in rows}, reverse=True)[:days]
    return [row for row in rows if row["day"] in kept]


def _cache_lines(status: Any) -> list[str]:
    """What each program found in the cache lately, the conversations that find little now, and what keeps them from
    more; nothing from a proxy that is older."""
    try:
        cache = status["cache"]
        causes = sorted({f"{whose(each)}: {each['text']}" for each in cache["findings"]})
        cold = [f"cold now: {line}" for line in cold_lines(cache)]
        return [*(str(each["text"]) for each in cache["programs"]), *cold, *causes]
    except (KeyError, TypeError, ValueError):
        return []


def _names(row: Row) -> tuple[str, ...]:
    return row["day"], row["client"], row.get("program") or "", row["model"]


def _figures(row: Row) -> tuple[str, ...]:
    counts = (f"{row[name]:,}" for name in ("requests", "input_tokens", "output_tokens"))
    credits = _UNKNOWN if row["credits"] is None else f"{row['credits']:,.1f}"
    return (*counts, f"${row['cost_usd']:.2f}", credits)
