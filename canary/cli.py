"""The `zai-proxy canary-check` command."""

import re
import sys
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import click

from canary import report
from canary.domain.verdict import Decision, Rules, Verdict, decide
from canary.prometheus import Prometheus, PrometheusError, QueryRefusedError
from canary.readings import Question, block_layout, read

EXIT_CODES: Final = {Verdict.PROMOTE: 0, Verdict.ROLL_BACK: 1, Verdict.WAIT: 3}

_PATIENCE: Final = 60.0
"""Seconds that one look may take, all queries and attempts together."""

_UNITS: Final = {"s": 1, "m": 60, "h": 3600}
_VARIANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Duration(click.ParamType[int]):
    """Whole seconds, written as 90s, 15m or 2h, within bounds."""

    name = "duration"

    def __init__(self, least: str, most: str) -> None:
        self._least, self._most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if not self._inside(str(value)):
            self.fail(f"{value}: need a duration from {self._least} to {self._most}, like 15m", param, ctx)
        return _seconds(str(value))

    def _inside(self, text: str) -> bool:
        fits = re.fullmatch(r"[0-9]{1,6}[smh]", text) is not None
        return fits and _seconds(self._least) <= _seconds(text) <= _seconds(self._most)


class UsageLineError(click.ClickException):
    """One line, without the usage around it."""

    exit_code = 2


class OneLineCommand(click.Command):
    """Says what is wrong with an option in one line."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise UsageLineError(error.format_message()) from error


def _seconds(text: str) -> int:
    return int(text[:-1]) * _UNITS[text[-1]]


def _url(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise click.BadParameter("need an address like http://prometheus:9090")
    return value


def _variant(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if not _VARIANT.fullmatch(value):
        raise click.BadParameter(f"{value!r}: need a name like canary, as in DEPLOYMENT_VARIANT")
    return value


@click.command(name="canary-check", cls=OneLineCommand)
@click.option("--prometheus", "url", required=True, metavar="URL", callback=_url, help="Where to ask.")
@click.option("--window", type=Duration("10m", "24h"), default="15m", show_default=True, help="How far to look back.")
@click.option("--selector", default="", metavar="PROMQL", help="""Further matchers, like 'namespace="devpod"'.""")
@click.option("--canary", default="canary", show_default=True, callback=_variant, help="Its variant label.")
@click.option("--production", default="production", show_default=True, callback=_variant, help="Its variant label.")
@click.option("--looks", type=click.IntRange(1, 100), default=8, show_default=True, help="Looks in all, at one canary.")
@click.option("--every", type=Duration("1m", "24h"), help="Look again that often, until it is clear, --looks times.")
@click.option("--risk", type=click.FloatRange(0.001, 0.2), default=0.05, show_default=True, help="Of a false verdict.")
@click.option("--least-requests", type=click.IntRange(20, 1_000_000), default=100, show_default=True)
@click.option("--error-margin", type=click.FloatRange(0.001, 0.5), default=0.02, show_default=True, help="Tolerated.")
@click.option("--slow-margin", type=click.FloatRange(0.001, 0.5), default=0.05, show_default=True, help="Tolerated.")
@click.option("--margin", type=click.FloatRange(0.01, 2.0), default=0.25, show_default=True, help="Of other measures.")
@click.option("--json", "as_json", is_flag=True, help="For programs; an object a look.")
def canary_check(
    url: str,
    window: int,
    selector: str,
    canary: str,
    production: str,
    looks: int,
    every: int | None,
    risk: float,
    least_requests: int,
    error_margin: float,
    slow_margin: float,
    margin: float,
    as_json: bool,
) -> None:
    """Compare the canary with production by what Prometheus knows: promote, wait or roll back.

    Exits with 0 for promote, 3 for wait, 1 for roll back, and 2 if an option or the query is wrong.
    """
    if canary == production:
        raise UsageLineError(f"--canary and --production are both {canary}: need two variants")
    rules = Rules(looks, risk, least_requests, error_margin, slow_margin, margin)
    question = Question(canary, production, selector, *block_layout(window))

    def look() -> Decision:
        decision = _look(url, question, rules)
        click.echo(report.as_json(decision) if as_json else report.as_text(decision))
        return decision

    sys.exit(EXIT_CODES[_until_clear(look, looks if every else 1, every or 0)])


def _until_clear(look: Callable[[], Decision], looks: int, pause: int) -> Verdict:
    """Looks until the verdict is not to wait, or `looks` times."""
    for _ in range(looks - 1):
        if (verdict := look().verdict) is not Verdict.WAIT:
            return verdict
        time.sleep(pause)
    return look().verdict


def _look(url: str, question: Question, rules: Rules) -> Decision:
    prometheus = Prometheus(url, _PATIENCE)
    try:
        return decide(*read(prometheus, question, time.time()), rules)
    except PrometheusError as error:
        return Decision(Verdict.WAIT, str(error))
    except QueryRefusedError as error:
        raise UsageLineError(str(error)) from error
    finally:
        prometheus.close()
