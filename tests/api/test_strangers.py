"""Who is let in, and what is let in: everything else is a 4xx that says why, never a 500."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from ai_engine.api.request_body import read_object
from ai_engine.domain.errors import InvalidInputError
from ai_engine.settings import Settings
from tests.api.serving import Served, serving

JSON = {"Content-Type": "application/json"}


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Check that an answer is a problem of this status, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["status"] == status
    assert len(str(told["detail"])) > 20
    assert "Traceback" not in answer.text
    return told


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:9", "[::1]:8000", "[::1]"])
def test_our_names_are_let_in(server: Served, host: str) -> None:
    assert server.get("/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "localhost:x",
        "a@localhost",
        "10.0.0.1",
        "[::2]",
    ],
)
@pytest.mark.parametrize("path", ["/health", "/models/info", "/", "/docs", "/nothing"])
def test_other_names_are_refused(server: Served, host: str, path: str) -> None:
    problem(server.get(path, headers={"Host": host}), 403)


def test_a_request_without_a_name_for_us_is_refused(server: Served) -> None:
    assert server.raw(b"GET /health HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 403")


def test_a_server_for_everybody_takes_addresses_and_no_foreign_names(tmp_path: Path) -> None:
    with serving(tmp_path, host="0.0.0.0") as server:
        assert server.get("/health", headers={"Host": "192.168.7.8:8000"}).status_code == 200
        problem(server.get("/health", headers={"Host": "evil.example"}), 403)


def test_the_configured_host_is_ours(tmp_path: Path) -> None:
    with serving(tmp_path, host="engine.internal") as server:
        assert server.get("/health", headers={"Host": "engine.internal:80"}).status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["null", "http://evil.example", "http://localhost:1", "https://localhost", "file://", "x", "http://["],
)
def test_foreign_pages_change_nothing(server: Served, origin: str) -> None:
    server.registry.save("cpu", 1)
    server.registry.save("cpu", 2)
    headers = {"Origin": origin}
    problem(server.post("/models/cpu/rollback", headers=headers), 403)
    problem(server.client.delete("/models/cpu/versions/1.0.0", headers=headers), 403)
    problem(server.post("/models/cleanup?keep_versions=1", headers=headers), 403)
    problem(server.post("/train", {}, headers=headers), 403)
    assert server.registry.find("cpu", "1.0.0") is not None
    assert server.get("/health").json()["active_models"] == {"cpu": "1.0.1"}


def test_our_own_pages_may_change_something(server: Served) -> None:
    server.registry.save("cpu", 1)
    body = {"version": "1.0.0"}
    assert server.post("/models/cpu/activate", body, headers={"Origin": server.url}).status_code == 200


def test_no_answer_allows_foreign_pages_to_read_it(server: Served) -> None:
    answer = server.get("/models/info", headers={"Origin": "http://evil.example"})
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


MALFORMED = {
    "empty": b"",
    "blank": b"  \n",
    "no JSON": b"{",
    "a pickle": b"\x80\x04K\x01.",
    "a list": b"[]",
    "a string": b'"x"',
    "null": b"null",
    "NaN": b'{"version": NaN}',
    "infinity": b'{"version": -Infinity}',
    "too large": b'{"version": 1e400}',
    "many digits": b'{"version": ' + b"9" * 5000 + b"}",
    "some digits": b'{"version": ' + b"9" * 400 + b"}",
    "deep": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "deep and closed": b'{"version":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "twice": b'{"version": "1.0.0", "version": "1.0.1"}',
    "half a pair": b'{"version": "\\ud800"}',
    "half a pair in a key": b'{"\\uDc00": 1}',
    "latin-1": b'{"version": "\xe9"}',
    "utf-16": '{"version": "1.0.0"}'.encode("utf-16"),
    "a mark": b'\xef\xbb\xbf{"version": "1.0.0"}',
    "control": b'{"version": "\x00"}',
    "NUL": b'{"version": "1.0.0"}\x00',
    "two": b'{"version": "1.0.0"} {}',
    "unknown field": b'{"version": "1.0.0", "x": 1}',
    "no string": b'{"version": 1}',
    "missing": b"{}",
    "empty text": b'{"version": ""}',
    "a long one": b'{"version": "' + b"x" * 2000 + b'"}',
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("path", ["/models/cpu/activate", "/models/cpu/predict", "/train", "/train/model"])
def test_malformed_bodies_are_refused(server: Served, path: str, body: bytes) -> None:
    server.registry.save("cpu", 1)
    told = problem(server.client.post(path, content=body, headers=JSON), 422)
    assert told["errors"]
    assert len(json.dumps(told)) < 2000


def test_a_refusal_says_where_the_body_is_wrong(server: Served) -> None:
    told = problem(server.client.post("/train", content=b'{"a": 1,\n "b" 2}', headers=JSON), 422)
    assert "line 2, column 6" in str(told["detail"])


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "multipart/form-data",
        "application/json; charset=latin-1",
        "application/x-pickle",
        "jsonx",
    ],
)
def test_only_what_is_declared_as_json_is_read(server: Served, kind: str | None) -> None:
    server.registry.save("cpu", 1)
    request = server.client.build_request("POST", "/models/cpu/activate", content=b'{"version": "1.0.0"}')
    request.headers.pop("content-type", None)
    if kind is not None:
        request.headers["content-type"] = kind
    problem(server.client.send(request), 415)


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=UTF-8", "application/ld+json"]
)
def test_json_by_another_name_is_json(server: Served, kind: str) -> None:
    server.registry.save("cpu", 1)
    content = b'{"version": "1.0.0"}'
    answer = server.client.post("/models/cpu/activate", content=content, headers={"Content-Type": kind})
    assert answer.status_code == 200


def test_a_compressed_body_is_refused(server: Served) -> None:
    headers = JSON | {"Content-Encoding": "gzip"}
    problem(server.client.post("/models/a/predict", content=b"\x1f\x8b", headers=headers), 415)


def test_a_body_that_is_declared_too_large_is_not_read(tmp_path: Path) -> None:
    with serving(tmp_path, max_body_bytes=1000) as server:
        problem(server.client.post("/train", content=b"{" + b" " * 100_000, headers=JSON), 413)
        assert server.get("/health").status_code == 200
        head = b"POST /train HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1001\r\n\r\n"
        assert server.raw(head).startswith(b"HTTP/1.1 413")


def test_a_body_in_chunks_is_counted(tmp_path: Path) -> None:
    with serving(tmp_path, max_body_bytes=1000) as server:
        answer = server.client.post("/train", content=(b" " * 100 for _ in range(200)), headers=JSON)
        told = problem(answer, 413)
        assert "AI_ENGINE_MAX_BODY_BYTES" in str(told["detail"])
        small = server.client.post("/train", content=(b"{" for _ in range(2)), headers=JSON)
        problem(small, 422)


def test_the_default_limit_is_64_mebibytes(server: Served) -> None:
    assert Settings().max_body_bytes == 64 * 1024 * 1024
    problem(server.client.post("/train", content=bytes(64 * 1024 * 1024 + 1), headers=JSON), 413)


@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2fetc%2fpasswd",
        "%00",
        "%FF%FE",
        "x" * 5000,
        "%2e%2e",
        "a%0d%0aX-Evil:%201",
        "%F0%9F%98%80",
        "%25",
    ],
)
def test_hostile_names_are_not_found(server: Served, name: str) -> None:
    for answer in (
        server.get(f"/models/{name}/versions"),
        server.get(f"/models/performance/{name}"),
        server.get(f"/models/{name}/compare?versions=1,2"),
        server.post(f"/models/{name}/rollback"),
        server.post(f"/models/{name}/activate", {"version": name[:900]}),
        server.post(f"/models/{name}/predict", {"data": [{"cpu": 1}]}),
        server.client.delete(f"/models/{name}/versions/{name}"),
    ):
        assert answer.status_code in (404, 405, 422), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert "x-evil" not in answer.headers


def test_unknown_paths_and_methods_are_told_as_problems(server: Served) -> None:
    problem(server.get("/nothing"), 404)
    problem(server.get("/model"), 404)
    problem(server.get("/static/../pages.py"), 404)
    problem(server.get("/static/..%2fpages.py"), 404)
    told = problem(server.client.put("/train"), 405)
    assert "POST" in str(told["detail"])


def test_broken_http_hurts_nobody(server: Served) -> None:
    for request in (
        b"\x00\x01\x02",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /train HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    ):
        assert b" 500 " not in server.raw(request)
    assert server.get("/health").status_code == 200


def test_a_failure_that_nobody_foresaw_tells_nothing_of_the_inside(
    server: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*given: object) -> None:
        raise ZeroDivisionError("the secret")

    monkeypatch.setattr(server.registry, "describe", fail)
    answer = server.get("/models/info")
    problem(answer, 500)
    assert "secret" not in answer.text
    assert "ZeroDivision" not in answer.text
    assert "the secret" in caplog.text


def test_numbers_come_through_as_they_are() -> None:
    assert read_object(b'{"a": 1.5, "b": -0, "c": 1e-400, "d": [true, null]}') == {
        "a": 1.5,
        "b": 0,
        "c": 0.0,
        "d": [True, None],
    }
    with pytest.raises(InvalidInputError, match="key 'a' twice"):
        read_object(b'{"rows": [{"a": 1, "a": 2}]}')
