"""What kind of workload telemetry shows."""

from __future__ import annotations

from typing import Final

from ai_engine.control_plane.answers import Pattern, Seasonality, WorkloadAnalysis, WorkloadPatterns
from ai_engine.control_plane.derivations.workload import LEAST_POINTS, Workload, dominant, workload_of
from ai_engine.control_plane.engine import Outcome, Question
from ai_engine.control_plane.given import Given
from ai_engine.control_plane.moments import stamp
from ai_engine.control_plane.tracks import Track, Tracks, resource_of, tracks_of
from ai_engine.domain.errors import NotAnswerableError

METHOD: Final = "season-and-trend"
METHOD_VERSION: Final = "1"
MOST_METRICS: Final = 50
# Clocks differ; what lies further ahead has not been measured.
SLACK_SECONDS: Final = 60.0


def analyze_patterns(question: Question) -> Outcome:
    """Return the patterns of a workload for the integration layer.

    Raises
    ------
    NotAnswerableError
        If no metric has enough points that have been measured.
    """
    given = Given(question.fields)
    workload = given.text("workload_id") or given.text("vm_id")
    points = given.items("data_points") or given.items("workload_data")
    kinds = [kind.strip() for kind in given.items("metric_types") if isinstance(kind, str) and kind.strip()]
    value_name = kinds[0] if len(kinds) == 1 else "value"
    span = given.inner("time_range")
    end, now = span.moment("end"), question.now + SLACK_SECONDS
    until, ended = (
        (now, "lie in the future") if end is None or end >= now else (end, "lie after the time range")
    )
    tracks = tracks_of(
        points, value_name, machine=workload, since=span.moment("start"), until=until, ended=ended
    )
    found, notes = _workloads(tracks, kinds)
    if not found:
        raise NotAnswerableError(
            f"the patterns of {workload or 'a workload'}",
            f"no metric has {LEAST_POINTS} points that have been measured already; {len(points)} were sent. "
            + " ".join(tracks.notes),
        )
    top = _leading(found)
    season = top.season if top.season is not None and top.is_seasonal else None
    patterns = [pattern for one in found.values() for pattern in _patterns(one, question.now)]
    answer = WorkloadPatterns(
        patterns=patterns,
        classification=top.kind,
        seasonality=Seasonality(
            has_seasonality=season is not None,
            period=0 if season is None else int(season.seconds * 1e9),
            strength=top.season.strength if top.season is not None else 0.0,
            components=[
                f"{one.name}: {one.season.name}, {_length(one.season.seconds)}"
                for one in found.values()
                if one.season is not None and one.is_seasonal
            ],
            peak_times=[stamp(at) for at in top.peaks],
            low_times=[stamp(at) for at in top.lows],
        ),
        recommendations=_advice(found),
        confidence=top.certainty,
        confidence_is=f"of {top.name} being {top.kind}: {top.certainty_is}",
        notes=notes,
    )
    return Outcome(answer, top.certainty, METHOD, METHOD_VERSION, numbers=len(patterns))


def analyze_workload(question: Question) -> Outcome:
    """Return what kind of workload a VM has, for the scheduler.

    Raises
    ------
    NotAnswerableError
        If no metric has enough rows.
    """
    given = Given(question.fields)
    vm = given.text("vm_id")
    rows = given.items("workload_data")
    tracks = tracks_of(rows, machine=vm, until=question.now + SLACK_SECONDS)
    found, notes = _workloads(tracks, [])
    if not found:
        raise NotAnswerableError(
            f"what kind of workload {vm or 'a VM'} has",
            f"no metric has {LEAST_POINTS} rows that have been measured; {len(rows)} were sent. "
            + " ".join(tracks.notes),
        )
    top = _leading(found)
    characteristics: dict[str, float] = {}
    for name, one in found.items():
        characteristics |= {
            f"{name}_mean": one.mean,
            f"{name}_p05": one.p05,
            f"{name}_p95": one.p95,
            f"{name}_peak": one.peak,
            f"{name}_variation": one.variation,
            f"{name}_trend": one.trend,
            f"{name}_rows": float(one.points),
        }
        if one.season is not None:
            characteristics[f"{name}_season_strength"] = one.season.strength
            if one.is_seasonal:
                characteristics[f"{name}_season_seconds"] = one.season.seconds
    answer = WorkloadAnalysis(
        vm_id=vm,
        workload_type=dominant(found),
        pattern_type=top.kind,
        confidence=top.certainty,
        characteristics=characteristics,
        recommendations=_advice(found),
        timestamp=stamp(question.now),
        confidence_is=f"of {top.name} being {top.kind}: {top.certainty_is}",
        notes=notes,
    )
    return Outcome(answer, top.certainty, METHOD, METHOD_VERSION, numbers=len(characteristics))


def _workloads(tracks: Tracks, kinds: list[str]) -> tuple[dict[str, Workload], list[str]]:
    chosen: dict[str, Track] = dict(tracks.by_name)
    notes = list(tracks.notes)
    if kinds:
        wanted = {
            name: track for kind in kinds if (track := tracks.of(kind)) is not None for name in [track.name]
        }
        # Where none goes by the names that were asked for, they stand by the names that the points have.
        chosen = wanted or chosen
        if wanted and len(wanted) < len(tracks.by_name):
            notes.append(f"not asked for, and left out: {', '.join(set(tracks.by_name) - set(wanted))[:200]}")
    found = {}
    for name, track in list(chosen.items())[:MOST_METRICS]:
        one = workload_of(track)
        if one is None:
            notes.append(f"{name} has {len(track)} points, and {LEAST_POINTS} are the least")
        else:
            found[name] = one
    return found, notes


def _leading(found: dict[str, Workload]) -> Workload:
    """Return the metric that the whole is called by: CPU where it is there, else the first one."""
    return min(found.values(), key=lambda one: resource_of(one.name) != "cpu")


def _patterns(one: Workload, now: float) -> list[Pattern]:
    start, end = one.span or (now, now)
    top = max(abs(one.peak), abs(one.p05), 1e-12)
    found = []
    if one.season is not None and one.is_seasonal:
        season = one.season
        found.append(
            Pattern(
                type=season.name,
                start_time=stamp(start),
                end_time=stamp(end),
                intensity=min(season.amplitude / top, 1.0),
                frequency=f"every {_length(season.seconds)}, seen {season.cycles} times",
                confidence=season.strength,
                description=(
                    f"{one.name} repeats itself every {_length(season.seconds)}, between phases that differ "
                    f"by {season.amplitude:.4g}; confidence is the share of the variance that this explains"
                ),
            )
        )
    if one.kind == "trending" or (one.trend >= 0.1 and one.kind == "periodic"):
        found.append(
            Pattern(
                type="trend",
                start_time=stamp(start),
                end_time=stamp(end),
                intensity=min(abs(one.rise) / top, 1.0),
                frequency="once",
                confidence=one.trend,
                description=(
                    f"{one.name} {'rises' if one.rise > 0 else 'falls'} by {abs(one.rise):.4g} from the "
                    "first to the last point; confidence is the share of the variance that a straight line "
                    "explains"
                ),
            )
        )
    if not found:
        found.append(
            Pattern(
                type=one.kind,
                start_time=stamp(start),
                end_time=stamp(end),
                intensity=min((one.p95 - one.p05) / top, 1.0),
                frequency="no season was seen"
                if one.season is None
                else f"no season explains much: the strongest, of {_length(one.season.seconds)}, "
                f"{one.season.strength:.2f}",
                confidence=one.certainty,
                description=(
                    f"{one.name} lies between {one.p05:.4g} and {one.p95:.4g} in nine of ten points, around "
                    f"{one.mean:.4g}; confidence is the {one.certainty_is}"
                ),
            )
        )
    return found


def _advice(found: dict[str, Workload]) -> list[str]:
    told = []
    for one in found.values():
        if one.kind == "idle":
            told.append(
                f"{one.name} stays at or below {one.p95:.4g}: the VM could be stopped or made smaller"
            )
        elif one.is_seasonal and one.season is not None:
            told.append(
                f"scale {one.name} by its clock: it repeats itself every {_length(one.season.seconds)}, with "
                f"{one.p95:.4g} at the top and {one.p05:.4g} at the bottom"
            )
        elif one.kind == "trending":
            told.append(
                f"plan for {one.name} {'rising' if one.rise > 0 else 'falling'} by {abs(one.rise):.4g} in as "
                "much time again, if it goes on as it did"
            )
        elif one.kind == "steady":
            told.append(
                f"{one.name} is steady around {one.mean:.4g}: capacity for {one.p95:.4g} holds 95 % of it"
            )
        else:
            told.append(
                f"{one.name} comes in bursts up to {one.peak:.4g} over a mean of {one.mean:.4g}: leave room "
                "for them, or let them share with others"
            )
    return told


def _length(seconds: float) -> str:
    """Return a duration in words.

    >>> _length(86400.0), _length(5400.0), _length(30.0)
    ('1 day', '1.5 hours', '30 seconds')
    """
    for unit, name in ((86_400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second")):
        if seconds >= unit:
            count = seconds / unit
            return f"{count:.4g} {name}{'' if round(count, 3) == 1 else 's'}"
    return f"{seconds:.4g} seconds"
