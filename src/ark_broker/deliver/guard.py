"""Where the broker may send to, and the HTTP client that goes nowhere else.

A URL is checked twice. `check_url` judges what its text says, when it is written down. The client's transport judges
the same text again for each request (so for each redirect too), resolves the name itself, judges every address that
came back, and connects to one of exactly these: a name whose answer changes in between gains nothing. The name stays
what TLS verifies and what the `Host` header says.

Which addresses are public follows the IANA special-purpose registries (RFC 6890), written out here because
`ipaddress.is_global` differs between releases of Python.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

import httpcore
import httpx

from ark_broker import __version__
from ark_broker.model.errors import ArkBrokerError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
#: Resolves a host name to its addresses; raises OSError when there are none.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

MAX_URL: Final = 2_048
#: Seconds that a name may take to resolve.
RESOLVE_TIMEOUT: Final = 5.0
#: Bytes of a response body, after which the transport stops reading.
MAX_RESPONSE: Final = 1 << 20
#: Addresses of one name that are tried, one after the other.
_MAX_TRIES: Final = 4


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


#: Opened by no policy: this host, link-local (where clouds keep their metadata and credentials), multicast, reserved,
#: and the metadata addresses that lie elsewhere (Alibaba, Azure, Oracle; EC2, Google).
_NEVER: Final = _networks(
    *("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"),
    *("100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32"),
    *("::/128", "fe80::/10", "ff00::/8", "fd00:ec2::/32", "fd20:ce::254/128"),
)
#: Of this machine or this network; `Policy.allow_private` opens them.
_PRIVATE: Final = _networks(
    *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
    *("::1/128", "fc00::/7"),
)
#: Documentation, benchmarks, protocol assignments, Teredo, the relays of 6to4.
_SPECIAL: Final = _networks(
    *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
    *("2001::/23", "2001:db8::/32", "3fff::/20"),
)
#: All of IPv6 that is assigned to networks (RFC 4291).
_UNICAST: Final = IPv6Network("2000::/3")
#: RFC 6052: the last four bytes are an IPv4 address.
_NAT64: Final = IPv6Network("64:ff9b::/96")

#: Last labels of names that no public name ends with (RFC 6761, RFC 6762, RFC 8375; ICANN reserved `internal`).
_LOCAL_SUFFIXES: Final = (".localhost", ".local", ".localdomain", ".internal", ".home.arpa", ".svc")
#: Names under which clouds serve credentials: opened by no policy.
_METADATA: Final = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})

_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)", re.DOTALL)
_AUTHORITY: Final = re.compile(r"(\[[^\[\]@]*\]|[^\[\]:@]*)(?::(.*))?", re.DOTALL)
_HOST: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
#: The last label of a host that the WHATWG URL Standard takes for an IPv4 address.
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")


class Refused(ArkBrokerError):  # noqa: N818 - reads as what it says
    """The broker does not send there; nothing was sent. The sentence says what is wrong."""


@dataclass(frozen=True)
class Policy:
    """Where the broker may send to: without anything allowed, https to public addresses.

    `allowed_hosts` has exact host names, `*.suffix` for all names below one, addresses, and CIDR networks. A host
    that is listed may have a private address, and plain http. A network opens its addresses to every name that
    resolves to them, and plain http to its addresses when written as such. What `_NEVER` has stays shut.

    Raises ValueError for an entry that is none of these.
    """

    allow_http: bool = False
    allow_private: bool = False
    allowed_hosts: tuple[str, ...] = ()
    _names: frozenset[str] = field(init=False, repr=False, compare=False)
    _suffixes: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _networks: tuple[Network, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names, suffixes, networks = set(), [], []
        for entry in self.allowed_hosts:
            text = entry.strip().lower().removesuffix(".")
            name = text.removeprefix("*.")
            network = _network(text)
            if network is not None:
                networks.append(network)
            elif not _HOST.fullmatch(name) or _NUMBER.fullmatch(name.rpartition(".")[2]):
                raise ValueError(f"{entry!r} is no host name, no *.suffix and no network in CIDR notation")
            elif name != text:
                suffixes.append("." + name)
            else:
                names.add(name)
        object.__setattr__(self, "_names", frozenset(names))
        object.__setattr__(self, "_suffixes", tuple(suffixes))
        object.__setattr__(self, "_networks", tuple(networks))

    def lists_name(self, host: str) -> bool:
        """True for a host name (lower case, no dot at its end) that is named, or is below a `*.suffix`."""
        return host in self._names or host.endswith(self._suffixes)

    def lists_address(self, address: Address) -> bool:
        """True for an address that lies in a network of the list."""
        return _in(self._networks, address) or _in(self._networks, _stands_for(address))


def _network(text: str) -> Network | None:
    try:
        return ip_network(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def check_url(url: str, policy: Policy) -> None:
    """Judges a URL by its text: scheme, host, port, and the address where the host is one. Resolves nothing.

    Raises Refused.
    """
    scheme, host = _parse(url)
    address = _literal(host)
    if address is None:
        listed = policy.lists_name(host)
        _check_name(host, policy, listed)
    else:
        listed = policy.lists_address(address)
        _check_address(address, policy, host, listed)
    if scheme != "https" and not (policy.allow_http or listed):
        raise Refused(f"the URL must begin with https://: plain http to {host} is not allowed")


def _parse(url: str) -> tuple[str, str]:
    """Scheme and host, in lower case; the host without a dot at its end, and without brackets. Raises Refused.

    The host is read by `httpx.URL`, which also reads it when the request is made: both see the same one.
    """
    if len(url) > MAX_URL:
        raise Refused(f"the URL is longer than {MAX_URL:,} characters")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise Refused("the URL has white space or control characters in it")
    if "\\" in url:
        raise Refused("the URL has a backslash in it")
    parts = _URL.fullmatch(url)
    if parts is None or parts[1].lower() not in ("http", "https"):
        raise Refused("the URL must begin with https://")
    if "@" in parts[2]:
        raise Refused("the URL has credentials in it: user names and passwords do not belong there")
    authority = _AUTHORITY.fullmatch(parts[2])
    if authority is None or not authority[1] or authority[1] == "[]":
        raise Refused("the URL names no host")
    port = authority[2]
    if port is not None and not (re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= 65_535):
        raise Refused("the port of the URL is no number from 1 to 65535")
    if "%" in authority[1]:
        raise Refused("the host of the URL has a % in it: neither percent-encoding nor a zone is accepted there")
    try:
        host = httpx.URL(url).raw_host.decode("ascii").lower().removesuffix(".")
    except (httpx.InvalidURL, ValueError) as error:
        raise Refused("the host of the URL is no host name and no address") from error
    if ":" not in host and not _HOST.fullmatch(host):
        raise Refused("the host of the URL is no host name and no address")
    return parts[1].lower(), host


def _literal(host: str) -> Address | None:
    """The address that a host is, None for a name. Raises Refused for an address in a spelling that is not the usual.

    Programs disagree about such spellings (is 010.0.0.1 in 8.0.0.0/8, or in 10.0.0.0/8?), so none is taken.
    """
    try:
        return ip_address(host)
    except ValueError:
        if not _NUMBER.fullmatch(host.rpartition(".")[2]):
            return None
    try:
        meant = f"another spelling of {socket.inet_ntoa(socket.inet_aton(host))}"
    except OSError:
        meant = "no host name"
    raise Refused(f"the host {host} is {meant}: write an address as four decimal numbers")


def _check_name(host: str, policy: Policy, listed: bool) -> None:
    if host in _METADATA:
        raise Refused(f"the host {host} serves a cloud's metadata")
    if listed or policy.allow_private:
        return
    if "." not in host or host.endswith(_LOCAL_SUFFIXES):
        raise Refused(f"the host {host} is a name of this machine or network, and is not among the allowed hosts")


def _stands_for(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one: IPv4-mapped, NAT64, 6to4. Any other address as it is."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _check_address(address: Address, policy: Policy, host: str, listed: bool) -> None:
    """Raises Refused, which names the host and not where it leads: resolving is not a service for strangers."""
    meant = _stands_for(address)
    if _in(_NEVER, meant) or (isinstance(address, IPv6Address) and address.scope_id is not None):
        raise Refused(f"the host {host} is at a link-local, metadata, multicast or reserved address")
    if listed or policy.lists_address(address):
        return
    if _in(_PRIVATE, meant):
        if policy.allow_private:
            return
        raise Refused(f"the host {host} is at a private address, and is not among the allowed hosts")
    if _in(_SPECIAL, meant) or (isinstance(meant, IPv6Address) and meant not in _UNICAST):
        raise Refused(f"the host {host} is at an address that is not public")


def _in(networks: Iterable[Network], address: Address) -> bool:
    return any(address in network for network in networks)


async def resolve_name(host: str, port: int) -> Sequence[str]:
    """All addresses of a name, in the order in which the system would try them. Raises OSError.

    In the loop's default executor: whoever shares that with other work takes `threads.Threads.resolve`.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class _PinnedBackend(httpcore.AsyncNetworkBackend):
    """Opens the connections of a pool: to addresses that were judged, and to nothing else."""

    def __init__(self, policy: Policy, resolve: Resolve, backend: httpcore.AsyncNetworkBackend) -> None:
        self._policy = policy
        self._resolve = resolve
        self._backend = backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = (await self._addresses(host, port))[:_MAX_TRIES]
        each = None if timeout is None else timeout / len(addresses)
        failed: list[Exception] = []
        for address in addresses:
            try:
                return await self._backend.connect_tcp(str(address), port, each, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed.append(error)
        raise failed[-1]

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise Refused("the broker does not send to sockets of this machine")

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> list[Address]:
        """What the host resolves to, at least one address. Raises Refused if a single one of them is not allowed."""
        name = host.lower().removesuffix(".")
        literal = _literal(name)
        found = [literal] if literal is not None else [ip_address(text) for text in await self._look_up(host, port)]
        listed = literal is None and self._policy.lists_name(name)
        for address in found:
            _check_address(address, self._policy, name, listed)
        return found

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT):
                found = await self._resolve(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"resolving {host} took more than {RESOLVE_TIMEOUT:g} seconds") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved: {error}") from error
        if not found:
            raise httpcore.ConnectError(f"{host} has no address")
        return found


class GuardedTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 without proxies. Every request is judged by its URL, every connection by its address.

    A request raises Refused where the policy is against it, and otherwise what `httpx` raises. A body is handed out
    as it was sent, never inflated; one longer than `max_response` bytes ends in `httpx.ReadError`.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        resolve: Resolve = resolve_name,
        ssl_context: ssl.SSLContext | None = None,
        max_connections: int = 20,
        max_response: int = MAX_RESPONSE,
        backend: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._policy = policy
        self._max_response = max_response
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context or httpx.create_ssl_context(trust_env=False),
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=15.0,
            network_backend=_PinnedBackend(policy, resolve, backend or httpcore.AnyIOBackend()),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends it. Raises Refused, and httpx.TransportError."""
        url = request.url
        check_url(str(url), self._policy)
        host = url.raw_host.decode("ascii")
        outgoing = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            # Certificates never name the root that a dot at the end stands for.
            extensions={**request.extensions, "sni_hostname": host.removesuffix(".")},
        )
        with _httpx_errors():
            found = await self._pool.handle_async_request(outgoing)
        return httpx.Response(
            found.status,
            headers=[header for header in found.headers if header[0].lower() != b"content-encoding"],
            stream=_Body(found, self._max_response),
            extensions=dict(found.extensions),
        )

    async def aclose(self) -> None:
        """Closes all connections."""
        with _httpx_errors():
            await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response, limit: int) -> None:
        self._response = response
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        with _httpx_errors():
            async for part in self._response.aiter_stream():
                size += len(part)
                if size > self._limit:
                    raise httpx.ReadError(f"the response is longer than {self._limit:,} bytes")
                yield part

    async def aclose(self) -> None:
        await self._response.aclose()


#: Errors that httpx calls by the same name as httpcore, below it.
_ERRORS: Final[dict[type[Exception], type[httpx.TransportError]]] = {
    getattr(httpcore, name): getattr(httpx, name)
    for name in (
        *("PoolTimeout", "ConnectTimeout", "ReadTimeout", "WriteTimeout", "ConnectError", "ReadError", "WriteError"),
        *("LocalProtocolError", "RemoteProtocolError", "UnsupportedProtocol"),
    )
}


@contextmanager
def _httpx_errors() -> Iterator[None]:
    try:
        yield
    except tuple(_ERRORS) as error:
        raise _ERRORS[type(error)](str(error)) from error


def make_client(
    policy: Policy,
    *,
    timeout: float,
    max_connections: int = 20,
    max_response: int = MAX_RESPONSE,
    ssl_context: ssl.SSLContext | None = None,
    resolve: Resolve = resolve_name,
) -> httpx.AsyncClient:
    """A client for what the broker sends. `timeout`: seconds for each of connecting, writing, reading, and waiting.

    It follows no redirect, keeps no cookie, and takes nothing (no proxy, no .netrc) from the environment.
    `ssl_context` is for authorities that certifi does not have. Close the client.
    """
    return httpx.AsyncClient(
        transport=GuardedTransport(
            policy, resolve=resolve, ssl_context=ssl_context, max_connections=max_connections, max_response=max_response
        ),
        timeout=timeout,
        headers={"user-agent": f"ark-broker/{__version__}", "accept-encoding": "identity"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        max_redirects=3,
        trust_env=False,
    )


async def read_capped(response: httpx.Response, limit: int) -> bytes:
    """The first `limit` bytes of the body of a streamed response (`client.stream`); closes the response."""
    found = bytearray()
    try:
        async for part in response.aiter_raw():
            found += part
            if len(found) >= limit:
                break
    finally:
        await response.aclose()
    return bytes(found[:limit])
