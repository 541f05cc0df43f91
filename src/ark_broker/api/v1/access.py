"""Tokens, tickets, and a browser's login: `/v1/tokens`, `/v1/tickets`, `/v1/login`, `/v1/me`."""

from __future__ import annotations

import re
import time
from typing import Annotated, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
import orjson
from fastapi import APIRouter, Request
from msgspec import Meta
from starlette.responses import Response

from ark_broker.access.grants import GrantInvalid, Permission, to_namespaces, to_permissions
from ark_broker.access.tickets import is_ticket_name
from ark_broker.access.tokens import StoredToken
from ark_broker.api.gate import COOKIE, Gate
from ark_broker.api.kept_tokens import MOST_TICKETS, TICKET_SECONDS, KeptTokens, token_json
from ark_broker.api.paths import json_response, path_name
from ark_broker.api.services import Deps, Services
from ark_broker.model.errors import BadInput, Forbidden, Unauthorized
from ark_broker.receive.fields import MAX_NAME

router = APIRouter(tags=["access"])

_MOST_SECONDS: Final = 10 * 366 * 86_400
#: Seconds that a browser stays logged in.
_LOGIN_SECONDS: Final = 30 * 86_400
_SECOND: Final = 1_000_000_000
#: RFC 6265 section 4.1.1: no spaces, quotes, commas, semicolons or backslashes.
_COOKIE_VALUE: Final = re.compile(r"[!#-+\--:<-\[\]-~]+")

_Wanted = TypeVar("_Wanted", bound=msgspec.Struct)
_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
_Seconds = Annotated[float, Meta(gt=0, le=_MOST_SECONDS)]
_Limit = Annotated[int, Meta(ge=1, le=2**40)]


class NewToken(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What a token is to be. Without `namespaces` it sees all of them."""

    name: _Name
    permissions: list[Permission]
    namespaces: list[_Name] | None = None
    expires_in_seconds: _Seconds | None = None
    requests_per_minute: _Limit | None = None
    bytes_per_minute: _Limit | None = None


class _Rotate(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    grace_seconds: Annotated[float, Meta(ge=0, le=30 * 86_400)] = 3_600


class _Login(msgspec.Struct, forbid_unknown_fields=True):
    token: Annotated[str, Meta(min_length=1, max_length=16_384)]


def stored_token(wanted: NewToken) -> StoredToken:
    """The token to keep, still without id and secret. Raises BadInput."""
    now = time.time_ns()
    if not wanted.name.isprintable():
        raise BadInput("must be printable", "name")
    if is_ticket_name(wanted.name):
        raise BadInput("is how tickets are called", "name")
    try:
        return StoredToken(
            id="",
            name=wanted.name,
            hash=b"",
            permissions=to_permissions(wanted.permissions),
            namespaces=None if wanted.namespaces is None else to_namespaces(wanted.namespaces),
            created_at=now,
            expires_at=None if wanted.expires_in_seconds is None else now + int(wanted.expires_in_seconds * _SECOND),
            requests_per_minute=wanted.requests_per_minute,
            bytes_per_minute=wanted.bytes_per_minute,
        )
    except GrantInvalid as error:
        raise BadInput(str(error), "permissions" if "permission" in str(error) else "namespaces") from None


@router.post(
    "/v1/tokens",
    summary="Make a token",
    description="The answer has it, once; what is kept is a hash. `permissions`: `ingest`, `read`, `answer`, `admin`.",
    status_code=201,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"type": "object"},
                    "example": {"name": "executors of team-a", "permissions": ["ingest"], "namespaces": ["team-a"]},
                }
            },
        }
    },
)
async def create_token(request: Request, services: Deps) -> Response:
    token = stored_token(await _decoded(request, services, NewToken))
    tokens = _tokens(request)
    text = await tokens.create(token)
    return json_response(token_json(await tokens.stored(text.split("_")[1])) | {"token": text}, 201)


@router.get("/v1/tokens", summary="Tokens, newest first", description="Nothing of their secrets is shown.")
async def list_tokens(request: Request) -> Response:
    return json_response({"items": [token_json(token) for token in await _tokens(request).every()]})


@router.delete(
    "/v1/tokens/{token_id}",
    summary="Revoke a token",
    description="It is good no more: at once on this replica, within ten seconds on the others.",
)
async def revoke_token(token_id: str, request: Request) -> Response:
    return json_response(token_json(await _tokens(request).revoke(path_name(token_id, "token_id"))))


@router.post(
    "/v1/tokens/{token_id}/rotate",
    summary="Give a token a new secret",
    description='`{"graceSeconds": 3600}`: so long the old one is still good. 409 for a token that was revoked.',
)
async def rotate_token(token_id: str, request: Request, services: Deps) -> Response:
    wanted = await _decoded(request, services, _Rotate)
    name = path_name(token_id, "token_id")
    return json_response({"id": name, "token": await _tokens(request).rotate(name, wanted.grace_seconds)})


@router.post(
    "/v1/tickets",
    summary="A ticket for a minute",
    description=(
        "For readers that cannot send headers, such as a browser's `EventSource`: `?ticket=…`. It reads whatever its "
        f"owner may read. Nobody has more than {MOST_TICKETS} at once: 429."
    ),
    status_code=201,
)
async def create_ticket(request: Request, services: Deps) -> Response:
    return json_response({"ticket": await _tokens(request).ticket(services.grant), "expiresIn": TICKET_SECONDS}, 201)


@router.get("/v1/me", summary="Who asks, and what they may")
async def get_me(services: Deps) -> Response:
    grant = services.grant
    return json_response(
        {
            "name": grant.name,
            "permissions": sorted(grant.permissions),
            "namespaces": None if grant.namespaces is None else sorted(grant.namespaces),
            "authentication": services.settings.auth,
        }
    )


@router.post(
    "/v1/login",
    summary="Log a browser in",
    description='`{"token": "arkb_…"}` → a cookie that scripts cannot read and other sites cannot send.',
)
async def login(request: Request, services: Deps) -> Response:
    _check_site(request)
    wanted = await _decoded(request, services, _Login)
    if _COOKIE_VALUE.fullmatch(wanted.token) is None:
        raise BadInput("has characters that no cookie may have", "token")
    gate = _gate(request)
    if gate.enabled:
        grant = await gate.grant_of(wanted.token)
        gate.charge(grant, request.headers)
        if not grant.may("read"):
            raise Unauthorized("the token may not read anything")
    response = Response(status_code=204)
    response.set_cookie(
        COOKIE,
        wanted.token,
        max_age=_LOGIN_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https",
    )
    return response


@router.post("/v1/logout", summary="Forget a browser's login")
async def logout(request: Request) -> Response:
    _check_site(request)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


def _check_site(request: Request) -> None:
    """Whether somebody is logged in, and as whom, is not for pages of other sites to say.

    Raises Forbidden where a browser says that one of them asks; programs say nothing of the kind.
    """
    origin = request.headers.get("origin")
    is_other = request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
    if is_other or (origin is not None and urlsplit(origin).netloc != request.headers.get("host")):
        raise Forbidden("log in and out on the broker's own page")


def _gate(request: Request) -> Gate:
    gate = request.app.state.gate
    assert isinstance(gate, Gate)
    return gate


def _tokens(request: Request) -> KeptTokens:
    return _gate(request).tokens


async def _decoded(request: Request, services: Services, of: type[_Wanted]) -> _Wanted:
    headers = request.headers
    async with services.intake.body(
        request.receive, headers.get("content-encoding"), headers.get("content-length")
    ) as body:
        try:
            return msgspec.convert(orjson.loads(body or b"{}"), type=of)
        except orjson.JSONDecodeError as error:
            raise BadInput(f"not JSON: {str(error)[:200]}", "body") from None
        except msgspec.ValidationError as error:
            message, _, place = str(error).partition(" - at `$.")
            field = place.rstrip("`") or (message.split("`")[1] if "`" in message and "field" in message else "body")
            raise BadInput(message[:300], field) from None
