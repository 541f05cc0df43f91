"""Where the broker may send to: by what the URL says, and by where its name leads."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpcore
import httpx
import pytest

from ark_broker import __version__
from ark_broker.deliver import guard
from ark_broker.deliver.guard import GuardedTransport, Policy, Refused, check_url, make_client, read_capped
from ark_broker.model.errors import ArkBrokerError

STRICT = Policy()
PUBLIC = "93.184.215.14"

#: URL, and words of the sentence that refuses it.
REFUSED = [
    # No URL of ours.
    ("", "https://"),
    ("hooks.example.com/x", "https://"),
    ("//hooks.example.com/x", "https://"),
    ("http://hooks.example.com/x", "plain http"),
    ("ftp://hooks.example.com/x", "https://"),
    ("file:///etc/passwd", "https://"),
    ("gopher://127.0.0.1:6379/_x", "https://"),
    ("https:hooks.example.com", "https://"),
    ("https:/hooks.example.com", "https://"),
    ("https://", "no host"),
    ("https:///path", "no host"),
    ("https://:443/", "no host"),
    ("https://[]/", "no host"),
    ("https://?x=1", "no host"),
    ("https://hooks.example.com/" + "a" * 2_048, "2,048"),
    # Credentials, and what hides them.
    ("https://user@hooks.example.com/", "credentials"),
    ("https://user:password@hooks.example.com/", "credentials"),
    ("https://hooks.example.com@127.0.0.1/", "credentials"),
    ("https://127.0.0.1:80@hooks.example.com/", "credentials"),
    ("https://@127.0.0.1/", "credentials"),
    # Characters on which two readers of a URL disagree.
    ("https://hooks.example.com\\@127.0.0.1/", "backslash"),
    ("https:\\\\127.0.0.1/", "backslash"),
    (" https://hooks.example.com/", "white space"),
    ("https://hooks.example.com/a b", "white space"),
    ("https://hooks.example.com/\r\nHost: x", "white space or control"),
    ("https://hooks.example.com/\x00", "control"),
    ("https://hooks.example.com/\x7f", "control"),
    ("https://hooks.exa\tmple.com/", "control"),
    ("https://hooks.example.com\u2028/", "white space"),
    ("https://hooks\u200b.example.com/", "control"),
    ("https://\ud800.example.com/", "control"),
    # Ports.
    ("https://hooks.example.com:0/", "port"),
    ("https://hooks.example.com:65536/", "port"),
    ("https://hooks.example.com:-1/", "port"),
    ("https://hooks.example.com:+80/", "port"),
    ("https://hooks.example.com:8_0/", "port"),
    ("https://hooks.example.com:٨٠/", "port"),
    ("https://hooks.example.com:/", "port"),
    ("https://hooks.example.com:80:90/", "port"),
    ("https://::1/", "no host"),
    # Hosts that are none.
    ("https://a..example.com/", "no host name"),
    ("https://example.com../", "no host name"),
    ("https://./", "no host name"),
    (f"https://{'a' * 64}.example.com/", "no host name"),
    (f"https://{'a.' * 127}com/", "no host name"),
    ("https://exa$mple.com/", "no host name"),
    ("https://hooks.example.com,127.0.0.1/", "no host name"),
    # This machine and this network, in the usual spelling.
    ("https://127.0.0.1/", "private"),
    ("https://127.255.255.254/", "private"),
    ("https://10.0.0.1/", "private"),
    ("https://100.64.0.1/", "private"),
    ("https://172.16.0.1/", "private"),
    ("https://172.31.255.255/", "private"),
    ("https://192.168.1.1:8443/x", "private"),
    ("https://0.0.0.0/", "reserved"),
    ("https://169.254.169.254/latest/meta-data/", "metadata"),
    ("https://169.254.170.2/v2/credentials", "metadata"),
    ("https://100.100.100.200/", "metadata"),
    ("https://168.63.129.16/", "metadata"),
    ("https://192.0.0.192/", "metadata"),
    ("https://192.0.2.1/", "not public"),
    ("https://192.88.99.1/", "not public"),
    ("https://198.18.0.1/", "not public"),
    ("https://203.0.113.9/", "not public"),
    ("https://224.0.0.1/", "multicast"),
    ("https://255.255.255.255/", "reserved"),
    # Other spellings.
    ("https://2130706433/", "127.0.0.1"),
    ("https://0x7f000001/", "127.0.0.1"),
    ("https://0X7F000001/", "127.0.0.1"),
    ("https://017700000001/", "127.0.0.1"),
    ("https://0x7f.0.0.1/", "127.0.0.1"),
    ("https://0177.0.0.1/", "no host name"),
    ("https://0177.0.1/", "127.0.0.1"),
    ("https://127.1/", "127.0.0.1"),
    ("https://127.0.1/", "127.0.0.1"),
    ("https://127.0.0.0x1/", "127.0.0.1"),
    ("https://0/", "0.0.0.0"),
    ("https://0xa9fea9fe/", "169.254.169.254"),
    ("https://127.0.0.1./", "private"),
    ("https://127.1./", "127.0.0.1"),
    ("https://127.0.0.256/", "no host name"),
    ("https://1.2.3.4.5/", "no host name"),
    ("https://99999999999/", "no host name"),
    ("https://0x/", "no host name"),
    ("https://127%2e0.0.1/", "percent-encoding"),
    ("https://%31%32%37.0.0.1/", "percent-encoding"),
    ("https://127。0。0。1/", "private"),
    ("https://\uff11\uff12\uff17.0.0.1/", "no host name"),
    ("https://\uff4cocalhost/", "no host name"),
    ("https://localhost\u3002/", "name of this machine"),
    ("https://①②⑦.0.0.1/", "no host name"),
    # IPv6.
    ("https://[::1]/", "private"),
    ("https://[0:0:0:0:0:0:0:1]/", "private"),
    ("https://[::]/", "reserved"),
    ("https://[::ffff:127.0.0.1]/", "private"),
    ("https://[::FFFF:7F00:1]/", "private"),
    ("https://[::ffff:169.254.169.254]/", "metadata"),
    ("https://[::127.0.0.1]/", "not public"),
    ("https://[::ffff:0:127.0.0.1]/", "not public"),
    ("https://[64:ff9b::127.0.0.1]/", "private"),
    ("https://[64:ff9b::a9fe:a9fe]/", "metadata"),
    ("https://[64:ff9b:1::1]/", "not public"),
    ("https://[2002:7f00:1::]/", "private"),
    ("https://[2002:a9fe:a9fe::1]/", "metadata"),
    ("https://[2001::1]/", "not public"),
    ("https://[2001:db8::1]/", "not public"),
    ("https://[3fff::1]/", "not public"),
    ("https://[100::1]/", "not public"),
    ("https://[5f00::1]/", "not public"),
    ("https://[fd12:3456::1]/", "private"),
    ("https://[fd00:ec2::254]/", "metadata"),
    ("https://[fec0::1]/", "not public"),
    ("https://[fe80::1]/", "link-local"),
    ("https://[fe80::1%25eth0]/", "zone"),
    ("https://[2606:4700::1111%25eth0]/", "zone"),
    ("https://[ff02::1]/", "multicast"),
    ("https://[::1/", "no host"),
    ("https://[::1]x/", "no host"),
    ("https://[v1.fe80::a]/", "no host name"),
    # Names.
    ("https://localhost/", "name of this machine"),
    ("https://LOCALHOST:8443/", "name of this machine"),
    ("https://localhost./", "name of this machine"),
    ("https://a.localhost/", "name of this machine"),
    ("https://ⓛocalhost/", "no host name"),
    ("https://printer.local/", "name of this machine"),
    ("https://db.corp.internal/", "name of this machine"),
    ("https://kubernetes/", "name of this machine"),
    ("https://api.default.svc/", "name of this machine"),
    ("https://api.default.svc.cluster.local/", "name of this machine"),
    ("https://metadata/", "metadata"),
    ("https://metadata.google.internal/computeMetadata/v1/", "metadata"),
    ("https://METADATA.google.INTERNAL./", "metadata"),
]


def _readable(value: str) -> str:
    return ascii(value)[1:61]


@pytest.mark.parametrize(("url", "says"), REFUSED, ids=_readable)
def test_a_url_that_may_lead_inside_is_refused_in_words(url: str, says: str) -> None:
    with pytest.raises(Refused) as refused:
        check_url(url, STRICT)
    assert says in str(refused.value)
    assert len(str(refused.value)) < 400
    assert "password@" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com",
        "https://hooks.example.com/services/T0/B0/x?y=1#z",
        "HTTPS://Hooks.Example.COM:8443/",
        "https://hooks.example.com./",
        "https://my_service.example.com/",
        "https://bücher.example/",
        "https://xn--bcher-kva.example/",
        "https://hooks.example.com/mail@example.com?redirect=http://127.0.0.1/",
        "https://internal.example.com/",
        "https://localhost.example.com/",
        "https://8.8.8.8/",
        "https://172.32.0.1/",
        "https://[2606:4700::1111]:8443/",
        "https://[64:ff9b::808:808]/",
        "https://[::ffff:8.8.8.8]/",
        "https://127.0.0.1.nip.example/",
        "https://0x7f.example/",
    ],
)
def test_a_public_url_passes(url: str) -> None:
    check_url(url, STRICT)


LISTED = Policy(
    allowed_hosts=("Hooks.Default.svc.cluster.local", "*.corp.internal", "10.96.0.0/12", "192.168.1.5", "fd12::/16")
)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.default.svc.cluster.local:8080/hook",
        "https://HOOKS.default.svc.cluster.local./",
        "http://a.corp.internal/",
        "http://a.b.corp.internal/",
        "http://10.97.1.2/",
        "https://192.168.1.5/",
        "http://[fd12::7]/",
        "http://[::ffff:10.97.1.2]/",
    ],
)
def test_a_listed_host_may_be_private_and_plain_http(url: str) -> None:
    check_url(url, LISTED)


@pytest.mark.parametrize(
    "url",
    [
        "http://default.svc.cluster.local/",
        "http://xhooks.default.svc.cluster.local/",
        "https://corp.internal/",
        "https://xcorp.internal/",
        "https://a.corp.internal.localhost/",
        "https://10.112.0.1/",
        "https://192.168.1.6/",
        "https://127.0.0.1/",
        "http://hooks.example.com/",
    ],
)
def test_a_host_beside_the_listed_ones_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        check_url(url, LISTED)


EVERYTHING = Policy(
    allow_http=True, allow_private=True, allowed_hosts=("0.0.0.0/0", "::/0", "metadata.google.internal", "*.internal")
)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
        "http://168.63.129.16/",
        "http://metadata.google.internal/",
        "http://metadata/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
    ],
)
def test_no_policy_opens_the_metadata_of_a_cloud(url: str) -> None:
    with pytest.raises(Refused):
        check_url(url, EVERYTHING)


def test_allow_http_and_allow_private_open_what_they_say() -> None:
    check_url("http://hooks.example.com/", Policy(allow_http=True))
    check_url("https://localhost/", Policy(allow_private=True))
    check_url("https://10.0.0.1/", Policy(allow_private=True))
    with pytest.raises(Refused):
        check_url("http://10.0.0.1/", Policy(allow_private=True))
    with pytest.raises(Refused):
        check_url("http://10.0.0.1/", Policy(allow_http=True))
    with pytest.raises(Refused):
        check_url("https://203.0.113.1/", Policy(allow_private=True))


@pytest.mark.parametrize("entry", ["", "*", "*.", "https://a.example", "10.0.0.1/8", "a b", "0x7f.1", "127.1", "a.*.b"])
def test_an_entry_of_the_list_that_means_nothing_is_an_error(entry: str) -> None:
    with pytest.raises(ValueError, match="no host name"):
        Policy(allowed_hosts=(entry,))


def test_a_refusal_is_one_of_our_errors() -> None:
    assert issubclass(Refused, ArkBrokerError)


# --- At connect time -----------------------------------------------------------------------------------------------


class Server:
    """An HTTP server that answers every request with the same bytes, and remembers who came."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.connections = 0
        self.requests: list[bytes] = []
        self.server_names: list[str | None] = []
        self.port = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
            )
            self.requests.append(head + await reader.readexactly(length))
            writer.write(self.answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # a client that goes away is what some tests are about
        finally:
            writer.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@asynccontextmanager
async def serving(answer: bytes = OK, context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    found = Server(answer)
    if context is not None:
        context.sni_callback = lambda _socket, name, _context: found.server_names.append(name)
    server = await asyncio.start_server(found.handle, "127.0.0.1", 0, ssl=context)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        await server.wait_closed()


class Resolver:
    """Answers with the next of its lists; with the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Dialler(httpcore.AsyncNetworkBackend):
    """Connects within this machine only, and remembers where to."""

    def __init__(self) -> None:
        self.dialled: list[str] = []
        self._real = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.dialled.append(host)
        if not host.startswith("127."):
            raise httpcore.ConnectError("no route in this test")
        return await self._real.connect_tcp(host, port, timeout, local_address, socket_options)


def client_over(transport: GuardedTransport, **options: bool) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=transport, trust_env=False, timeout=60, **options)


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        [PUBLIC, "127.0.0.1"],
        ["127.0.0.1", PUBLIC],
        ["2606:4700::1111", "::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["fe80::1%eth0"],
        ["2606:4700::1111%eth0"],
        ["169.254.169.254"],
    ],
    ids=" ".join,
)
async def test_a_name_with_any_address_inside_is_refused_before_anything_is_dialled(answer: list[str]) -> None:
    dialler = Dialler()
    async with client_over(GuardedTransport(STRICT, resolve=Resolver(answer), backend=dialler)) as client:
        with pytest.raises(Refused, match=r"hooks\.example\.com"):
            await client.post("https://hooks.example.com/", content=b"x")
    assert dialler.dialled == []


async def test_the_refusal_does_not_tell_where_the_name_leads() -> None:
    async with client_over(GuardedTransport(STRICT, resolve=Resolver(["10.9.8.7"]), backend=Dialler())) as client:
        with pytest.raises(Refused) as refused:
            await client.get("https://hooks.example.com/")
    assert "10.9.8.7" not in str(refused.value)


async def test_a_name_that_is_rebound_after_the_check_reaches_no_server_here() -> None:
    policy = Policy(allow_http=True)
    async with serving() as server:
        url = f"http://hooks.example.com:{server.port}/"
        dialler, resolver = Dialler(), Resolver([PUBLIC], ["127.0.0.1"])
        async with client_over(GuardedTransport(policy, resolve=resolver, backend=dialler)) as client:
            with pytest.raises(httpx.ConnectError):
                await client.post(url, content=b"x")
            assert (dialler.dialled, len(resolver.asked)) == ([PUBLIC], 1)  # asked once: what was judged is dialled
            with pytest.raises(Refused):
                await client.post(url, content=b"x")
        assert server.connections == 0
        # The same server, had the policy been for it: it does listen.
        open_policy = Policy(allow_http=True, allow_private=True)
        async with client_over(GuardedTransport(open_policy, resolve=resolver, backend=dialler)) as client:
            assert (await client.post(url, content=b"x")).status_code == 200
        assert server.connections == 1


async def test_a_redirect_to_a_private_address_is_not_followed_by_default_and_refused_when_followed() -> None:
    async with serving() as inside:
        target = f"http://127.0.0.1:{inside.port}/"
        redirect = (
            f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        async with serving(redirect.encode()) as outside:
            policy = Policy(allowed_hosts=("hooks.test",))
            url, resolver = f"http://hooks.test:{outside.port}/", Resolver(["127.0.0.1"])
            async with make_client(policy, timeout=60, resolve=resolver) as client:
                assert (await client.post(url, content=b"x")).status_code == 307
                with pytest.raises(Refused, match="private"):
                    await client.post(url, content=b"x", follow_redirects=True)
            assert outside.connections == 2
        assert inside.connections == 0


@pytest.mark.parametrize(
    "location", ["http://metadata.google.internal/", "file:///etc/passwd", "https://[::1]/", "//localhost/"]
)
async def test_each_hop_of_a_redirect_is_judged(location: str) -> None:
    answer = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
    async with serving(answer) as server:
        policy = Policy(allowed_hosts=("hooks.test",))
        async with make_client(policy, timeout=60, resolve=Resolver(["127.0.0.1"])) as client:
            with pytest.raises((Refused, httpx.UnsupportedProtocol)):
                await client.get(f"http://hooks.test:{server.port}/", follow_redirects=True)
        assert server.connections == 1


async def test_a_redirect_to_a_public_host_over_plain_http_is_refused_before_it_is_resolved() -> None:
    answer = b"HTTP/1.1 307 x\r\nLocation: http://hooks.example.com/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with serving(answer) as server:
        dialler, resolver = Dialler(), Resolver(["127.0.0.1"], [PUBLIC])
        transport = GuardedTransport(Policy(allowed_hosts=("hooks.test",)), resolve=resolver, backend=dialler)
        async with client_over(transport, follow_redirects=True) as client:
            with pytest.raises(Refused, match="plain http"):
                await client.post(f"http://hooks.test:{server.port}/", content=b"x")
        assert (resolver.asked, dialler.dialled) == (["hooks.test"], ["127.0.0.1"])


async def test_a_post_reaches_a_listed_host_with_its_name_and_body_and_our_user_agent() -> None:
    async with serving() as server:
        policy = Policy(allowed_hosts=("hooks.default.svc",))
        async with make_client(policy, timeout=60, resolve=Resolver(["127.0.0.1"])) as client:
            response = await client.post(f"http://hooks.default.svc:{server.port}/a?b=c", content=b'{"x":1}')
        assert (response.status_code, response.content) == (200, b"ok")
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        assert lines[0] == b"post /a?b=c http/1.1"
        assert f"host: hooks.default.svc:{server.port}".encode() in lines
        assert f"user-agent: ark-broker/{__version__}".encode() in lines
        assert body == b'{"x":1}'


async def test_a_listed_network_opens_its_addresses_to_a_name() -> None:
    async with serving() as server:
        policy = Policy(allow_http=True, allowed_hosts=("127.0.0.0/30",))
        url = f"http://hooks.example.com:{server.port}/"
        async with make_client(policy, timeout=60, resolve=Resolver(["127.0.0.1"], ["127.0.0.9"])) as client:
            assert (await client.get(url)).status_code == 200
            with pytest.raises(Refused):
                await client.get(url)


async def test_a_listed_name_still_does_not_lead_to_metadata() -> None:
    policy, dialler = Policy(allowed_hosts=("hooks.default.svc",)), Dialler()
    transport = GuardedTransport(policy, resolve=Resolver(["169.254.169.254"]), backend=dialler)
    async with client_over(transport) as client:
        with pytest.raises(Refused):
            await client.get("http://hooks.default.svc/")
    assert dialler.dialled == []


async def test_a_literal_address_is_dialled_without_being_resolved() -> None:
    async with serving() as server:
        resolver = Resolver(["127.0.0.1"])
        async with make_client(Policy(allowed_hosts=("127.0.0.1",)), timeout=60, resolve=resolver) as client:
            assert (await client.get(f"http://127.0.0.1:{server.port}/")).status_code == 200
        assert resolver.asked == []


async def test_the_next_address_of_a_name_is_tried_when_one_does_not_answer() -> None:
    async with serving() as server:
        dialler = Dialler()
        policy = Policy(allow_http=True, allow_private=True)
        transport = GuardedTransport(policy, resolve=Resolver([PUBLIC, "127.0.0.1"]), backend=dialler)
        async with client_over(transport) as client:
            assert (await client.get(f"http://hooks.example.com:{server.port}/")).status_code == 200
        assert dialler.dialled == [PUBLIC, "127.0.0.1"]


async def test_the_system_s_resolver_is_what_is_asked_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "RESOLVE_TIMEOUT", 60)
    async with serving() as server:
        async with make_client(Policy(allowed_hosts=("localhost",)), timeout=60) as client:
            assert (await client.get(f"http://localhost:{server.port}/")).status_code == 200
        async with make_client(Policy(allow_http=True), timeout=60) as client:
            with pytest.raises(Refused):
                await client.get(f"http://localhost:{server.port}/")
        assert server.connections == 1


async def test_a_name_that_does_not_resolve_is_an_error_of_connecting() -> None:
    async def nowhere(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    async with make_client(STRICT, timeout=60, resolve=nowhere) as client:
        with pytest.raises(httpx.ConnectError, match="cannot be resolved"):
            await client.get("https://hooks.example.com/")
    async with make_client(STRICT, timeout=60, resolve=Resolver([])) as client:
        with pytest.raises(httpx.ConnectError, match="no address"):
            await client.get("https://hooks.example.com/")


async def test_a_name_that_takes_too_long_to_resolve_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(guard, "RESOLVE_TIMEOUT", 0.01)
    async with make_client(STRICT, timeout=60, resolve=never) as client:
        with pytest.raises(httpx.ConnectTimeout, match="resolving"):
            await client.get("https://hooks.example.com/")


async def test_nothing_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as proxy, serving() as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with make_client(Policy(allowed_hosts=("127.0.0.1",)), timeout=60) as client:
            assert (await client.get(f"http://127.0.0.1:{server.port}/")).status_code == 200
        assert (proxy.connections, server.connections) == (0, 1)


async def test_no_cookie_is_kept() -> None:
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with serving(answer) as server:
        async with make_client(Policy(allowed_hosts=("127.0.0.1",)), timeout=60) as client:
            for _ in range(2):
                await client.get(f"http://127.0.0.1:{server.port}/")
        assert not any(b"cookie" in request.lower() for request in server.requests)


# --- Bodies --------------------------------------------------------------------------------------------------------


async def test_a_capped_read_stops_at_its_limit_and_closes_the_response() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\nConnection: close\r\n\r\n" + b"a" * 300_000
    async with serving(answer) as server, make_client(Policy(allowed_hosts=("127.0.0.1",)), timeout=60) as client:
        async with client.stream("GET", f"http://127.0.0.1:{server.port}/") as response:
            assert await read_capped(response, 1_000) == b"a" * 1_000
            assert response.is_closed
        async with client.stream("GET", f"http://127.0.0.1:{server.port}/") as response:
            assert len(await read_capped(response, 1_000_000)) == 300_000


async def test_a_body_over_the_limit_of_the_transport_is_an_error_wherever_it_is_read() -> None:
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"a" * 300_000
    async with serving(answer) as server:
        policy = Policy(allowed_hosts=("127.0.0.1",))
        async with make_client(policy, timeout=60, max_response=100_000) as client:
            with pytest.raises(httpx.ReadError, match="longer than 100,000 bytes"):
                await client.get(f"http://127.0.0.1:{server.port}/")


async def test_a_compressed_body_is_not_inflated() -> None:
    import gzip

    bomb = gzip.compress(bytes(10_000_000))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\nConnection: close\r\n\r\n"
    async with serving(head.encode() + bomb) as server:
        async with make_client(Policy(allowed_hosts=("127.0.0.1",)), timeout=60) as client:
            response = await client.get(f"http://127.0.0.1:{server.port}/")
        assert response.content == bomb
        assert b"accept-encoding: identity" in server.requests[0].lower()


async def test_a_server_that_speaks_no_http_is_an_error_of_httpx() -> None:
    policy = Policy(allowed_hosts=("127.0.0.1",))
    async with serving(b"SSH-2.0-OpenSSH_9.6\r\n") as server, make_client(policy, timeout=60) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"http://127.0.0.1:{server.port}/")


# --- TLS -----------------------------------------------------------------------------------------------------------


def _contexts(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate of `name`, and a client's that trusts just that."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "server.pem").write_bytes(private + public)
    serve = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serve.load_cert_chain(folder / "server.pem")
    return serve, ssl.create_default_context(cadata=public.decode())


async def test_tls_asks_for_and_verifies_the_name_and_not_the_pinned_address(tmp_path: Path) -> None:
    serve, trust = _contexts(tmp_path, "hooks.example.test")
    policy = Policy(allow_private=True)
    async with serving(context=serve) as server:
        async with make_client(policy, timeout=60, ssl_context=trust, resolve=Resolver(["127.0.0.1"])) as client:
            for host in ("hooks.example.test", "hooks.example.test."):
                assert (await client.post(f"https://{host}:{server.port}/", content=b"x")).status_code == 200
            assert server.server_names == ["hooks.example.test"] * 2
            with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
                await client.post(f"https://other.example.test:{server.port}/", content=b"x")
            assert server.server_names[2:] == ["other.example.test"]
        assert len(server.requests) == 2
        assert b"host: hooks.example.test:" in server.requests[0].lower()


async def test_a_certificate_of_an_unknown_authority_is_not_accepted(tmp_path: Path) -> None:
    serve, _ = _contexts(tmp_path, "hooks.example.test")
    async with serving(context=serve) as server:
        async with make_client(Policy(allow_private=True), timeout=60, resolve=Resolver(["127.0.0.1"])) as client:
            with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
                await client.get(f"https://hooks.example.test:{server.port}/")
        assert server.requests == []
