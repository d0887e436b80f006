"""What the general API does beside chat: embeddings, images, sound, asynchronous tasks, tools. Pure."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterator, Mapping, Sequence

from simulator.api.chat import compact, completion, usage_figures
from simulator.api.fields import BadRequestError, list_field, text_field
from simulator.api.sse import DONE, Frame
from simulator.api.turn import Turn, Usage, estimated_tokens

_DIMENSIONS = 256
_MAX_DIMENSIONS = 2048
SPEECH_CHUNK = 1024


def noise(size: int, seed: str) -> bytes:
    """`size` bytes that look like sound and are the same for the same seed."""
    return hashlib.shake_128(seed.encode()).digest(size)


def embeddings(body: Mapping[str, object], size: int, *, input_tokens: int | None) -> tuple[dict[str, object], Usage]:
    """Vectors for a text or a list of texts, the same for the same text. Raises BadRequestError."""
    model = text_field(body, "model")
    given = body.get("input")
    texts: Sequence[object] = [given] if isinstance(given, str) and given else list_field(body, "input")
    if not all(isinstance(text, str | int | list) for text in texts):
        raise BadRequestError("1214", "input")
    dimensions = body.get("dimensions", _DIMENSIONS)
    if type(dimensions) is not int or not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise BadRequestError("1214", "dimensions")
    packed = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _vector(str(text), dimensions, packed=packed)}
        for index, text in enumerate(texts)
    ]
    usage = Usage(input=estimated_tokens(size) if input_tokens is None else input_tokens)
    figures = {"prompt_tokens": usage.input, "completion_tokens": 0, "total_tokens": usage.input}
    return {"object": "list", "model": model, "data": data, "usage": figures}, usage


def _vector(text: str, dimensions: int, *, packed: bool) -> list[float] | str:
    values = [byte / 255 - 0.5 for byte in noise(dimensions, text)]
    if packed:
        return base64.b64encode(struct.pack(f"<{dimensions}f", *values)).decode()
    return [round(value, 6) for value in values]


def images(body: Mapping[str, object], log_id: str, created: int) -> dict[str, object]:
    """A generated image, by its address. Raises BadRequestError."""
    text_field(body, "model")
    text_field(body, "prompt")
    filters = [{"role": "assistant", "level": 3}]
    return {"created": created, "data": [{"url": f"https://images.example/{log_id}.png"}], "content_filter": filters}


def speech_frames(sound: bytes, log_id: str, created: int) -> Iterator[Frame]:
    """Speech as a stream: base64 in chat-like chunks."""
    for start in range(0, len(sound), SPEECH_CHUNK):
        content = base64.b64encode(sound[start : start + SPEECH_CHUNK]).decode()
        delta = {"role": "assistant", "content": content}
        chunk = {"id": log_id, "created": created, "choices": [{"index": 0, "delta": delta}]}
        yield Frame(None, compact(chunk), 1)
    end = {"id": log_id, "created": created, "choices": [{"index": 0, "finish_reason": "stop", "delta": {}}]}
    yield Frame(None, compact(end))
    yield DONE


def transcription(turn: Turn, model: str) -> dict[str, object]:
    """What was heard in a sound."""
    return {
        "id": turn.log_id,
        "created": turn.created,
        "request_id": turn.log_id,
        "model": model,
        "text": "".join(turn.text),
    }


def transcription_frames(turn: Turn, model: str) -> Iterator[Frame]:
    """The same as a stream."""
    head = {"id": turn.log_id, "created": turn.created, "model": model}
    for piece in turn.text:
        yield Frame(None, compact({**head, "type": "transcript.text.delta", "delta": piece}), 1)
    yield Frame(None, compact({**head, "type": "transcript.text.done", "text": "".join(turn.text)}))
    yield DONE


def task(model: str, log_id: str) -> dict[str, object]:
    """A task that was taken on, to be asked for with async-result."""
    return {"id": log_id, "model": model, "request_id": log_id, "task_status": "PROCESSING"}


def task_result(turn: Turn, task_id: str) -> dict[str, object]:
    """The result of a task."""
    return {**completion(turn), "id": task_id, "request_id": task_id, "task_status": "SUCCESS"}


def token_count(
    body: Mapping[str, object], size: int, figure: int | None, log_id: str, created: int
) -> dict[str, object]:
    """The answer of the tokenizer. Raises BadRequestError."""
    text_field(body, "model")
    list_field(body, "messages")
    tokens = estimated_tokens(size) if figure is None else figure
    usage = {"prompt_tokens": tokens, "image_tokens": 0, "video_tokens": 0, "total_tokens": tokens}
    return {"id": log_id, "created": created, "request_id": log_id, "usage": usage}


def web_search(body: Mapping[str, object], log_id: str, created: int) -> dict[str, object]:
    """Search results. Raises BadRequestError."""
    query = text_field(body, "search_query")
    text_field(body, "search_engine")
    found = {
        "title": f"About {query}",
        "link": "https://results.example/1",
        "content": "A page that a simulated search has found.",
        "media": "example",
        "icon": "",
        "refer": "ref_1",
        "publish_date": "2026-01-01",
    }
    intent = {"query": query, "intent": "SEARCH_ALL", "keywords": query}
    return {
        "id": log_id,
        "created": created,
        "request_id": log_id,
        "search_intent": [intent],
        "search_result": [found],
    }


def reader(body: Mapping[str, object], log_id: str, created: int) -> dict[str, object]:
    """The content of a web page. Raises BadRequestError."""
    url = text_field(body, "url")
    page = {"url": url, "title": "A page", "description": "", "content": "# A page\n\nIts text."}
    return {"id": log_id, "created": created, "request_id": log_id, "model": "web-reader", "reader_result": page}


def moderation(body: Mapping[str, object], log_id: str, created: int) -> dict[str, object]:
    """Nothing to object to. Raises BadRequestError."""
    text_field(body, "model")
    if not body.get("input"):
        raise BadRequestError("1214", "input")
    usage = {"moderation_text": {"call_count": 1}}
    verdict = {"content_type": "text", "risk_level": "PASS", "risk_type": []}
    return {"id": log_id, "created": created, "request_id": log_id, "result_list": [verdict], "usage": usage}


def rerank(body: Mapping[str, object], size: int, log_id: str, created: int) -> dict[str, object]:
    """The documents in the order in which they came. Raises BadRequestError."""
    text_field(body, "model")
    text_field(body, "query")
    documents = list_field(body, "documents")
    results = [{"index": index, "relevance_score": round(1 / (index + 1), 4)} for index in range(len(documents))]
    usage = usage_figures(Usage(input=estimated_tokens(size)))
    return {"id": log_id, "created": created, "request_id": log_id, "results": results, "usage": usage}
