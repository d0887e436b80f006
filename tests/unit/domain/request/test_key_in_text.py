"""The key in texts of others: hidden where it stands, and only there."""

import pytest

from extproc.domain.request.key_in_text import holds_key, without_key
from tests.harness.processes import make_key

KEY = make_key()


@pytest.mark.parametrize(
    ("text", "key", "shown"),
    [
        ("no max tokens, expected x", "x", "no max tokens, expected ***"),
        ("x: 'x' (x), xx, x1", "x", "***: '***' (***), xx, x1"),
        ("1302: 1 of 11", "1", "1302: *** of 11"),
        ("token abc is no token", "abc", "token *** is no token"),
        ("abcdefgh", "abcdefg", "abcdefgh"),
        ("what has .* in it", ".*", "what has *** in it"),
        ("a text", "", "a text"),
    ],
)
def test_a_key_is_hidden_and_a_short_one_only_where_it_stands_by_itself(text: str, key: str, shown: str) -> None:
    assert without_key(text, key) == shown
    assert holds_key(text, key) == (shown != text)


def test_a_key_of_z_ais_form_is_hidden_anywhere() -> None:
    assert without_key(f"key {KEY} is unknown", KEY) == "key *** is unknown"
    assert without_key(f"x{KEY}x", KEY) == "x***x"
    assert holds_key(f"x{KEY}x", KEY)
