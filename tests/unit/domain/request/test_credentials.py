from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.request.credentials import without_credentials


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "api-key",
        "apikey",
        "API_KEY",
        "key",
        "token",
        "access_token",
        "Authorization",
        "x-api-key",
        "%61pi_key",
    ],
)
def test_a_key_like_parameter_is_dropped(name: str) -> None:
    assert without_credentials(f"/v1/messages?a=1&{name}=s3cret&b=2") == "/v1/messages?a=1&b=2"


@pytest.mark.parametrize(
    "path",
    ["/v1/messages", "/v1/messages?beta=true", "/p?keyword=x&tokens=3", "/p?a=b%26key%3Dc", "/key=1/token=2"],
)
def test_other_parameters_keep_their_bytes(path: str) -> None:
    assert without_credentials(path) == path


def test_a_query_of_nothing_but_a_key_leaves_no_question_mark() -> None:
    assert without_credentials("/p?key=1") == "/p"


def test_a_parameter_without_a_value_counts_too() -> None:
    assert without_credentials("/p?token&x") == "/p?x"


@given(st.lists(st.tuples(st.text(max_size=10), st.text(max_size=10)), max_size=6))
def test_nothing_that_follows_a_key_like_name_survives(parameters: list[tuple[str, str]]) -> None:
    secret = "S3CRET-S3CRET"
    query = "&".join([f"{quote(name)}={quote(value)}" for name, value in parameters] + [f"api_key={secret}"])

    assert secret not in without_credentials(f"/p?{query}")
