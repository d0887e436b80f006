"""Label values stay few and harmless, whatever arrives."""

import re
import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.request.labels import ModelLabels, client_bucket, method_label, status_label

SAFE_LABEL = re.compile(r"[A-Za-z0-9._:/\[\]-]{1,64}")
# With lone surrogates, which text() leaves out by itself and header values can hold.
ANY_TEXT = st.text(st.characters(exclude_categories=()))


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
def test_a_standard_method_is_its_own_label(method: str) -> None:
    assert method_label(method) == method


@pytest.mark.parametrize("method", ["", "get", "Post", "PROPFIND", "GET ", "G" * 10_000, "\x00", "OTHER"])
def test_any_other_method_is_other(method: str) -> None:
    assert method_label(method) == "OTHER"


def test_statuses_of_three_digits_are_labels_and_nothing_else_is() -> None:
    assert [status_label(code) for code in range(100, 600)] == [str(code) for code in range(100, 600)]
    assert {status_label(code) for code in (-1, 0, 1, 99, 600, 999, 1302, 1 << 70)} == {"other"}


@given(ANY_TEXT | st.binary())
def test_a_source_has_one_of_64_buckets(source: str | bytes) -> None:
    bucket = client_bucket(source)
    assert re.fullmatch(r"source-([0-5][0-9]|6[0-3])", bucket)
    assert client_bucket(source) == bucket


def test_a_source_that_is_no_text_in_utf_8_has_a_bucket_too() -> None:
    assert client_bucket("\ud800") != client_bucket("\udfff")


def test_a_source_keeps_its_bucket_in_every_process_and_release() -> None:
    assert client_bucket("203.0.113.7") == client_bucket(b"203.0.113.7") == "source-54"
    assert client_bucket("2001:db8::7") == "source-59"


def test_neighbouring_addresses_spread_over_the_buckets() -> None:
    shares = Counter(client_bucket(f"10.0.{net}.{host}") for net in range(16) for host in range(256))
    assert len(shares) == 64
    assert max(shares.values()) < 2 * 4096 / 64


@pytest.mark.parametrize(
    ("model", "label"),
    [
        ("glm-5.3", "glm-5.3"),
        ("glm-5.3[1m]", "glm-5.3[1m]"),
        ("zai/GLM-4.6:latest", "zai/GLM-4.6:latest"),
        (" glm-5.3\n", "glm-5.3"),
        ('glm"} 1\nforged 1', "glm___1_forged_1"),
        ("模型", "__"),
        ("m" * 65, "m" * 64),
        ("", "unknown"),
        (None, "unknown"),
        ("   ", "unknown"),
        ("unknown", "unknown"),
        ("other", "other"),
    ],
)
def test_a_model_label_is_the_name_made_safe(model: str | None, label: str) -> None:
    labels = ModelLabels()
    assert labels.label(model) == label
    assert labels.label(model) == label


def test_the_51st_model_is_other_and_the_first_50_keep_their_labels() -> None:
    labels = ModelLabels()
    names = [f"model-{number}" for number in range(50)]
    assert [labels.label(name) for name in names] == names
    assert labels.label("model-50") == "other"
    assert labels.label(None) == "unknown"
    assert [labels.label(name) for name in names] == names


def test_known_models_keep_their_place_in_a_flood_of_invented_ones() -> None:
    labels = ModelLabels(known=["glm-5.3", "glm-5.2"])
    flood = {labels.label(f"invented-{number}") for number in range(1000)}
    assert len(flood - {"other"}) == 48
    assert (labels.label("glm-5.3"), labels.label("glm-5.2")) == ("glm-5.3", "glm-5.2")


def test_names_that_share_a_label_take_one_place() -> None:
    labels = ModelLabels(limit=2)
    assert {labels.label(f"m{chr(0x4E00 + number)}") for number in range(1000)} == {"m_"}
    assert labels.label("glm-5.3") == "glm-5.3"
    assert labels.label("glm-5.2") == "other"


def test_a_model_called_other_or_unknown_takes_no_place() -> None:
    labels = ModelLabels(limit=1)
    assert [labels.label(name) for name in ("other", "unknown", "", "glm-5.3")] == [
        "other",
        "unknown",
        "unknown",
        "glm-5.3",
    ]


def test_a_flood_of_names_does_not_fill_the_memory() -> None:
    labels = ModelLabels()
    tracemalloc.start()
    for number in range(20_000):
        labels.label(f"m{chr(0x4E00 + number)}")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 200_000


@given(st.lists(ANY_TEXT, max_size=200))
def test_model_labels_are_always_bounded_and_safe(names: list[str]) -> None:
    labels = ModelLabels(limit=5)
    given_out = {labels.label(name) for name in names}
    assert len(given_out - {"other", "unknown"}) <= 5
    assert all(SAFE_LABEL.fullmatch(label) for label in given_out)
