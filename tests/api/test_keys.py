"""Who gets in, and to what: every endpoint in one table that a new one cannot escape."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter

from ai_engine.access.auditing import seal
from ai_engine.access.keyring import Keyring
from ai_engine.access.signing import SigningKey
from ai_engine.api.application import include
from ai_engine.control_plane.doors import DOORS, HEALTH, PAIRS, PROCESS
from ai_engine.control_plane.router import name_of
from ai_engine.domain.rights import Rights, Scope, checked_scopes
from ai_engine.jobs.schedules import new_schedule
from tests.api.serving import Served, serving, train_body

OPEN = "open"


@dataclass(frozen=True)
class Request:
    """A request that is answered well by who has the right."""

    method: str
    path: str
    body: Any = None
    # Any of these scopes is enough.
    scopes: tuple[str, ...] = ()
    # Whether a key for the models of one team, of which `team-a-cpu` is one, may.
    for_team: bool = True


# By the name of the endpoint; {model} is `team-a-cpu`, {job} a training of it.
TABLE = {
    "health": Request("GET", "/health"),
    "live": Request("GET", "/health/live"),
    "ready": Request("GET", "/health/ready"),
    "openapi": Request("GET", "/openapi.json"),
    "documentation": Request("GET", "/docs"),
    "static": Request("GET", "/static/style.css"),
    "favicon": Request("GET", "/favicon.ico"),
    "sign_in_page": Request("GET", "/sign-in"),
    "sign_in": Request("POST", "/sign-in"),
    "sign_out": Request("POST", "/sign-out"),
    "metrics": Request("GET", "/metrics", None, ("read",), for_team=False),
    "dashboard": Request("GET", "/", None, ("read",)),
    "models": Request("GET", "/models", None, ("read",)),
    "info": Request("GET", "/models/info", None, ("read",)),
    "versions": Request("GET", "/models/{model}/versions", None, ("read",)),
    "training_history": Request("GET", "/models/{model}/training_history", None, ("read",)),
    "performance": Request("GET", "/models/performance/{model}", None, ("read",)),
    "compare": Request("GET", "/models/{model}/compare?versions=1.0.0,1.0.1", None, ("read",)),
    "report": Request("GET", "/models/{model}/versions/1.0.0/report", None, ("read",)),
    "predict": Request("POST", "/models/{model}/predict", {"data": [{"x": 1}]}, ("predict",)),
    "train": Request("POST", "/train?wait=false", {"name": "{model}"}, ("train",)),
    "train_model": Request("POST", "/train/model?wait=false", {"name": "{model}"}, ("train",)),
    "list_jobs": Request("GET", "/train/jobs", None, ("read", "train")),
    "show_job": Request("GET", "/train/jobs/{job}", None, ("read", "train")),
    "follow_job": Request("GET", "/train/jobs/{job}/events", None, ("read", "train")),
    "cancel_job": Request("DELETE", "/train/jobs/{job}", None, ("train", "operate")),
    "activate": Request("POST", "/models/{model}/activate", {"version": "1.0.0"}, ("operate",)),
    "roll_back": Request("POST", "/models/{model}/rollback", None, ("operate",)),
    "delete": Request("DELETE", "/models/{model}/versions/1.0.9", None, ("operate",)),
    "clean_up": Request("POST", "/models/cleanup?dry_run=true", None, ("operate",), for_team=False),
    "list_schedules": Request("GET", "/schedules", None, ("read",)),
    "show_schedule": Request("GET", "/models/{model}/schedule", None, ("read",)),
    "set_schedule": Request(
        "PUT", "/models/{model}/schedule", {"source": "x.csv", "every": "30d"}, ("train",)
    ),
    "remove_schedule": Request("DELETE", "/models/{model}/schedule", None, ("train",)),
    "run_schedule": Request("POST", "/models/{model}/schedule/run", None, ("train",)),
    "audit_log": Request("GET", "/audit", None, ("admin",), for_team=False),
    **{
        name_of(door.path): Request(
            door.method, door.path, {} if door.method == "POST" else None, (door.scope,), for_team=False
        )
        for door in DOORS
        if door.path
    },
    name_of(PROCESS): Request(
        "POST",
        PROCESS,
        {"service": "model_management", "method": "get_info", "data": {}},
        ("read",),
        for_team=False,
    ),
}


@dataclass
class Guarded:
    """A server that wants keys."""

    server: Served
    keyring: Keyring
    job: str
    keys: dict[str, str]

    def send(
        self, request: Request, key: str | None, model: str = "team-a-cpu", **more: Any
    ) -> httpx.Response:
        body = request.body
        if body is not None and "name" in body:
            body = train_body(name=model)
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        path = request.path.format(model=model, job=self.job)
        given = {} if body is None else {"json": body}
        client = self.server.client
        sent = client.build_request(request.method, path, headers=headers, **given, **more)
        answer = client.send(sent, stream=True)
        try:
            if "text/event-stream" not in answer.headers.get("Content-Type", ""):  # which never ends
                answer.read()
        finally:
            answer.close()
        return answer

    def key(self, *scopes: str, models: tuple[str, ...] = ("*",), lifetime: timedelta | None = None) -> str:
        """Return a key with these scopes, the same one each time."""
        name = f"{'+'.join(scopes)} for {' '.join(models)} {lifetime}"
        if name not in self.keys:
            made = self.keyring.create(name, Rights(checked_scopes(scopes), models), lifetime)
            self.keys[name] = made.text
        return self.keys[name]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    sources = tmp_path_factory.mktemp("sources")
    with serving(tmp_path_factory.mktemp("guarded"), workers=0, sources=str(sources)) as server:
        for name in ("team-a-cpu", "team-b-cpu"):
            for number in range(2):
                server.registry.save(name, number)
        job = server.post("/train?wait=false", train_body(name="team-a-cpu")).json()["job_id"]
        found = Guarded(server, server.service.keyring, job, {})
        found.key("admin")
        yield found


def refused(answer: httpx.Response, status: int, code: str) -> str:
    """Return the sentence of a refusal."""
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert problem["type"] == f"urn:ai-engine:problem:{code}"
    assert (answer.headers.get("WWW-Authenticate") is not None) == (status == 401)
    return str(problem["detail"])


def test_the_table_has_every_endpoint(guarded: Guarded) -> None:
    assert set(TABLE) == set(guarded.server.app.state.rights)


def test_an_endpoint_without_a_right_keeps_the_server_from_starting(guarded: Guarded) -> None:
    router = APIRouter()

    @router.get("/backdoor")
    def backdoor() -> None: ...

    with pytest.raises(LookupError, match="who may use /backdoor"):
        include(guarded.server.app, router)


@pytest.mark.parametrize("name", TABLE)
def test_without_a_key_only_open_endpoints_answer(guarded: Guarded, name: str) -> None:
    answer = guarded.send(TABLE[name], None)
    if TABLE[name].scopes:
        assert "keys create" in refused(answer, 401, "no-key")
    else:
        assert answer.status_code in (200, 303, 401)
        assert "urn:ai-engine:problem" not in answer.text


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("wrong", ["revoked", "expired", "foreign", "cut"])
def test_with_a_key_that_ended_or_is_none(guarded: Guarded, name: str, wrong: str) -> None:
    if wrong not in guarded.keys:
        if wrong == "cut":
            text = guarded.key("admin")[:-1]
        elif wrong == "foreign":
            text = guarded.key("admin").replace("nae_", "nae_a")[:74]
        else:
            made = guarded.keyring.create(wrong, Rights(frozenset({Scope.ADMIN})))
            text = made.text
            guarded.keyring.revoke(wrong)
        guarded.keys[wrong] = text
    answer = guarded.send(TABLE[name], guarded.keys[wrong])
    if TABLE[name].scopes:
        assert "opens nothing" in refused(answer, 401, "wrong-key")
    else:
        assert answer.status_code in (200, 303, 401)
        assert "urn:ai-engine:problem" not in answer.text


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("name", TABLE)
def test_each_scope_opens_what_it_is_for(guarded: Guarded, name: str, scope: Scope) -> None:
    request = TABLE[name]
    answer = guarded.send(request, guarded.key(scope))
    if not request.scopes or scope in (*request.scopes, Scope.ADMIN):
        assert answer.status_code not in (403, 401) or name == "sign_in", answer.text
    else:
        told = refused(answer, 403, "not-allowed")
        assert all(needed in told for needed in request.scopes)


@pytest.mark.parametrize("name", [name for name, request in TABLE.items() if request.scopes])
def test_a_key_for_some_models_opens_no_others(guarded: Guarded, name: str) -> None:
    request = TABLE[name]
    ours = guarded.key(*request.scopes, models=("team-a-*",))
    theirs = guarded.key(*request.scopes, models=("team-b-*", "team-a-cp"))
    answer = guarded.send(request, ours)
    if not request.for_team:
        assert "is about all models" in refused(answer, 403, "not-allowed")
        return
    assert answer.status_code not in (401, 403), answer.text
    if "{" in request.path or request.body is not None:
        assert "team-b-*" in refused(guarded.send(request, theirs), 403, "not-allowed")


def test_lists_hold_what_a_key_is_for(guarded: Guarded) -> None:
    headers = {"Authorization": f"Bearer {guarded.key('read', models=('team-b-*',))}"}
    get = guarded.server.client.get
    assert [one["name"] for one in get("/models", headers=headers).json()["models"]] == ["team-b-cpu"]
    told = get("/models/info?limit=1", headers=headers).json()
    assert told["total_models"] == 2
    assert {one["name"] for one in told["models"]} == {"team-b-cpu"}
    assert get("/models/info?name=team-a-cpu", headers=headers).json()["models"] == []
    filtered = get("/models", params={"filter": "name ~ 'team-a*' or version = '1.0.1'"}, headers=headers)
    assert [one["name"] for one in filtered.json()["models"]] == ["team-b-cpu"]
    assert get("/train/jobs", headers=headers).json()["jobs"] == []
    for name in ("team-a-cpu", "team-b-cpu"):
        given = {"source": "/rows.csv", "every": "30d", "model_type": "resource_prediction"}
        new = new_schedule(guarded.server.registry, name, given)
        guarded.server.registry.schedules.put(new)
    planned = get("/schedules", headers=headers).json()
    assert [one["model_name"] for one in planned["schedules"]] == ["team-b-cpu"]
    assert planned["total_schedules"] == 1
    page = get("/", headers=headers).text
    assert "team-b-cpu" in page
    assert "team-a-cpu" not in page
    ours = {"Authorization": f"Bearer {guarded.key('read', models=('team-a-*',))}"}
    assert guarded.job in {job["job_id"] for job in get("/train/jobs", headers=ours).json()["jobs"]}
    assert len(get("/train/jobs?limit=1", headers=ours).json()["jobs"]) == 1


def test_what_is_refused_stays_as_it_was(guarded: Guarded) -> None:
    before = guarded.server.registry.actives()
    key = guarded.key("read")
    for name in ("activate", "roll_back", "delete", "train", "cancel_job"):
        guarded.send(TABLE[name], key)
    assert guarded.server.registry.actives() == before


def test_an_unknown_path_is_told_to_nobody(guarded: Guarded) -> None:
    refused(guarded.server.get("/no/such/path"), 401, "no-key")
    headers = {"Authorization": f"Bearer {guarded.key('read')}"}
    assert guarded.server.get("/no/such/path", headers=headers).status_code == 404


@pytest.mark.parametrize("header", ["Basic b3BzOm9wcw==", "Bearer", "nonsense", "Token x"])
def test_another_scheme_is_no_key(guarded: Guarded, header: str) -> None:
    answer = guarded.server.get("/models", headers={"Authorization": header})
    assert answer.status_code == 401
    assert "Bearer" in answer.headers["WWW-Authenticate"]


def test_two_keys_are_none(guarded: Guarded) -> None:
    key = guarded.key("read")
    text = f"GET /models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
    answer = guarded.server.raw(f"{text}Authorization: Bearer {key}\r\nConnection: close\r\n\r\n".encode())
    assert b" 401 " in answer.splitlines()[0]


def test_the_scheme_is_read_in_any_case(guarded: Guarded) -> None:
    answer = guarded.server.get("/models", headers={"Authorization": f"bearer  {guarded.key('read')}"})
    assert answer.status_code == 200


def test_a_key_that_is_revoked_ends_at_the_next_request(guarded: Guarded) -> None:
    made = guarded.keyring.create("short", Rights(frozenset({Scope.READ})))
    headers = {"Authorization": f"Bearer {made.text}"}
    assert guarded.server.get("/models", headers=headers).status_code == 200
    guarded.keyring.revoke("short")
    assert "revoked" in refused(guarded.server.get("/models", headers=headers), 401, "wrong-key")


def test_the_last_use_is_known(guarded: Guarded) -> None:
    made = guarded.keyring.create("used", Rights(frozenset({Scope.READ})))
    guarded.server.get("/models", headers={"Authorization": f"Bearer {made.text}"})
    # The connection is the same: its next answer comes after what followed the last one.
    guarded.server.get("/models", headers={"Authorization": f"Bearer {made.text}"})
    (found,) = [key for key in guarded.keyring.all() if key.name == "used"]
    assert found.last_used_at is not None


def test_a_change_is_written_down_with_the_key(guarded: Guarded) -> None:
    made = guarded.keyring.create("deployer", Rights(frozenset({Scope.OPERATE, Scope.ADMIN})))
    headers = {"Authorization": f"Bearer {made.text}"}
    guarded.server.post("/models/team-b-cpu/activate", {"version": "1.0.0"}, headers=headers)
    told = guarded.server.get("/audit?limit=1", headers=headers).json()
    (entry,) = told["entries"]
    assert entry["actor"] == f"deployer ({made.key.key_id}) from 127.0.0.1 over HTTP"
    assert (entry["action"], entry["model"], entry["version"]) == ("activate", "team-b-cpu", "1.0.0")
    assert told["head"] == {"seq": entry["seq"], "digest": entry["digest"]}
    assert told["next_page_token"] == str(entry["seq"])
    older = guarded.server.get(f"/audit?page_token={entry['seq']}&action=save", headers=headers).json()
    assert {one["action"] for one in older["entries"]} == {"save"}
    assert len(older["entries"]) == 4
    assert guarded.server.get("/audit?page_token=x", headers=headers).status_code == 422


def test_who_tries_without_the_right_is_written_down(guarded: Guarded) -> None:
    made = guarded.keyring.create("curious", Rights(frozenset({Scope.READ})))
    headers = {"Authorization": f"Bearer {made.text}"}
    for _ in range(3):
        guarded.server.post("/models/team-b-cpu/rollback", headers=headers)
        guarded.server.get("/audit", headers=headers)  # who only looks is not
    admin = {"Authorization": f"Bearer {guarded.key('admin')}"}
    entries = guarded.server.get("/audit?limit=5", headers=admin).json()["entries"]
    tried = [(one["action"], one["model"], one["outcome"]) for one in entries if "curious" in one["actor"]]
    assert tried == [("roll-back", "team-b-cpu", "not-allowed")]
    others = guarded.key("train", models=("team-z-*",))
    refused(guarded.send(TABLE["train"], others), 403, "not-allowed")  # found out once its body is read
    entry = guarded.server.get("/audit?action=train&limit=1", headers=admin).json()["entries"][0]
    assert (entry["model"], entry["outcome"]) == ("team-a-cpu", "not-allowed")
    assert "team-z-*" in entry["actor"]


def test_the_document_tells_the_scopes(guarded: Guarded) -> None:
    document = guarded.server.get("/openapi.json").json()
    train = document["paths"]["/train"]["post"]
    assert train["security"] == [{"key": []}]
    assert "`train`" in train["description"]
    assert {"401", "403", "429"} <= set(train["responses"])
    assert "security" not in document["paths"]["/health"]["get"]


def asked(guarded: Guarded, key: str, service: str, method: str, **data: Any) -> httpx.Response:
    """Ask as the integration layer does, always under the same id."""
    body = {"id": "the same", "service": service, "method": method, "data": data}
    headers = {"Authorization": f"Bearer {key}"}
    return guarded.server.post(PROCESS, body, headers=headers)


@pytest.mark.parametrize("pair", PAIRS, ids="/".join)
@pytest.mark.parametrize("scope", ["read", "predict", "train"])
def test_the_service_that_is_asked_for_says_what_is_needed(
    guarded: Guarded, pair: tuple[str, str], scope: str
) -> None:
    answer = asked(guarded, guarded.key(scope), *pair)
    if pair == HEALTH:
        assert answer.json()["success"] is True
    elif scope == PAIRS[pair].scope:
        assert answer.status_code == 200
    else:
        assert PAIRS[pair].scope in refused(answer, 403, "not-allowed")


def test_an_answer_that_is_kept_is_not_told_to_who_has_no_right(guarded: Guarded) -> None:
    points = [
        {"timestamp": f"2026-01-01T00:{minute:02}:00Z", "value": 40 + minute % 7} for minute in range(60)
    ]
    given: dict[str, Any] = {"node_id": "n", "resource_type": "cpu", "horizon_minutes": 5}
    given["historical_data"] = points
    pair = ("resource_prediction", "predict_demand")
    assert asked(guarded, guarded.key("predict"), *pair, **given).json()["success"] is True
    refused(asked(guarded, guarded.key("read"), *pair, **given), 403, "not-allowed")


# -- addresses, and no keys ---------------------------------------------------------------------------------


def a_server(tmp_path: Path, **settings: Any) -> Any:
    return serving(tmp_path / "models", workers=0, **settings)


def test_without_keys_this_machine_may_do_anything(tmp_path: Path) -> None:
    with a_server(tmp_path) as server:
        server.registry.save("cpu", 1)
        assert server.post("/models/cpu/activate", {"version": "1.0.0"}).status_code == 200
        assert server.get("/audit").json()["entries"][0]["actor"] == "127.0.0.1 over HTTP"
        assert server.get("/sign-in").headers["Location"] == "/"


def test_an_address_may_do_what_it_is_open_to(tmp_path: Path) -> None:
    with a_server(tmp_path, open_to="127.0.0.0/8=read+predict,10.0.0.0/8=admin") as server:
        server.registry.save("cpu", 1)
        server.service.keyring.create("ops", Rights(frozenset({Scope.OPERATE})))
        assert server.get("/models").status_code == 200
        assert server.post("/models/cpu/predict", {"data": [{"x": 1}]}).status_code == 422  # it is no model
        told = refused(server.post("/models/cpu/activate", {"version": "1.0.0"}), 403, "not-allowed")
        assert "127.0.0.1 over HTTP has predict, read" in told


def test_a_key_counts_before_the_address(tmp_path: Path) -> None:
    with a_server(tmp_path, open_to="127.0.0.0/8=read") as server:
        made = server.service.keyring.create("ops", Rights(frozenset({Scope.OPERATE})))
        answer = server.get("/models", headers={"Authorization": f"Bearer {made.text}"})
        assert "ops" in refused(answer, 403, "not-allowed")


def test_no_auth_is_what_it_says(tmp_path: Path) -> None:
    with a_server(tmp_path, no_auth=True) as server:
        server.service.keyring.create("ops", Rights(frozenset({Scope.OPERATE})))
        assert server.get("/audit").status_code == 200


def test_metrics_may_be_public(tmp_path: Path) -> None:
    with a_server(tmp_path, public_metrics=True) as server:
        server.service.keyring.create("ops", Rights(frozenset({Scope.OPERATE})))
        text = server.get("/metrics").text
        assert "\nai_engine_audit_entries 1.0\n" in text
        assert "ai_engine_audit_signed_entry{" not in text
        made = seal(server.registry.catalogue, SigningKey(bytes(32)))
        assert made is not None
        assert (
            f'ai_engine_audit_signed_entry{{digest="{made.head.digest}"}} 1.0' in server.get("/metrics").text
        )
        refused(server.get("/models"), 401, "no-key")


def test_a_training_is_theirs_who_asked_for_it(tmp_path: Path) -> None:
    with serving(tmp_path / "models", workers=1) as server:
        key = server.service.keyring.create("team", Rights(frozenset({Scope.TRAIN, Scope.ADMIN})))
        headers = {"Authorization": f"Bearer {key.text}"}
        server.post("/train", train_body(name="cpu"), headers=headers).raise_for_status()
        bad = train_body(name="cpu", training_data=[{"cpu": 1}] * 5)
        assert server.post("/train", bad, headers=headers).status_code == 422
        entries = server.get("/audit?model=cpu", headers=headers).json()["entries"]
        told = [(one["action"], one["outcome"], one["actor"].startswith("team (")) for one in entries[::-1]]
        assert told == [
            ("submit", "done", True),
            ("train", "done", True),
            ("submit", "done", True),
            ("train", "invalid-input", False),  # the worker tells; the job leads to who asked
        ]
        assert entries[0]["detail"] == entries[1]["detail"]
        saved = server.get("/models/info?name=cpu", headers=headers).json()["models"][0]["saved_by"]
        assert saved.startswith("team (")


# -- how much, and how often --------------------------------------------------------------------------------


def test_a_key_may_ask_so_often_in_a_minute(tmp_path: Path) -> None:
    with a_server(tmp_path, rate_limit=3) as server:
        made = [server.service.keyring.create(name, Rights(frozenset({Scope.READ}))) for name in "ab"]
        first, second = ({"Authorization": f"Bearer {one.text}"} for one in made)
        assert [server.get("/models", headers=first).status_code for _ in range(4)] == [200] * 3 + [429]
        answer = server.get("/models", headers=first)
        assert "3 requests" in refused(answer, 429, "too-many-requests")
        assert 1 <= int(answer.headers["Retry-After"]) <= 20
        assert server.get("/models", headers=second).status_code == 200


def test_who_has_no_key_counts_by_address(tmp_path: Path) -> None:
    with a_server(tmp_path, rate_limit=3) as server:  # one of which the fixture has spent on health
        answers = [server.get("/models").status_code for _ in range(4)]
        assert answers == [200, 200, 429, 429]
        assert server.get("/health/live").status_code == 429


def test_more_than_can_be_answered_is_refused(tmp_path: Path) -> None:
    with a_server(tmp_path, max_requests=0) as server:
        answer = server.get("/models")
        assert "AI_ENGINE_MAX_REQUESTS" in refused(answer, 503, "busy")
        assert answer.headers["Retry-After"] == "1"
        assert server.get("/health/ready").status_code == 200


def test_two_trainings_are_answered_at_once_where_two_may(tmp_path: Path) -> None:
    with serving(tmp_path / "models", max_requests=1, workers=1) as server:
        body = train_body(name="cpu")
        assert server.post("/train", body).status_code == 200
        assert server.post("/train", body).status_code == 200  # the first is over, and so counts no more


# -- sessions ----------------------------------------------------------------------------------------------

Browser = Callable[..., httpx.Response]


@pytest.fixture
def browser(guarded: Guarded) -> Iterator[httpx.Client]:
    headers = {"Accept": "text/html,application/xhtml+xml"}
    with httpx.Client(base_url=guarded.server.url, headers=headers, trust_env=False) as client:
        yield client


def signed_in(browser: httpx.Client, key: str, **more: str) -> httpx.Response:
    return browser.post("/sign-in", data={"key": key, **more})


def test_a_page_leads_to_the_sign_in_and_back(guarded: Guarded, browser: httpx.Client) -> None:
    away = browser.get("/?after=x%26y")
    assert away.status_code == 303
    assert away.headers["Location"] == "/sign-in?next=/%3Fafter%3Dx%2526y"
    form = browser.get(away.headers["Location"]).text
    wanted = re.search(r'name="next" type="hidden" value="([^"]*)"', form)
    assert wanted is not None
    answer = signed_in(browser, guarded.key("read", "operate"), next=wanted[1].replace("&amp;", "&"))
    assert answer.headers["Location"] == "/?after=x%26y"
    cookie = answer.headers["Set-Cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age=43200"))
    assert "Secure" not in cookie
    page = browser.get("/").text
    assert "read+operate" in page
    assert guarded.key("read", "operate") not in page


@pytest.mark.parametrize(
    "next_", ["//evil.example", "https://evil.example", "/\\evil.example", "x", "", "/a\nb"]
)
def test_the_sign_in_leads_nowhere_else(guarded: Guarded, browser: httpx.Client, next_: str) -> None:
    assert signed_in(browser, guarded.key("read"), next=next_).headers["Location"] == "/"


@pytest.mark.parametrize("key", ["", "x", "<script>", "nae_" + "a" * 70])
def test_a_wrong_key_is_told_on_the_page(browser: httpx.Client, key: str) -> None:
    answer = signed_in(browser, key)
    assert answer.status_code == 401
    assert "This key opens nothing" in answer.text
    assert "<script>" not in answer.text
    assert "Set-Cookie" not in answer.headers


def test_a_change_in_a_session_carries_its_token(guarded: Guarded, browser: httpx.Client) -> None:
    signed_in(browser, guarded.key("read", "operate"))
    token = re.search(r'name="csrf_token" type="hidden" value="([0-9a-f]{64})"', browser.get("/").text)
    assert token is not None

    def change(**headers: str) -> httpx.Response:
        return browser.post("/models/team-b-cpu/activate", json={"version": "1.0.0"}, headers=headers)

    refused(change(), 403, "foreign-form")
    refused(change(**{"X-CSRF-Token": "0" * 64}), 403, "foreign-form")
    assert change(**{"X-CSRF-Token": token[1]}).status_code == 200
    assert browser.post("/sign-out", data={"csrf_token": "0" * 64}).status_code == 403
    assert browser.get("/models").status_code == 200
    assert browser.post("/sign-out", data={"csrf_token": token[1]}).headers["Location"] == "/sign-in"
    assert browser.get("/").status_code == 303


def test_a_session_allows_what_its_key_does(guarded: Guarded, browser: httpx.Client) -> None:
    signed_in(browser, guarded.key("predict"))
    assert "needs the scope read" in refused(browser.get("/"), 403, "not-allowed")


def test_a_session_ends_with_its_key(guarded: Guarded, browser: httpx.Client) -> None:
    made = guarded.keyring.create("visitor", Rights(frozenset({Scope.READ})))
    signed_in(browser, made.text)
    assert browser.get("/").status_code == 200
    guarded.keyring.revoke("visitor")
    assert browser.get("/").status_code == 303


def test_an_altered_cookie_is_none(guarded: Guarded, browser: httpx.Client) -> None:
    signed_in(browser, guarded.key("read"))
    (cookie,) = browser.cookies.jar
    parts = str(cookie.value).split(".")
    other = next(key for key in guarded.keyring.all() if key.name.startswith("admin")).key_id
    for place, text in ((0, other), (2, "9999999999"), (3, "00"), (4, "00" * 32)):
        changed = [*parts]
        changed[place] = text
        answer = httpx.get(
            f"{guarded.server.url}/models",
            headers={"Cookie": f"ai_engine_session={'.'.join(changed)}"},
            trust_env=False,
        )
        refused(answer, 401, "no-key")


def test_a_form_of_another_site_signs_nobody_in(guarded: Guarded, browser: httpx.Client) -> None:
    answer = browser.post(
        "/sign-in", data={"key": guarded.key("read")}, headers={"Origin": "https://evil.example"}
    )
    assert "urn:ai-engine:problem:foreign-origin" in answer.text


def test_a_form_is_small(browser: httpx.Client) -> None:
    assert signed_in(browser, "x" * 11_000).status_code == 413
    assert browser.post("/sign-in", content=b"\xff", headers={"Content-Type": "x"}).status_code == 422
