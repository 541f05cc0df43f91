"""The ways in and out as the settings describe them: whose tokens are taken, what is redacted, who gets what."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from ark_broker.access.claims import ClaimMapping
from ark_broker.access.grants import GrantInvalid, parse_namespaces, parse_permissions, to_namespaces, to_permissions
from ark_broker.access.kubernetes import (
    TOKEN_FILE,
    AccountRule,
    ServiceAccountMapping,
    TokenReviewer,
    cluster_client,
    in_cluster_url,
)
from ark_broker.access.oidc import OidcVerifier
from ark_broker.api.gate import Gate, Verifier
from ark_broker.api.services import Services
from ark_broker.deliver.deliveries import Deliveries
from ark_broker.deliver.guard import Policy
from ark_broker.deliver.rules import Rule, RulesInvalid, parse_rules, policy_of
from ark_broker.deliver.upstreams import Upstream, UpstreamsInvalid, parse_upstreams
from ark_broker.log.database import Database
from ark_broker.log.tokens import TokenStore
from ark_broker.receive.redaction import RedactionInvalid, RedactionRules, Redactor, compile_rules, read_rules
from ark_broker.settings import Settings, SettingsError, variable


async def gate_from(settings: Settings, database: Database, resources: AsyncExitStack) -> Gate:
    """The gate; what it keeps open is closed with `resources`. Raises SettingsError."""
    verifiers: list[Verifier] = []
    if settings.auth and settings.oidc_issuer is not None:
        client = await resources.enter_async_context(httpx.AsyncClient(trust_env=True))
        verifiers.append(_oidc(settings, client))
    if settings.auth and settings.kubernetes_tokens is not None:
        verifiers.append(await _kubernetes(settings, resources))
    gate = Gate(
        TokenStore(database),
        enabled=settings.auth,
        admin_token=settings.admin_token,
        verifiers=tuple(verifiers),
        most_open=settings.token_max_open,
    )
    resources.push_async_callback(gate.close)
    return gate


def redactor_from(settings: Settings) -> Redactor | None:
    """What redacts events on their way in; None where nothing does. Raises SettingsError."""
    if settings.redact == "off":
        return None
    try:
        if settings.redact == "bundled":
            return compile_rules(RedactionRules())
        return compile_rules(read_rules(Path(settings.redact).read_bytes()))
    except RedactionInvalid as error:
        raise SettingsError(f"{variable('redact')}: {error}") from None
    except OSError as error:
        raise SettingsError(f"{variable('redact')}: cannot read {settings.redact}: {error.strerror}") from None


@dataclass(frozen=True)
class Outlets:
    """Whom the settings have things handed on to."""

    upstreams: tuple[Upstream, ...]
    rules: Sequence[Rule]
    policy: Policy


def outlets_from(settings: Settings) -> Outlets:
    """Upstreams, webhooks, and where those may lead. Raises SettingsError."""
    field = "upstreams"
    try:
        upstreams = parse_upstreams(settings.upstreams or "")
        field = "deliver_to"
        policy = policy_of(settings.deliver_to, private=settings.deliver_to_private)
        field = "webhooks"
        rules = parse_rules(settings.webhooks or "", policy)
    except (UpstreamsInvalid, RulesInvalid) as error:
        raise SettingsError(f"{variable(field)}: {error}") from None
    return Outlets(upstreams, rules, policy)


def deliveries_from(settings: Settings, services: Services) -> Deliveries:
    """What hands on, not started. Raises SettingsError."""
    outlets = outlets_from(settings)
    return Deliveries(
        services.database,
        services.reader,
        services.tail,
        upstreams=outlets.upstreams,
        rules=outlets.rules,
        policy=outlets.policy,
        public_url=settings.public_url,
        registry=services.metrics.registry,
    )


def check(settings: Settings) -> None:
    """Find out before anything is open that all of these settings can be used. Raises SettingsError."""
    redactor_from(settings)
    outlets_from(settings)
    if settings.oidc_claims is not None:
        _claims(settings)
    if settings.kubernetes_tokens is not None:
        _accounts(settings)


def _oidc(settings: Settings, client: httpx.AsyncClient) -> OidcVerifier:
    try:
        return OidcVerifier(
            settings.oidc_issuer or "", settings.oidc_audience or "", settings.oidc_jwks_url, client, _claims(settings)
        )
    except ValueError as error:
        raise SettingsError(f"{variable('oidc_issuer')}: {error}") from None


def _claims(settings: Settings) -> ClaimMapping:
    given = _json(settings.oidc_claims or "{}", "oidc_claims")
    try:
        values = given.pop("values", None)
        namespaces = given.pop("namespaceValues", None)
        found = ClaimMapping(
            permissions_claim=given.pop("permissionsClaim", None),
            values=None if values is None else {key: to_permissions(each) for key, each in values.items()},
            namespaces_claim=given.pop("namespacesClaim", "namespaces"),
            namespace_values=None
            if namespaces is None
            else {key: None if each == "*" else to_namespaces(each) for key, each in namespaces.items()},
            namespaces_absent=_one_of(given.pop("namespacesAbsent", "none")),
            name_claim=given.pop("nameClaim", "sub"),
        )
    except (GrantInvalid, TypeError, AttributeError, ValueError) as error:
        raise SettingsError(f"{variable('oidc_claims')}: {error}") from None
    _refuse_others(given, "oidc_claims")
    return found


def _one_of(value: Any) -> Any:
    if value not in ("all", "none"):
        raise ValueError("namespacesAbsent is `all` or `none`")
    return value


def _accounts(settings: Settings) -> ServiceAccountMapping:
    text = settings.kubernetes_tokens or ""
    try:
        if not text.lstrip().startswith("{"):
            return ServiceAccountMapping(permissions=parse_permissions(text))
        given = _json(text, "kubernetes_tokens")
        accounts = {
            name: AccountRule(
                permissions=to_permissions(rule["permissions"]) if rule["permissions"] else frozenset(),
                namespaces=parse_namespaces(" ".join(rule.get("namespaces", [name.partition("/")[0]]))),
            )
            for name, rule in given.pop("accounts", {}).items()
        }
        permissions = given.pop("permissions", [])
        found = ServiceAccountMapping(
            permissions=to_permissions(permissions) if permissions else frozenset(), accounts=accounts
        )
    except (GrantInvalid, TypeError, AttributeError, KeyError) as error:
        raise SettingsError(f"{variable('kubernetes_tokens')}: {error}") from None
    _refuse_others(given, "kubernetes_tokens")
    return found


async def _kubernetes(settings: Settings, resources: AsyncExitStack) -> TokenReviewer:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise SettingsError(f"{variable('kubernetes_tokens')}: only works in a pod of a cluster")
    try:
        client = await resources.enter_async_context(cluster_client())
    except OSError as error:
        raise SettingsError(f"{variable('kubernetes_tokens')}: the cluster's authority: {error}") from None
    return TokenReviewer(
        client, in_cluster_url(host, port), TOKEN_FILE, settings.kubernetes_audience, _accounts(settings)
    )


def _json(text: str, field: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"{variable(field)}: not JSON: {error}") from None
    if not isinstance(found, dict):
        raise SettingsError(f"{variable(field)}: has to be a JSON object")
    return found


def _refuse_others(rest: dict[str, Any], field: str) -> None:
    if rest:
        raise SettingsError(f"{variable(field)}: unknown: {', '.join(sorted(rest))}")
