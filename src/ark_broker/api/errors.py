"""One error body for every route but OTLP's: `{"error": {"code", "message", "field"?, "requestId"}}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Scope

from ark_broker.log.database import is_unavailable
from ark_broker.model.errors import (
    ArkBrokerError,
    BadInput,
    BadPage,
    Conflict,
    Forbidden,
    NotFound,
    Overloaded,
    QuestionOver,
    RateLimited,
    TooLarge,
    Unauthorized,
    UnsupportedMedia,
)

_log = structlog.get_logger(__name__)

_STATUS_CODES: Final = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "TOO_MANY_REQUESTS",
    503: "UNAVAILABLE",
}


def status_of(error: Exception) -> int:
    """The HTTP status that says what `error` means."""
    match error:
        case TooLarge():
            return 413
        case UnsupportedMedia():
            return 415
        case BadInput():
            return 400
        case NotFound():
            return 404
        case Conflict() | QuestionOver():
            return 409
        case Overloaded():
            return 503
        case Unauthorized():
            return 401
        case Forbidden():
            return 403
        case RateLimited():
            return 429
    return 503 if is_unavailable(error) else 500


def code_of(error: Exception, status: int) -> str:
    """The word for programs."""
    if isinstance(error, BadPage):
        return "PAGINATION_ERROR"
    if status == 400:
        return "VALIDATION_ERROR"
    return {409: "CONFLICT", 500: "INTERNAL_ERROR"}.get(status) or _STATUS_CODES.get(status, "REQUEST_ERROR")


def retry_headers(error: Exception) -> dict[str, str]:
    """`Retry-After` for what may pass later, `WWW-Authenticate` for who has to say who they are."""
    if isinstance(error, Overloaded | RateLimited):
        return {"Retry-After": str(error.retry_after)}
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    return {"Retry-After": "1"} if status_of(error) == 503 else {}


def message_of(error: Exception) -> str:
    """Text fit for a client: what a bug or a driver said stays in the log."""
    if isinstance(error, ArkBrokerError):
        return str(error)
    return "the database is not available" if is_unavailable(error) else "Internal server error"


def error_response(
    status: int,
    code: str,
    message: str,
    request_id: str | None,
    *,
    extra: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The house's error body."""
    body: dict[str, object] = {"code": code, "message": message, **(extra or {})}
    if request_id is not None:
        body["requestId"] = request_id
    return Response(
        orjson.dumps({"error": body}), status_code=status, media_type="application/json", headers=dict(headers or {})
    )


def request_id_of(request: Request) -> str | None:
    """The id that the request-id middleware gave the request."""
    found = request.scope.get("ark_broker.request_id")
    return found if isinstance(found, str) else None


def is_ark(scope: Scope) -> bool:
    """True for a request to the surface that Ark's programs use."""
    return bool(scope.get("ark_broker.ark"))


def respond_to(request: Request, error: Exception) -> Response:
    """The answer to an error that a route raised."""
    status = status_of(error)
    if status == 500:
        _log.error("unhandled error", exc_info=error, path=request.url.path)
    extra: dict[str, object] = {}
    if isinstance(error, BadInput) and error.field is not None:
        extra["field"] = error.field
    if isinstance(error, Conflict):
        extra["candidates"] = error.candidates
    if isinstance(error, QuestionOver):
        extra["question"] = error.question
    return error_response(
        status,
        code_of(error, status),
        message_of(error),
        request_id_of(request),
        extra=extra,
        headers=retry_headers(error),
    )


def install(app: FastAPI) -> None:
    """Have every error answered in the house's shape."""

    async def on_error(request: Request, error: Exception) -> Response:
        return respond_to(request, error)

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        problems = error.errors()
        fields = [".".join(str(part) for part in problem["loc"][1:]) or str(problem["loc"][0]) for problem in problems]
        message = "; ".join(f"{name}: {problem['msg']}" for name, problem in zip(fields, problems, strict=True))
        return error_response(
            400, "VALIDATION_ERROR", message[:2000], request_id_of(request), extra={"field": fields[0]}
        )

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status, message, headers = error.status_code, str(error.detail), error.headers
        if status == 404 or (status == 405 and is_ark(request.scope)):
            # Ark's clients have never been told that a method is the wrong one.
            status, message, headers = 404, "Not found", None
        code = _STATUS_CODES.get(status, "REQUEST_ERROR")
        return error_response(status, code, message, request_id_of(request), headers=headers)

    async def on_disconnect(_request: Request, _error: Exception) -> Response:
        return Response(status_code=400)

    app.add_exception_handler(ArkBrokerError, on_error)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(ClientDisconnect, on_disconnect)
