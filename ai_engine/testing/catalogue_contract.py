"""What every Catalogue must do; see catalogue.protocol for the prose."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from ai_engine.catalogue.protocol import Catalogue, Debris, Transaction
from ai_engine.domain.answers import ModelInfo, VersionInfo
from ai_engine.domain.digests import digest_of
from ai_engine.domain.entities import (
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
from ai_engine.domain.errors import (
    CatalogueUnavailableError,
    ClosedError,
    ModelNotFoundError,
    NoPreviousVersionError,
    VersionExistsError,
)
from ai_engine.domain.filters import parse_field, parse_search
from ai_engine.domain.history import RunRecord
from ai_engine.domain.performance import ModelPerformance
from ai_engine.domain.retention import Policy
from ai_engine.domain.search import EVERYTHING, FIELDS, Compare, Field, Kind, Order, Search, value_of

AnyInfo = TypeVar("AnyInfo", bound=VersionInfo)
OpenCatalogue = Callable[[], Catalogue]
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
SEAL = Seal(Identity("1:2:3"), digest_of(b"code"))
# One of every kind of condition, on values of every kind, known and unknown.
FILTERS = (
    "name = 'cpu'",
    "name != 'cpu' and version = '1.0.0'",
    "name ~ 'b[1]' or name ~ 'mem*'",
    "name ~ 'c?u'",
    "mae < 0.5",
    "mae <= 0.5 or mae is null",
    "not (mae > 0.5)",
    "mae >= 0.75 and metric_count = 1",
    "is_active",
    "not is_active and not pinned",
    "pinned = true or is_active = false",
    "metadata.k = 0",
    "metadata.k != 0",
    "metadata.k > 0",
    "metadata.k >= '1'",
    "metadata.k is null",
    "created_at > '2026-01-02T05:04:05.000006Z'",
    "created_at <= '2026-01-02T05:04:05.000006Z'",
)


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
    with catalogue.write("tester") as work:
        return insert(work, version, b"x")


def insert(work: Transaction, version: NewVersion, data: bytes | None) -> ModelVersion:
    """Add a version, which gets the next number where it has none."""
    numbered = replace(version, version=version.version or work.next_number(version.name))
    return work.add(numbered, data, f"/models/{version.name}@{numbered.version}.pkl")


def measured(mae: float | None) -> ModelPerformance:
    """Return a measurement of which one number is known."""
    return ModelPerformance(mae, None, None, None, None, None, None, MOMENT)


def full(number: float) -> ModelPerformance:
    """Return a measurement all of whose numbers are known."""
    reals = (number, number, 0.5, 1.5, 2.5, number, 0.25)
    return ModelPerformance(*reals, MOMENT, training_samples=7, feature_count=3)


def arranged(order: Order, entries: Iterable[AnyInfo]) -> list[AnyInfo]:
    """Return entries in an order; numbers stand before text, and what is not known comes last."""
    ordered = sorted(entries, key=lambda entry: int(entry["seq"]), reverse=order.newest_first)
    known = [entry for entry in ordered if value_of(order.field, entry) is not None]

    def place(entry: AnyInfo) -> tuple[bool, Any]:
        value = value_of(order.field, entry)
        return isinstance(value, str), value

    known.sort(key=place, reverse=order.descending)
    return known + [entry for entry in ordered if value_of(order.field, entry) is None]


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
            insert(work, new(), b"x")
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
            assert work.roll_back("cpu", MOMENT) == ("1.0.1", "1.0.2")
            assert work.activate(first, "why not", MOMENT - timedelta(days=1)) == "1.0.1"
            assert work.activate(first, "again", MOMENT) == "1.0.0"
        with catalogue.read() as snapshot:
            moves = snapshot.activations("cpu")
            assert [move.version for move in moves] == ["1.0.0", "1.0.1", "1.0.2", "1.0.1", "1.0.0"]
            assert all(move.activated_at == MOMENT for move in moves)  # never before the one that it follows
            assert [v.is_active for v in snapshot.versions("cpu")] == [True, False, False]
        with catalogue.write() as work:
            work.drop(second, [])
            assert [v.model_id for v in work.versions("cpu")] == [first.model_id, third.model_id]
            with pytest.raises(NoPreviousVersionError):
                work.roll_back("cpu", MOMENT)

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
            assert (run.run.started, run.run.dataset_size, run.run.validation_score) == (MOMENT, 7, None)
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
        seal = Seal(Identity("1:2:3"), digest_of(b"code"))
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

    def test_a_version_is_told_whole(self, open_catalogue: OpenCatalogue) -> None:
        """With all that its save was given, and what was measured of it first."""
        catalogue = open_catalogue()
        given = replace(
            new(version="2.0"), performance=full(0.5), run=Run(MOMENT, MOMENT, 7, {"k": [1]}, 0.25)
        )
        added = add(catalogue, given)
        with catalogue.write() as work:
            work.record(added.model_id, [full(0.75)])
        with open_catalogue().read() as snapshot:
            assert snapshot.whole(added) == replace(given, run=None)
            assert snapshot.find_id(given.model_id) == snapshot.find("cpu", "2.0") == added
            assert snapshot.find_id("nobody") is None
            assert (added.model_path, added.is_active, added.artifact) == (
                "/models/cpu@2.0.pkl",
                True,
                given.artifact,
            )
            assert snapshot.performances(added.model_id) == [full(0.5), full(0.75)]
            assert snapshot.latest_performance("nobody") is None
            assert snapshot.performances("nobody") == []
            (record,) = snapshot.runs("cpu", "2.0")
            assert record == RunRecord(
                "cpu", "2.0", Run(MOMENT, MOMENT, record.run.dataset_size, {"k": [1]}, 0.25)
            )
            assert snapshot.runs("cpu", "1.0.0") == snapshot.runs("memory") == []

    def test_the_report_of_the_last_training_is_told_by_itself(self, open_catalogue: OpenCatalogue) -> None:
        """And by nothing else, as it may be long; it goes with its version."""
        catalogue = open_catalogue()
        report = {"worst": [{"vm": "ä", "mae": 0.5}], "forecast": None}
        trained = add(catalogue, replace(new(), run=Run(MOMENT, None, 1, report=report)))
        other = add(catalogue, replace(new(), run=Run(MOMENT, None, 1)))
        kept = add(catalogue, replace(new(), run=Run(MOMENT, None, 1, report={"worst": None})))
        with catalogue.write() as work:
            work.record_run(trained.model_id, Run(MOMENT, None, 2))
        with open_catalogue().read() as snapshot:
            assert snapshot.report(trained.model_id) == report
            assert snapshot.report(other.model_id) is None
            assert snapshot.report("nobody") is None
            assert [record.run.report for record in snapshot.runs("cpu")] == [None] * 4
        with catalogue.write() as work:
            work.record_run(trained.model_id, Run(MOMENT, None, 3, report={"worst": []}))
            assert work.report(trained.model_id) == {"worst": []}
            work.drop(trained, [])
            assert work.report(trained.model_id) is None
            assert work.report(kept.model_id) == {"worst": None}

    def test_a_version_is_described_with_every_column(self, open_catalogue: OpenCatalogue) -> None:
        """And with what was measured last."""
        catalogue = open_catalogue()
        add(catalogue, replace(new(), performance=full(0.5)))
        second = add(catalogue, new(activate=False))
        with catalogue.write() as work:
            work.record(
                second.model_id, [replace(full(0.5), accuracy_score=accuracy) for accuracy in (1, 0.5)]
            )
            work.record(second.model_id, [replace(full(0.25), accuracy_score=float("inf"))])
            work.pin(second, True)
            entry, older = work.describe(EVERYTHING, 2, None)
        moment = "2026-01-02 03:04:05.000006"
        performance = entry["performance"]
        assert performance is not None
        assert {name: dict(performance)[name] for name in ("mae", "mse", "feature_count")} == {
            "mae": 0.25,
            "mse": 0.25,
            "feature_count": 3,
        }
        assert entry == entry | {
            "seq": second.seq,
            "name": "cpu",
            "version": "1.0.1",
            "model_type": "kind",
            "algorithms": ["ridge"],
            "metadata": {"k": 1},
            "created_at": moment,
            "is_active": False,
            "model_path": "/models/cpu@1.0.1.pkl",
            "digest": digest_of(b"x"),
            "format": "pickle",
            "size": 1,
            "python": "3.11",
            "packages": {"numpy": "2"},
            "pinned": True,
            "metric_count": 3,
            "avg_accuracy": 0.75,  # of those that have a mean
            "last_metric_update": moment,
        }
        assert (older["is_active"], older["pinned"], older["metric_count"]) == (True, False, 1)

    def test_runs_are_newest_first_and_of_versions_only(self, open_catalogue: OpenCatalogue) -> None:
        """Of one version, or of all of a model."""
        catalogue = open_catalogue()
        versions = [add(catalogue, new()) for _ in range(2)]
        with catalogue.write() as work:
            for size, version in enumerate([*versions, versions[0]]):
                work.record_run(version.model_id, Run(MOMENT, None, size))
            assert [record.run.dataset_size for record in work.runs("cpu")] == [2, 1, 0]
            assert [record.run.dataset_size for record in work.runs("cpu", "1.0.0")] == [2, 0]
        with pytest.raises(ModelNotFoundError), catalogue.write() as work:
            work.record_run("nobody", Run(MOMENT, None, 1))

    def test_a_withdrawn_version_gives_its_place_back(self, open_catalogue: OpenCatalogue) -> None:
        """To the one before it where it was active, and to none where there was none."""
        catalogue = open_catalogue()
        first, second = add(catalogue, new()), add(catalogue, new())
        aside = add(catalogue, new(activate=False))
        with catalogue.write() as work:
            work.withdraw(aside, ["/models/aside"], MOMENT)
            assert work.actives() == {"cpu": "1.0.1"}
            work.withdraw(second, [], MOMENT)
            assert work.actives() == {"cpu": "1.0.0"}
            found = work.find("cpu")
            assert found is not None
            assert (found.version, found.is_active) == ("1.0.0", True)
            work.withdraw(first, [], MOMENT)
            assert work.actives() == {}
            assert work.find("cpu") is None
            assert work.names() == []
            assert (work.count(), work.highest("cpu")) == (0, "1.0.2")
            assert [item.path for item in work.debris(-1)] == ["/models/aside"]
            assert work.inconsistencies() == []
        assert add(catalogue, new(activate=False)).version == "1.0.3"
        with catalogue.read() as snapshot:
            assert snapshot.find("cpu") is None

    def test_what_is_dropped_takes_all_that_hangs_on_it(self, open_catalogue: OpenCatalogue) -> None:
        """And of a stored artifact the digest is debris, once it has no user."""
        catalogue = open_catalogue()
        digest = digest_of(b"large")
        artifact = Artifact(Place.STORE, digest, "mapped", 5)
        versions = [replace(new(activate=False), artifact=artifact) for _ in range(2)]
        with catalogue.write() as work:
            first, second = (insert(work, version, None) for version in versions)
            work.set_seal(digest, SEAL, MOMENT)
            work.record(first.model_id, [measured(0.5)])
            work.record_run(first.model_id, Run(MOMENT, None, 1))
            assert work.uses(digest) == [first, second]
            assert work.user(digest) in (first, second)
            assert work.blob(digest) is None
            work.drop(first, ["/models/a", "/models/a"])
            assert (work.uses(digest), work.user(digest)) == ([second], second)
            assert work.performances(first.model_id) == []
            assert work.runs("cpu") == []
            assert work.seal(digest) == SEAL
            assert work.debris(-1) == [Debris("/models/a", None)]
            work.drop(second, [])
            assert (work.uses(digest), work.user(digest), work.seal(digest)) == ([], None, None)
            assert sorted(work.debris(-1)) == sorted([Debris("/models/a", None), Debris(digest, digest)])
            assert len(work.debris(1)) == 1
            assert work.debris(0) == []
            assert work.is_debris(digest)
            assert not work.is_debris("/models/b")
            work.forget_debris(["/models/a"])
            assert work.debris(-1) == [Debris(digest, digest)]
            assert work.inconsistencies() == []

    def test_what_becomes_known_of_a_version_is_kept(self, open_catalogue: OpenCatalogue) -> None:
        """Its bytes, and where its file is; of no other one."""
        catalogue = open_catalogue()
        first, second = add(catalogue, new()), add(catalogue, new())
        artifact = Artifact(Place.PATH, digest_of(b"read"), "mapped", 4, None, {"pandas": "2"})
        with catalogue.write() as work:
            work.set_artifact(first.model_id, artifact)
            work.relocate(first, "/elsewhere")
        with open_catalogue().read() as snapshot:
            moved = replace(first, artifact=artifact, model_path="/elsewhere", is_active=False)
            assert snapshot.versions("cpu") == [moved, second]
            assert snapshot.blob(digest_of(b"read")) == b"x"  # whatever the row says, these are its bytes

    def test_a_seal_is_of_the_file_as_it_was_last(self, open_catalogue: OpenCatalogue) -> None:
        """And of one digest."""
        later = Seal(Identity("6:7"), digest_of(b"other code"))
        with open_catalogue().write() as work:
            work.set_seal(digest_of(b"x"), SEAL, MOMENT)
            work.set_seal(digest_of(b"x"), later, MOMENT)
            assert work.seal(digest_of(b"x")) == later
            assert work.seal(digest_of(b"y")) is None

    def test_a_policy_is_told_what_it_decides_on(self, open_catalogue: OpenCatalogue) -> None:
        """Of one model or of all: age, pin, the metric that was measured last, and where a rollback leads."""
        catalogue = open_catalogue()
        first, second, third = (add(catalogue, new()) for _ in range(3))
        other = add(catalogue, new("memory"))
        with catalogue.write() as work:
            work.record(first.model_id, [replace(full(0.5), mse=2.0), replace(full(0.75), mse=1.0)])
            work.pin(second, True)
            work.pin(third, True)
            work.pin(third, False)
            found = work.candidates(Policy(keep_versions=1, metric="mse"))
            assert [candidate.version.model_id for candidate in found] == [
                one.model_id for one in (first, second, third, other)
            ]
            assert [candidate.measured for candidate in found] == [1.0, None, None, None]
            assert [candidate.pinned for candidate in found] == [False, True, False, False]
            assert [candidate.previous for candidate in found] == [False, True, False, False]
            assert {candidate.created_at for candidate in found} == {MOMENT}
            work.roll_back("cpu", MOMENT)
            found = work.candidates(Policy(keep_versions=1, name="cpu"))
            assert [candidate.previous for candidate in found] == [True, False, False]
            assert [candidate.measured for candidate in found] == [0.75, None, None]

    def test_every_move_is_told_with_who_and_why(self, open_catalogue: OpenCatalogue) -> None:
        """Oldest first, and of one model."""
        catalogue = open_catalogue()
        first, _ = add(catalogue, new()), add(catalogue, new())
        add(catalogue, new("memory"))
        later = MOMENT + timedelta(hours=1)
        with catalogue.write("operator") as work:
            assert work.activate(first, "better", later) == "1.0.1"
        with catalogue.write("pager") as work:
            assert work.roll_back("cpu", later) == ("1.0.1", "1.0.0")
            moves = work.activations("cpu")
            assert work.activations("nobody") == []
        assert [(move.version, move.activated_at, move.actor, move.reason) for move in moves] == [
            ("1.0.0", MOMENT, "tester", "saved"),
            ("1.0.1", MOMENT, "tester", "saved"),
            ("1.0.0", later, "operator", "better"),
            ("1.0.1", later, "pager", "rollback from 1.0.0"),
        ]

    def test_what_is_measured_again_is_what_was_measured(self, open_catalogue: OpenCatalogue) -> None:
        """For the counts and sums beside a version follow from its measurements."""
        catalogue = open_catalogue()
        versions = [add(catalogue, new()) for _ in range(3)]
        with catalogue.write() as work:
            work.record(versions[0].model_id, [full(0.5), measured(0.25)])
            work.record(versions[1].model_id, [measured(None), full(float("inf"))])
            before = work.describe(EVERYTHING, None, None)
            work.measure_again()
            assert work.describe(EVERYTHING, None, None) == before

    def test_an_index_changes_no_answer(self, open_catalogue: OpenCatalogue) -> None:
        """Of a column, of metadata, or of what is indexed anyway; and it may be asked for twice."""
        catalogue = open_catalogue()
        metadata = Field('metadata.k"', Kind.ANY, ("k",))
        fields = (FIELDS["mse"], FIELDS["name"], FIELDS["pinned"], FIELDS["updated_at"], metadata)
        add(catalogue, replace(new(), performance=full(0.5)))
        add(catalogue, replace(new(), metadata={"k": 2}))
        searches = [
            Search(Compare(metadata, "=", 1)),
            Search(Compare(FIELDS["mse"], "<", 1)),
            Search(None, Order(FIELDS["mse"], descending=True)),
        ]
        with catalogue.read() as snapshot:
            before = [snapshot.describe(search, None, None) for search in searches]
        assert [len(entries) for entries in before] == [1, 1, 2]
        for field in (*fields, *fields):
            with catalogue.write() as work:
                work.index(field)
        with open_catalogue().read() as snapshot:
            assert [snapshot.describe(search, None, None) for search in searches] == before
            assert [snapshot.count(search) for search in searches] == [1, 1, 2]

    @pytest.mark.parametrize("text", FILTERS)
    def test_a_search_finds_what_it_means(self, open_catalogue: OpenCatalogue, text: str) -> None:
        """As `Search.matches` says, in the order of `Order`, and counts as many."""
        catalogue = open_catalogue()
        for number, name in enumerate(("cpu", "b[1]", "cpu", "memory*", "CPU")):
            performance = None if number == 1 else full(number / 4)
            metadata = ({"k": number}, {"k": "1"}, {}, {"k": None}, {"k": [1]})[number]
            created = MOMENT + timedelta(hours=number)
            version = replace(new(name, activate=number != 2), metadata=metadata, created_at=created)
            added = add(catalogue, replace(version, performance=performance))
            if number == 3:
                with catalogue.write() as work:
                    work.pin(added, True)
        with catalogue.read() as snapshot:
            entries = snapshot.describe(EVERYTHING, None, None)
            for sort in ("name", "-name", "mae", "-mae", "-created_at", "metadata.k"):
                search = parse_search(text, sort)
                meant = {entry["seq"] for entry in entries if search.matches(entry)}
                found = snapshot.describe(search, None, None)
                assert {entry["seq"] for entry in found} == meant
                assert len(found) == len(meant) == snapshot.count(search)
                assert found == arranged(search.order, found)
                paged: list[VersionInfo] = []
                while page := snapshot.describe(
                    search, 1, search.order.position(paged[-1]) if paged else None
                ):
                    paged += page
                assert paged == found

    def test_a_copy_is_a_catalogue_as_it_was(self, open_catalogue: OpenCatalogue, tmp_path: Path) -> None:
        """In one file of SQLite, with what was committed before."""
        catalogue = open_catalogue()
        added = add(catalogue, replace(new(), performance=full(0.5)))
        catalogue.copy_to(str(tmp_path / "copy.db"))
        add(catalogue, new())
        assert [path.name for path in tmp_path.glob("copy.db*")] == ["copy.db"]
        with closing(sqlite3.connect(f"file:{tmp_path / 'copy.db'}?mode=ro", uri=True)) as copied:
            assert copied.execute("SELECT model_id, name, version FROM model_registry").fetchall() == [
                (added.model_id, "cpu", "1.0.0")
            ]
            assert copied.execute("SELECT mae FROM performance_metrics").fetchall() == [(0.5,)]
            assert copied.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    def test_space_of_what_is_gone_is_given_back(self, open_catalogue: OpenCatalogue) -> None:
        """As much as a rehearsal foretold, which itself changes nothing."""
        catalogue = open_catalogue()
        data = bytes(range(256)) * 800
        with catalogue.write() as work:
            versions = [insert(work, new(data=data + bytes([n])), data) for n in range(8)]

        def forget(work: Transaction) -> None:
            for version in versions:
                work.drop(version, [])

        catalogue.reclaim()
        full_size = catalogue.allocated()
        assert full_size > 8 * len(data)
        foretold = catalogue.rehearse(forget)
        assert foretold < 2 * len(data)
        assert catalogue.allocated() >= full_size
        with catalogue.read() as snapshot:
            assert snapshot.versions("cpu") == [replace(v, is_active=v == versions[-1]) for v in versions]
        with catalogue.write() as work:
            forget(work)
        catalogue.reclaim()
        assert catalogue.allocated() <= full_size - 7 * len(data)
        assert catalogue.check() == []

    def test_models_stand_by_their_active_version(self, open_catalogue: OpenCatalogue) -> None:
        """Or by their newest one; searched, sorted and paged as versions are."""
        catalogue = open_catalogue()
        for number in range(7):
            for version in range(3):
                with catalogue.write() as work:
                    added = insert(work, new(f"m{number}", activate=version == 1 and number != 3), b"x")
                    if number != 5:
                        work.record(added.model_id, [measured(number + version / 10)])
        with catalogue.read() as snapshot:
            everything = snapshot.models(EVERYTHING, None, None)
            assert [(one["name"], one["version"], one["versions"]) for one in everything] == [
                (f"m{number}", "1.0.2" if number == 3 else "1.0.1", 3) for number in range(7)
            ]
            assert snapshot.count_models() == 7
            assert snapshot.count() == 21
            for one in everything:
                described = snapshot.describe(EVERYTHING.of(one["name"], one["version"]), None, None)
                assert [dict(entry) for entry in described] == [
                    {key: value for key, value in one.items() if key != "versions"}
                ]
            for where in (None, "is_active", "mae > 2", "mae is null", "name ~ 'm[1]*' or version = '1.0.2'"):
                for sort in (None, "-name", "mae", "-mae", "created_at"):
                    search = parse_search(where, sort)
                    expected = arranged(search.order, [one for one in everything if search.matches(one)])
                    assert snapshot.models(search, None, None) == expected
                    assert snapshot.count_models(search) == len(expected)
                    paged: list[ModelInfo] = []
                    while page := snapshot.models(
                        search, 2, search.order.position(paged[-1]) if paged else None
                    ):
                        paged += page
                    assert paged == expected
        with catalogue.write() as work:
            for gone in work.versions("m0"):
                work.drop(gone, [])
            assert work.count_models() == 6

    def test_any_metric_is_kept_and_found(self, open_catalogue: OpenCatalogue) -> None:
        """The infinite ones too; and gone with its version."""
        catalogue = open_catalogue()
        versions = [add(catalogue, new()) for _ in range(3)]
        measures: list[dict[str, float | None]] = [
            {"auc": 0.5, "it's": 1.0, "e.metrics re.p99": 2},
            {"auc": float("inf"), "lift": None},
            {},
        ]
        with catalogue.write() as work:
            for version, metrics in zip(versions, measures, strict=True):
                work.record(version.model_id, [measured(0.5), ModelPerformance(metrics=metrics)])
            for name in ("auc", '"it\'s"', '"e.metrics re.p99"'):
                work.index(parse_field(f"metrics.{name}"))
        with catalogue.read() as snapshot:
            for version, metrics in zip(versions, measures, strict=True):
                assert [one.metrics for one in snapshot.performances(version.model_id)] == [{}, metrics]
                latest = snapshot.latest_performance(version.model_id)
                assert latest is not None
                assert latest.metrics == metrics
            everything = snapshot.describe(EVERYTHING, None, None)
            for where in (
                "metrics.auc > 0.4",
                "metrics.auc = 0.5",
                "metrics.lift is null",
                'metrics."e.metrics re.p99" = 2',
                'metrics."it\'s" < 2',
            ):
                search = parse_search(where, "-metrics.auc")
                expected = arranged(search.order, [one for one in everything if search.matches(one)])
                assert snapshot.describe(search, None, None) == expected
                assert snapshot.count(search) == len(expected)
        with catalogue.write() as work:
            work.measure_again()
            assert work.describe(EVERYTHING, None, None) == everything
            work.drop(versions[0], [])
            assert work.inconsistencies() == []

    def test_a_number_is_asked_for_and_given(self, open_catalogue: OpenCatalogue) -> None:
        """Once, whatever is deleted, and behind the highest."""
        catalogue = open_catalogue()
        with catalogue.write() as work:
            assert work.next_number("cpu") == "1.0.0"
            first = insert(work, new(version="2.5"), b"x")
            assert work.next_number("cpu") == "2.5.1"
            insert(work, new(version="2.0"), b"x")
            assert work.next_number("cpu") == "2.5.1"
            work.drop(first, [])
            assert work.next_number("cpu") == "2.5.1"
            assert work.next_number("other") == "1.0.0"
            with pytest.raises(VersionExistsError):
                insert(work, new(version="2.0"), b"x")

    def test_a_writer_waits_no_longer_than_it_was_told(self, open_catalogue: OpenCatalogue) -> None:
        """And can write as soon as the other one is done."""
        one, other = open_catalogue(), open_catalogue()
        with one.write() as work:
            work.mark_replayed("one", MOMENT)
            with pytest.raises(CatalogueUnavailableError, match="locked"), other.write(timeout=0):
                pass
            with other.read() as snapshot:
                assert not snapshot.replayed("one")
        with other.write(timeout=0) as work:
            assert work.replayed("one")

    def test_a_catalogue_that_was_closed_says_so(self, open_catalogue: OpenCatalogue) -> None:
        """To readers and to writers; closing again does nothing, and another opening goes on."""
        catalogue = open_catalogue()
        add(catalogue, new())
        assert catalogue.location
        catalogue.close()
        catalogue.close()
        with pytest.raises(ClosedError), catalogue.read():
            pass
        with pytest.raises(ClosedError), catalogue.write():
            pass
        assert add(open_catalogue(), new()).version == "1.0.1"
