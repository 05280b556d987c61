"""`ai-engine keys …` and `audit …`, and a server that they are for."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ai_engine.domain import keys
from tests.cli.conftest import Command
from tests.cli.test_start import MAIN


def test_a_key_is_shown_once(command: Command, model_dir: Path) -> None:
    before = datetime.now(UTC)
    given = ("--scope", "read", "--scope", "predict", "--models", "team-a-*", "--expires", "30d")
    made = command("keys", "create", "ops", *given, "--json").json()
    assert set(made) == {"key_id", "key", "name", "scopes", "models", "expires_at"}
    assert keys.id_in(made["key"]) == made["key_id"]
    assert (made["name"], made["scopes"], made["models"]) == ("ops", ["predict", "read"], ["team-a-*"])
    lifetime = datetime.fromisoformat(made["expires_at"]) - before
    assert timedelta(days=30) <= lifetime < timedelta(days=30, minutes=5)
    listed = command("keys", "list", "--json")
    assert made["key"] not in listed.out
    (key,) = listed.json()["keys"]
    assert (key["key_id"], key["status"], key["last_used_at"]) == (made["key_id"], "valid", None)
    stored = (model_dir / "model_registry.db").read_bytes()
    assert made["key"].encode() not in stored


def test_a_person_is_told_how_to_use_it(command: Command) -> None:
    told = command("keys", "create", "ops", "--scope", "read+train")
    text = told.out.splitlines()[0]
    assert keys.id_in(text)
    assert "Authorization: Bearer" in told.out
    assert re.search(r"ops +valid +read train +\*", command("keys", "list").out)
    new = command("keys", "rotate", "ops", "--grace", "1h").out.splitlines()[0]
    assert keys.id_in(new) not in (None, keys.id_in(text))
    revoked = command("keys", "revoke", "ops").out
    assert str(keys.id_in(new)) in revoked
    assert "No valid key is left" in revoked
    assert "every request is refused" in revoked


@pytest.mark.parametrize(
    ("given", "code", "told"),
    [
        (("create", "ops", "--scope", "write"), 1, "none of read, predict, train, operate, admin"),
        (("create", "ops"), 2, "--scope"),
        (("create", "ops", "--scope", "read", "--expires", "tomorrow"), 1, "30d, 12h"),
        (("create", "ops", "--scope", "read", "--expires", "0d"), 1, "30d, 12h"),
        (("create", "ops", "--scope", "read", "--models", ""), 1, "no pattern of names"),
        (("create", "", "--scope", "read"), 1, "printable"),
        (("revoke", "nobody"), 3, "keys list"),
        (("rotate", "nobody"), 3, "keys list"),
    ],
)
def test_what_cannot_be_done_is_told(
    command: Command, saved: Path, given: tuple[str, ...], code: int, told: str
) -> None:
    ran = command("keys", *given)
    assert ran.code == code
    assert told in ran.err
    assert command("keys", "list").out.startswith("There is no key")


def test_a_name_that_has_a_key_is_told(command: Command) -> None:
    command("keys", "create", "ops", "--scope", "read")
    ran = command("keys", "create", "ops", "--scope", "read")
    assert ran.code == 4
    assert "keys rotate" in ran.err


@pytest.mark.parametrize(
    "given", [("keys", "list"), ("keys", "revoke", "x"), ("audit", "show"), ("audit", "verify")]
)
def test_who_only_looks_makes_nothing(command: Command, model_dir: Path, given: tuple[str, ...]) -> None:
    assert command(*given).code == 3
    assert not model_dir.exists()


def test_the_log_is_shown_and_checked(command: Command, saved: Path) -> None:
    command("keys", "create", "ops", "--scope", "admin")
    command("models", "activate", "cpu", "1.0.0")
    entries = command("audit", "show", "--json").json()["entries"]
    assert [one["action"] for one in entries[:2]] == ["activate", "create-key"]
    assert entries[1]["detail"]["scopes"] == ["admin"]
    assert [one["seq"] for one in entries] == list(range(len(entries), 0, -1))
    assert (
        command("audit", "show", "--action", "activate", "--limit", "1", "--json").json()["entries"]
        == entries[:1]
    )
    assert "1.0.0" in command("audit", "show", "--model", "cpu").out
    head = f"{entries[0]['seq']}:{entries[0]['digest']}"
    checked = command("audit", "verify", "--head", head, "--json")
    assert checked.code == 0
    assert checked.json() == {"entries": len(entries), "head": head, "sealed": None, "problems": []}
    database = sqlite3.connect(saved / "model_registry.db")
    database.execute("DELETE FROM engine_audit WHERE seq = ?", (len(entries),))
    database.commit()
    database.close()
    assert command("audit", "verify").code == 0
    cut = command("audit", "verify", "--head", head)
    assert cut.code == 1
    assert "cut off" in cut.out
    assert command("audit", "verify", "--head", "nonsense").code == 1


# -- a server ----------------------------------------------------------------------------------------------


def ended(server: subprocess.Popen[bytes]) -> str:
    """End a server, and return its log."""
    server.terminate()
    _, log = server.communicate(timeout=30)
    return log.decode()


def test_a_server_that_others_reach_wants_a_key(command: Command, model_dir: Path) -> None:
    refused = command("serve", "--host", "0.0.0.0", "--port", "0")
    assert refused.code == 1
    assert "ai-engine keys create" in refused.err
    assert not model_dir.exists()
    key = command("keys", "create", "ops", "--scope", "read", "--json").json()["key"]
    with subprocess.Popen(
        [*MAIN, "serve", "--host", "0.0.0.0", "--port", "0", "--json", "--model-dir", str(model_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as server:
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"].replace("0.0.0.0", "127.0.0.1")
            with httpx.Client(base_url=url, trust_env=False) as client:
                assert client.get("/models").status_code == 401
                assert client.get("/models", headers={"Authorization": f"Bearer {key}"}).status_code == 200
                assert client.get("/health").status_code == 200
        finally:
            log = ended(server)
    head = re.search(r"newest entry is (\d+:[0-9a-f]{64}); signature [0-9a-f]{128}", log)
    assert head is not None, log
    checked = command("audit", "verify", "--head", head[1], "--json").json()
    assert (checked["sealed"], checked["problems"]) == (head[1], [])


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1."""
    import ipaddress

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "engine")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return chain, key


def test_a_server_speaks_https(command: Command, saved: Path, certificate: tuple[Path, Path]) -> None:
    import ssl

    chain, private = certificate
    key = command("keys", "create", "ops", "--scope", "read", "--json").json()["key"]
    given = ("--tls-cert", str(chain), "--tls-key", str(private))
    with subprocess.Popen(
        [*MAIN, "serve", "--port", "0", "--json", "--model-dir", str(saved), *given],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as server:
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            assert url.startswith("https://127.0.0.1:")
            trusted = ssl.create_default_context(cafile=str(chain))
            with httpx.Client(base_url=url, verify=trusted, trust_env=False) as client:
                assert client.get("/models", headers={"Authorization": f"Bearer {key}"}).status_code == 200
                cookie = client.post("/sign-in", data={"key": key}).headers["Set-Cookie"]
                assert "Secure" in cookie
            with pytest.raises(httpx.TransportError):
                httpx.get(f"{url.replace('https', 'http')}/health", trust_env=False)
        finally:
            ended(server)


@pytest.mark.parametrize("given", [("--tls-cert", "{chain}"), ("--tls-key", "{key}")])
def test_one_file_of_a_certificate_is_not_enough(
    command: Command, certificate: tuple[Path, Path], given: tuple[str, str]
) -> None:
    ran = command("serve", given[0], given[1].format(chain=certificate[0], key=certificate[1]))
    assert ran.code == 1
    assert "belong together" in ran.err


def test_files_that_are_no_certificate_are_told(command: Command, certificate: tuple[Path, Path]) -> None:
    chain, private = certificate
    for one, other in ((private, chain), (chain, chain.parent / "none"), (chain.parent, private)):
        ran = command("serve", "--tls-cert", one, "--tls-key", other)
        assert ran.code == 1
        assert "cannot be used" in ran.err


@pytest.mark.parametrize("trusted", [True, False])
def test_a_proxy_that_is_trusted_says_who_asks(command: Command, saved: Path, trusted: bool) -> None:
    command("keys", "create", "ops", "--scope", "operate")
    more = ("--trusted-proxies", "127.0.0.1") if trusted else ()
    with subprocess.Popen(
        [
            *MAIN,
            "serve",
            "--port",
            "0",
            "--json",
            "--model-dir",
            str(saved),
            "--open-to",
            "10.0.0.0/8=read",
            *more,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as server:
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            answer = httpx.get(f"{url}/models", headers={"X-Forwarded-For": "10.1.2.3"}, trust_env=False)
            assert answer.status_code == (200 if trusted else 401)
        finally:
            ended(server)


def test_networks_that_are_none_are_told_before_anything_is_opened(command: Command, model_dir: Path) -> None:
    ran = command("serve", "--open-to", "10.0.0.0/8=everything")
    assert ran.code == 1
    assert "AI_ENGINE_OPEN_TO" in ran.err
    assert not model_dir.exists()


def test_a_command_needs_no_cryptography_to_start() -> None:
    program = "import sys, ai_engine.cli.main as m; m.commands(); print('cryptography' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
