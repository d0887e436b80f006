"""`zai-proxy usage`: who used what, as the running proxy has counted it."""

import json
import sys
from typing import Any

import click
import httpx
from rich.console import Console
from rich.table import Table

from extproc.launch.addresses import metrics_url
from extproc.settings import Settings

_TIMEOUT = 5.0


def show_usage(settings: Settings, days: int, as_json: bool) -> None:
    """Prints the usage of the last `days` days. Exits with 1 if the proxy does not answer."""
    url = f"{metrics_url(settings)}/status"
    try:
        answer = httpx.get(url, timeout=_TIMEOUT, trust_env=False)
        status = answer.raise_for_status().json()
        rows = _rows(status, days)
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        click.echo(f"{url} does not answer as zai-proxy does: is it running, and is METRICS_PORT right?", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = Table("day (UTC)", "client", "program", "model")
    for name in ("requests", "input", "output", "list price", "credits"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(row["day"], row["client"], row.get("program") or "", row["model"], *_numbers(row))
    Console().print(table)
    for line in _cache_lines(status):
        click.echo(line)


def _rows(status: Any, days: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = status["usage"]
    kept = sorted({row["day"] for row in rows}, reverse=True)[:days]
    return [row for row in rows if row["day"] in kept]


def _cache_lines(status: Any) -> list[str]:
    """What each program found in the cache lately, and what kept it from more; nothing from a proxy that is older."""
    try:
        cache = status["cache"]
        causes = sorted({f"{each['program'] or 'A program'}: {each['text']}" for each in cache["findings"]})
        return [*(str(each["text"]) for each in cache["programs"]), *causes]
    except (KeyError, TypeError):
        return []


def _numbers(row: dict[str, Any]) -> tuple[str, ...]:
    counts = (f"{row[name]:,}" for name in ("requests", "input_tokens", "output_tokens"))
    return (*counts, f"${row['cost_usd']:.2f}", f"{row['credits']:,.1f}")
