"""The exception tree.

ArkBrokerError
├── BadInput             the request is wrong, and will be wrong again        400
│   ├── BadPage          … because there is no such page                      400
│   ├── TooLarge         … because a limit was passed                         413
│   └── UnsupportedMedia … because nobody here reads that type or encoding    415
├── Overloaded           no room right now; the same request may pass later   503 + Retry-After
│   └── LogUnavailable   … because the database does not take commits
├── NotFound                                                                  404
├── Conflict             the name stands for several things                   409
└── QuestionOver         the question was answered, or is over                409
"""

from __future__ import annotations


class ArkBrokerError(Exception):
    """Base of every error the broker raises on purpose. `str(error)` is fit for a client's eyes."""


class BadInput(ArkBrokerError):  # noqa: N818 - reads as what it says
    """The request cannot be accepted as it is. `field` names what is wrong, where one field is."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message if field is None else f"{field}: {message}")
        self.field = field


class BadPage(BadInput):
    """`limit` or `cursor` is not one. Ark's clients know the sentence, which names the parameter itself."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class TooLarge(BadInput):
    """A size limit was passed."""


class UnsupportedMedia(BadInput):
    """Content type or content encoding that the endpoint does not read."""


class Overloaded(ArkBrokerError):  # noqa: N818
    """No room for the request now. Retrying it after `retry_after` seconds is right."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LogUnavailable(Overloaded):
    """The database did not commit; nothing of the request was stored."""


class NotFound(ArkBrokerError):  # noqa: N818
    """Nothing by that name."""


class Conflict(ArkBrokerError):  # noqa: N818
    """The name is ambiguous; `candidates` lists what it may mean."""

    def __init__(self, message: str, candidates: list[dict[str, str | None]]) -> None:
        super().__init__(message)
        self.candidates = candidates


class QuestionOver(ArkBrokerError):  # noqa: N818
    """The question cannot be answered any more, or not here; `question` is it, as the API shows it."""

    def __init__(self, message: str, question: dict[str, object]) -> None:
        super().__init__(message)
        self.question = question


class Unauthorized(ArkBrokerError):  # noqa: N818
    """Nobody vouches for who asks."""


class Forbidden(ArkBrokerError):  # noqa: N818
    """Who asks may not do that."""


class RateLimited(ArkBrokerError):  # noqa: N818
    """The token's share of this minute is used up. Retrying after `retry_after` seconds is right."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after
