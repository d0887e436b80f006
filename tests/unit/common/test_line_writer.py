"""Output that nobody reads, that is closed, or that has no room."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.line_writer import LineWriter
from tests.harness.waiting import eventually, wait_until

LINE = "x" * 99 + "\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for end in (reading, writing):
        try:
            os.close(end)
        except OSError:
            continue


def everything(reading: int) -> str:
    return os.read(reading, 10_000_000).decode()


async def test_lines_arrive_whole_and_in_order(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    writer = LineWriter(writing)

    for number in range(100):
        writer.write(f"{number}\n")
    writer.flush()

    assert everything(reading) == "".join(f"{number}\n" for number in range(100))


async def test_a_line_in_two_pieces_is_one_line(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    writer = LineWriter(writing)

    for piece in ("one", "\n", "two", "\n"):
        writer.write(piece)
        writer.flush()

    assert everything(reading) == "one\ntwo\n"


async def test_a_pipe_that_nobody_reads_makes_nobody_wait_and_what_is_lost_is_told_once_it_flows_again(
    pipe: tuple[int, int],
) -> None:
    reading, writing = pipe
    lost: list[int] = []
    told: list[int] = []
    writer = LineWriter(writing, lost.append, told.append)
    began = time.monotonic()

    for _ in range(30_000):
        writer.write(LINE)

    assert time.monotonic() - began < 10
    assert sum(lost) > 15_000
    assert told == []
    arrived = ""
    while len(arrived) < (30_000 - sum(lost)) * len(LINE):
        arrived += everything(reading)
    assert set(arrived.split("\n")) == {LINE.strip(), ""}
    await eventually(lambda: told, bool)
    assert told == [sum(lost)]


async def test_a_pipe_that_is_closed_costs_the_lines_and_nothing_else(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    lost: list[int] = []
    writer = LineWriter(writing, lost.append)
    os.close(reading)

    writer.write(LINE + LINE)

    await eventually(lambda: sum(lost), lambda lines: lines == 2)


def test_a_disk_that_is_full_costs_lines_until_there_is_room_again(tmp_path: Path) -> None:
    """A limit of the file's size stands for the disk; the process has it, so it is one of its own."""
    program = (
        "import os, resource, sys; from common.line_writer import LineWriter\n"
        "lost, told = [], []\n"
        "file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n"
        "writer = LineWriter(file, lost.append, told.append)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (250, resource.RLIM_INFINITY))\n"
        "for _ in range(5): writer.write('x' * 99 + '\\n'); writer.flush()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "writer.write('last\\n'); writer.flush()\n"
        "print(sum(lost), told)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "log")], capture_output=True, text=True, check=True, timeout=30
    )

    assert done.stdout == "3 [3]\n", done
    assert (tmp_path / "log").read_text().splitlines() == ["x" * 99, "x" * 99, "x" * 50, "last"]


def test_what_waits_at_the_end_is_written_and_what_can_not_be_keeps_nobody_from_ending(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    program = (
        "import sys; from common.line_writer import LineWriter\n"
        "writer = LineWriter(1)\n"
        "for _ in range(int(sys.argv[1])): writer.write('x' * 99 + '\\n')"
    )
    subprocess.run([sys.executable, "-c", program, "10"], stdout=writing, check=True, timeout=30)
    assert everything(reading) == 10 * LINE

    stuck = subprocess.Popen([sys.executable, "-c", program, "5000"], stdout=writing)

    wait_until(lambda: stuck.poll() == 0, "it ends", within=20)
