"""The prompt that a request makes, in the order in which the model reads it: tools, system, messages. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

# The fields of each dialect that are its prompt. GLM's template has the tools first, whoever asks.
ANTHROPIC = ("tools", "system", "messages")
CHAT = ("tools", "messages")
RESPONSES = ("tools", "instructions", "input")

_CACHE_MARK = "cache_control"


def prompt_of(body: Mapping[str, object], fields: tuple[str, ...]) -> bytes:
    """The prompt as bytes: a prompt that goes on where another one ended begins with the other one's.

    Marks of `cache_control` are no part of it, and a text is the same alone and in a list. It ends before a part that
    is nested too deeply to be written.
    """
    prompt = bytearray()
    for part in (part for name in fields for part in _parts(body.get(name))):
        try:
            text = json.dumps(_read(part), ensure_ascii=False, separators=(",", ":"))
        except RecursionError:
            break
        prompt += text.encode(errors="surrogatepass")
    return bytes(prompt)


def _parts(value: object) -> list[object]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _read(part: object) -> object:
    """A tool, a system block, a message or an item as the model reads it."""
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        return part
    return dict(_fields(part))


def _fields(part: dict[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in part.items():
        if name == "content" and isinstance(value, str | list):
            yield name, [_block(block) for block in _parts(value)]
        elif name != _CACHE_MARK:
            yield name, value


def _block(block: object) -> object:
    if isinstance(block, str):
        return {"type": "text", "text": block}
    if isinstance(block, dict) and _CACHE_MARK in block:
        return {name: value for name, value in block.items() if name != _CACHE_MARK}
    return block
