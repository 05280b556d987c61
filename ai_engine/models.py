"""`ModelManager`: the registry as a service embeds it, under the names of the original software."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from ai_engine.domain import clock
from ai_engine.domain.answers import (
    BackupAnswer,
    Cleanup,
    Comparison,
    Examination,
    HealthAnswer,
    Listing,
    Overview,
    Pin,
    Pointer,
    ScheduleAnswer,
    TrainingRecord,
)
from ai_engine.domain.entities import PointerMove, Run, SavedVersion
from ai_engine.domain.errors import AIEngineError, InvalidInputError
from ai_engine.domain.filters import parse_search
from ai_engine.domain.performance import ModelPerformance
from ai_engine.registry import live_mappings
from ai_engine.registry.comparison import compare
from ai_engine.registry.json_views import (
    clean_up_shape,
    findings_answer,
    health_answer,
    health_shape,
    model_shape,
    run_entry,
)
from ai_engine.registry.registry import Registry
from ai_engine.settings import Settings, from_environment
from ai_engine.wiring import build_registry

# Of active versions in one line, and characters of a name.
_SHOWN: Final = 5
_LONGEST: Final = 60

if TYPE_CHECKING:
    from ai_engine.jobs.handle import JobHandle
    from ai_engine.training.calls import TrainedVersion

__all__ = ["ModelManager", "ModelPerformance"]


class ModelManager:
    """Saves, loads, measures and cleans up versions of models; nothing that it acknowledged is lost.

    Many managers, threads and processes may use one directory at once. A manager is a context manager; one
    that is inherited through a fork reopens itself.

    Parameters
    ----------
    model_dir : str or path, optional
        Made where it does not exist. Default: ``AI_ENGINE_MODEL_DIR``, else ``/tmp/novacron_models``.
    db_path : str or path, optional
        The database file. Default: ``AI_ENGINE_DATABASE_URL``, else ``model_registry.db`` in `model_dir`.

    Attributes
    ----------
    model_dir, db_path : str
        Absolute.
    models : mapping
        ``models[name][version]`` is the object, loaded when it is first touched.
    model_versions : mapping
        ``model_versions[name]`` lists the versions, oldest first.
    performance_history : mapping
        ``performance_history[name][version]`` is the newest ModelPerformance.
    active_models : mapping
        ``active_models[name]`` is the active version.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as directory, ModelManager(directory) as manager:
    ...     _ = manager.save_model("cpu-forecast", {"slope": 2.0})
    ...     manager.get_model("cpu-forecast"), manager.active_models["cpu-forecast"]
    ({'slope': 2.0}, '1.0.0')
    """

    def __init__(
        self, model_dir: str | os.PathLike[str] | None = None, db_path: str | os.PathLike[str] | None = None
    ) -> None:
        given = None if model_dir is None else os.path.abspath(os.fspath(model_dir))
        url = None if db_path is None else f"sqlite:///{os.path.abspath(os.fspath(db_path))}"
        self._settings = from_environment(serving=False, model_dir=given, database_url=url)
        self.model_dir = os.path.abspath(self._settings.model_dir)
        self._init_database()
        self.db_path = self.registry.location
        self._load_from_database()

    @classmethod
    def over(cls, registry: Registry, settings: Settings) -> ModelManager:
        """Return a manager over a registry that the caller has put together and opened."""
        manager = cls.__new__(cls)
        manager._settings, manager.registry = settings, registry
        manager.model_dir = os.path.abspath(settings.model_dir)
        manager.db_path = registry.location
        manager._load_from_database()
        return manager

    def _init_database(self) -> None:
        self.registry = build_registry(self._settings)

    def _load_from_database(self) -> None:
        self._opened = time.monotonic()
        self.models = live_mappings.models(self.registry)
        self.model_versions = live_mappings.model_versions(self.registry)
        self.performance_history = live_mappings.performance_history(self.registry)
        self.active_models = live_mappings.active_models(self.registry)

    def __enter__(self) -> ModelManager:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        """Return where the models are, how many there are, and the first active versions, in one line."""
        where = f"ModelManager {getattr(self, 'model_dir', '')!r}"
        try:
            names, actives = self.registry.names(), self.registry.actives()
            _, versions, _ = self.registry.describe(limit=0)
        except (AIEngineError, AttributeError) as error:  # closed, or not opened
            return f"<{where}: not open ({type(error).__name__})>"
        told = f"{len(names)} models, {versions} versions"
        shown = [
            f"{name[:_LONGEST]!r} {version[:_LONGEST]}" for name, version in islice(actives.items(), _SHOWN)
        ]
        more = ", …" if len(actives) > _SHOWN else ""
        return f"<{where}: {told}; active: {', '.join(shown) or 'none'}{more}>"

    def _repr_html_(self) -> str:
        """Return the same for a notebook."""
        from html import escape  # slow to import, and rarely needed

        return f"<code>{escape(repr(self))}</code>"

    def close(self) -> None:
        """Let go of everything that is open. A closed manager raises ClosedError."""
        self.registry.close()

    def save_model(
        self,
        name: str,
        model: object,
        version: str | None = None,
        model_type: str | None = None,
        algorithms: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        activate: bool = True,
    ) -> SavedVersion:
        """Save an object as a new version and return its id; from then on it survives a power cut.

        The id is a text that has the model's `name` and the `version` as attributes.

        Parameters
        ----------
        name : str
            1 to 200 ASCII letters, digits, spaces and ``. _ - +``.
        model : object
            Anything that can be pickled.
        version : str, optional
            Default: the highest number with its patch raised by one, ``1.0.0`` first, never one that was in
            use before.
        model_type : str, optional
            What kind of model it is.
        algorithms : iterable of str, optional
            What it is made of.
        metadata : mapping, optional
            Whatever JSON can hold; numbers of numpy, moments and paths are made so.
        activate : bool
            Whether `get_model(name)` returns it from now on.

        Raises
        ------
        InvalidInputError
            A name, a version or metadata that cannot be stored; InvalidNameError for the first two.
        VersionExistsError
            The version exists.
        SerializationError
            The object cannot be pickled.
        StorageFullError
            The disk is full.
        OutcomeUnknownError
            The commit failed and whether it holds cannot be known yet.
        StorageError
            Neither the database nor the outage journal could take it.
        """
        return self.registry.save(
            name,
            model,
            version=version,
            model_type=model_type,
            algorithms=algorithms,
            metadata=metadata,
            activate=activate,
        )

    def get_model(self, name: str, version: str | None = None) -> Any:
        """Return the object of a version, or of the active one; None where there is none.

        It is made of the stored bytes and shared by all callers in the process.

        Raises
        ------
        ArtifactCorruptedError
            The bytes are missing or changed; they are never deserialised.
        ModelLoadError
            A class cannot be imported; it is named, with the package versions at saving.
        """
        return self.registry.load(name, version)

    def register_model(self, name: str, model: object, version: str = "1.0.0") -> None:
        """Save an object under a version, or keep it in memory, with a warning, where it cannot be stored.

        Again with equal bytes, nothing happens and the version is active.

        Raises
        ------
        VersionExistsError
            The version exists with other bytes.
        """
        self.registry.register(name, model, version)

    def update_performance(self, name: str, version: str, performance: ModelPerformance) -> None:
        """Append a measurement of a version; history is never overwritten. Raises VersionNotFoundError."""
        self._save_performance_to_db(name, version, performance)

    def record_performances(self, name: str, version: str, performances: Iterable[ModelPerformance]) -> None:
        """Append many measurements of a version in one durable step. Raises VersionNotFoundError."""
        self.registry.record(name, version, *performances)

    def _save_performance_to_db(self, name: str, version: str, performance: ModelPerformance) -> None:
        self.registry.record(name, version, performance)

    def metric_history(self, name: str, version: str | None = None) -> list[ModelPerformance]:
        """Return every measurement of a version, or of the active one, oldest first."""
        return self.registry.performances(name, version)

    def save_training_history(self, name: str, version: str, training_info: Mapping[str, Any]) -> None:
        """Append a training record.

        Parameters
        ----------
        name, version : str
            Of a version that exists.
        training_info : mapping
            Any of ``started``, ``completed`` (datetimes), ``dataset_size``, ``hyperparameters`` and
            ``validation_score``.

        Raises
        ------
        InvalidInputError
            A key that is none of those, or a value of the wrong type.
        VersionNotFoundError
            There is no such version.
        """
        self.registry.record_run(name, version, _run(training_info))

    def get_training_history(self, name: str, version: str | None = None) -> list[TrainingRecord]:
        """Return the trainings of a model, or of one of its versions, newest first.

        Those of a model have the attempts among them that made no version; `version` is None there,
        and `error` says why. A model that has no version yet may have such.
        """
        return [run_entry(record) for record in self.registry.runs(name, version)]

    def get_model_info(
        self,
        name: str | None = None,
        *,
        where: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
    ) -> Listing:
        """Return ``{"models": [...], "total": n}``, an entry a version; by name, newest version first.

        Parameters
        ----------
        name : str or None
            Only versions of this model.
        where : str or None
            Only versions of which this is true, such as ``is_active and (mae < 0.5 or size > 1e6)``; the
            language is that of `ai_engine.domain.filters`.
        sort : str or None
            By this field, such as ``mae``; the highest first with ``-`` in front, the unknown always last.
        limit : int or None
            At most so many entries; `total` counts them all.

        Raises
        ------
        InvalidInputError
            The filter or the sort cannot be read; it tells where, and what could stand there.
        """
        entries, total, _ = self.registry.describe(name, limit, search=parse_search(where, sort))
        return {"models": entries, "total": total}

    def cleanup_old_models(self, keep_versions: int = 5) -> Cleanup:
        """Keep of each model the highest versions and the active one; free the rows and bytes of the others.

        Returns
        -------
        dict
            ``removed``, a list of ``{"name", "version"}``, and ``freed_bytes``.

        Raises
        ------
        ValueError
            `keep_versions` is below 1.
        """
        return clean_up_shape(self.registry.clean_up(keep_versions))

    def models_overview(
        self, *, where: str | None = None, sort: str | None = None, limit: int | None = None
    ) -> Overview:
        """Return ``{"models": [...], "total": n}``, an entry a model, as ``GET /models`` answers it.

        An entry tells of the active version, or of the newest where none is active; see `get_model_info` for
        the filter and the sort.
        """
        entries, total, _ = self.registry.models(limit, search=parse_search(where, sort))
        return {"models": [model_shape(entry) for entry in entries], "total": total}

    def compare(self, name: str, versions: Iterable[str]) -> Comparison:
        """Return the metrics of versions side by side, with their differences to the first one.

        Raises
        ------
        InvalidInputError
            There are fewer than two versions.
        VersionNotFoundError
            There is no such version.
        """
        return compare(self.registry, name, versions)

    def pin(self, name: str, version: str) -> Pin:
        """Keep a version from every clean-up; return ``model_name``, ``version`` and ``pinned``."""
        self.registry.pin(name, version)
        return {"model_name": name, "version": version, "pinned": True}

    def unpin(self, name: str, version: str) -> Pin:
        """Let clean-ups remove a version again; return ``model_name``, ``version`` and ``pinned``."""
        self.registry.pin(name, version, pinned=False)
        return {"model_name": name, "version": version, "pinned": False}

    def health(self) -> HealthAnswer:
        """Return how the engine is, as ``GET /health`` answers it; the time is this manager's."""
        state = health_shape(self.registry.health())
        uptime = time.monotonic() - self._opened
        return health_answer(state, uptime, self.db_path, self.registry.actives())

    def doctor(self, repair: bool = False) -> Examination:
        """Check that every version has its bytes and every byte its version; blocks while it reads them all.

        Parameters
        ----------
        repair : bool
            Put right what can be without losing anything.

        Returns
        -------
        dict
            ``healthy``, and ``findings``, ``restored`` and ``lost``, as ``ai-engine doctor --json`` prints
            them.
        """
        return findings_answer(self.registry.examine(repair))

    def backup(self, path: str | os.PathLike[str]) -> BackupAnswer:
        """Copy everything, as it is at one moment, into a directory; others may go on writing.

        Returns
        -------
        dict
            ``directory``, the number of ``versions`` and of ``bytes``.

        Raises
        ------
        BackupError
            The directory is not empty.
        ArtifactCorruptedError
            The bytes of a version are damaged: a copy of damage is no backup.
        """
        from ai_engine.backup import back_up  # rarely needed, and slow to import

        target = os.path.abspath(os.fspath(path))
        manifest = back_up(self._settings, target, lambda _done, _total: None)
        return {"directory": target, "versions": manifest.versions, "bytes": manifest.size}

    def train(
        self,
        data: Any,
        *,
        model_type: str,
        name: str | None = None,
        target_columns: Sequence[str] | None = None,
        time_column: str | None = None,
        group_column: str | None = None,
        validation_split: float = 0.2,
        hyperparameters: Mapping[str, Any] | None = None,
        activate: bool | str = True,
        rename: Mapping[str, str] | None = None,
        preset: str | None = None,
        progress: Callable[[float, str], None] | None = None,
    ) -> TrainedVersion:
        """Train a model on rows, measure it on rows that the fit never saw, and save it as a new version.

        Blocks for seconds to minutes, in this process.

        Parameters
        ----------
        data : path, DataFrame, Arrow table or list of dict
            A file (CSV, JSON, JSON lines, Parquet; ``.gz`` too), a frame of pandas or polars, or rows.
        model_type : str
            The kind of training, such as ``resource_prediction``.
        name : str, optional
            Default: the name of the kind, where it has one.
        target_columns : sequence of str, optional
            Columns to predict.
        time_column, group_column : str, optional
            The columns that say when, and of which machine, a row is. Default: those that show themselves.
        validation_split : float
            The share of the rows to measure on.
        hyperparameters : mapping, optional
            Of the kind.
        activate : bool, "if_better" or "always"
            With True, one that is worse than its baseline does not take the place of one that is better.
        rename : mapping of str to str, optional
            Columns to names of yours; a prediction takes either.
        preset : str, optional
            ``node_exporter``, ``libvirt_exporter`` or ``vcenter``, whose names of columns are known.
        progress : callable, optional
            Is told what share is done, 0 to 1, and what comes next; what it raises ends the training.

        Raises
        ------
        InvalidInputError
            The rows or the settings cannot be used; it names the column or the field, and nothing is saved.
        MissingDependencyError
            The packages of the ``train`` extra are not installed.
        """
        from ai_engine.training.extras import require_training_packages

        require_training_packages()
        from ai_engine.training.calls import train  # needs them, and is slow to import
        from ai_engine.training.request import TrainingRequest

        request = TrainingRequest(
            kind=model_type,
            name=name,
            target_columns=None if target_columns is None else tuple(target_columns),
            time_column=time_column,
            group_column=group_column,
            validation_split=validation_split,
            hyperparameters=dict(hyperparameters or {}),
            activate=activate,
            rename=rename or {},
            preset=preset,
        )
        return train(self.registry, request, data, progress)

    def submit(
        self,
        data: Any,
        *,
        model_type: str,
        name: str | None = None,
        target_columns: Sequence[str] | None = None,
        time_column: str | None = None,
        group_column: str | None = None,
        validation_split: float = 0.2,
        hyperparameters: Mapping[str, Any] | None = None,
        activate: bool | str = True,
        rename: Mapping[str, str] | None = None,
        preset: str | None = None,
    ) -> JobHandle:
        """Ask for a training, and return its job once that is durable; takes what `train` takes.

        A worker of ``ai-engine serve`` or ``ai-engine worker`` over the same directory does it, whether or
        not this process is there. The job has `id`, `status`, `wait(timeout)`, `progress()` and `cancel()`.

        Raises
        ------
        InvalidInputError
            The settings cannot be used, or the file cannot be read. What is wrong with rows, `wait` raises.
        QueueFullError
            As many trainings wait as may.
        StorageError
            The job cannot be stored.
        """
        from ai_engine.jobs.handle import submitted  # rarely needed, and slow to import
        from ai_engine.training.request import TrainingRequest

        request = TrainingRequest(
            kind=model_type,
            name=name,
            target_columns=None if target_columns is None else tuple(target_columns),
            time_column=time_column,
            group_column=group_column,
            validation_split=validation_split,
            hyperparameters=dict(hyperparameters or {}),
            activate=activate,
            rename=rename or {},
            preset=preset,
        )
        return submitted(self.registry, self._settings, request, data)

    def schedule(
        self,
        name: str,
        source: str | os.PathLike[str],
        *,
        every: str | float | timedelta | None = None,
        rows: int | None = None,
        files: str = "newest",
        model_type: str | None = None,
        target_columns: Sequence[str] | None = None,
        time_column: str | None = None,
        group_column: str | None = None,
        validation_split: float = 0.2,
        hyperparameters: Mapping[str, Any] | None = None,
        activate: bool | str = "if_better",
        rename: Mapping[str, str] | None = None,
        preset: str | None = None,
    ) -> ScheduleAnswer:
        """Have a model trained again by itself, from files that are read anew each time.

        Whoever runs workers, ``ai-engine serve`` or ``ai-engine worker``, asks for the trainings, each once.
        It is due at once where the model had no schedule. A time that was missed is made up for once.

        Parameters
        ----------
        name : str
            The model; it may have no version yet.
        source : path
            A file, or a pattern of such: ``*``, ``?``, ``[…]``, ``**``, and ``{date}`` or ``{date:%Y%m%d}``
            for a date in the name.
        every : str, float or timedelta, optional
            How often, such as ``"6h"`` or ``"30d"``; a number is of seconds. Nothing is trained where the
            files hold what the last version was trained on.
        rows : int, optional
            Train, and before that time has come, once so many new rows have come.
        files : str
            ``newest``: the file with the latest date in its name, or the one that was changed last; ``all``:
            all that fit, as one table.
        model_type : str, optional
            Default: that of the newest version.
        activate : bool, "if_better" or "always"
            Unlike elsewhere, what is not better than the active version does not take its place.

        Other parameters are those of `train`.

        Returns
        -------
        dict
            As ``GET /models/{name}/schedule`` answers.

        Raises
        ------
        InvalidInputError
            The settings cannot be used, or neither `every` nor `rows` is given.
        StorageError
            The schedule cannot be stored.
        """
        from ai_engine.jobs.schedules import new_schedule  # rarely needed, and slow to import
        from ai_engine.jobs.shapes import schedule_shape

        given = {
            "source": os.path.abspath(os.fspath(source)),
            "every": every,
            "rows": rows,
            "files": files,
            "model_type": model_type,
            "target_columns": target_columns,
            "time_column": time_column,
            "group_column": group_column,
            "validation_split": validation_split,
            "hyperparameters": hyperparameters,
            "activate": activate,
            "rename": rename,
            "preset": preset,
        }
        new = new_schedule(self.registry, name, given)
        return schedule_shape(self.registry.schedules.put(new))

    def unschedule(self, name: str) -> None:
        """Have a model trained no more by itself; a training that was asked for goes on.

        Raises
        ------
        ScheduleNotFoundError
            The model has no schedule.
        """
        self.registry.schedules.remove(name)

    def schedules(self) -> list[ScheduleAnswer]:
        """Return every schedule, by the names of the models, with what came of its last time."""
        from ai_engine.jobs.shapes import schedule_shape  # rarely needed, and slow to import

        return [schedule_shape(schedule) for schedule in self.registry.schedules.page()]

    def run_schedule(self, name: str) -> JobHandle:
        """Ask for a training as a schedule says, now, whatever has come to its source; return its job.

        Raises
        ------
        ScheduleNotFoundError
            The model has no schedule.
        JobStateError
            The training that was asked for before has not ended.
        InvalidInputError
            The source cannot be read.
        """
        from ai_engine.jobs.handle import JobHandle  # rarely needed, and slow to import
        from ai_engine.jobs.schedules import run_now

        return JobHandle(self.registry, run_now(self.registry, self._settings, name).job_id)

    def predict(
        self,
        name: str,
        data: Any,
        *,
        version: str | None = None,
        horizon: int | None = None,
        candidates: Any = None,
    ) -> Any:
        """Return what a version predicts from rows, or the active one.

        Parameters
        ----------
        data : path, DataFrame, Arrow table or list of dict
            As `train` takes it; the newest rows last.
        horizon : int, optional
            Steps ahead, for forecasts.
        candidates : as `data`, optional
            Hosts that a migration may go to, each with a ``host`` and what is known of it; `data` is then the
            one migration.

        Returns
        -------
        DataFrame or list of dict
            A frame of the same library where one was given; else what ``POST /models/{name}/predict`` answers
            in `predictions`. With `candidates` a dict of ``predictions`` and ``ranking``, the best host
            first.

        Raises
        ------
        VersionNotFoundError
            There is no such version.
        InvalidInputError
            The rows do not fit the model.
        """
        from ai_engine.training.extras import require_training_packages

        require_training_packages()
        from ai_engine.training.calls import predict  # needs them, and is slow to import

        return predict(self.registry, name, data, version=version, horizon=horizon, candidates=candidates)

    def activate(self, name: str, version: str) -> Pointer:
        """Make a version active; return ``version`` and ``previous_version``."""
        return _pointer(self.registry.activate(name, version))

    def rollback(self, name: str) -> Pointer:
        """Make the version active that was before; return ``version`` and ``previous_version``.

        Raises
        ------
        NoPreviousVersionError
            None is left to go back to.
        """
        return _pointer(self.registry.roll_back(name))

    def delete_version(self, name: str, version: str) -> None:
        """Forget a version and free its bytes. Raises VersionActiveError for the active one."""
        self.registry.delete(name, version)

    def active_at(self, name: str, moment: datetime) -> str | None:
        """Return the version that was active at a moment; None where none was, or none is recorded."""
        return self.registry.active_at(name, moment)


def _pointer(move: PointerMove) -> Pointer:
    return Pointer(version=move.version, previous_version=move.previous_version)


def _run(info: Mapping[str, Any]) -> Run:
    if not isinstance(info, Mapping):
        raise InvalidInputError("training_info", f"is a {type(info).__name__}; give a dict")
    known = ("started", "completed", "dataset_size", "hyperparameters", "validation_score")
    unknown = set(info) - set(known)
    if unknown:
        raise InvalidInputError(
            f"training_info.{min(map(str, unknown))}", f"is not one of the keys {', '.join(known)}"
        )
    hyperparameters = info.get("hyperparameters")
    return Run(
        started=clock.checked("training_info.started", info.get("started")),
        completed=clock.checked("training_info.completed", info.get("completed")),
        dataset_size=info.get("dataset_size"),
        hyperparameters={} if hyperparameters is None else hyperparameters,
        validation_score=info.get("validation_score"),
    )
