"""Which variable a setting is taken from."""

from __future__ import annotations

import pytest

from ai_engine.domain.errors import InvalidInputError
from ai_engine.settings import Settings, from_environment, origins

DEFAULT = Settings()


@pytest.mark.parametrize(
    ("environment", "setting", "value"),
    [
        ({"MODEL_PATH": "/models"}, "model_dir", "/models"),
        ({"NOVACRON_DATA_DIR": "/data"}, "model_dir", "/data/models"),
        ({"NOVACRON_DATA_DIR": "/data", "MODEL_PATH": "/models"}, "model_dir", "/models"),
        ({"MODEL_PATH": "/models", "AI_ENGINE_MODEL_DIR": "/ours"}, "model_dir", "/ours"),
        ({"MODEL_PATH": ""}, "model_dir", DEFAULT.model_dir),
        ({"LOG_LEVEL": "INFO"}, "log_level", "info"),
        ({"PORT": "8095"}, "port", 8095),
        ({"PORT": "8095", "AI_ENGINE_PORT": "1"}, "port", 1),
        ({"HOST": "0.0.0.0"}, "host", "0.0.0.0"),
        ({"HOST": "::"}, "host", "::"),
        ({"HOST": "localhost"}, "host", "localhost"),
        ({"HOST": "somebodys-laptop"}, "host", DEFAULT.host),
        ({"HOST": "somebodys-laptop", "AI_ENGINE_HOST": "engine"}, "host", "engine"),
    ],
)
def test_the_originals_variables_count_where_ours_are_not_set(
    environment: dict[str, str], setting: str, value: object
) -> None:
    assert getattr(from_environment(environment), setting) == value
    assert origins(environment)[setting] == (
        "default" if value == getattr(DEFAULT, setting) else "environment"
    )


def test_within_another_program_they_are_that_programs_own() -> None:
    environment = {"MODEL_PATH": "/theirs", "PORT": "none", "AI_ENGINE_LOCK_TIMEOUT": "3"}
    assert from_environment(environment, serving=False) == Settings(lock_timeout=3.0)


@pytest.mark.parametrize(("name", "text"), [("PORT", "http"), ("LOG_LEVEL", "loud"), ("AI_ENGINE_PORT", "x")])
def test_what_is_wrong_is_told_under_its_own_name(name: str, text: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"^{name}: "):
        from_environment({name: text})
