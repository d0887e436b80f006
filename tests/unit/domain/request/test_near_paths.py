import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.request import near_paths
from extproc.domain.request.routes import labels

LETTERS = st.sampled_from("abcdefghijklmnopqrstuvwxyz")


def fits(pattern: str, text: str) -> bool:
    return re.fullmatch(f"(?i)({pattern})", text) is not None


@given(st.text(LETTERS, min_size=1, max_size=12), st.data())
def test_every_single_slip_is_found(word: str, data: st.DataObject) -> None:
    at, letter = data.draw(st.integers(0, len(word) - 1)), data.draw(LETTERS)
    wrong = [
        word[:at] + word[at + 1 :],
        word[:at] + letter + word[at:],
        word[:at] + letter + word[at + 1 :],
        word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :],
    ]

    assert [each for each in wrong if not fits(near_paths.slips(word), each)] == []


@pytest.mark.parametrize(
    ("pattern", "near"),
    [
        (near_paths.NEAR_MESSAGES, ("message", "Messages", "mesages", "messgaes", "messagesX", "massages", "complete")),
        (near_paths.NEAR_CHAT, ("chat", "chat/completion", "chat/complete", "completions", "complections")),
        (near_paths.NEAR_RESPONSES, ("response", "reponses", "responces")),
        (near_paths.NEAR_EMBEDDINGS, ("embedding", "embedings", "embeddigns")),
        (near_paths.NEAR_MODELS, ("model", "modles", "MODELS")),
    ],
)
def test_what_is_near_a_path_is_found_and_others_are_not(pattern: str, near: tuple[str, ...]) -> None:
    assert [each for each in near if not fits(pattern, each)] == []
    assert [each for each in ("files", "nothing", "message-board", "health", "v1", "") if fits(pattern, each)] == []


@pytest.mark.parametrize(
    "base",
    [
        *("", "v1", "api", "api/", "api/v1", "anthropic", "api/anthropic", "api/anthropic/v1/", "openai/v1"),
        *("paas/v4", "api/paas/v4", "api/coding/paas/v4", "API/Coding/paas/v4", "api/coding"),
    ],
)
def test_a_base_url_is_told_from_a_path(base: str) -> None:
    assert fits(near_paths.BASES, base)


def test_no_path_that_leads_somewhere_is_taken_for_a_base_url() -> None:
    assert [label for label in labels() - {"/"} if fits(near_paths.BASES, label[1:])] == []


def test_what_z_ai_has_below_its_own_base_paths_alone_is_known() -> None:
    assert fits(near_paths.ONLY_IN_PAAS, "images")
    assert fits(near_paths.ONLY_IN_PAAS, "files")
    assert not fits(near_paths.ONLY_IN_PAAS, "chat")


def test_no_path_that_leads_somewhere_is_taken_for_one_with_a_wrong_base_url() -> None:
    below_an_endpoint = f".*/({near_paths.ENDPOINTS}){near_paths.BASE_PARTS}/({near_paths.ENDPOINTS})(/.*)?"
    of_base_parts = f"{near_paths.BASE_PARTS}/({near_paths.ENDPOINTS})(/.*)?"
    right = f"({near_paths.RIGHT_MESSAGES}|{near_paths.RIGHT_OF_OPENAI})(/.*)?"

    assert [label for label in labels() if fits(below_an_endpoint, label)] == []
    assert [label for label in labels() if fits(of_base_parts, label) and not fits(right, label)] == []


def test_no_path_of_z_ai_is_taken_for_a_slip_in_another() -> None:
    words = (near_paths.NEAR_MESSAGES, near_paths.NEAR_RESPONSES, near_paths.NEAR_EMBEDDINGS, near_paths.NEAR_MODELS)
    near = f"/api/(anthropic/v1|(coding/)?paas/v4|v1)/({'|'.join(words)}|chat/({near_paths.NEAR_COMPLETIONS}))(/.*)?"
    right = f"({near_paths.RIGHT_MESSAGES}|{near_paths.RIGHT_OF_OPENAI})(/.*)?"

    assert [label for label in labels() if fits(near, label) and not fits(right, label)] == []
