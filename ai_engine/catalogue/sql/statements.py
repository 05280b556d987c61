"""Every longer statement of the catalogue, by name.

Statements name their parameters, so that an adapter can spell them as its driver wants.
"""

from __future__ import annotations

from ai_engine.catalogue.sql.dialect import Dialect
from ai_engine.domain.performance import NUMBERS

VERSION = """
    SELECT e.model_id, e.name, e.version, e.seq, r.is_active, r.model_path, e.file,
           e.place, e.digest, e.format, e.size, e.store, e.python, e.packages, e.signature
    FROM engine_versions e JOIN model_registry r ON r.model_id = e.model_id
"""
FIND = VERSION + "WHERE e.name = :name AND e.version = :version"
# By its name and number, which are indexed; `model_id` is so in the other table only.
FIND_ID = """
    SELECT e.model_id, e.name, e.version, e.seq, r.is_active, r.model_path, e.file,
           e.place, e.digest, e.format, e.size, e.store, e.python, e.packages, e.signature
    FROM model_registry r JOIN engine_versions e ON e.name = r.name AND e.version = r.version
                                                AND e.model_id = r.model_id
    WHERE r.model_id = :model_id
"""
FIND_ACTIVE = VERSION + "WHERE e.seq = (SELECT active FROM engine_models WHERE name = :name)"
VERSIONS = VERSION + "WHERE e.name = :name ORDER BY e.seq"
EVERYTHING = VERSION + "ORDER BY e.name, e.seq"
USES = VERSION + "WHERE e.digest = :digest ORDER BY e.seq"

CANDIDATES = """
    SELECT e.model_id, e.name, e.version, e.seq, r.is_active, r.model_path, e.file,
           e.place, e.digest, e.format, e.size, e.store, e.python, e.packages, e.signature,
           r.created_at, e.pinned,
           (SELECT m.{metric} FROM performance_metrics m WHERE m.model_id = e.model_id
            ORDER BY m.id DESC LIMIT 1)
    FROM engine_versions e JOIN model_registry r ON r.model_id = e.model_id
    WHERE e.name = COALESCE(:name, e.name)
    ORDER BY e.name, e.seq
"""

# What must not be, and what may have been before us; each yields a subject and what is wrong with it.
INCONSISTENCIES = (
    (
        "orphan",
        "SELECT 'performance_metrics', COUNT(*) || ' rows of ' || model_id || ', which is no version' "
        "FROM performance_metrics WHERE model_id NOT IN (SELECT model_id FROM model_registry) "
        "GROUP BY model_id",
    ),
    (
        "orphan",
        "SELECT 'training_history', COUNT(*) || ' rows of ' || model_id || ', which is no version' "
        "FROM training_history WHERE model_id NOT IN (SELECT model_id FROM model_registry) GROUP BY model_id",
    ),
    (
        "orphan",
        "SELECT name || '@' || version, 'the row ' || COALESCE(model_id, 'without an id') || "
        "' is not served: another row bears its number, or another program wrote it' FROM model_registry "
        "WHERE model_id IS NULL OR model_id NOT IN (SELECT model_id FROM engine_versions)",
    ),
    (
        "row",
        "SELECT name || '@' || version, 'has lost its row in model_registry' "
        "FROM engine_versions WHERE model_id NOT IN (SELECT model_id FROM model_registry)",
    ),
    (
        "pointer",
        "SELECT m.name, 'the active version of engine_models is not that of model_registry' "
        "FROM engine_models m LEFT JOIN engine_versions e ON e.seq = m.active "
        "LEFT JOIN model_registry r ON r.name = m.name AND r.is_active = 1 "
        "WHERE COALESCE(e.model_id, '') <> COALESCE(r.model_id, '')",
    ),
    (
        "count",
        "SELECT m.name, 'engine_models counts ' || m.versions || ' versions and there are ' || COUNT(e.seq) "
        "FROM engine_models m LEFT JOIN engine_versions e ON e.name = m.name "
        "GROUP BY m.name, m.versions HAVING m.versions <> COUNT(e.seq)",
    ),
    (
        "measured",
        "SELECT e.name || '@' || e.version, 'counts ' || e.metric_count || ' measurements and there are ' "
        "|| COALESCE(s.n, 0) FROM engine_versions e LEFT JOIN "
        "(SELECT model_id, COUNT(*) AS n FROM performance_metrics GROUP BY model_id) s "
        "ON s.model_id = e.model_id WHERE e.metric_count <> COALESCE(s.n, 0)",
    ),
    (
        "blob",
        "SELECT 'engine_blobs', COUNT(*) || ' blobs that no version has' FROM engine_blobs "
        "WHERE id NOT IN (SELECT blob FROM engine_versions WHERE blob IS NOT NULL) HAVING COUNT(*) > 0",
    ),
)

# What is averaged and counted of a version's measurements stands in its row: a list reads no measurement.
AVERAGE = "e.accuracy_total / NULLIF(e.accuracy_count, 0)"
DESCRIBE_FROM = "FROM engine_versions e JOIN model_registry r ON r.model_id = e.model_id"
DESCRIBE = f"""
    SELECT e.seq, r.model_id, r.name, r.version, r.model_type, r.algorithms, r.created_at, r.updated_at,
           r.is_active, r.model_path, e.file, r.metadata, e.digest, e.format, e.size, e.python, e.packages,
           e.pinned, e.saved_by, e.metric_count, {AVERAGE}, e.last_metric_update,
           {", ".join("e." + number for number in NUMBERS)}, e.metrics
    {DESCRIBE_FROM}"""

# A model stands by its active version, or by its newest where none is. From the models on: there are fewer.
MODELS_FROM = """FROM engine_models m
    CROSS JOIN engine_versions e
            ON e.seq = COALESCE(m.active, (SELECT MAX(n.seq) FROM engine_versions n WHERE n.name = m.name))
    JOIN model_registry r ON r.model_id = e.model_id"""
DESCRIBE_MODELS = DESCRIBE.replace(DESCRIBE_FROM, f", m.versions {MODELS_FROM}")

METRIC = f"""
    SELECT {", ".join("m." + number for number in NUMBERS)}, m.recorded_at, x.numbers
    FROM performance_metrics m LEFT JOIN engine_metrics x ON x.metric = m.id
    WHERE m.model_id = :model_id
"""
ADD_METRIC = f"""
    INSERT INTO performance_metrics (model_id, recorded_at, {", ".join(NUMBERS)})
    VALUES (:model_id, :recorded_at, {", ".join(":" + number for number in NUMBERS)})
"""
MEASURED = f"""
    UPDATE engine_versions
    SET metric_count = metric_count + :count, accuracy_count = accuracy_count + :accuracy_count,
        accuracy_total = accuracy_total + :accuracy_total,
        last_metric_update = CASE WHEN last_metric_update > :last THEN last_metric_update ELSE :last END,
        {", ".join(f"{number} = :{number}" for number in (*NUMBERS, "metrics"))}
    WHERE seq = (SELECT e.seq FROM model_registry r JOIN engine_versions e ON e.name = r.name
                 AND e.version = r.version AND e.model_id = r.model_id WHERE r.model_id = :model_id)
    RETURNING seq
"""


def measured_again(dialect: Dialect) -> tuple[str, str]:
    """Return the statements that bring what MEASURED keeps up from the measurements themselves.

    Other programs may have written there what is no number.
    """
    accuracy = dialect.number("m.accuracy_score")
    finite = f"CASE WHEN ABS({accuracy}) < 9e999 THEN m.accuracy_score END"
    clear = f"""
        UPDATE engine_versions
        SET metric_count = 0, accuracy_count = 0, accuracy_total = 0, last_metric_update = NULL,
            {", ".join(f"{number} = NULL" for number in (*NUMBERS, "metrics"))}
        WHERE metric_count > 0
    """
    count = f"""
        UPDATE engine_versions
        SET metric_count = s.n, accuracy_count = s.accuracy_count, accuracy_total = s.accuracy_total,
            last_metric_update = s.last,
            {", ".join(f"{number} = {dialect.number(f'm.{number}')}" for number in NUMBERS)},
            metrics = (SELECT x.numbers FROM engine_metrics x WHERE x.metric = m.id)
        FROM (SELECT m.model_id, COUNT(*) AS n, COUNT({finite}) AS accuracy_count,
                     COALESCE(SUM({finite}), 0) AS accuracy_total,
                     MAX(m.recorded_at) AS last, MAX(m.id) AS newest
              FROM performance_metrics m GROUP BY m.model_id) s
             JOIN performance_metrics m ON m.id = s.newest
             JOIN model_registry r ON r.model_id = s.model_id
        WHERE engine_versions.name = r.name AND engine_versions.version = r.version
          AND engine_versions.model_id = r.model_id
    """
    return clear, count


ADD_RUN = """
    INSERT INTO training_history
        (model_id, training_started, training_completed, dataset_size, hyperparameters, validation_score)
    SELECT model_id, :started, :completed, :dataset_size, :hyperparameters, :validation_score
    FROM model_registry WHERE model_id = :model_id
    RETURNING id
"""

REPORT = """
    SELECT x.report FROM training_history t JOIN engine_reports x ON x.run = t.id
    WHERE t.model_id = :model_id ORDER BY t.id DESC LIMIT 1
"""
ADD_ATTEMPT = """
    INSERT INTO engine_attempts (model_name, attempt, worker, host, hyperparameters, started_at, ended_at,
                                 outcome, error, cpu_seconds, peak_memory, run, behind)
    VALUES (:name, :attempt, :worker, :host, :hyperparameters, :started, :ended, :outcome, :error, :cpu,
            :peak,
            (SELECT MAX(t.id) FROM training_history t WHERE t.model_id = :model_id),
            (SELECT COALESCE(MAX(t.id), 0) FROM training_history t))
"""
_ATTEMPT = """
    a.job, a.attempt, a.worker, a.host, a.started_at, a.ended_at, a.outcome, a.error, a.cpu_seconds,
    a.peak_memory
"""
RUNS = f"""
    SELECT t.id, e.name, e.version, t.training_started, t.training_completed, t.dataset_size,
           t.hyperparameters, t.validation_score, {_ATTEMPT}
    FROM engine_versions e JOIN training_history t ON t.model_id = e.model_id
         LEFT JOIN engine_attempts a ON a.run = t.id
    WHERE e.name = :name AND e.version = COALESCE(:version, e.version) ORDER BY t.id DESC
"""
# Attempts that made no version, those of a version that was deleted left out.
ATTEMPTS = f"""
    SELECT a.behind, a.model_name, NULL, a.started_at, NULL, NULL, a.hyperparameters, NULL, {_ATTEMPT}
    FROM engine_attempts a
    WHERE a.model_name = :name AND a.run IS NULL AND a.ended_at IS NOT NULL AND a.outcome <> 'completed'
    ORDER BY a.behind DESC, a.seq DESC
"""

MODEL = """
    SELECT m.highest, m.versions, m.active, m.move, v.below, v.moved_at, v.version
    FROM engine_models m LEFT JOIN engine_moves v ON v.seq = m.move
    WHERE m.name = :name
"""
SET_MODEL = """
    INSERT INTO engine_models (name, highest, versions, active, move)
    VALUES (:name, :highest, :versions, :active, :move)
    ON CONFLICT (name) DO UPDATE SET highest = excluded.highest, versions = excluded.versions,
                                     active = excluded.active, move = excluded.move
"""
ADD_REGISTRY = """
    INSERT INTO model_registry
        (model_id, name, version, model_type, algorithms, created_at, updated_at, is_active, model_path,
         metadata)
    VALUES (:model_id, :name, :version, :model_type, :algorithms, :at, :at, :is_active, :model_path,
            :metadata)
"""
ADD_VERSION = """
    INSERT INTO engine_versions
        (model_id, name, version, place, blob, digest, format, size, python, packages, model_type, created_at,
         file, store, saved_by, signature)
    VALUES (:model_id, :name, :version, :place, :blob, :digest, :format, :size, :python, :packages,
            :model_type, :at, :file, :store, :saved_by, :signature)
    RETURNING seq
"""
ADD_MOVE = """
    INSERT INTO engine_moves (name, model_id, version, moved_at, actor, reason, before, below)
    VALUES (:name, :model_id, :version, :at, :actor, :reason, :before, :below)
    RETURNING seq
"""
MOVE = """
    SELECT v.below, e.seq, v.version
    FROM engine_moves v LEFT JOIN engine_versions e ON e.name = v.name AND e.version = v.version
                                                   AND e.model_id = v.model_id
    WHERE v.seq = :seq
"""
MOVES = """
    WITH RECURSIVE history (seq, before, version, moved_at, actor, reason) AS (
        SELECT v.seq, v.before, v.version, v.moved_at, v.actor, v.reason
        FROM engine_models m JOIN engine_moves v ON v.seq = m.move WHERE m.name = :name
        UNION ALL
        SELECT v.seq, v.before, v.version, v.moved_at, v.actor, v.reason
        FROM history h JOIN engine_moves v ON v.seq = h.before
    )
    SELECT version, moved_at, actor, reason FROM history ORDER BY seq
"""
