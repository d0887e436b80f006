"""The prompt of a request is what the model reads of it."""

from typing import Any

from simulator.api.prompt import ANTHROPIC, CHAT, RESPONSES, prompt_of

TOOLS = [{"name": "Bash", "input_schema": {"type": "object"}}]
MARK = {"cache_control": {"type": "ephemeral"}}


def said(text: str, role: str = "user", **mark: object) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text, **mark}]}


def messages(*said: dict[str, Any], system: str = "Be brief.") -> bytes:
    return prompt_of({"messages": list(said), "system": system, "tools": TOOLS, "max_tokens": 5}, ANTHROPIC)


def test_tools_stand_first_then_the_system_then_the_messages() -> None:
    prompt = messages(said("first"), said("second")).decode()

    places = [prompt.index(text) for text in ("Bash", "Be brief.", "first", "second")]
    assert places == sorted(places)


def test_a_turn_more_leaves_the_beginning_as_it_was() -> None:
    assert messages(said("a"), said("b", "assistant"), said("c")).startswith(messages(said("a")))


def test_a_mark_that_moves_on_changes_nothing() -> None:
    before = messages(said("a", **MARK))
    after = messages({"role": "user", "content": "a"}, said("b", "assistant"), said("c", **MARK))

    assert after.startswith(before)
    marked = [{"type": "text", "text": "Be brief.", **MARK}]
    assert prompt_of({"system": marked}, ANTHROPIC) == prompt_of({"system": "Be brief."}, ANTHROPIC)
    assert prompt_of({"tools": [{**TOOLS[0], **MARK}]}, ANTHROPIC) == prompt_of({"tools": TOOLS}, ANTHROPIC)


def test_what_is_no_prompt_is_not_in_it() -> None:
    body = {"model": "glm-5.3", "stream": True, "metadata": {"user_id": "u"}, "messages": [said("a")]}

    assert prompt_of(body, ANTHROPIC) == prompt_of({"messages": [said("a")]}, ANTHROPIC)


def test_every_dialect_has_its_fields() -> None:
    chat = prompt_of({"messages": [{"role": "system", "content": "Be brief."}], "tools": TOOLS}, CHAT).decode()
    responses = prompt_of({"instructions": "Be brief.", "input": "hello", "tools": TOOLS}, RESPONSES).decode()

    assert chat.index("Bash") < chat.index("Be brief.")
    assert responses.index("Bash") < responses.index("Be brief.") < responses.index("hello")


def test_odd_content_is_read_as_it_is() -> None:
    nested: Any = "end"
    for _ in range(5000):
        nested = [nested]
    odd = [said("a"), 7, "text", {"content": None}, {"content": [7, "text"]}, {"role": "\ud800"}]

    assert prompt_of({"messages": [*odd, {"input": nested}, said("behind")]}, ANTHROPIC) == prompt_of(
        {"messages": odd}, ANTHROPIC
    )
