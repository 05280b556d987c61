"""Tables that are sent to be trained on: streamed, bounded, and refused with a sentence."""

from __future__ import annotations

import csv
import gzip
import io
import json
import socket
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.api.serving import Served, serving, telemetry, train_body
from tests.api.test_strangers import problem

ROWS = telemetry()
CSV, LINES, PARQUET = "text/csv", "application/x-ndjson", "application/vnd.apache.parquet"


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]))
    table.writeheader()
    table.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue().to_pybytes())


BODIES = {
    CSV: as_csv(ROWS),
    LINES: "\n".join(map(json.dumps, ROWS)).encode(),
    PARQUET: as_parquet(ROWS),
}
ASKED = {
    "model_type": "resource_prediction",
    "target_columns": "cpu",
    "hyperparameters": '{"algorithm": "last_value", "horizon": 3}',
}


def send(
    server: Served,
    body: bytes,
    kind: str = CSV,
    query: dict[str, str] | None = None,
    encoding: str | None = None,
) -> Any:
    return server.client.post(
        "/train",
        params=ASKED | (query or {}),
        content=body,
        headers={"Content-Type": kind} | ({"Content-Encoding": encoding} if encoding else {}),
    )


def until(true: Callable[[], bool]) -> None:
    ticking = threading.Event()
    while not true():
        ticking.wait(0.01)


def left_behind(server: Served) -> list[str]:
    return server.service.uploads.names()


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_table_trains_what_its_rows_would(server: Served, kind: str, packed: bool) -> None:
    rows_of_json = train_body(
        target_columns=["cpu"], hyperparameters=json.loads(ASKED["hyperparameters"]), name="as_json"
    )
    expected = server.post("/train", rows_of_json).json()
    body = gzip.compress(BODIES[kind], mtime=0) if packed else BODIES[kind]
    answer = send(server, body, kind, encoding="gzip" if packed else None)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["reading"] == expected["reading"]
    assert found["performance_metrics"]["mae"] == expected["performance_metrics"]["mae"]
    assert left_behind(server) == []


def test_json_may_be_compressed_too(server: Served) -> None:
    text = gzip.compress(json.dumps(train_body()).encode(), mtime=0)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert server.client.post("/train", content=text, headers=headers).status_code == 200


def test_everything_that_json_says_can_stand_in_the_query(server: Served) -> None:
    query = {
        "name": "a b",
        "target_columns": "cpu, mem",
        "time_column": "timestamp",
        "validation_split": "0.3",
        "activate": "false",
    }
    answer = send(server, BODIES[CSV], query=query)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["model_name"], found["active"]) == ("a b", False)
    assert found["reading"]["targets"] == ["cpu", "mem"]
    assert found["performance_metrics"]["validation_samples"] == pytest.approx(0.3 * len(ROWS), abs=1)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"model_type": "magic"}, "model_type"),
        ({"rows": "1"}, "rows"),
        ({"training_data": "[]"}, "training_data"),
        ({"target_columns": ""}, "target_columns"),
        ({"target_columns": "cpu,cpu"}, "target_columns"),
        ({"validation_split": "half"}, "validation_split"),
        ({"validation_split": "nan"}, "validation_split"),
        ({"validation_split": "1"}, "validation_split"),
        ({"hyperparameters": "{"}, "hyperparameters"),
        ({"hyperparameters": "[1]"}, "hyperparameters"),
        ({"activate": "yes"}, "activate"),
        ({"activate": "True"}, "activate"),
        ({"name": "../x"}, "name"),
    ],
)
def test_what_is_wrong_in_the_query_is_named(server: Served, query: dict[str, str], field: str) -> None:
    told = problem(send(server, BODIES[CSV], query=query), 422)
    assert str(told["detail"]).startswith(field)
    assert left_behind(server) == []


def test_a_parameter_that_is_given_twice_is_refused(server: Served) -> None:
    answer = server.client.post(
        "/train?model_type=regression&name=a&name=b", content=b"a,b\n1,2\n", headers={"Content-Type": CSV}
    )
    assert problem(answer, 422)["detail"] == "name: is given twice; give it once"


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (b"", CSV, "the body is empty"),
        (b"t,cpu\n1,2,3\n", CSV, "line 2: has 3 cells, the header has 2"),
        (BODIES[PARQUET], CSV, None),  # it tells itself by its first bytes
        (BODIES[CSV], PARQUET, "the body is no Parquet file"),
        (BODIES[CSV], LINES, "the body, line 1: not JSON"),
        (BODIES[PARQUET][:-20], PARQUET, "the body is no Parquet file"),
        (gzip.compress(BODIES[CSV], mtime=0)[:-9], CSV, "the body is damaged"),
        ("t,cpu\n1,é\n".encode("latin-1"), CSV, "is not UTF-8"),
    ],
)
def test_a_body_that_is_not_what_it_says_is_refused(
    server: Served, body: bytes, kind: str, says: str | None
) -> None:
    answer = send(server, body, kind)
    if says is None:
        assert answer.status_code == 200, answer.text
    else:
        assert says in str(problem(answer, 422)["detail"])
    assert left_behind(server) == []


@pytest.mark.parametrize(
    ("encoding", "kind"),
    [
        (None, "text/plain"),
        (None, "text/csv; charset=latin-1"),
        (None, ""),
        ("br", CSV),
        ("gzip, gzip", CSV),
    ],
)
def test_other_types_and_encodings_are_refused(server: Served, encoding: str | None, kind: str) -> None:
    told = problem(send(server, BODIES[CSV], kind, encoding=encoding), 415)
    assert "send" in str(told["detail"])
    assert left_behind(server) == []


@pytest.mark.parametrize(("size", "status"), [(1000, 422), (1001, 413)])
def test_a_table_has_a_bound_of_its_own(tmp_path: Path, size: int, status: int) -> None:
    with serving(tmp_path, max_upload_bytes=1000, max_body_bytes=10) as server:
        body = (b"t,cpu\n" + b"1,2\n" * 300)[:size]
        told = problem(send(server, body), status)
        assert ("AI_ENGINE_MAX_UPLOAD_BYTES" in str(told["detail"])) == (status == 413)
        # Of a table that declares no length, as soon as there is too much of it.
        parts = (body[start : start + 100] for start in range(0, size, 100))
        chunked = server.client.post("/train", params=ASKED, content=parts, headers={"Content-Type": CSV})
        problem(chunked, status)
        assert left_behind(server) == []


@pytest.mark.parametrize(("most", "status"), [(40_000, 200), (4_000, 413)])
def test_compressed_json_is_bounded_by_what_it_unpacks_to(tmp_path: Path, most: int, status: int) -> None:
    text = json.dumps(train_body()).encode()
    packed = gzip.compress(text, mtime=0)
    assert len(packed) < 4_000 < len(text) < 40_000
    with serving(tmp_path, max_body_bytes=most) as server:
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        answer = server.client.post("/train", content=packed, headers=headers)
        assert answer.status_code == status, answer.text
        assert left_behind(server) == []


def test_a_table_that_ends_too_early_leaves_nothing(server: Served) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        head = f"POST /train?model_type=resource_prediction HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        raw.sendall(f"{head}Content-Type: {CSV}\r\nContent-Length: 100000\r\n\r\nt,cpu\n".encode())
        until(lambda: bool(left_behind(server)))
    until(lambda: not left_behind(server))
    assert server.get("/models/info").json()["total_models"] == 0


@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_a_table_passes_through_the_server_in_parts(server: Served, encoding: str | None) -> None:
    """Of 40 MB that are sent no more than a part is ever in the memory of the process that serves."""
    part = b"".join(
        b"%d,%d,padding that makes a row long\n" % (1_700_000_000 + i, i % 100) for i in range(5_000)
    )
    parts = [b"t,cpu,note\n", *[part] * 160]
    if encoding == "gzip":
        parts = [gzip.compress(one, compresslevel=0, mtime=0) for one in parts]
    size = sum(map(len, parts))
    assert size > 35_000_000
    tracemalloc.start()
    try:
        answer = server.client.post(
            "/train",
            params=ASKED | {"target_columns": "gpu"},
            content=iter(parts),
            headers={"Content-Type": CSV} | ({"Content-Encoding": encoding} if encoding else {}),
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "there is no column 'gpu'" in str(problem(answer, 422)["detail"])
    assert peak < size / 3
