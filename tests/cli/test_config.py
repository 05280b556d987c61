"""`ai-engine config show`: what a command would run with, and why."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from ai_engine.domain.errors import InvalidInputError
from ai_engine.settings import Settings, from_environment, origins, variable, without_secrets
from ai_engine.wiring import build_stores
from tests.cli.conftest import Command


def test_every_setting_is_told_with_where_it_comes_from(
    command: Command, model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AI_ENGINE_PORT", "8123")
    monkeypatch.setenv("AI_ENGINE_LOCK_TIMEOUT", "3")
    monkeypatch.setenv("AI_ENGINE_HOST", "")  # as good as none
    told = command("config", "show", "--json", "--lock-timeout", "4", "--no-auth").json()["settings"]
    assert list(told) == [setting.name for setting in fields(Settings)]
    assert all(one["variable"] == variable(name) for name, one in told.items())
    assert told["port"] == {"value": 8123, "source": "environment", "variable": "AI_ENGINE_PORT"}
    assert (told["lock_timeout"]["value"], told["lock_timeout"]["source"]) == (4, "flag")
    assert (told["no_auth"]["value"], told["no_auth"]["source"]) == (True, "flag")
    assert (told["host"]["value"], told["host"]["source"]) == ("127.0.0.1", "default")
    assert (told["model_dir"]["value"], told["model_dir"]["source"]) == (str(model_dir), "environment")
    assert told["database_url"] == {
        "value": None,
        "source": "default",
        "variable": "AI_ENGINE_DATABASE_URL",
    }
    assert not model_dir.exists()
    lines = command("config", "show", "--lock-timeout", "4").out.splitlines()
    assert [line.split()[:3] for line in lines if line.startswith("lock_timeout")] == [
        ["lock_timeout", "4", "flag"]
    ]
    assert [line.split()[1] for line in lines if line.startswith("verify_rate")] == ["8000000"]


def test_what_is_told_is_what_counts() -> None:
    environment = {"AI_ENGINE_PORT": "80", "AI_ENGINE_HOST": "::1"}
    used = from_environment(environment, host="127.0.0.1")
    found = origins(environment, host="127.0.0.1")
    assert found.keys() == {setting.name for setting in fields(Settings)}
    assert (used.host, found["host"]) == ("127.0.0.1", "flag")
    assert (used.port, found["port"]) == (80, "environment")
    assert (used.model_dir, found["model_dir"]) == (Settings().model_dir, "default")


LOGINS = (
    "postgresql://engine:{}@db/models",
    "postgresql://engine:{}@db:5432/models?sslmode=require",
    "postgresql://u:{}@a,u2:{}@b/models",
    "s3://key:{}@host/bucket",
)
QUERIES = (
    "postgresql://db/models?user=engine&password={}",
    "postgresql://db/models?sslpassword={}&user=engine",
    "s3://bucket/prefix?secret_access_key={}#x",
    "s3://bucket?X-Amz-Signature={}",
    "tls://scheduler?token={}",
)
WITH_SECRETS = [
    *((url, secret) for url in LOGINS for secret in ("hush", "hu@sh", "hu/sh", "hu:sh", "hu?sh@x", "%68ush")),
    *((url, secret) for url in QUERIES for secret in ("hush", "%68u%26sh")),  # encoded, or it ends there
]


@pytest.mark.parametrize(("url", "secret"), WITH_SECRETS)
@pytest.mark.parametrize("setting", ["database_url", "artifact_url"])
def test_no_password_is_shown(
    command: Command, monkeypatch: pytest.MonkeyPatch, url: str, secret: str, setting: str
) -> None:
    monkeypatch.setenv(variable(setting), url.format(*[secret] * 2))
    for ran in (command("config", "show"), command("config", "show", "--json"), command("models", "list")):
        assert secret not in ran.out + ran.err
    assert "***" in command("config", "show").out


@pytest.mark.parametrize("url", ["sqlite:////var/lib/models.db", "/var/lib/a@b:c", "s3://bucket/prefix", "x"])
def test_what_holds_no_secret_is_shown_as_it_is(url: str) -> None:
    assert without_secrets(url) == url


@pytest.mark.parametrize(
    ("setting", "url", "why"),
    [
        ("database_url", "postgresql://db/models", "is not of the form sqlite:///path"),
        ("artifact_url", "s3://bucket/prefix", "is not the path of a directory"),
    ],
)
@pytest.mark.parametrize("must_exist", [True, False])
def test_a_store_of_another_kind_is_refused_before_anything_is_made(
    tmp_path: Path, setting: str, url: str, why: str, must_exist: bool
) -> None:
    directory = tmp_path / "models"
    with pytest.raises(InvalidInputError) as told:
        build_stores(from_environment({variable(setting): url}, model_dir=str(directory)), must_exist)
    assert str(told.value) == f"{variable(setting)}: {url!r} {why}"
    assert not directory.exists()


def test_a_bad_setting_is_told(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_ENGINE_PORT", "eighty")
    ran = command("config", "show")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "error: AI_ENGINE_PORT: 'eighty' is not a number\n"
