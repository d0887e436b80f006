"""Tokens in a stream of events that nobody reported, from how many events there were and how large.

Bytes alone do not tell: an event of one token has 130 bytes, one of a thousand tokens 4,100. What holds for both is

    bytes of an event = frame + bytes of a token x tokens of an event

and both coefficients, which differ between models and protocols, are learned from the answers that did report, by
recursive least squares (Ljung, System Identification, 11.2) that start from a prior and never become too sure: large
events teach what a token takes, small ones what the frame takes, and none spoils what the other has taught.

In a small event the frame outweighs the token, and frames of text and of thinking differ in length; so its bytes say
little about its tokens. Where there are only small events, what those of this model usually hold counts as well (the
mean of two normal distributions, of which the second fades where the bytes speak against it).
"""

import math
from typing import Final

from extproc.domain.request.record import record


@record
class Events:
    """The events of a stream in which something was generated: how many, and their bytes."""

    count: float = 0.0
    size: float = 0.0


NO_EVENTS: Final = Events()

# A decoder sends an event a token, or a few; less than that where texts are cut into letters.
_USUAL: Final = 1.0
_LEAST_USUAL, _MOST_USUAL = 0.1, 8.0
_USUAL_PACE: Final = 0.1
_USUAL_SPREAD: Final = 0.7
_LEAST_TOKEN, _LARGEST_TOKEN = 0.5, 40.0  # bytes, as the text is written in JSON
_LARGEST_FRAME: Final = 2000.0
# Standard deviations, in bytes: of what is known at first, and of what is known at best, since it may change.
_FRAME_AT_FIRST, _FRAME_AT_BEST = 15.0, 0.5
_TOKEN_AT_FIRST, _TOKEN_AT_BEST = 1.2, 0.2
# How far an event's bytes are from the formula: by its kind (text, thinking, a tool's input), by a share of its text,
# and by what else stands in its stream.
_KIND: Final = 5.0
_SHARE: Final = 0.15
_ASIDE: Final = 60.0
_LARGEST_SURPRISE: Final = 2.0  # in standard deviations


class EventRatio:
    """The formula of a model. `told_again` is how often a stream repeats its text before it ends."""

    __slots__ = ("_both", "_frame", "_frame_variance", "_times", "_token", "_token_variance", "_usual")

    def __init__(self, frame: float, token: float, told_again: int = 0) -> None:
        self._frame, self._token = frame, token
        self._times = 1 + told_again
        self._frame_variance, self._token_variance = _FRAME_AT_FIRST**2, _TOKEN_AT_FIRST**2
        self._both = 0.0
        self._usual = _USUAL

    def heir(self) -> "EventRatio":
        """A formula that starts where this one is, as unsure as at first."""
        heir = EventRatio(self._frame, self._token, self._times - 1)
        heir._usual = self._usual
        return heir

    def learn(self, events: Events, tokens: int) -> None:
        """Takes the lesson of a stream that ended whole."""
        of_each = tokens / events.count
        if of_each <= _MOST_USUAL:
            usual = self._usual * (of_each / self._usual) ** _USUAL_PACE
            self._usual = max(usual, _LEAST_USUAL)
        written = self._times * of_each
        by_frame = self._frame_variance + written * self._both
        by_token = self._both + written * self._token_variance
        noise = _KIND**2 + (_SHARE * written * self._token) ** 2 + (_ASIDE / events.count) ** 2
        variance = by_frame + written * by_token + noise
        surprise = events.size / events.count - self._frame - written * self._token
        most = _LARGEST_SURPRISE * math.sqrt(variance)
        surprise = min(max(surprise, -most), most)
        self._frame = min(max(self._frame + by_frame / variance * surprise, 0.0), _LARGEST_FRAME)
        self._token = min(max(self._token + by_token / variance * surprise, _LEAST_TOKEN), _LARGEST_TOKEN)
        self._frame_variance = max(self._frame_variance - by_frame**2 / variance, _FRAME_AT_BEST**2)
        self._token_variance = max(self._token_variance - by_token**2 / variance, _TOKEN_AT_BEST**2)
        self._both -= by_frame * by_token / variance
        most = 0.95 * math.sqrt(self._frame_variance * self._token_variance)
        self._both = min(max(self._both, -most), most)

    def tokens_in(self, events: Events) -> float:
        """What a stream held that has not ended."""
        said = (events.size / events.count - self._frame) / self._token
        doubt = _KIND / self._token
        weight = (doubt / (_USUAL_SPREAD * self._usual)) ** 2 * math.exp(-(((said - self._usual) / doubt) ** 2) / 8)
        of_each = (said + weight * self._usual) / (1 + weight)
        return max(of_each, self._usual / 2) * events.count
