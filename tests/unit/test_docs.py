"""The pages for people say what the code does: settings, metrics, errors, commands, links."""

import fnmatch
import inspect
import math
import re
import tomllib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from extproc.cli import cli
from extproc.domain.pacing import probing
from extproc.domain.quota.windows import WINDOWS
from extproc.domain.request import refusals
from extproc.domain.request.business_codes import TABLE, ErrorClass
from extproc.domain.request.labels import OTHER
from extproc.domain.usage.outcome import ErrorType, UsageRecord
from extproc.domain.usage.prices import PricingTier
from extproc.launch.envoy_config import lua_source, source
from extproc.settings import Settings
from tests.harness.doc_tables import METRICS, code, documented_series, tables
from tests.harness.exported_series import exported
from tests.harness.processes import ROOT

README, SETTINGS, ERRORS = ROOT / "README.md", ROOT / "docs/settings.md", ROOT / "docs/errors.md"
PACING = ROOT / "docs/pacing.md"
DECISIONS = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("simulator/*.md")])
CODE = [*ROOT.glob("envoy/*"), *ROOT.glob("common/*.py"), *ROOT.glob("extproc/**/*.py"), *ROOT.glob("tests/*/*.py")]

HOSTS = {"127.0.0.1", "localhost", "api.z.ai", "docs.z.ai", "opencode.ai", "keepachangelog.com", "semver.org"}
"""Whom the pages may speak of: the upstream, this machine, and the sources of two conventions."""

FILE = re.compile(r"(?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:md|py|yaml|toml|json)")
OF_USERS = {"opencode.json", "config.toml"}
NO_FILES = {"http/protobuf"}
TIMES = {1: "once", 2: "twice"}

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return "".join(page.read_text().split("```")[::2])


def code_lines(page: Path) -> Iterator[str]:
    """Every code span of the page, and every line of its code blocks."""
    for number, part in enumerate(page.read_text().split("```")):
        yield from part.splitlines() if number % 2 else code(part)


def shown(default: Any) -> str:
    if default is None:
        return ""
    text = default.value if isinstance(default, StrEnum) else str(default)
    return f"`{text.lower() if isinstance(default, bool) else text}`"


def test_the_page_of_settings_lists_every_one_with_its_default_and_meaning() -> None:
    listed = list(tables(SETTINGS, "variable"))

    fields = Settings.model_fields.items()
    assert listed == [[f"`{name.upper()}`", shown(field.default), field.description] for name, field in fields]


def test_the_settings_that_the_readme_picks_are_as_on_their_page() -> None:
    picked, listed = list(tables(README, "variable")), list(tables(SETTINGS, "variable"))

    assert picked == [row for row in listed if row in picked]
    assert "`ZAI_API_KEY`" in {name for name, _, _ in picked}


@every_page
def test_a_variable_that_a_page_names_exists(page: Path) -> None:
    others = {"ZAI_BASE_URL", "MAX_WORKER", "ZAI_PROXY_AUTHORIZATION"}  # zai-sdk's, a slip, and Envoy's
    known = {name.upper() for name in Settings.model_fields} | others
    named = {name for line in code_lines(page) for name in re.findall(r"\b(?:ZAI|MAX|RETRY|TLS)_[A-Z_]+\b", line)}

    assert named <= known


def test_the_metrics_page_has_every_series_with_its_type_labels_and_buckets_and_no_other() -> None:
    assert documented_series() == exported()


@every_page
def test_a_metric_that_a_page_names_exists(page: Path) -> None:
    names = {series.name for series in exported()}
    known = names | {f"{name}_{suffix}" for name in names for suffix in ("bucket", "sum", "count")}
    named = set(re.findall(r"\bzai_proxy_[a-z_]+", page.read_text()))

    assert named <= known


@pytest.mark.parametrize(
    ("label", "values"),
    [("class", ErrorClass), ("pricing_tier", PricingTier), ("status", UsageRecord), ("error_type", ErrorType)],
)
def test_the_metrics_page_has_every_value_of_a_label(label: str, values: type[StrEnum]) -> None:
    [told] = [row[1] for row in tables(METRICS, "label") if row[0] == f"`{label}`"]

    assert [value for value in code(told) if value in set(values)] == list(values)


def test_the_metrics_page_has_every_window() -> None:
    [told] = [row[1] for row in tables(METRICS, "label") if row[0] == "`window`"]

    assert sorted(code(told)) == sorted([*WINDOWS, OTHER])


def test_the_metrics_page_has_every_label() -> None:
    told = {code(row[0])[0] for row in tables(METRICS, "label")}
    of_info = {"version", "commit", "build_time", "implementation", "major", "minor", "patchlevel"}

    assert told == {"variant"} | {label for series in exported() for label in series.labels} - of_info


def test_the_errors_page_has_the_table_of_business_codes() -> None:
    listed = [row for row in tables(ERRORS, "code") if len(row) == 5]

    assert listed == [
        [f"`{row.code}`", f"`{row.error_class}`", "yes" if row.transient else "no", row.meaning, row.advice]
        for row in TABLE.values()
    ]


def test_the_errors_page_explains_every_class_and_every_error_type() -> None:
    classes = [row[0] for row in tables(ERRORS, "class")]
    error_types = [row[0] for row in tables(ERRORS, "`error_type`")]

    assert classes == [f"`{each}`" for each in ErrorClass]
    assert error_types[:-1] == [f"`{each}`" for each in ErrorType]  # the last row is the upstream's status


def test_the_errors_page_has_every_message_of_the_proxys_own() -> None:
    words = inspect.getsource(refusals)
    examples = {"max_workers": "20", "waited:.0f": "60", "retry_after": "12", "name": "anna", "max_in_flight": "2"}
    examples |= {"daily_tokens": "5000000", "hours:.1f": "3.5", "origin": "null"}
    for field, example in examples.items():
        words = words.replace(f"{{{field}}}", example)
    own = set(re.findall(r'(?<!")"([A-Z][^"]+\.)"(?!")', words))
    own |= {
        text for text in re.findall(r'inline_string: "([^"]+)"', source("envoy.yaml")) if not {"%", "$"} & set(text)
    }
    own |= set(re.findall(r'handle:respond\(.*, "([^"]+)"\)', lua_source("downstream")))

    assert len(own) >= 6
    assert {text for text in own if f"`{text}`" not in ERRORS.read_text()} == set()


def test_the_pacing_page_says_when_a_limit_is_tried() -> None:
    rows = [f"{when}: {a_try}" for when, a_try in tables(PACING, "when")]
    after_a_fall, settled, quick, unknown, later, of_few, _at_a_full_hour, dense = rows

    def pause(period: float, places: int) -> float:
        return min(
            math.sqrt(2 * probing._COST * period / places), probing._LATEST if places > 1 else probing._LATEST_OF_FEW
        )

    assert after_a_fall.endswith(f": each {probing._RETURN:.0f} seconds, {probing._MOST_RETURNS} times at most")
    assert settled.endswith(f": {TIMES[probing._RETURNS]}, {probing._RETURN:.0f} seconds apart")
    assert quick.endswith(f"a minute apart: each {pause(60, probing._SWING):.0f} seconds")
    assert unknown.startswith("where they were half an hour apart, or nothing is known")
    assert unknown.endswith(f": each {pause(probing._PERIOD, probing._SWING):.0f} seconds")
    assert later.endswith(f"each {probing._LATEST:.0f} seconds at last")
    a_minute, half_an_hour, at_last = (pause(period, 1) for period in (60, 1800, math.inf))
    assert of_few.endswith(f": each {a_minute:.0f}, {half_an_hour:.0f} and {at_last:.0f} seconds instead")
    most = f"{probing.FIRST_HALF_LIFE:.0f} seconds"
    assert dense.endswith(f"one attempt in {1 / probing._SHARE:.0f} pays for, each {most} at most")


def anchors(page: Path) -> set[str]:
    """The anchors that a forge makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        linked = (page.parent / path).resolve() if path else page
        assert linked.is_relative_to(ROOT), target
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@every_page
def test_no_page_speaks_of_other_hosts(page: Path) -> None:
    urls = re.findall(r"https?://[^\s)\"'`>]+", page.read_text())
    words = re.sub(r"`[^`]+`", "", prose(page))
    domains = re.findall(r"\b(?:[a-z0-9-]+\.)+(?:com|org|net|io|dev|ai|cn)\b", words)

    assert {str(urlsplit(url).hostname) for url in urls} <= HOSTS
    assert set(domains) <= HOSTS


def is_made_here(path: str) -> bool:
    """Whether git ignores the path, so that a fresh clone need not have it."""
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    return any(fnmatch.fnmatch(f"/{path}/", f"*/{pattern.rstrip('/')}/*") for pattern in ignored)


@every_page
def test_a_file_that_a_page_names_exists(page: Path) -> None:
    for span in [*code(prose(page)), *re.findall(r"[\w./-]+\.md\b", prose(page))]:
        if not FILE.fullmatch(span) or span in OF_USERS | NO_FILES or is_made_here(span):
            continue
        places = (ROOT, page.parent, ROOT / "extproc", ROOT / "extproc/domain/request")
        assert any((place / span).exists() for place in places), span


@every_page
def test_every_make_target_and_every_command_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    lines = list(code_lines(page))

    assert {name for line in lines for name in re.findall(r"\bmake ([a-z-]+)", line)} <= targets
    assert {name for line in lines for name in re.findall(r"\bzai-proxy ([a-z][a-z-]*)", line)} <= set(cli.commands)


def test_the_picture_of_the_rooms_has_each_of_them_and_neighbours_on_one_line() -> None:
    picture = (ROOT / "docs/architecture.md").read_text().partition("## The code")[2].split("```")[1]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    drawn = [set(re.findall(r"\w+", line)) for line in picture.splitlines()]
    layers = [set(line.split(" | ")) for each in contracts if each["type"] == "layers" for line in each["layers"]]

    assert [layer for layer in layers if layer != {"__main__"} and not any(layer <= line for line in drawn)] == []


def test_decisions_are_numbered_without_a_gap_and_all_in_the_list() -> None:
    listed = list(tables(ROOT / "docs/decisions/README.md", ""))

    assert [path.name[:4] for path in DECISIONS] == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]
    for path, (number, link, status) in zip(DECISIONS, listed, strict=True):
        title = path.read_text().splitlines()[0].removeprefix(f"# {number}. ")
        assert (number, link) == (path.name[:4], f"[{title}]({path.name})")
        assert f" · {status}\n" in path.read_text()


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name[:4])
def test_a_decision_says_what_for_at_what_price_and_until_when(path: Path) -> None:
    text = path.read_text()

    assert re.fullmatch(r"20\d\d-\d\d-\d\d · (accepted|superseded by \d{4})", text.splitlines()[2])
    parts = re.findall(r"^\*\*(.+?)\.\*\* \S", text, flags=re.MULTILINE)
    assert parts == ["Problem", "Decision", "Cost", "What would change our mind"]
    assert len(text.splitlines()) <= 20


def test_a_decision_that_the_code_names_exists() -> None:
    numbers = {path.name[:4] for path in DECISIONS}
    named = {number for path in CODE for number in re.findall(rb"docs/decisions/(\d{4})", path.read_bytes())}

    assert {number.decode() for number in named} <= numbers
