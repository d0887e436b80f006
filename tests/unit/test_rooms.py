"""The unit tests stand as the code does: each room has its own, extproc's rooms at the top."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.harness.processes import ROOT

UNIT = Path(__file__).parent
PROGRAMS = ("common", "extproc", "simulator", "dashboard", "canary")
BESIDE_THEM = ("bench", "grafana", "tests")
"""What runs the programs or looks at them, and is part of none."""
OTHERS = {"bench": "bench", "envoy": "envoy", "harness": "tests/harness"}
"""Where code stands that is none of the programs' and has unit tests."""

GENERATED = Path("extproc/transport/pb")
OF_A_MODULE = {Path("runtime/shared_limits")}
"""Folders with the tests of a single module, of which there are many."""

OF_THE_REPOSITORY = {"test_docs.py", "test_hatch_build.py", "test_locks.py", "test_rooms.py"}
BUILT = {Path("dashboard/test_page.py"), Path("transport/test_generated_code.py")}
"""Tests that look at files which the code of their room was built into, and at no code."""

FROM_OUTSIDE = {
    Path("simulator/api"): "tests.unit.simulator.talk",
    Path("simulator/connection"): "tests.unit.simulator.talk",
    Path("extproc/transport"): "tests.harness.proxy_in_process",
}
"""Rooms that are also seen as clients see them, and the helper that shows them."""


def folder_for(room: Path) -> Path:
    """The folder for the tests of a room, both relative."""
    return room.relative_to("extproc") if room.parts[0] == "extproc" else room


def room_of(tests: Path) -> Path:
    """The other way round."""
    if tests.parts and tests.parts[0] in OTHERS:
        return Path(OTHERS[tests.parts[0]], *tests.parts[1:])
    return tests if tests.parts and tests.parts[0] in PROGRAMS else Path("extproc") / tests


@cache
def imported(file: Path) -> frozenset[str]:
    """The modules that a file of tests imports, itself or through the tests' own helpers."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    helpers = [path for name in found if name.startswith("tests.") and (path := module_file(name)).is_file()]
    return frozenset(found.union(*(imported(helper) for helper in helpers)))


def module_file(name: str) -> Path:
    return ROOT / f"{name.replace('.', '/')}.py"


def rooms() -> list[Path]:
    """The folders of the programs that have code of their own."""
    folders = {init.parent for program in PROGRAMS for init in ROOT.glob(f"{program}/**/__init__.py")}
    with_code = {folder for folder in folders if any(file.name[:2] != "__" for file in folder.glob("*.py"))}
    return sorted(folder.relative_to(ROOT) for folder in with_code if folder != ROOT / GENERATED)


def test_no_code_stands_where_the_layers_do_not_look() -> None:
    """They know the programs by name, and of these only packages: a folder without `__init__.py` is none."""
    modules = {file.relative_to(ROOT) for program in PROGRAMS for file in ROOT.glob(f"{program}/**/*.py")}
    folders = {module.parent for module in modules if "node_modules" not in module.parts}

    assert [folder for folder in sorted(folders) if not (ROOT / folder / "__init__.py").is_file()] == []
    assert {file.parent.name for file in ROOT.glob("*/*.py")} == {*PROGRAMS, *BESIDE_THEM}
    assert {file.name for file in ROOT.glob("*.py")} == {"hatch_build.py"}


def test_what_is_only_computed_opens_no_file_and_asks_no_clock_in_passing() -> None:
    """The layers see imports alone, and these need none, or one that is right for other reasons."""
    pure = [
        file
        for room in ("extproc/domain", "dashboard/domain", "dashboard/records")
        for file in ROOT.glob(f"{room}/**/*.py")
    ]
    calls = {
        (str(file.relative_to(ROOT)), ast.unparse(node.func))
        for file in pure
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
    }

    asked = [
        (file, call) for file, call in calls if call == "open" or call.rpartition(".")[2] in ("now", "today", "utcnow")
    ]
    assert sorted(asked) == []


@pytest.mark.parametrize("room", rooms(), ids=str)
def test_each_room_has_tests_in_a_folder_of_its_name(room: Path) -> None:
    assert list((UNIT / folder_for(room)).glob("test_*.py"))


def test_each_folder_of_tests_is_a_rooms() -> None:
    folders = {init.parent.relative_to(UNIT) for init in UNIT.glob("**/__init__.py")} - OF_A_MODULE

    assert [folder for folder in sorted(folders) if not (ROOT / room_of(folder)).is_dir()] == []
    assert all((ROOT / room_of(folder)).with_suffix(".py").is_file() for folder in OF_A_MODULE)


def test_each_file_of_tests_is_about_its_room() -> None:
    files = {file.relative_to(UNIT) for file in UNIT.rglob("test_*.py")} - BUILT
    folders = {file: file.parent.parent if file.parent in OF_A_MODULE else file.parent for file in files}
    about_code = [file for file in files if file.name not in OF_THE_REPOSITORY]
    astray = [file for file in about_code if not is_about(file, room_of(folders[file]))]

    assert sorted(astray) == []


def is_about(file: Path, room: Path) -> bool:
    """Whether a file of tests imports of a room what no room within has, or something of two of those."""
    names = imported(UNIT / file)
    if room == Path("envoy"):
        return "extproc.launch.envoy_config.source" in names
    modules = {module_file(name).relative_to(ROOT) for name in names if module_file(name).is_file()}
    within = {module.relative_to(room).parent for module in modules if module.is_relative_to(room)}
    return bool({Path(), Path("pb")} & within) or len(within) > 1 or FROM_OUTSIDE.get(room) in names
