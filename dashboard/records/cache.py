"""What the prompt cache gives, and which programs miss it: a part of the answer of /api/now."""

from pydantic import Field

from dashboard.records.base import MaybeTime, Record


class CacheFinding(Record):
    """What changes at the front of a conversation's prompts, so that the cache does not know them."""

    cause: str = Field(description="attribution, date, tools_reordered, unknown, or another word of a newer proxy")
    part: str | None = Field(description="Such as `system block 1`")
    session: str | None
    requests: int = Field(description="How many in a row have changed it")
    at: MaybeTime
    text: str = Field(description="The same as a sentence, with what to do where that is known")


class CacheLoss(Record):
    """A client's program that misses the cache: its tokens, and what that has cost beyond need."""

    target: int
    client: str | None
    program: str | None = Field(description="What its user agent is known as")
    requests: int
    input_tokens: int
    cached_tokens: int = Field(description="What came from the cache")
    cacheable_tokens: int = Field(description="What could have")
    unknown_tokens: int = Field(description="Of so many more nobody knows whether they could have")
    lost_usd: float | None
    lost_credits: float | None
    cold: int = Field(description="Conversations that miss the cache now")
    findings: list[CacheFinding] = Field(description="Latest first; none unless CACHE_DOCTOR is on")


class Cache(Record):
    """The input of the last `seconds`, over all proxies, and who of it missed the cache."""

    doctor: bool = Field(description="A proxy looks for what changes in prompts (CACHE_DOCTOR)")
    seconds: float
    input_tokens: int
    cached_tokens: int
    cacheable_tokens: int
    unknown_tokens: int
    losses: list[CacheLoss] = Field(description="Empty while all is well; the most credits lost first")
