"""What every recipe must do; see training.recipes.protocol for the prose."""

from __future__ import annotations

import copy
import json
import math
import pickle
from typing import Any

import pytest

from ai_engine.domain.errors import InvalidInputError
from ai_engine.training.engine import Trained, fit
from ai_engine.training.prediction import predict
from ai_engine.training.request import TrainingRequest

Body = dict[str, Any]  # JSON values


def train(body: Body, told: list[float] | None = None) -> Trained:
    """Fit what the body of ``POST /train`` says, and note how far it was at each stage."""
    fractions = [] if told is None else told

    def tell(fraction: float, message: str) -> None:  # noqa: ARG001  # the shape of Progress
        fractions.append(fraction)

    request, rows = TrainingRequest.from_body(body)
    return fit(request, rows, tell)


class RecipeContract:
    """Give it a fixture `body`: the body of ``POST /train`` for a table that the recipe learns from.

    The kind has to be known: one of the engine's, or of an installed package. The table needs a hundred rows
    or so, and something in it to learn.
    """

    def test_it_tells_how_far_it_is(self, body: Body) -> None:
        """From 0 to 1, and never less than before."""
        told: list[float] = []
        train(body, told)
        assert told
        assert told == sorted(told)
        assert 0 <= told[0] <= told[-1] <= 1

    def test_what_it_measures_can_be_told_as_json(self, body: Body) -> None:
        """With what stands in the metadata: finite, or None."""
        trained = train(body)
        json.dumps(trained.metadata, allow_nan=False)
        told = json.loads(json.dumps(trained.performance_metrics.to_mapping(), allow_nan=False))
        assert told["by_target"]
        assert told["training_samples"] > 0
        assert told["validation_samples"] > 0
        assert trained.algorithms

    def test_what_is_stored_predicts_as_what_was_fitted(self, body: Body) -> None:
        """In another process, from rows as they are sent; what it answers is JSON."""
        rows = body["training_data"]
        estimator = train(body).estimator
        predicted = predict(estimator, rows)
        assert json.loads(json.dumps(predicted, allow_nan=False)) == predicted
        assert predict(pickle.loads(pickle.dumps(estimator)), rows) == predicted

    def test_the_same_request_gives_the_same_model(self, body: Body) -> None:
        """Whatever is drawn at random is drawn from the seed."""
        rows = body["training_data"]
        one, two = train(body), train(body)
        assert predict(one.estimator, rows) == predict(two.estimator, rows)
        assert one.performance_metrics.by_target == two.performance_metrics.by_target

    def test_the_rows_stay_as_they_were_given(self, body: Body) -> None:
        """The caller goes on with them."""
        given = copy.deepcopy(body)
        train(body)
        assert body == given

    def test_it_measures_other_models_on_the_same_rows(self, body: Body) -> None:
        """Its own with the error that it told, and what is no model of its kind not at all."""
        trained = train(body)
        own = trained.performance_metrics.overall.mae
        measured = trained.measure(trained.estimator)
        assert (measured is None) == (own is None)
        if own is not None:
            assert measured == pytest.approx(own)
            assert math.isfinite(own)
        assert trained.measure(object()) is None

    def test_rows_that_it_cannot_use_are_refused_by_field(self, body: Body) -> None:
        """Not by whatever its libraries raise: a caller wants to know what to send instead."""
        unusable: list[list[Any]] = [[{"nothing": "here"}] * 100, [{}] * 100, body["training_data"][:1], [7]]
        for rows in unusable:
            with pytest.raises(InvalidInputError):
                train(body | {"training_data": rows})
