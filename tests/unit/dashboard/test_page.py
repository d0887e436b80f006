"""The built page, as it is shipped: small, and nothing in it that the service's own policy forbids."""

import gzip
import json
import re
from pathlib import Path

import pytest

from dashboard.api.app import STATIC
from extproc.domain.request.business_codes import TABLE
from tests.harness.processes import ROOT

FRONTEND = ROOT / "dashboard/frontend"
MOST_JAVASCRIPT = 150 * 1024


@pytest.fixture(scope="module")
def built() -> Path:
    if not (STATIC / "index.html").is_file():
        pytest.skip("the page was not built: make setup")
    return STATIC


def test_all_javascript_of_the_page_is_small(built: Path) -> None:
    scripts = list(built.rglob("*.js"))

    assert scripts
    assert sum(len(gzip.compress(script.read_bytes())) for script in scripts) < MOST_JAVASCRIPT


def test_the_page_has_no_script_or_style_of_its_own_and_loads_nothing_from_elsewhere(built: Path) -> None:
    page = (built / "index.html").read_text()
    loaded = re.findall(r'(?:src|href)="([^"]*)"', page)

    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    assert loaded
    assert all((built / path.removeprefix("/")).is_file() for path in loaded)


def test_what_may_be_cached_for_good_has_a_name_of_its_content(built: Path) -> None:
    assert all(re.search(r"-[\w-]{8}\.\w+$", asset.name) for asset in (built / "assets").iterdir())


def test_the_lock_file_names_each_package_by_its_hash_and_no_place_to_get_it_from() -> None:
    lock = json.loads((FRONTEND / "package-lock.json").read_text())
    packages = [entry for name, entry in lock["packages"].items() if name]

    assert not [entry for entry in packages if "resolved" in entry]
    # What a package brings along in its own archive is covered by that one's hash.
    assert not [entry for entry in packages if "integrity" not in entry and not entry.get("inBundle")]


def test_each_dependency_of_the_page_is_pinned() -> None:
    package = json.loads((FRONTEND / "package.json").read_text())

    for version in [*package["dependencies"].values(), *package["devDependencies"].values()]:
        assert re.fullmatch(r"(npm:\w+@)?\d+\.\d+\.\d+", version)


def test_the_page_knows_every_code_of_z_ai_as_the_proxy_does() -> None:
    source = (FRONTEND / "src/lib/businessCodes.ts").read_text()
    known = re.findall(r"^  (\d+): \[\s*'(\w+)',\s*'([^']*)',?\s*\],$", source, re.MULTILINE)

    assert sorted(known) == sorted((each.code, each.error_class.value, each.meaning) for each in TABLE.values())
