"""Which builder answers a call, and the answers that a model gives. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from simulator.api import account, anthropic, chat, general, prompt, responses
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
    read: tuple[str, ...],
) -> Reply:
    ask = read_ask(call.fields, call.size)
    cached = _cached(call, ask, read)
    turn = compose(ask, call.scenario, log_id=call.log_id, created=call.created, cached=cached)
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


def _cached(call: Call, ask: Ask, read: tuple[str, ...]) -> int:
    """The tokens of the prompt that the model has in memory; afterwards it has all of them."""
    if call.prefix_cache is None:
        return 0
    return call.prefix_cache.read(f"{call.account} {ask.served}", prompt.prompt_of(call.fields, read), call.now)


def _messages(call: Call) -> Reply:
    return _said(call, anthropic.read_ask, anthropic.frames, anthropic.message, prompt.ANTHROPIC)


def _chat(call: Call) -> Reply:
    return _said(call, chat.read_ask, chat.frames, chat.completion, prompt.CHAT)


def _responses(call: Call) -> Reply:
    return _said(call, responses.read_ask, responses.frames, responses.response, prompt.RESPONSES)


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
