"""What every Catalogue must do; see catalogue.protocol for the prose."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from ai_engine.catalogue.protocol import Catalogue
from ai_engine.domain.digests import digest_of
from ai_engine.domain.errors import ModelNotFoundError, NoPreviousVersionError, VersionExistsError
from ai_engine.domain.performance import ModelPerformance
from ai_engine.domain.records import (
    Artifact,
    Digest,
    Identity,
    ModelId,
    ModelVersion,
    NewVersion,
    Place,
    Run,
    Seal,
)
from ai_engine.domain.search import EVERYTHING

OpenCatalogue = Callable[[], Catalogue]
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


def new(
    name: str = "cpu", version: str | None = None, data: bytes = b"x", activate: bool = True
) -> NewVersion:
    """Return a version that can be added."""
    artifact = Artifact(Place.ROW, digest_of(data), "pickle", len(data), "3.11", {"numpy": "2"})
    return NewVersion(
        ModelId(uuid4().hex), name, version, "kind", ("ridge",), {"k": 1}, activate, artifact, MOMENT
    )


def add(catalogue: Catalogue, version: NewVersion) -> ModelVersion:
    """Add a version in a transaction of its own."""
    with catalogue.write() as work:
        return work.add(version, b"x", lambda number: f"/models/{version.name}@{number}.pkl", "tester")


def measured(mae: float | None) -> ModelPerformance:
    """Return a measurement of which one number is known."""
    return ModelPerformance(mae, None, None, None, None, None, None, MOMENT)


class CatalogueContract:
    """Give it a fixture `open_catalogue`: a callable that opens the same empty catalogue, each time anew."""

    def test_what_is_added_is_found_by_every_opening(self, open_catalogue: OpenCatalogue) -> None:
        """By name, by number, and as the active one."""
        added = add(open_catalogue(), new())
        with open_catalogue().read() as snapshot:
            assert snapshot.find("cpu") == snapshot.find("cpu", "1.0.0") == added
            assert snapshot.versions("cpu") == snapshot.everything() == [added]
            assert snapshot.names() == ["cpu"]
            assert snapshot.actives() == {"cpu": "1.0.0"}
            assert snapshot.count() == snapshot.count(EVERYTHING.of("cpu")) == 1
            assert snapshot.blob(Digest(str(added.artifact.digest))) == b"x"
            assert snapshot.find("cpu", "2") is None
            assert snapshot.find("memory") is None
            assert snapshot.count(EVERYTHING.of("memory")) == 0

    def test_the_id_is_the_same_for_every_opening(self, open_catalogue: OpenCatalogue) -> None:
        """For it is the catalogue's, not the connection's."""
        assert open_catalogue().catalogue_id == open_catalogue().catalogue_id

    def test_what_raises_leaves_nothing(self, open_catalogue: OpenCatalogue) -> None:
        """Whatever was done before it in the block."""
        catalogue = open_catalogue()
        with pytest.raises(ZeroDivisionError), catalogue.write() as work:
            work.add(new(), b"x", str, "tester")
            raise ZeroDivisionError
        with catalogue.read() as snapshot:
            assert snapshot.everything() == []
            assert snapshot.highest("cpu") is None

    def test_a_number_is_given_once(self, open_catalogue: OpenCatalogue) -> None:
        """Even when its version is gone."""
        catalogue = open_catalogue()
        add(catalogue, new(version="1.9.0"))
        add(catalogue, new(version="nightly"))
        last = add(catalogue, new(activate=False))
        assert last.version == "1.9.1"
        with pytest.raises(VersionExistsError):
            add(catalogue, new(version="1.9.1"))
        with catalogue.write() as work:
            work.drop(last, ["/models/file"])
        assert add(catalogue, new()).version == "1.9.2"

    def test_one_version_is_active_and_rolling_back_pops(self, open_catalogue: OpenCatalogue) -> None:
        """Without forgetting that it was."""
        catalogue = open_catalogue()
        first, second, third = (add(catalogue, new()) for _ in range(3))
        with catalogue.write() as work:
            assert work.roll_back("cpu", "tester", MOMENT) == ("1.0.1", "1.0.2")
            assert work.activate(first, "tester", "why not", MOMENT - timedelta(days=1)) == "1.0.1"
            assert work.activate(first, "tester", "again", MOMENT) == "1.0.0"
        with catalogue.read() as snapshot:
            moves = snapshot.activations("cpu")
            assert [move.version for move in moves] == ["1.0.0", "1.0.1", "1.0.2", "1.0.1", "1.0.0"]
            assert all(move.activated_at == MOMENT for move in moves)  # never before the one that it follows
            assert [v.is_active for v in snapshot.versions("cpu")] == [True, False, False]
        with catalogue.write() as work:
            work.drop(second, [])
            assert [v.model_id for v in work.versions("cpu")] == [first.model_id, third.model_id]
            with pytest.raises(NoPreviousVersionError):
                work.roll_back("cpu", "tester", MOMENT)

    def test_measurements_are_appended(self, open_catalogue: OpenCatalogue) -> None:
        """And an unknown number stays unknown."""
        catalogue = open_catalogue()
        added = add(catalogue, new())
        with catalogue.write() as work:
            work.record(added.model_id, [measured(0.5), measured(None)])
            work.record_run(added.model_id, Run(MOMENT, None, 7, {"k": [1]}, float("nan")))
        with catalogue.read() as snapshot:
            assert snapshot.performances(added.model_id) == [measured(0.5), measured(None)]
            assert snapshot.latest_performance(added.model_id) == measured(None)
            (run,) = snapshot.runs("cpu")
            assert (run["started"], run["dataset_size"], run["validation_score"]) == (MOMENT, 7, None)
            ((entry, *_),) = (snapshot.describe(EVERYTHING, None, None),)
            assert (entry["metric_count"], entry["avg_accuracy"]) == (2, None)
        with pytest.raises(ModelNotFoundError), catalogue.write() as work:
            work.record("nobody", [measured(1.0)])

    def test_pages_follow_one_another(self, open_catalogue: OpenCatalogue) -> None:
        """By name, newest first, each version once."""
        catalogue = open_catalogue()
        for name in ("b", "a", "b", "a", "b"):
            add(catalogue, new(name))
        seen: list[tuple[str, str]] = []
        after = None
        with catalogue.read() as snapshot:
            while page := snapshot.describe(EVERYTHING, 2, after):
                seen += [(entry["name"], entry["version"]) for entry in page]
                after = EVERYTHING.order.position(page[-1])
        assert seen == [("a", "1.0.1"), ("a", "1.0.0"), ("b", "1.0.2"), ("b", "1.0.1"), ("b", "1.0.0")]

    def test_equal_bytes_are_kept_until_their_last_user_goes(self, open_catalogue: OpenCatalogue) -> None:
        """And what is dropped becomes debris."""
        catalogue = open_catalogue()
        first, second = add(catalogue, new()), add(catalogue, new())
        digest = Digest(str(first.artifact.digest))
        with catalogue.write() as work:
            work.drop(first, ["/models/first"])
            assert work.blob(digest) == b"x"
            work.drop(second, [])
            assert work.blob(digest) is None
            assert work.is_debris("/models/first")
            work.forget_debris(item.path for item in work.debris(-1))
            assert work.debris(-1) == []
            assert work.inconsistencies() == []

    def test_a_stamp_changes_when_anybody_commits(self, open_catalogue: OpenCatalogue) -> None:
        """Where there is one; and it does not while nobody does."""
        watching, writing = open_catalogue(), open_catalogue()
        before = watching.stamp()
        assert watching.stamp() == before
        add(writing, new())
        assert before is None or watching.stamp() != before

    def test_a_seal_and_a_replay_are_remembered(self, open_catalogue: OpenCatalogue) -> None:
        """Across openings."""
        seal = Seal(Identity(1, 2**53, 3, 4, 5), digest_of(b"code"))
        with open_catalogue().write() as work:
            work.set_seal(digest_of(b"x"), seal, MOMENT)
            work.set_seal(digest_of(b"x"), seal, MOMENT)
            work.mark_replayed("operation", MOMENT)
        with open_catalogue().read() as snapshot:
            assert snapshot.seal(digest_of(b"x")) == seal
            assert snapshot.replayed("operation")
            assert not snapshot.replayed("another")

    def test_a_reader_sees_one_moment(self, open_catalogue: OpenCatalogue) -> None:
        """Whatever others commit meanwhile."""
        catalogue = open_catalogue()
        add(catalogue, new())
        with catalogue.read() as snapshot:
            assert snapshot.count() == 1
            add(open_catalogue(), new())
            assert snapshot.count() == len(snapshot.everything()) == 1

    def test_writers_queue(self, open_catalogue: OpenCatalogue) -> None:
        """And every number is given once."""
        catalogues = [open_catalogue() for _ in range(4)]
        threads = [
            threading.Thread(target=lambda c=catalogue: [add(c, new()) for _ in range(10)])
            for catalogue in catalogues
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with catalogues[0].read() as snapshot:
            assert [v.version for v in snapshot.versions("cpu")] == [f"1.0.{n}" for n in range(40)]

    def test_a_rehearsal_changes_nothing(self, open_catalogue: OpenCatalogue) -> None:
        """And a healthy catalogue has nothing to say."""
        catalogue = open_catalogue()
        added = add(catalogue, new())
        assert catalogue.rehearse(lambda work: work.drop(added, [])) >= 0
        assert catalogue.check() == []
        with catalogue.read() as snapshot:
            assert snapshot.everything() == [added]
            assert snapshot.inconsistencies() == []
