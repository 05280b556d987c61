"""What is in deploy/, as far as it can be tried without a container engine, a cluster or an init system."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from ai_engine.access.networks import parse_networks
from ai_engine.models import ModelManager
from ai_engine.settings import ABOUT, variable
from tests.cli.test_keys import certificate
from tests.cli.test_start import MAIN
from tests.faults.test_limits import mounted_read_only, needs_root

__all__ = ["certificate"]

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
VARIABLES = {variable(name) for name in ABOUT} | {"MODEL_PATH"}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    with ModelManager(tmp_path / "models") as manager:
        manager.save_model("cpu", {"slope": 2.0})
    return tmp_path / "models"


@contextmanager
def running(arguments: list[str], environment: Mapping[str, str], models: Path) -> Iterator[str]:
    """Start the engine as a file says, on a free port and over this directory; yield its address."""
    cleared = {name: value for name, value in os.environ.items() if not name.startswith("AI_ENGINE_")}
    given = {
        name: value
        for name, value in environment.items()
        if name not in ("MODEL_PATH", "AI_ENGINE_MODEL_DIR")
    }
    named = {name: str(models) for name in environment if name not in given}
    keys = {}
    if "AI_ENGINE_SIGNING_KEY" in environment:
        keys = {"AI_ENGINE_SIGNING_KEY": str(models.parent / "signing.key")}
        sign = [*MAIN, "doctor", "--sign", "--model-dir", str(models)]
        subprocess.run(sign, env=cleared | keys, check=True, capture_output=True)
    with subprocess.Popen(
        [*MAIN, *arguments, "--json"],
        env=cleared | given | named | keys | {"AI_ENGINE_PORT": "0", "PYTHONPATH": str(ROOT)},
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert line, server.communicate()[1].decode()
            yield str(json.loads(line)["url"]).replace("0.0.0.0", "127.0.0.1")
        finally:
            server.terminate()
            server.communicate(timeout=30)
    assert server.returncode == 0


def ours(environment: Mapping[str, str]) -> None:
    """Check that every variable is one that the engine knows."""
    assert {name for name in environment if name != "PATH"} <= VARIABLES


# -- the image ---------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", (DEPLOY / "Containerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def one(word: str) -> str:
    (found,) = [rest for name, rest in instructions() if name == word]
    return found


def test_the_image_copies_what_is_there_and_installs_what_is_locked() -> None:
    copied = [rest.split() for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    assert all((ROOT / source).exists() for *sources, _ in copied for source in sources)
    locked = {
        line.split("==")[0]
        for line in (ROOT / "requirements/train.txt").read_text().splitlines()
        if "==" in line
    }
    assert {"fastapi", "scikit-learn", "pyarrow", "cryptography"} <= locked
    assert not {"pytest", "ruff", "playwright"} & locked
    for word, rest in instructions():
        if word == "RUN" and "pip" in rest and "train.txt" in rest:
            assert "--require-hashes" in rest


def test_the_image_starts_and_its_health_check_succeeds(models: Path) -> None:
    environment = dict(pair.split("=", 1) for pair in one("ENV").split())
    ours(environment)
    assert one("EXPOSE") == environment["AI_ENGINE_PORT"]
    assert one("VOLUME") == environment.pop("AI_ENGINE_MODEL_DIR")
    assert json.loads(one("ENTRYPOINT")) == ["ai-engine"]
    environment.pop("PATH")
    arguments = json.loads(one("CMD"))
    _, check = one("HEALTHCHECK").split("CMD ", 1)
    program = json.loads(check)
    with running(
        arguments, environment | {"AI_ENGINE_OPEN_TO": "10.0.0.0/8=read", "MODEL_PATH": ""}, models
    ) as url:
        program = [sys.executable, *(part.replace("http://127.0.0.1:8000", url) for part in program[1:])]
        assert url in program[-1]
        assert subprocess.run(program, capture_output=True).returncode == 0
    assert subprocess.run(program, capture_output=True).returncode != 0


# -- compose -----------------------------------------------------------------------------------------------


def test_compose_lets_in_whom_it_says(models: Path) -> None:
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["ai-engine"]
    environment = service["environment"]
    ours(environment)
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).exists()
    mounted = {volume.split(":")[1] for volume in service["volumes"]}
    assert {"/models", str(Path(environment["AI_ENGINE_SIGNING_KEY"]).parent)} == mounted
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    host = {"AI_ENGINE_HOST": "0.0.0.0", "AI_ENGINE_MODEL_DIR": ""}
    with running(["serve"], environment | host, models) as url:
        by_name = {"Host": "ai-engine:8000"}
        assert httpx.get(f"{url}/health", headers=by_name, trust_env=False).status_code == 200
        assert httpx.get(f"{url}/health", headers={"Host": "other"}, trust_env=False).status_code == 403
        address = outward()
        if address is None:
            return
        reached = url.replace("127.0.0.1", address)
        inside = parse_networks("open_to", environment["AI_ENGINE_OPEN_TO"]).rights(address) is not None
        assert httpx.get(f"{reached}/metrics", headers=by_name, trust_env=False).status_code == 200
        asked = httpx.get(f"{reached}/models", headers=by_name, trust_env=False)
        assert asked.status_code == (200 if inside else 401)
        assert httpx.post(f"{reached}/models/cpu/rollback", headers=by_name, trust_env=False).status_code in (
            401,
            403,
        )


def outward() -> str | None:
    """Return an address of this machine that others would reach; None where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        try:
            connection.connect(("192.0.2.1", 9))  # no packet is sent
        except OSError:
            return None
        return str(connection.getsockname()[0])


# -- kubernetes --------------------------------------------------------------------------------------------


@needs_root
def test_kubernetes_serves_what_it_cannot_write(models: Path) -> None:
    service, deployment = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    assert service["metadata"]["name"] == "ai-engine"
    pod = deployment["spec"]["template"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    (container,) = pod["spec"]["containers"]
    (port,) = container["ports"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    environment = {pair["name"]: pair["value"] for pair in container["env"]}
    ours(environment)
    assert environment["AI_ENGINE_PORT"] == str(port["containerPort"])
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in pod["spec"]["volumes"]}
    assert mounts["models"] == {"name": "models", "mountPath": environment["MODEL_PATH"], "readOnly": True}
    before = sorted(models.rglob("*"))
    with mounted_read_only(models) as mount, running(container["args"], environment, mount) as url:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            wanted = container[probe]["httpGet"]
            assert wanted["port"] == port["name"]
            answer = httpx.get(f"{url}{wanted['path']}", headers={"Host": "10.1.2.3:8000"}, trust_env=False)
            assert answer.status_code == 200, answer.text
        health = httpx.get(f"{url}/health", headers={"Host": "10.1.2.3:8000"}, trust_env=False)
        assert health.json()["active_models"] == {"cpu": "1.0.0"}
        metrics = pod["metadata"]["annotations"]["prometheus.io/path"]
        assert (
            httpx.get(f"{url}{metrics}", headers={"Host": "ai-engine:8000"}, trust_env=False).status_code
            == 200
        )
    assert sorted(models.rglob("*")) == before


# -- systemd -----------------------------------------------------------------------------------------------


def test_the_unit_is_one_and_its_command_starts(models: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze; apt-get install systemd")
    text = (DEPLOY / "ai-engine.service").read_text()
    (command,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    program, *arguments = command.split()
    installed = shutil.which("ai-engine", path=str(Path(sys.executable).parent))
    assert installed is not None
    unit = tmp_path / "ai-engine.service"
    unit.write_text(text.replace(program, installed))
    checked = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    environment = dict(pair.split("=", 1) for pair in re.findall(r"^Environment=(.*)$", text, re.MULTILINE))
    ours(environment)
    states = re.findall(r"^StateDirectory=(.*)$", text, re.MULTILINE)[0].split()
    for name in environment.values():
        assert Path(name).relative_to("/var/lib").parts[0] in states
    with running(arguments, environment, models) as url:
        assert httpx.get(f"{url}/models", trust_env=False).json()["total_models"] == 1


# -- nginx -------------------------------------------------------------------------------------------------


def test_nginx_stands_in_front(models: Path, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        pytest.skip("there is no nginx; apt-get install nginx-light")
    text = (DEPLOY / "nginx.conf").read_text()
    settings = dict(re.findall(r"(AI_ENGINE_[A-Z_]+)=(\S+)", text))
    ours(settings)
    settings |= {"AI_ENGINE_MODEL_DIR": "", "AI_ENGINE_OPEN_TO": "127.0.0.0/8=read"}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with running(["serve"], settings, models) as url:
        for old, new in (
            ("127.0.0.1:8000;", f"{url.removeprefix('http://')};"),
            ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
            ("/etc/ssl/engine/chain.pem", str(certificate[0])),
            ("/etc/ssl/engine/key.pem", str(certificate[1])),
        ):
            assert old in text
            text = text.replace(old, new)
        whole = tmp_path / "nginx.conf"
        paths = "".join(
            f"{name}_temp_path {tmp_path}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        whole.write_text(
            f"daemon off; pid {tmp_path}/pid; error_log stderr notice; events {{}}\n"
            f"http {{ access_log off; {paths}\n{text}\n}}\n"
        )
        (tmp_path / "client_body").mkdir(mode=0o777)
        with subprocess.Popen(
            [nginx, "-c", str(whole), "-p", str(tmp_path)], stderr=subprocess.PIPE
        ) as proxy:
            try:
                assert proxy.stderr is not None
                for line in proxy.stderr:
                    if b"start worker processes" in line:
                        break
                else:
                    pytest.fail("nginx did not start")
                front = f"https://127.0.0.1:{port}"
                headers = {"Host": "engine.example.org"}
                with httpx.Client(base_url=front, headers=headers, verify=False, trust_env=False) as client:
                    assert client.get("/models").json()["total_models"] == 1
                    large = {"data": [{"x": "y" * 100}] * 30_000}
                    origin = {"Origin": "https://engine.example.org"}
                    assert client.post("/models/cpu/predict", json=large, headers=origin).status_code == 422
            finally:
                proxy.terminate()
                proxy.communicate(timeout=30)
