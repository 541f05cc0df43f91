"""What a model call cost, where its producer did not say: from a price table that users can replace.

The table is the `genai-prices` package's, maintained for that purpose; entries of the user's own file go before it.
A model that neither knows has no price, and is said to have none (`unpricedModels`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from ark_broker.model import Event
from ark_broker.model.errors import ArkBrokerError
from ark_broker.model.vocabulary import EMBEDDING, LLM_REQUEST

_PRICED: Final = frozenset({LLM_REQUEST, EMBEDDING})
_MILLION: Final = 1_000_000
#: Above so many input tokens some models have another price: these calls are worked out one by one.
_TIER: Final = 100_000
#: Models remembered: names come from telemetry, and so may be endless.
_MAX_MODELS: Final = 2_000
#: OpenTelemetry's provider names as the package spells them, where they differ.
_PROVIDERS: Final = {
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "aws.bedrock": "aws",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "gcp.gen_ai": "google",
    "mistral_ai": "mistral",
    "x_ai": "x-ai",
}


class PricesInvalid(ArkBrokerError):  # noqa: N818
    """The user's price table cannot be read."""


class Rates(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True):
    """US dollars for a million tokens. Cached input costs what other input does, unless said otherwise."""

    input: float = 0.0
    output: float = 0.0
    cached_input: float | None = None

    def cost(self, given: int, produced: int, cached: int) -> float:
        """US dollars; `cached` is a part of `given`."""
        cached = min(cached, given)
        price_of_cached = self.input if self.cached_input is None else self.cached_input
        return ((given - cached) * self.input + cached * price_of_cached + produced * self.output) / _MILLION


class _File(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    models: dict[str, Rates]
    bundled: bool = True


def needs_price(event: Event) -> bool:
    """True for a model call of which the tokens are known, and not the cost."""
    return (
        event.type in _PRICED
        and event.cost is None
        and event.model is not None
        and event.kind != "chunk"
        and bool(event.input_tokens or event.output_tokens)
    )


@dataclass(slots=True)
class PriceTable:
    """Rates by model. `own` goes first; without `bundled` nothing else counts."""

    own: Mapping[str, Rates]
    bundled: bool
    _known: dict[tuple[str | None, str], Rates | None]

    @property
    def is_loaded(self) -> bool:
        """False until the first call was priced, which loads the bundled table."""
        return bool(self._known) or not self.bundled

    def price(self, events: Iterable[Event]) -> None:
        """Give each of these calls (see `needs_price`) the cost that the table says, if it knows the model."""
        for event in events:
            given, produced = event.input_tokens or 0, event.output_tokens or 0
            event.cost = self._cost(event.provider, event.model or "", given, produced, event.cached_tokens or 0)
            event.cost_by = None if event.cost is None else "table"

    def _cost(self, provider: str | None, model: str, given: int, produced: int, cached: int) -> float | None:
        key = (provider, model)
        if key not in self._known:
            if len(self._known) >= _MAX_MODELS:
                self._known.clear()
            self._known[key] = self._rates(provider, model)
        rates = self._known[key]
        if rates is None:
            return None
        if given > _TIER and self.bundled and model not in self.own:
            exact = _bundled_cost(provider, model, given, produced, cached)
            return rates.cost(given, produced, cached) if exact is None else exact
        return rates.cost(given, produced, cached)

    def _rates(self, provider: str | None, model: str) -> Rates | None:
        if model in self.own:
            return self.own[model]
        if not self.bundled:
            return None
        some = 1_000
        amounts = [
            _bundled_cost(provider, model, given, produced, cached)
            for given, produced, cached in ((some, 0, 0), (0, some, 0), (some, 0, some))
        ]
        if amounts[0] is None:
            return None
        each = [(amount or 0.0) * _MILLION / some for amount in amounts]
        return Rates(each[0], each[1], each[2] if amounts[2] is not None else None)


def _bundled_cost(provider: str | None, model: str, given: int, produced: int, cached: int) -> float | None:
    """US dollars by the package's table; None for a model it does not know."""
    # Two megabytes of prices: loaded with the first call that needs one.
    from genai_prices import Usage, calc_price  # noqa: PLC0415

    usage = Usage(input_tokens=given, output_tokens=produced, cache_read_tokens=min(cached, given))
    for provider_id in (_PROVIDERS.get(provider or "", provider), None):
        try:
            return float(calc_price(usage, model_ref=model, provider_id=provider_id).total_price)
        except (LookupError, ValueError):
            continue
    return None


def price_table(text: bytes | None = None) -> PriceTable:
    """The bundled table; with `text`, the user's own before it.

    `{"models": {NAME: {"input", "output", "cachedInput"}}, "bundled": true}`, in US dollars for a million tokens.
    Raises PricesInvalid.
    """
    if text is None:
        return PriceTable({}, True, {})
    try:
        found = msgspec.json.decode(text, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PricesInvalid(f"not a price table: {error}") from None
    return PriceTable(found.models, found.bundled, {})
