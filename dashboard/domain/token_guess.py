"""How many tokens an unfinished answer has come to, from its bytes."""

from typing import Final

_WEIGHT: Final = 0.1
_FEWEST_BYTES: Final = 500
_MOST_MODELS: Final = 100
_ANY: Final = ""


class TokenGuess:
    """Learns bytes per output token from finished requests, as a moving average for each model and for all."""

    def __init__(self) -> None:
        self._bytes_per_token: dict[str, float] = {}

    def learn(self, model: str | None, response_bytes: float | None, output_tokens: int) -> None:
        """Takes in an answer whose tokens were reported."""
        if output_tokens < 1 or response_bytes is None or response_bytes < _FEWEST_BYTES:
            return
        seen = response_bytes / output_tokens
        for name in {model or _ANY, _ANY}:
            known = self._bytes_per_token.get(name)
            if known is not None:
                self._bytes_per_token[name] = known + _WEIGHT * (seen - known)
            elif len(self._bytes_per_token) < _MOST_MODELS:
                self._bytes_per_token[name] = seen

    def guess(self, model: str | None, response_bytes: int | None) -> int | None:
        """None while there is nothing to go by."""
        ratio = self._bytes_per_token.get(model or _ANY) or self._bytes_per_token.get(_ANY)
        return None if ratio is None or response_bytes is None else round(response_bytes / ratio)
