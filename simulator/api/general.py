"""The answers of the general API beside chat, and of the MCP servers. Pure but for the file store."""

from __future__ import annotations

from collections.abc import Callable

from simulator.api import chat, extras, mcp
from simulator.api.call import EVENT_STREAM, Call, Reply, json_reply
from simulator.api.endpoints import Action
from simulator.api.fields import BadRequestError, flag_field, text_field
from simulator.api.files import StoredFile
from simulator.api.multipart import Part, parts_of
from simulator.api.sse import Frame
from simulator.api.turn import Ask, Turn, compose

MAX_FILE_BYTES = 100 * 1024 * 1024
_TASK_MODEL = "glm-5.2"


def _plain_turn(call: Call, model: str) -> Turn:
    ask = Ask(model, model, stream=False, tools=frozenset(), has_tool_result=False, thinks=False, input_tokens=1)
    return compose(ask, call.scenario, log_id=call.log_id, created=call.created)


def _embeddings(call: Call) -> Reply:
    body, usage = extras.embeddings(call.fields, call.size, input_tokens=call.scenario.input_tokens)
    return json_reply(body, model=text_field(call.fields, "model"), usage=usage)


def _images(call: Call) -> Reply:
    return json_reply(extras.images(call.fields, call.log_id, call.created), model=text_field(call.fields, "model"))


def _speech(call: Call) -> Reply:
    model = text_field(call.fields, "model")
    text = text_field(call.fields, "input")
    sound = extras.noise(call.scenario.audio_bytes, text)
    if flag_field(call.fields, "stream"):
        frames = extras.speech_frames(sound, call.log_id, call.created)
        total = -(-len(sound) // extras.SPEECH_CHUNK)
        return Reply(frames=frames, content_type=EVENT_STREAM, total=total, model=model)
    kind = "audio/wav" if call.fields.get("response_format") == "wav" else "audio/pcm"
    return Reply(body=sound, content_type=kind, model=model)


def _form(call: Call) -> dict[str, Part]:
    try:
        return {part.name: part for part in parts_of(call.raw, call.content_type)}
    except ValueError:
        raise BadRequestError("1210", "body") from None


def _value(form: dict[str, Part], name: str) -> str:
    part = form.get(name)
    if part is None or not part.data:
        raise BadRequestError("1214", name)
    return part.data.decode(errors="replace")


def _file(form: dict[str, Part]) -> Part:
    part = form.get("file")
    if part is None or part.file_name is None:
        raise BadRequestError("1214", "file")
    if len(part.data) > MAX_FILE_BYTES:
        raise BadRequestError("435", "file")
    return part


def _file_upload(call: Call) -> Reply:
    form = _form(call)
    part = _file(form)
    name = part.file_name or ""
    file = StoredFile(f"file-{call.log_id}", name, _value(form, "purpose"), call.created, part.data)
    call.files.add(file)
    return json_reply(file.as_json())


def _file_list(call: Call) -> Reply:
    files = [file.as_json() for file in call.files.all()]
    return json_reply({"object": "list", "data": files, "has_more": False})


def _stored(call: Call) -> StoredFile:
    file = call.files.get(call.endpoint.parts["id"])
    if file is None:
        raise BadRequestError("1214", "file_id")
    return file


def _file_about(call: Call) -> Reply:
    return json_reply(_stored(call).as_json())


def _file_content(call: Call) -> Reply:
    return Reply(body=_stored(call).data, content_type="application/octet-stream")


def _file_delete(call: Call) -> Reply:
    file_id = call.endpoint.parts["id"]
    if not call.files.remove(file_id):
        raise BadRequestError("1214", "file_id")
    return json_reply({"id": file_id, "deleted": True, "object": "file"})


def _transcription(call: Call) -> Reply:
    form = _form(call)
    model = _value(form, "model")
    if "file_base64" not in form:
        _file(form)
    turn = _plain_turn(call, model)
    if "stream" in form and _value(form, "stream").lower() == "true":
        frames = extras.transcription_frames(turn, model)
        return Reply(frames=frames, content_type=EVENT_STREAM, total=len(turn.text), model=model)
    return json_reply(extras.transcription(turn, model), model=model)


def _task(call: Call) -> Reply:
    model = text_field(call.fields, "model")
    return json_reply(extras.task(model, call.log_id), model=model)


def _async_chat(call: Call) -> Reply:
    ask = chat.read_ask(call.fields, call.size)
    return json_reply(extras.task(ask.served, call.log_id), model=ask.served)


def _async_result(call: Call) -> Reply:
    return json_reply(extras.task_result(_plain_turn(call, _TASK_MODEL), call.endpoint.parts["id"]))


def _tokenizer(call: Call) -> Reply:
    figure = call.scenario.input_tokens
    return json_reply(extras.token_count(call.fields, call.size, figure, call.log_id, call.created))


def _web_search(call: Call) -> Reply:
    return json_reply(extras.web_search(call.fields, call.log_id, call.created))


def _reader(call: Call) -> Reply:
    return json_reply(extras.reader(call.fields, call.log_id, call.created))


def _moderation(call: Call) -> Reply:
    return json_reply(extras.moderation(call.fields, call.log_id, call.created))


def _rerank(call: Call) -> Reply:
    return json_reply(extras.rerank(call.fields, call.size, call.log_id, call.created))


def _mcp(call: Call) -> Reply:
    message = mcp.respond(call.endpoint.parts["server"], call.body)
    session = [("mcp-session-id", call.log_id)]
    if message is None:
        return Reply(status=202, headers=session)
    text = chat.compact(message)
    if "text/event-stream" in call.accept:
        return Reply(frames=iter([Frame("message", text, final=True)]), content_type=EVENT_STREAM, headers=session)
    return Reply(body=text.encode(), headers=session)


def _mcp_listen(call: Call) -> Reply:
    """The old form opens with the address for messages; the new one offers no stream of its own."""
    if call.endpoint.parts["form"] == "mcp":
        return Reply(status=405, headers=[("allow", "POST, DELETE")])
    place = f"/api/mcp/{call.endpoint.parts['server']}/sse?sessionId={call.log_id}"
    return Reply(frames=iter([Frame("endpoint", place)]), content_type=EVENT_STREAM)


def _mcp_end(call: Call) -> Reply:
    return json_reply({})


BUILDERS: dict[Action, Callable[[Call], Reply]] = {
    Action.EMBEDDINGS: _embeddings,
    Action.FILE_UPLOAD: _file_upload,
    Action.FILE_LIST: _file_list,
    Action.FILE: _file_about,
    Action.FILE_CONTENT: _file_content,
    Action.FILE_DELETE: _file_delete,
    Action.SPEECH: _speech,
    Action.TRANSCRIPTION: _transcription,
    Action.IMAGES: _images,
    Action.ASYNC_CHAT: _async_chat,
    Action.ASYNC_IMAGES: _task,
    Action.ASYNC_VIDEO: _task,
    Action.ASYNC_RESULT: _async_result,
    Action.TOKENIZER: _tokenizer,
    Action.WEB_SEARCH: _web_search,
    Action.READER: _reader,
    Action.MODERATION: _moderation,
    Action.RERANK: _rerank,
    Action.MCP: _mcp,
    Action.MCP_LISTEN: _mcp_listen,
    Action.MCP_END: _mcp_end,
}
