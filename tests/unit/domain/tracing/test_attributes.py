"""OpenTelemetry's lists of names and values."""

import pytest

from extproc.domain.tracing.attributes import read_attributes, read_headers


def test_values_are_percent_encoded_and_space_around_them_is_none_of_theirs() -> None:
    assert read_attributes(" service.version = 1%2C2 , deployment.environment.name=test,, ") == {
        "service.version": "1,2",
        "deployment.environment.name": "test",
    }
    assert read_attributes("") == {}


def test_the_names_of_headers_are_in_lower_case_and_a_value_may_hold_an_equals_sign() -> None:
    assert read_headers("Authorization=Basic%20YTpi==,X-Team=a") == {"authorization": "Basic YTpi==", "x-team": "a"}


@pytest.mark.parametrize("text", ["secret", "=secret", "a=b,secret", "a" * 9000])
def test_a_member_without_a_name_or_an_equals_sign_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(ValueError) as raised:
        read_attributes(text)

    assert text not in str(raised.value)


@pytest.mark.parametrize("text", ["a b=c", "a=b%0d%0ac: d", "a=%C3%A4", "ä=b"])
def test_what_can_be_no_header_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_headers(text)
