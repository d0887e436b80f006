"""Which builder answers a call, and the answers that a model gives. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from simulator.api import account, anthropic, chat, general, responses
from simulator.api.call import EVENT_STREAM, Call, Reply, json_reply, turn_reply
from simulator.api.endpoints import Action
from simulator.api.error_replies import error_event
from simulator.api.fields import BadRequestError
from simulator.api.sse import Frame
from simulator.api.turn import Ask, Turn, compose


def answer(call: Call) -> Reply:
    """The answer to a call. Raises BadRequestError."""
    return _BUILDERS[call.endpoint.action](call)


def _said(
    call: Call,
    read_ask: Callable[[Mapping[str, object], int], Ask],
    frames: Callable[[Turn], Iterator[Frame]],
    whole: Callable[[Turn], object],
) -> Reply:
    ask = read_ask(call.fields, call.size)
    turn = compose(ask, call.scenario, log_id=call.log_id, created=call.created)
    if not ask.stream:
        return turn_reply(whole(turn), turn)
    return Reply(
        frames=frames(turn),
        content_type=EVENT_STREAM,
        turn=turn,
        total=turn.pieces,
        model=turn.model,
        error=error_event(call.endpoint.surface, call.scenario, call.log_id, call.now),
    )


def _messages(call: Call) -> Reply:
    return _said(call, anthropic.read_ask, anthropic.frames, anthropic.message)


def _chat(call: Call) -> Reply:
    return _said(call, chat.read_ask, chat.frames, chat.completion)


def _responses(call: Call) -> Reply:
    return _said(call, responses.read_ask, responses.frames, responses.response)


def _count_tokens(call: Call) -> Reply:
    return json_reply(anthropic.token_count(call.fields, call.size, call.scenario.input_tokens))


def _anthropic_models(call: Call) -> Reply:
    return json_reply(anthropic.model_list(call.now))


def _models(call: Call) -> Reply:
    return json_reply(chat.model_list(call.created))


def _model(call: Call) -> Reply:
    model = chat.model(call.endpoint.parts["id"], call.created)
    if model is None:
        raise BadRequestError("1211", "model")
    return json_reply(model)


_BUILDERS: dict[Action, Callable[[Call], Reply]] = {
    Action.MESSAGES: _messages,
    Action.COUNT_TOKENS: _count_tokens,
    Action.ANTHROPIC_MODELS: _anthropic_models,
    Action.CHAT: _chat,
    Action.RESPONSES: _responses,
    Action.MODELS: _models,
    Action.MODEL: _model,
    **general.BUILDERS,
    **account.BUILDERS,
}
