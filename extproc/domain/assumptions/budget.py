"""What trials may cost at most, and what they have cost."""

import math
from dataclasses import dataclass
from typing import Final

# Plain English has more than four bytes a token; what a chat template adds to a request comes on top.
_BYTES_PER_TOKEN: Final = 4
_TEMPLATE_TOKENS: Final = 50


def most_tokens(body: bytes, max_output: int) -> int:
    """The tokens that a request in English takes at most."""
    return math.ceil(len(body) / _BYTES_PER_TOKEN) + _TEMPLATE_TOKENS + max_output


@dataclass(slots=True)
class Budget:
    """`tokens` and `requests` may be spent. What has no answer yet counts as much as it may cost: so nothing is sent
    whose answer could pass `tokens`, unless that is longer than asked for or a prompt has more tokens than likely."""

    tokens: int
    requests: int
    spent: int = 0
    sent: int = 0

    def take(self, most: int) -> bool:
        """Takes what a request costs at most; False, and nothing is taken, if that is no longer there. What is free may
        be sent also where an answer was so dear that more was spent than allowed."""
        if not self.allows(most):
            return False
        self.spent += most
        self.sent += 1
        return True

    def allows(self, most: int, requests: int = 1) -> bool:
        """Whether so many requests that cost so much together may still be sent."""
        return self.sent + requests <= self.requests and (not most or self.spent + most <= self.tokens)

    def give_back(self, most: int) -> None:
        """Takes a `take` back: the request was not sent."""
        self.spent -= most
        self.sent -= 1

    def settle(self, most: int, told: int | None) -> None:
        """Replaces the most that a request could have cost by what its answer says; None if it does not say."""
        if told is not None:
            self.spent += told - most
