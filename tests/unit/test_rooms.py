"""The unit tests stand as the code does: each room has its own, extproc's rooms at the top."""

from pathlib import Path

from tests.harness.processes import ROOT

PROGRAMS = ("common", "extproc", "simulator", "dashboard", "canary")
GENERATED = Path("transport/pb")


def test_each_room_has_tests_in_a_folder_of_its_name() -> None:
    rooms = {code.parent.relative_to(ROOT) for program in PROGRAMS for code in ROOT.glob(f"{program}/**/__init__.py")}
    at_the_top = {room.relative_to("extproc") if room.parts[0] == "extproc" else room for room in rooms}
    unit = Path(__file__).parent

    assert len(at_the_top) > 20
    assert [room for room in sorted(at_the_top - {GENERATED}) if not list((unit / room).rglob("test_*.py"))] == []
