"""The lock files: what is installed for a run from a clone, in the image and for the tests is the same."""

import re
from pathlib import Path

import pytest

from tests.harness.processes import ROOT

EVERYTHING = ROOT / "requirements-dev.txt"
PARTS = [ROOT / "requirements.txt", *sorted(ROOT.glob("deploy/image/requirements-*.txt"))]


def pins(text: str) -> set[str]:
    return set(re.findall(r"^([\w.-]+==[^ ;]+)", text, flags=re.MULTILINE))


@pytest.mark.parametrize("part", PARTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_part_pins_what_the_whole_pins(part: Path) -> None:
    assert pins(part.read_text()) > set()
    assert pins(part.read_text()) <= pins(EVERYTHING.read_text())
