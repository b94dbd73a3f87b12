"""`bin/start` as an operator runs it: a real port, a real database, real signals."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from xml.etree import ElementTree

import psycopg2
import pytest
from sqlalchemy import Engine, text

from app import schema
from app.voice.phrases import PHRASES
from tests.factories import SomeBusiness, as_tenant
from tests.fakes.voice import FROM
from tests.integration.conftest import Server
from tests.integration.processes import (
    FORM_TYPE,
    PATIENCE_S,
    ROOT,
    WebProcess,
    environment,
    free_port,
    running_web,
    start,
    wait_until,
    web_environment,
)


@pytest.fixture(scope="module")
def web(database_url: str) -> Iterator[WebProcess]:
    """One process for the tests that only talk to it."""
    with running_web(database_url) as process:
        yield process


def call_form(business: SomeBusiness) -> dict[str, str]:
    """A new call to `business`."""
    return {"CallSid": f"CA{secrets.token_hex(16)}", "To": business.phone_number, "From": FROM}


def test_signed_webhook_gets_twiml_from_a_real_port(web: WebProcess, business: SomeBusiness) -> None:
    """HTTP in, a row in PostgreSQL, TwiML out."""
    response, body = web.post_signed("/voice/incoming", call_form(business))
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/xml; charset=utf-8"
    root = ElementTree.fromstring(body)  # noqa: S314 - our own answer
    assert [verb.tag for verb in root] == ["Connect"]


def test_health_and_readiness_are_public(web: WebProcess) -> None:
    """The process is alive, its database is migrated and its role is an ordinary one."""
    assert json.loads(web.request("GET", "/healthz")[1]) == {"status": "alive"}
    response, body = web.request("GET", "/readyz")
    assert (response.status, json.loads(body)) == (200, {"status": "ready", "problems": []})


def test_refusals_over_http(web: WebProcess) -> None:
    """405 with Allow, 403 without a signature, 413 for a chunked body without end, all as problems."""
    refused, _ = web.request("GET", "/voice/incoming")
    assert (refused.status, refused.headers["Allow"]) == (405, "POST")
    unsigned, body = web.request("POST", "/voice/incoming", "CallSid=CA1", FORM_TYPE)
    assert (unsigned.status, json.loads(body)["code"]) == (403, "forbidden")
    connection = HTTPConnection("127.0.0.1", web.port, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        chunks = iter([b"x=" + b"y" * 9000, b"y" * 9000])
        connection.request("POST", "/voice/incoming", chunks, FORM_TYPE, encode_chunked=True)
        assert connection.getresponse().status == 413


def test_slow_query_does_not_stop_the_other_requests(
    web: WebProcess, engine: Engine, business: SomeBusiness
) -> None:
    """A webhook that waits for a row lock: the process answers others meanwhile, then that one."""
    form = call_form(business)
    web.post_signed("/voice/incoming", form)
    statuses: list[int] = []
    repeated = threading.Thread(target=lambda: statuses.append(web.post_signed("/voice/incoming", form)[0].status))
    with as_tenant(engine, business.id) as connection:
        connection.execute(text("SELECT 1 FROM calls FOR UPDATE"))
        repeated.start()
        wait_until(lambda: somebody_waits(engine))
        assert web.request("GET", "/healthz")[0].status == 200
        assert somebody_waits(engine)
    repeated.join(PATIENCE_S)
    assert statuses == [200]


def somebody_waits(engine: Engine) -> bool:
    """Whether a session of this database waits for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with engine.connect() as connection:
        return bool(connection.execute(text(query)).scalar())


def test_terminated_process_answers_what_it_began_and_exits_0(
    database_url: str, engine: Engine, business: SomeBusiness
) -> None:
    """SIGTERM in the middle of a webhook: the answer still comes; every line it logged is JSON without numbers."""
    form = call_form(business)
    statuses: list[int] = []
    with running_web(database_url) as web:
        web.post_signed("/voice/incoming?caller=" + FROM[1:], form)
        web.post_signed("/voice/incoming", form)
        malformed(web.port)
        last = threading.Thread(target=lambda: statuses.append(web.post_signed("/voice/incoming", form)[0].status))
        with as_tenant(engine, business.id) as connection:
            connection.execute(text("SELECT 1 FROM calls FOR UPDATE"))
            last.start()
            wait_until(lambda: somebody_waits(engine))
            web.process.send_signal(signal.SIGTERM)
        last.join(PATIENCE_S)
        assert web.process.wait(PATIENCE_S) == 0
    assert statuses == [200]
    assert web.lines[0] == "database connections: web 1 x 4 + worker 1 x 4 + outbox 4 = 12, limit 20\n"
    events = [json.loads(line)["event"] for line in web.lines[1:]]
    assert {"call accepted", "request answered", "malformed HTTP request"} <= set(events)
    for number in (FROM[1:], business.phone_number[1:]):
        assert number not in "".join(web.lines)


def malformed(port: int) -> None:
    """A request with a broken header that holds a caller's number."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nFrom {FROM}\r\n\r\n".encode())
        assert b" 400 " in connection.recv(4096)


def test_database_that_says_nothing_is_an_apology(business: SomeBusiness) -> None:
    """It accepts connections and is mute: the carrier gets its sentence before it gives up (15 s)."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        host, port = mute.getsockname()[:2]
        with running_web(f"postgresql://moed@{host}:{port}/moed") as web:
            response, body = web.post_signed("/voice/incoming", call_form(business))
            assert response.status == 200
            assert ElementTree.fromstring(body)[0].text == PHRASES["en"].apology  # noqa: S314 - our own answer
            assert web.stop() == 0


@pytest.mark.parametrize("name", ["web", "worker", "release"])
def test_without_a_database_url_every_process_ends_with_one_line(name: str) -> None:
    """Exit code 2, nothing on stdout."""
    ended = start([name], environment())
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("missing setting: DATABASE_URL")


def test_port_in_use_is_one_line_and_exit_2(database_url: str) -> None:
    """Not gunicorn's five retries and tracebacks."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = start(["web"], web_environment(database_url, port))
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[1:] == [
        f"port {port} on 127.0.0.1 is in use: stop what listens there, or set another PORT"
    ]


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_host_that_is_not_ours_is_one_line_and_exit_2(database_url: str, host: str) -> None:
    """An address of another machine, or no address."""
    ended = start(["web"], web_environment(database_url, free_port()) | {"HOST": host})
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[1:] == [f"can't listen on {host}: HOST is not an address of this machine"]


def test_worker_without_its_settings_ends_with_exit_2(database_url: str) -> None:
    """The schema is there, the public URL of the stream is not."""
    ended = start(["worker"], environment(DATABASE_URL=database_url))
    assert ended.returncode == 2
    assert "MEDIA_PUBLIC_URL" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


@pytest.fixture
def empty_database(server: Server, new_database: Callable[[str | None], str]) -> str:
    """URL of a database without tables."""
    return server.url_of(new_database(None))


def libpq(url: str) -> str:
    """`url` as psycopg2 wants it."""
    return url.replace("postgresql+psycopg2://", "postgresql://", 1)


def test_release_migrates_and_a_second_one_changes_nothing(empty_database: str) -> None:
    """Also in the C locale, which a bare container has."""
    for _ in range(2):
        ended = start(["release"], environment(DATABASE_URL=libpq(empty_database)) | {"LC_ALL": "C"})
        assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
        assert ended.stderr.splitlines()[-1] == (
            f"release: the database is at migration {schema.newest_revision():04d}"
        )


def test_two_releases_at_once_both_succeed(empty_database: str) -> None:
    """The advisory lock: one migrates, the other finds it done."""
    env = environment(DATABASE_URL=libpq(empty_database))
    releases = [
        subprocess.Popen([ROOT / "bin" / "start", "release"], env=env, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ends = [(release.communicate(timeout=60)[1], release.returncode) for release in releases]
    assert [code for _, code in ends] == [0, 0], ends


def test_release_without_a_server_is_one_line_and_exit_1() -> None:
    """Nobody listens: not a traceback."""
    ended = start(["release"], environment(DATABASE_URL="postgresql://moed:s3cret@127.0.0.1:1/moed"))
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("the migrations did not run: ")
    assert "Traceback" not in ended.stderr
    assert "s3cret" not in ended.stderr


def test_worker_waits_for_the_schema(empty_database: str) -> None:
    """No schema, then an older one, then the right one: it says what it waits for, once each, and goes on."""
    said: list[str] = []
    stages = iter(["0001", f"{schema.newest_revision():04d}"])

    def next_stage(_: float) -> None:
        with (
            contextlib.closing(psycopg2.connect(libpq(empty_database))) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("CREATE TABLE IF NOT EXISTS alembic_version (version_num text)")
            cursor.execute("DELETE FROM alembic_version")
            cursor.execute("INSERT INTO alembic_version VALUES (%s)", (next(stages),))
            connection.commit()

    schema.wait_for_schema(empty_database, say=said.append, sleep=next_stage)
    newest = f"{schema.newest_revision():04d}"
    assert [line.partition(":")[0] for line in said] == [
        f"the database is at migration 0000, this release needs {newest}",
        f"the database is at migration 0001, this release needs {newest}",
    ]


def test_newer_schema_is_good_enough(database_url: str) -> None:
    """The release phase of the next version ran already: this one still starts."""
    said: list[str] = []
    schema.wait_for_schema(database_url, say=said.append, needed=1)
    assert said == []


def test_schema_that_never_comes_is_an_error(empty_database: str) -> None:
    """After the deadline the process ends with a line that says what to do."""
    with pytest.raises(schema.SchemaProblem, match=r"0000, .*: start the release phase"):
        schema.wait_for_schema(empty_database, say=lambda _: None, deadline_s=0)


def test_database_that_is_not_there_is_waited_for() -> None:
    """At a deployment the database may restart too."""
    with pytest.raises(schema.SchemaProblem, match="the database does not answer"):
        schema.wait_for_schema("postgresql+psycopg2://moed@127.0.0.1:1/moed", say=lambda _: None, deadline_s=0)


def test_web_never_imports_the_model_client(database_url: str) -> None:
    """`openai` takes a second to import and the web process has no use for it; nor for the worker."""
    program = "import sys, wsgi; print(sorted({'openai', 'websockets', 'worker'} & set(sys.modules)))"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=web_environment(database_url, 1),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout == "[]\n"
