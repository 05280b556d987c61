"""The seed's calls over HTTP, to a server that is started twice over one directory."""

from __future__ import annotations

from pathlib import Path

from tests.api.serving import serving, telemetry, train_body

from .examples import NAME, measured


def test_the_endpoints_answer_from_the_database(tmp_path: Path) -> None:
    for session in (1, 2):
        with serving(tmp_path) as server:
            before = server.get("/models/info").json()
            assert (before["source"], before["total_models"]) == ("database", session - 1)

            answer = server.post("/train", train_body())
            assert answer.status_code == 200, answer.text
            trained = answer.json()
            assert (trained["model_name"], trained["model_version"]) == (NAME, f"1.0.{session - 1}")
            assert (trained["persisted"], trained["active"]) == (True, True)

            info = server.get("/models/info").json()
            assert info["total_models"] == session
            assert info["system_info"]["persistence_enabled"] is True
            assert info["system_info"]["db_path"] == str(tmp_path / "model_registry.db")

            versions = server.get(f"/models/{NAME}/versions").json()
            assert versions["total_versions"] == session
            (run,) = versions["versions"][0]["training_history"]
            assert (run["dataset_size"], run["version"]) == (len(telemetry()), trained["model_version"])

            told = server.get(f"/models/performance/{NAME}?version=1.0.0").json()
            assert told["version"] == "1.0.0"
            assert told["performance"]["mae"] == told["history"][-1]["mae"] is not None
            server.registry.record(NAME, "1.0.0", measured(mae=0.15))
            told = server.get(f"/models/performance/{NAME}?version=1.0.0").json()
            assert (told["performance"]["mae"], len(told["history"])) == (0.15, 1 + session)

            cleaned = server.post("/models/cleanup").json()
            assert (cleaned["status"], cleaned["removed"]) == ("success", [])
    with serving(tmp_path) as server:
        cleaned = server.post("/models/cleanup?keep_versions=1").json()
        assert cleaned["removed"] == [{"name": NAME, "version": "1.0.0"}]
        assert server.get("/models/info").json()["total_models"] == 1
