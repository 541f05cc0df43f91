"""Where the broker is, and how to speak to it over HTTP."""

from __future__ import annotations

import os
from collections.abc import Mapping

import httpx

from ark_broker import __version__
from ark_broker.client.errors import Refused, Unreachable, refusal
from ark_broker.client.steps import Answer, Call, Open
from ark_broker.connecting import DEFAULT_URL, TOKEN_VARIABLE, URL_VARIABLE, is_token, without_login


def broker_url(url: str | None) -> str:
    """The URL that was given, or the environment's, or that of a broker on this machine; without a slash at its end.

    Raises ValueError for what is no URL of HTTP.
    """
    found = (url or os.environ.get(URL_VARIABLE, "").strip() or DEFAULT_URL).rstrip("/")
    if not found.startswith(("http://", "https://")):
        raise ValueError(f"{without_login(found)!r} is no URL: it begins with http:// or https://")
    try:
        httpx.URL(found)
    except httpx.InvalidURL as error:
        raise ValueError(f"{without_login(found)!r} is no URL: {error}") from None
    return found


def broker_headers(url: str, token: str | None, headers: Mapping[str, str] | None) -> dict[str, str]:
    """Headers of every request to `url`: the token that was given, or the environment's, and who is calling.

    Raises ValueError for what is no token, and for one beside a user name in the URL: a request has place for one.
    """
    found = token or os.environ.get(TOKEN_VARIABLE, "").strip()
    own = {"user-agent": f"ark-broker-client/{__version__}"}
    if found and not is_token(found):
        # What is wrong with it would otherwise be said by whoever sends it, and the token with it.
        raise ValueError("the token has a character that is in none")
    if found and without_login(url) != url:
        raise ValueError("there is a token, and a user name in the URL: only one of them can be sent")
    if found:
        own["authorization"] = f"Bearer {found}"
    return own | {name.lower(): value for name, value in (headers or {}).items()}


def request_of(client: httpx.Client | httpx.AsyncClient, url: str, what: Call | Open, timeout: float) -> httpx.Request:
    """The call as httpx sends it."""
    call = what.call if isinstance(what, Open) else what
    read = what.silence if isinstance(what, Open) else timeout + call.patience
    return client.build_request(
        call.method,
        url + call.path,
        params={name: value if isinstance(value, str) else list(value) for name, value in call.parameters.items()},
        headers=dict(call.headers),
        content=call.body,
        timeout=httpx.Timeout(timeout, read=read),
    )


def answer_of(response: httpx.Response) -> Answer:
    """An answer that was read whole."""
    return Answer(response.status_code, response.headers, response.content)


def check_opened(response: httpx.Response, opened: Open) -> None:
    """Raise Refused where the answer, read whole, is not what is to be read piece by piece."""
    raise_for(response)
    found = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    raise Refused(response.status_code, f"the answer is {found or 'of no type'}, not {opened.media}: is this a broker?")


def is_wanted(response: httpx.Response, opened: Open) -> bool:
    """True for an answer that can be read piece by piece."""
    found = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return response.status_code < 400 and opened.media in (None, found)


def raise_for(response: httpx.Response) -> None:
    """Raise Refused for an answer that is an error."""
    if response.status_code >= 400:
        raise refusal(response.status_code, response.headers, response.content)


def unreachable(url: str, error: httpx.HTTPError) -> Unreachable:
    """What to say of a request that nobody answered."""
    reason = str(error) or type(error).__name__
    return Unreachable(f"no answer from {without_login(url)}: {reason}")
