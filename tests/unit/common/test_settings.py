from typing import Annotated

import pytest
from pydantic import AfterValidator, SecretStr

from common.settings import Address, EnvironmentSettings, SettingsError, port, setting


def _long(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < 20:
        raise ValueError
    return value


class Sample(EnvironmentSettings):
    sample_address: Address = setting("127.0.0.1", "Where it listens.", "an IP address")
    sample_port: int = port(8080, "Its port.")
    sample_word: Annotated[SecretStr, AfterValidator(_long)] | None = setting(None, "A word.", "20 characters")


def problems(monkeypatch: pytest.MonkeyPatch, **environment: str) -> list[str]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        Sample.from_environment()
    return raised.value.problems


def test_each_wrong_setting_is_one_line_with_its_value_and_what_would_be_right(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, SAMPLE_ADDRESS="here", SAMPLE_PORT="0") == [
        "SAMPLE_ADDRESS=here: need an IP address",
        "SAMPLE_PORT=0: need a port from 1 to 65535",
    ]


def test_a_secret_is_hidden_by_its_type_whatever_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, SAMPLE_WORD="as clear as day") == ["SAMPLE_WORD=***: need 20 characters"]


@pytest.mark.parametrize("password", ["S3cret", "S3/cr@t", "S3 cret", "S3,cret"])
def test_a_password_in_a_url_is_hidden_where_none_belongs(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    [line] = problems(monkeypatch, SAMPLE_ADDRESS=f"https://anna:{password}@api.example/path")

    assert line == "SAMPLE_ADDRESS=https://***@api.example/path: need an IP address"


def test_what_a_terminal_can_not_show_is_escaped_and_what_is_long_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, SAMPLE_PORT="\x1b[2J", SAMPLE_ADDRESS="a" * 1000) == [
        f"SAMPLE_ADDRESS={'a' * 100}…: need an IP address",
        "SAMPLE_PORT='\\x1b[2J': need a port from 1 to 65535",
    ]


def test_brackets_around_an_address_of_version_6_are_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMPLE_ADDRESS", "[::1]")

    assert Sample.from_environment().sample_address == "::1"
