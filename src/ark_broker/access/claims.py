"""What the claims of an issuer's token stand for: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from ark_broker.access.grants import (
    Grant,
    GrantInvalid,
    Permission,
    TokenRefused,
    check_limits,
    permission_of,
    to_namespaces,
)

Claims = Mapping[str, object]

#: Lists in one string, with spaces between (RFC 6749 section 3.3; `scp` is Entra's and Okta's name for it).
_SPACED: Final = ("scope", "scp")
#: Where permissions are looked for when no claim is named.
_USUAL: Final = (*_SPACED, "roles", "groups")
#: A group is about the whole company, whose `admin` is not ours: it counts where a mapping says so.
_NEVER_LITERAL: Final = "groups"
_LONGEST_NAME: Final = 256


@dataclass(frozen=True, kw_only=True)
class ClaimMapping:
    """How claims become a Grant. Raises GrantInvalid for a limit below 1.

    A claim is named as it stands in the token (`https://example.com/roles`), or by a path of names with dots
    between them (`realm_access.roles`). It holds a list of strings or one string; `scope` and `scp` hold a list in
    one string, and so does a string in any claim without a mapping of values.
    """

    #: The one claim with permissions. None: those of `scope`, `scp`, `roles` and `groups` together.
    permissions_claim: str | None = None
    #: Value → what it stands for; other values stand for nothing. None: permissions are named as they are here
    #: (`ingest`), except in `groups` where that claim was not named.
    values: Mapping[str, frozenset[Permission]] | None = None
    namespaces_claim: str = "namespaces"
    #: Value → the namespaces it stands for (None: all). None: values are namespaces themselves.
    namespace_values: Mapping[str, frozenset[str] | None] | None = None
    #: What a token without that claim sees. `none`: it is refused. A claim that is there, but names nothing, is
    #: refused in any case.
    namespaces_absent: Literal["all", "none"] = "none"
    name_claim: str = "sub"
    requests_per_minute: int | None = None
    bytes_per_minute: int | None = None

    def __post_init__(self) -> None:
        check_limits(self.requests_per_minute, self.bytes_per_minute)

    def grant(self, claims: Claims) -> Grant:
        """What the claims of a token that was verified allow. Raises TokenRefused where that is nothing."""
        return Grant(
            name=self._name(claims),
            permissions=self._permissions(claims),
            namespaces=self._namespaces(claims),
            requests_per_minute=self.requests_per_minute,
            bytes_per_minute=self.bytes_per_minute,
        )

    def _name(self, claims: Claims) -> str:
        name = _find(claims, self.name_claim)
        if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
            raise TokenRefused(f"the claim `{self.name_claim}` does not name anybody")
        return name

    def _permissions(self, claims: Claims) -> frozenset[Permission]:
        names = _USUAL if self.permissions_claim is None else (self.permissions_claim,)
        found = frozenset[Permission]().union(*(self._permissions_in(name, _find(claims, name)) for name in names))
        if not found:
            raise TokenRefused("no claim gives a permission")
        return found

    def _permissions_in(self, name: str, claim: object) -> frozenset[Permission]:
        if self.values is None and self.permissions_claim is None and name == _NEVER_LITERAL:
            return frozenset()
        words = _words(claim, spaced=self.values is None or name in _SPACED)
        if self.values is None:
            return frozenset(known for word in words if (known := permission_of(word)) is not None)
        return frozenset(known for word in words for known in self.values.get(word, ()))

    def _namespaces(self, claims: Claims) -> frozenset[str] | None:
        claim = _find(claims, self.namespaces_claim)
        if claim is _ABSENT:
            if self.namespaces_absent == "all":
                return None
            raise TokenRefused(f"there is no claim `{self.namespaces_claim}`")
        if self.namespace_values is not None:
            return self._mapped_namespaces(claim, self.namespace_values)
        try:
            return to_namespaces(_words(claim, spaced=True))
        except GrantInvalid:
            raise TokenRefused(f"the claim `{self.namespaces_claim}` does not name namespaces") from None

    def _mapped_namespaces(self, claim: object, values: Mapping[str, frozenset[str] | None]) -> frozenset[str] | None:
        known = [values[word] for word in _words(claim, spaced=self.namespaces_claim in _SPACED) if word in values]
        if None in known:
            return None
        found = frozenset[str]().union(*(some for some in known if some is not None))
        if not found:
            raise TokenRefused(f"nothing in the claim `{self.namespaces_claim}` stands for a namespace")
        return found


class _Absent:
    """Told from a claim that is null, which is there."""


_ABSENT: Final = _Absent()


def _find(claims: Claims, name: str) -> object:
    """The claim of that very name, or else at that path; `_ABSENT` where there is none."""
    if name in claims:
        return claims[name]
    found: object = claims
    for step in name.split("."):
        if not isinstance(found, Mapping) or step not in found:
            return _ABSENT
        found = found[step]
    return found


def _words(claim: object, *, spaced: bool) -> list[str]:
    if isinstance(claim, str):
        return claim.split() if spaced else [claim]
    if isinstance(claim, list):
        return [word for word in claim if isinstance(word, str)]
    return []
