import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.request.key_form import is_usual, what_is_needed
from tests.harness.processes import make_key

KEY = make_key()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('"{}"', "quotes"),
        ("'{}'", "quotes"),
        (" “{}”\n", "quotes"),
        ('{}"', "quotes"),
        ("ZAI_API_KEY={}", "the name and the ="),
        ("export ZAI_API_KEY={}", "the name and the ="),
        ('ZAI_API_KEY = "{}', "the name and the ="),
        ("export {}", "in one line"),
        ("export\tZAI_API_KEY={}", "the name and the ="),
        ("export ZAI_API_KEY {}", "the name and the ="),
        ("set ZAI_API_KEY={}", "the name and the ="),
        ("$env:ZAI_API_KEY={}", "the name and the ="),
        ("ZAI_API_KEY: {}", "the name and the ="),
        ("x-api-key: {}", "the name and the ="),
        ("Bearer {}", "Bearer"),
        ("bearer:{}", "Bearer"),
        ("Bearer%20{}", "Bearer"),
        ("Authorization: Bearer {}", "Bearer"),
        ("{};", "without the ;"),
        ("{}; ", "without the ;"),
        ("{},", "without the ;"),
        (",{}", "without the ;"),
        ("{}:", "without the ;"),
        ("{}\\", "without the ;"),
        ('{}";', "without the ;"),
        ('{}"#', "before or behind"),
        ("{}#mine", "before or behind"),
        ("https://api.z.ai?key={}", "before or behind"),
        ("{}{}", "twice"),
        ("{},{}", "twice"),
        ("your-api-key", "stands for one"),
        ("YOUR_ZAI_API_KEY", "stands for one"),
        ("your_api_key_here", "stands for one"),
        ("<your key>", "stands for one"),
        ("${ZAI_API_KEY}", "stands for one"),
        ("$ZAI_API_KEY", "stands for one"),
        ("xxxxxxxx", "stands for one"),
        ("...", "stands for one"),
        ("…", "stands for one"),
        ("changeme", "stands for one"),
        ("insert-key-here", "stands for one"),
        ("sk-your-key", "stands for one"),
        ("sk-ant-your-api-key", "stands for one"),
        ("api-key-here", "stands for one"),
        ("KEY_HERE", "stands for one"),
        ("sk-xxxxxxxx", "stands for one"),
        ("sk-...", "stands for one"),
        ("{} {}", "in one line"),
        ("{}\n{}", "in one line"),
        ("{}\u00a0{}", "in one line"),
        ("{}\tcopied", "in one line"),
        ("schlüssel", "in plain letters"),
        ("\ufeff{}", "in plain letters"),
        ("{}\u200b", "in plain letters"),
        ("{}\x00", "in plain letters"),
        (" \n", "empty"),
    ],
)
def test_what_can_be_no_key_is_told_with_what_would_be_right_and_is_not_repeated(text: str, fault: str) -> None:
    need = what_is_needed(text.replace("{}", KEY))

    assert need is not None
    assert need.startswith("need the Z.AI key")
    assert fault in need
    assert KEY not in need


@pytest.mark.parametrize(
    "text", ["{}", " {}\r\n", "x", "sk-thekeyofarelay0123", "sk-theirkey7", "sk-zaikeyhere0123", "QUJD.REVG=="]
)
def test_what_can_be_a_key_passes(text: str) -> None:
    assert what_is_needed(text.replace("{}", KEY)) is None


@given(st.from_regex(r"[0-9a-f]{32}\.[A-Za-z0-9]{16}", fullmatch=True))
def test_every_key_of_z_ais_form_is_usual_and_passes(key: str) -> None:
    assert is_usual(key)
    assert what_is_needed(key) is None


def test_another_form_is_unusual() -> None:
    assert not is_usual("x")
    assert not is_usual(KEY[:-1])
