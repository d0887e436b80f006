import os
from pathlib import Path

import pytest

from common.settings import SettingsError
from extproc.runtime.api_key import ApiKey
from extproc.settings import Settings
from tests.harness.processes import make_key


def key_in(file: Path) -> ApiKey:
    return ApiKey.from_settings(Settings(zai_api_key=None, zai_api_key_file=file))


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZAI_API_KEY", raising=False)
    monkeypatch.delenv("ZAI_API_KEY_FILE", raising=False)


def test_the_key_is_read_from_its_file_without_the_line_end(tmp_path: Path) -> None:
    file = tmp_path / "key"
    key = make_key()
    file.write_text(f"{key}\n")

    assert key_in(file).current == key


def test_the_mark_that_an_editor_of_windows_begins_a_file_with_is_no_part_of_the_key(tmp_path: Path) -> None:
    file = tmp_path / "key"
    key = make_key()
    file.write_text(f"{key}\r\n", "utf-8-sig")

    assert key_in(file).current == key


def test_a_changed_file_changes_the_key(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(make_key())
    api_key, new = key_in(file), make_key()

    file.write_text(f"{new}\n")
    api_key.refresh()

    assert api_key.current == new


def test_a_mounted_secret_that_is_swapped_by_symlink_changes_the_key(tmp_path: Path) -> None:
    for version in ("first", "second"):
        (tmp_path / version).mkdir()
    (tmp_path / "first" / "api-key").write_text(make_key())
    new = make_key()
    (tmp_path / "second" / "api-key").write_text(new)
    data = tmp_path / "data"
    data.symlink_to("first")
    api_key = key_in(data / "api-key")

    (tmp_path / "swap").symlink_to("second")
    os.replace(tmp_path / "swap", data)
    api_key.refresh()

    assert api_key.current == new


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", b"\xff\xfe\x00"])
def test_a_file_that_becomes_unusable_keeps_the_last_good_key(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_text(make_key())
    api_key = key_in(file)
    good = api_key.current

    file.write_bytes(content)
    api_key.refresh()

    assert api_key.current == good


def test_a_file_that_vanishes_keeps_the_key_and_its_return_brings_the_new_one(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(make_key())
    api_key = key_in(file)
    good = api_key.current

    file.unlink()
    api_key.refresh()
    assert api_key.current == good

    new = make_key()
    file.write_text(new)
    api_key.refresh()
    assert api_key.current == new


def test_a_file_without_a_key_is_a_wrong_setting_and_does_not_show_its_content(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("some secret\nmore of it")

    with pytest.raises(SettingsError, match=r"^ZAI_API_KEY_FILE=.*: need the Z.AI key in one line") as raised:
        key_in(file)

    assert "secret" not in str(raised.value)


def test_a_key_of_another_form_is_told_and_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "key"
    file.write_text(make_key())
    api_key = key_in(file)
    assert api_key.warning() is None

    file.write_text("a-relays-key")
    api_key.refresh()

    assert "ZAI_API_KEY_FILE: the key has not the usual form" in str(api_key.warning())
    assert "the key has not the usual form" in capsys.readouterr().out
    assert "a-relays-key" not in str(api_key.warning())
