"""One request to a stranger: where it goes, what is believed, and when it ends."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from app.adapters import webhook_client
from app.adapters.webhook_client import HttpWebhookClient, resolve_name, retry_after_s
from app.domain.webhooks import LENIENT, STRICT, Answer, UrlRules
from tests.fakes.receiver import CERTIFICATE, Receiver, Reply

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TLS_ANYWHERE = UrlRules(("https",), public_only=False)


class Names:
    """A resolver that remembers what it was asked, and answers each time with the next of `answers`."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.asked: list[tuple[str, int]] = []
        self._answers = list(answers)

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self._answers.pop(0)


def trusting() -> ssl.SSLContext:
    """A client's context that knows the test's certificate."""
    return ssl.create_default_context(cafile=str(CERTIFICATE))


@contextmanager
def listening(answer: bytes = b"", forever: bytes = b"") -> Iterator[int]:
    """A server that says `answer` and then, slowly, `forever`; its port."""
    stop = threading.Event()

    def serve() -> None:
        try:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(answer)
                while forever and not stop.wait(0.02):
                    connection.sendall(forever)
                stop.wait(60)
        except OSError:
            pass  # the client has gone

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stop.set()
            thread.join()


def test_request_arrives_as_it_was_given() -> None:
    """Path, query, headers, the host's own name and port, and the body to the byte."""
    with Receiver() as receiver:
        client = HttpWebhookClient(LENIENT, 5)
        answer = client.post(receiver.url, {"webhook-id": "msg_1"}, "{«»}".encode())
    [request] = receiver.received
    assert answer == Answer(200)
    assert (request.path, request.body) == ("/hook?tenant=1", "{«»}".encode())
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.message_id == "msg_1"


def test_name_is_resolved_once_and_its_address_is_connected_to() -> None:
    """A second resolution could say something else: the name's owner decides what it says."""
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    with Receiver(tls=True) as receiver:
        client = HttpWebhookClient(TLS_ANYWHERE, 5, resolve=names, tls=trusting())
        answer = client.post(f"https://hooks.example:{receiver.port}/x", {}, b"{}")
    assert answer == Answer(200)
    assert names.asked == [("hooks.example", receiver.port)]
    assert receiver.server_names == ["hooks.example"]
    assert receiver.received[0].headers["host"] == f"hooks.example:{receiver.port}"


def test_certificate_of_another_name_is_refused() -> None:
    """The name that was asked for counts, not the address that was connected to."""
    with Receiver(tls=True) as receiver:
        client = HttpWebhookClient(TLS_ANYWHERE, 5, resolve=Names(["127.0.0.1"]), tls=trusting())
        answer = client.post(f"https://other.example:{receiver.port}/", {}, b"{}")
    assert answer == Answer(None, "tls")
    assert receiver.received == []


def test_certificate_that_nobody_vouches_for_is_refused() -> None:
    """The system's authorities don't know the test's."""
    with Receiver(tls=True) as receiver:
        client = HttpWebhookClient(TLS_ANYWHERE, 5, resolve=Names(["127.0.0.1"]))
        answer = client.post(f"https://hooks.example:{receiver.port}/", {}, b"{}")
    assert answer == Answer(None, "tls")
    assert receiver.received == []


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["93.184.215.14", "127.0.0.1"],
        ["2606:4700:4700::1111", "fe80::1%eth0"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["169.254.169.254"],
        ["100.64.0.1"],
    ],
)
def test_name_with_any_private_address_is_refused(addresses: list[str]) -> None:
    """A public one beside it makes it no better: nobody knows which the next answer begins with."""
    with Receiver(tls=True) as receiver:
        client = HttpWebhookClient(STRICT, 5, resolve=Names(addresses), tls=trusting())
        answer = client.post(f"https://hooks.example:{receiver.port}/", {}, b"{}")
    assert answer == Answer(None, "private_address")
    assert receiver.server_names == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]", "[::ffff:7f00:1]"],
)
def test_every_way_to_write_this_machine_is_refused(host: str) -> None:
    """With the system's own resolver, which reads all of these."""
    answer = HttpWebhookClient(STRICT, 5, tls=trusting()).post(f"https://{host}:9/", {}, b"{}")
    assert answer.error in ("private_address", "dns")


@pytest.mark.parametrize(
    "url",
    ["http://hooks.example/", "ftp://hooks.example/", "https://", "https://u:p@hooks.example/", "https://[x/"],
)
def test_url_that_the_rules_forbid_is_not_even_resolved(url: str) -> None:
    """It may have been stored under other rules."""
    names = Names()
    assert HttpWebhookClient(STRICT, 5, resolve=names).post(url, {}, b"{}") == Answer(None, "bad_url")
    assert names.asked == []


def test_name_that_does_not_exist_is_a_word() -> None:
    """No exception, no text that could hold the name."""

    def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for resolve in (unknown, Names([])):
        client = HttpWebhookClient(STRICT, 5, resolve=resolve)
        assert client.post("https://hooks.example/", {}, b"{}") == Answer(None, "dns")


def test_next_address_is_tried_when_one_refuses() -> None:
    """Both were looked at before."""
    with Receiver() as receiver:
        client = HttpWebhookClient(LENIENT, 5, resolve=Names(["127.0.0.2", "127.0.0.1"]))
        assert client.post(f"http://hooks.example:{receiver.port}/", {}, b"{}") == Answer(200)


def test_nobody_listening_is_a_word() -> None:
    """Refused at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert HttpWebhookClient(LENIENT, 5).post(f"http://127.0.0.1:{port}/", {}, b"{}") == Answer(None, "connection")


def test_redirect_is_not_followed() -> None:
    """Its target would be a second URL, that nobody looked at."""
    with Receiver() as target, Receiver(Reply(302, {"location": target.url})) as receiver:
        answer = HttpWebhookClient(LENIENT, 5).post(receiver.url, {}, b"{}")
    assert answer.status == 302
    assert not answer.succeeded
    assert target.received == []


def test_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy resolves names by itself."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    with Receiver() as receiver:
        assert HttpWebhookClient(LENIENT, 5).post(receiver.url, {}, b"{}") == Answer(200)


@pytest.mark.parametrize(
    ("answer", "forever"),
    [(b"", b""), (b"HTTP/1.1 200 OK\r\nx: ", b"y"), (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 a\r\n\r\n")],
    ids=["silent", "endless header", "endless interim answers"],
)
def test_receiver_that_never_ends_its_answer_is_cut_off(answer: bytes, forever: bytes) -> None:
    """The deadline is for the whole exchange: each byte in time would not help it."""
    with listening(answer, forever) as port:
        result = HttpWebhookClient(LENIENT, 0.3).post(f"http://127.0.0.1:{port}/", {}, b"{}")
    assert result == Answer(None, "timeout")


def test_answer_may_take_longer_than_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting has a limit of its own, so that the next address gets its turn."""
    monkeypatch.setattr(webhook_client, "CONNECT_LIMIT_S", 0.1)
    gate = threading.Event()
    opener = threading.Timer(0.4, gate.set)
    opener.start()
    with Receiver(Reply(until=gate)) as receiver:
        assert HttpWebhookClient(LENIENT, 30).post(receiver.url, {}, b"{}") == Answer(200)
    opener.join()


def test_endless_body_does_not_matter() -> None:
    """The status has come: the rest is nobody's business."""
    head = b"HTTP/1.1 204 Fine\r\n\r\n"
    with listening(head, b"z" * 1000) as port:
        assert HttpWebhookClient(LENIENT, 5).post(f"http://127.0.0.1:{port}/", {}, b"{}") == Answer(204)


def test_handshake_that_never_ends_is_cut_off() -> None:
    """A server that takes the connection and says nothing of TLS."""
    with listening() as port:
        client = HttpWebhookClient(TLS_ANYWHERE, 0.3, resolve=Names(["127.0.0.1"]), tls=trusting())
        assert client.post(f"https://hooks.example:{port}/", {}, b"{}") == Answer(None, "timeout")


def test_what_is_not_http_is_a_word() -> None:
    """Some other service listens there."""
    with listening(b"220 mail.example ESMTP\r\n") as port:
        answer = HttpWebhookClient(LENIENT, 5).post(f"http://127.0.0.1:{port}/", {}, b"{}")
    assert answer == Answer(None, "protocol")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("120", 120),
        (" 7 ", 7),
        ("999999999", 86_400),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0),
        ("Sun, 22 Nov 2099 12:00:00 GMT", 86_400),
        ("soon", None),
        ("-5", None),
        ("١٢", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: int | None) -> None:
    """RFC 9110, 10.2.3; bounded by a day; nonsense is none."""
    assert retry_after_s(value, NOON) == seconds


def test_system_resolver_gives_addresses_once() -> None:
    """Without duplicates for each kind of socket."""
    assert resolve_name("127.0.0.1", 80) == ["127.0.0.1"]
