"""Every file that is kept can be read again, however much it holds."""

import json
import os
from pathlib import Path

import pytest
import structlog

from extproc import service
from extproc.domain.clients.clients import MOST_CLIENTS, Client, ClientRegistry, digest_of, read_clients
from extproc.domain.clients.usage_ledger import MOST_BYTES, UsageLedger, Used
from extproc.domain.pacing.learned_limits import MOST_MODELS, Learned, LearnedLimit, read_learned
from extproc.runtime import cache_watch, client_gate
from extproc.runtime.state_file import SavedState, StateError, StateFile, using

DAY = 86400.0
NOW = 1_800_000_000.0
LONG_NUMBER = 2**53
LONG_FLOAT = 12345.678901234567


def test_what_fits_to_the_byte_is_read_and_one_byte_more_is_never_written(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.json", most_bytes=100)
    file.write("x" * 98)
    with pytest.raises(OSError, match="File too large"):
        file.write("y" * 99)

    assert file.read() == "x" * 98
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_a_file_that_somebody_else_made_larger_is_refused(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.json", most_bytes=100)
    file.path.write_text(json.dumps("x" * 99))
    with pytest.raises(StateError, match="larger than anything"):
        file.read()


@pytest.mark.slow
def test_a_full_ledger_of_usage_is_read_again(tmp_path: Path) -> None:
    ledger, again = UsageLedger(), UsageLedger()
    most = Used(LONG_NUMBER, LONG_NUMBER, LONG_NUMBER, LONG_FLOAT, LONG_FLOAT)
    for day in range(92):
        for number in range(5001 if day == 91 else 600):
            # A quotation mark takes two bytes in JSON: no name can be longer.
            name = f"{number:04}" + '"' * 100
            ledger.add(name, name, "Anthropic SDK", most, NOW + day * DAY)

    file = StateFile(tmp_path / "usage.json", MOST_BYTES)
    file.write(ledger.snapshot())
    again.restore(file.read())

    now = NOW + 91 * DAY
    assert file.path.stat().st_size > 10 * 1024 * 1024
    assert list(again.rows(92, now)) == list(ledger.rows(92, now))


def test_as_many_clients_as_there_may_be_are_read_again(tmp_path: Path) -> None:
    clients = [Client(f"{n:048}", digest_of(str(n)), 10**15, 10**15) for n in range(MOST_CLIENTS)]
    file = StateFile(tmp_path / "tokens.json")
    file.write(ClientRegistry(clients).as_dict())
    assert read_clients(file.read()).clients == tuple(clients)


def test_as_many_learned_limits_as_there_may_be_are_read_again(tmp_path: Path) -> None:
    limit = LearnedLimit(1234.5678901234567, 1234.5678901234567, 1_700_000_000.1234567, 123.45678901234567)
    learned = Learned(NOW, limit, limit, {f"{n:02}" + '"' * 62: limit for n in range(MOST_MODELS)})
    file = StateFile(tmp_path / "limits.json")
    file.write(learned.as_dict())
    assert read_learned(file.read()) == learned


def test_a_directory_that_is_swept_away_is_made_again_and_said_once(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "cache" / "state" / "usage.json")
    saved = SavedState(file, "the usage")

    with structlog.testing.capture_logs() as told:
        for number in range(3):
            saved.save([number])

    assert file.read() == [2]
    assert file.path.parent.stat().st_mode & 0o777 == 0o700
    assert [line["event"] for line in told] == ["the directory of what is kept was gone: it was made again"]


def test_what_can_not_be_saved_is_said_once_and_so_when_it_can_again(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state" / "usage.json")
    file.path.parent.write_text("in the way")
    saved = SavedState(file, "the usage")

    with structlog.testing.capture_logs() as told:
        for _ in range(3):
            saved.save([1])
        file.path.parent.unlink()
        file.path.parent.mkdir()
        for _ in range(3):
            saved.save([2])

    assert file.read() == [2]
    assert [line["event"] for line in told] == ["the usage can't be saved", "the usage can be saved again"]


def test_a_directory_that_two_proxies_use_is_told_with_who_else_does_and_what_to_do(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as told, using(tmp_path), using(tmp_path), using(None):
        pass
    with structlog.testing.capture_logs() as later, using(tmp_path):
        pass

    assert [line["event"] for line in told] == [
        f"STATE_DIR={tmp_path} is another proxy's too (process {os.getpid()}): each overwrites what the other has "
        "learned and counted; end that one, or give each a directory of its own"
    ]
    assert later == []


def test_a_directory_that_can_not_be_marked_is_used_all_the_same(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as told, using(tmp_path / "nowhere"):
        pass

    assert [(line["log_level"], line["why"]) for line in told] == [("warning", "No such file or directory")]


def test_what_a_write_that_was_killed_has_left_is_removed_by_whoever_has_the_directory(tmp_path: Path) -> None:
    stays = {tmp_path / name for name in (".lock", "usage.json", ".usage.json.original.bak", ".other.json.abcd_123")}
    names = (cache_watch.STATE_NAME, client_gate._STATE_NAME, service._STATE_NAME)
    left = [tmp_path / f".{name}.abcd_123" for name in names]
    for file in (*stays, *left):
        file.touch()

    with using(tmp_path):
        assert set(tmp_path.iterdir()) == stays
        left[0].touch()
        with using(tmp_path):  # another one, which has it not
            assert left[0].exists()
