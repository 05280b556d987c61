"""From a report to the sections that a page and a terminal show of it, in the order in which one reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ai_engine.reports.charts import (
    BASELINE,
    MODEL,
    SEEN,
    Band,
    Bar,
    BarChart,
    Figure,
    Line,
    LineChart,
    ReliabilityChart,
    Section,
    TextTable,
)
from ai_engine.reports.text import decimal, percent, printed, spelled
from ai_engine.reports.values import mapping, mappings, number, numbers, rows_of, sized

Json = Any  # JSON values


def sections(report: Mapping[str, Json]) -> list[Section]:
    """Return the sections of a report that have anything to show.

    Parameters
    ----------
    report : mapping
        As `ai_engine.training.report` makes it.
    """
    parts = (
        ("forecast", "Forecasts beside what came", _forecasts),
        ("by_horizon", "How far ahead", _by_horizon),
        ("by_group", "For which machines", _by_group),
        ("calibration", "Whether it keeps what it says", _calibration),
        ("importance", "What it hangs on", _importance),
        ("worst", "Where it errs most", _worst),
        ("leaderboard", "What it was chosen from", _leaderboard),
        ("by_target", "Measured, by target", _by_target),
        ("data", "The data", _data),
        ("split", "What was held out", _split),
    )
    found = [Section(key, title, tuple(figures(report.get(key)))) for key, title, figures in parts]
    return [section for section in found if section.figures]


def _forecasts(part: Json) -> Iterator[Figure]:
    for target, windows in mapping(part).items():
        for window in mappings(windows):
            steps = tuple(int(step) for step in numbers(window.get("steps")) if step is not None)
            if not steps:
                continue
            past_steps = tuple(step for step in numbers(window.get("past_steps")) if step is not None)
            past = numbers(window.get("past"), len(past_steps))
            observed, centre, lower, upper = (
                numbers(window.get(name), len(steps)) for name in ("observed", "centre", "lower", "upper")
            )
            # From the last known value on, so that the lines meet.
            joint = ((0.0,), (past[-1],)) if past and past_steps[-1] == 0 else ((), ())
            ahead = (*joint[0], *map(float, steps))
            of = "" if window.get("group") is None else f", {printed(window.get('group'))}"
            after = window.get("origin")
            yield Figure(
                title=f"{target}{of}",
                note=f"{printed(window.get('shown')).capitalize()}"
                + (f", after {printed(after)}" if after else ""),
                chart=LineChart(
                    lines=(
                        Line("known before", SEEN, past_steps, past),
                        Line("came", SEEN, ahead, (*joint[1], *observed)),
                        Line("forecast", MODEL, ahead, (*joint[1], *centre)),
                    ),
                    band=Band("90 % interval", ahead, (*joint[1], *lower), (*joint[1], *upper)),
                    x_label=_steps_label(window.get("interval_seconds")),
                    y_label=target,
                    now=0.0,
                ),
                table=TextTable(
                    ("step", "came", "forecast", "lower", "upper"),
                    tuple(zip(steps, observed, centre, lower, upper, strict=True)),
                ),
            )


def _steps_label(interval: Json) -> str:
    """Return what a step is.

    >>> _steps_label(300.0), _steps_label(None)
    ('steps ahead, of 5 min', 'steps ahead')
    """
    seconds = number(interval)
    if seconds is None or seconds <= 0:
        return "steps ahead"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"steps ahead, of {decimal(seconds / size)} {unit}"
    return f"steps ahead, of {decimal(seconds)} s"


def _by_horizon(part: Json) -> Iterator[Figure]:
    columns = ("from_step", "to_step", "mae", "baseline_mae", "skill", "coverage", "forecasts")
    for target, entries in mapping(part).items():
        known = [one for one in mappings(entries) if number(one.get("to_step")) is not None]
        if not known:
            continue
        at = tuple(number(one.get("to_step")) or 0.0 for one in known)
        table = TextTable(columns, rows_of(known, columns))

        def values(name: str, rows: list[Mapping[str, Json]] = known) -> tuple[float | None, ...]:
            return tuple(number(one.get(name)) for one in rows)

        yield Figure(
            title=f"Mean error of {target}",
            chart=LineChart(
                lines=(
                    Line("model", MODEL, at, values("mae")),
                    Line("baseline", BASELINE, at, values("baseline_mae")),
                ),
                x_label="steps ahead",
                y_label=f"mean error, {target}",
                includes=(0.0,),
            ),
            table=table,
        )
        yield Figure(
            title=f"{target} inside the 90 % interval",
            chart=LineChart(
                lines=(
                    Line("model", MODEL, at, values("coverage")),
                    Line("promised", BASELINE, at, (0.9,) * len(at)),
                ),
                x_label="steps ahead",
                y_label="share inside",
                includes=(0.5, 1.0),
            ),
            table=table,
        )


def _by_group(part: Json) -> Iterator[Figure]:
    columns = ("group", "mae", "baseline_mae", "skill", "mase", "coverage", "rows")
    for target, told in mapping(part).items():
        named = mappings(mapping(told).get("named"))
        if not named:
            continue
        bars = tuple(
            Bar(printed(one.get("group")), skill, role="bad" if skill < 0 else "plain")
            for one in named
            if (skill := number(one.get("skill"))) is not None
        )
        unnamed = number(mapping(told).get("unnamed")) or 0
        worse = number(mapping(told).get("worse_than_baseline")) or 0
        note = f"{printed(mapping(told).get('groups'))} in all, {worse:.0f} worse than the baseline"
        if unnamed:
            note += f"; the {len(named)} worst and best are shown, {unnamed:,.0f} in between are not"
        yield Figure(
            title=f"Skill for {target}",
            note=note,
            chart=BarChart(bars, "skill: 1 is perfect, below 0 the baseline is better") if bars else None,
            table=TextTable(columns, rows_of(named, columns)),
        )


def _calibration(part: Json) -> Iterator[Figure]:
    intervals = {target: mapping(told) for target, told in mapping(mapping(part).get("intervals")).items()}
    if intervals:
        shares = {target: number(told.get("observed")) for target, told in intervals.items()}
        nominal = next(iter(filter(None, (number(told.get("nominal")) for told in intervals.values()))), None)
        measures = ("nominal", "observed", "mean_width", "interval_score", "scaled_interval_score", "values")
        yield Figure(
            title="Held-out values inside their interval",
            note="" if nominal is None else f"The line is at the {percent(nominal)} that were promised",
            chart=BarChart(
                tuple(Bar(target, share) for target, share in shares.items() if share is not None),
                "share of values inside",
                reference=nominal,
            ),
            table=TextTable(
                ("target", *measures),
                tuple((target, *(told.get(one) for one in measures)) for target, told in intervals.items()),
            ),
        )
    columns = ("from", "to", "predicted", "observed", "count")
    for target, told in mapping(mapping(part).get("reliability")).items():
        bins = mappings(mapping(told).get("bins"))
        points = [
            (predicted, observed, int(number(one.get("count")) or 0))
            for one in bins
            if (predicted := number(one.get("predicted"))) is not None
            and (observed := number(one.get("observed"))) is not None
        ]
        if points:
            yield Figure(
                title=f"How sure, and how often right: {target}",
                note=f"Expected calibration error {printed(mapping(told).get('expected_error'))}; "
                "larger dots are of more rows, and the dashed line is where they should lie",
                chart=ReliabilityChart(tuple(points)),
                table=TextTable(columns, rows_of(bins, columns)),
            )


def _importance(part: Json) -> Iterator[Figure]:
    columns = ("column", "increase", "spread")
    for target, told in mapping(part).items():
        entries = mappings(mapping(told).get("columns"))
        bars = tuple(
            Bar(printed(one.get("column")), increase, number(one.get("spread")) or 0.0)
            for one in entries[:15]
            if (increase := number(one.get("increase"))) is not None
        )
        if bars:
            rows, repeats = (printed(mapping(told).get(name)) for name in ("rows", "repeats"))
            yield Figure(
                title=f"Columns that {target} hangs on",
                note=f"{repeats} shuffles of {rows} held-out rows; the thin line is their spread",
                chart=BarChart(bars, printed(mapping(told).get("measure"))),
                table=TextTable(columns, rows_of(entries, columns)),
            )


def _worst(part: Json) -> Iterator[Figure]:
    for target, entries in mapping(part).items():
        known = mappings(entries)
        columns = tuple(dict.fromkeys(str(name) for one in known for name in one))
        if known:
            yield Figure(
                title=f"Largest errors of {target}",
                note="Rows are counted from 0, as they were given" if "row" in columns else "",
                table=TextTable(columns, rows_of(known, columns)),
            )


def _leaderboard(part: Json) -> Iterator[Figure]:
    for target, candidates in mapping(part).items():
        errors = sized(candidates)
        if not errors:
            continue
        higher_is_better = target == "average_precision"
        ranked = sorted(errors.items(), key=lambda one: -one[1] if higher_is_better else one[1])
        what = "average precision" if higher_is_better else f"mean error of {target}"
        yield Figure(
            title=f"Candidates by {what}",
            note="On training rows that their fits had not seen; the first one is best",
            chart=BarChart(
                tuple(
                    Bar(spelled(name), error, role="plain" if place else "marked")
                    for place, (name, error) in enumerate(ranked[:20])
                ),
                what,
            ),
            table=TextTable(("candidate", what), tuple((spelled(name), error) for name, error in ranked)),
        )


def _by_target(part: Json) -> Iterator[Figure]:
    measured = {target: mapping(told) for target, told in mapping(part).items()}
    columns = tuple(
        dict.fromkeys(
            str(name) for told in measured.values() for name, value in told.items() if value is not None
        )
    )
    if len(measured) > 1 and columns:
        yield Figure(
            title="Measures on the held-out rows",
            table=TextTable(
                ("target", *columns),
                tuple((target, *(told.get(one) for one in columns)) for target, told in measured.items()),
            ),
        )


def _data(part: Json) -> Iterator[Figure]:
    told = mapping(part)
    facts = [(name, told[name]) for name in told if name not in ("ignored", "cleaning", "period")]
    period = mapping(told.get("period"))
    if period:
        facts.append(("period", f"{printed(period.get('from'))} to {printed(period.get('to'))}"))
    rows = tuple((spelled(name), value) for name, value in facts if value not in (None, "", [], {}))
    if rows:
        yield Figure(title="What was understood of the rows", table=TextTable(("", "what it is"), rows))
    ignored = mappings(told.get("ignored"))
    if ignored:
        columns = ("column", "why")
        yield Figure(title="Columns left out", table=TextTable(columns, rows_of(ignored, columns)))


def _split(part: Json) -> Iterator[Figure]:
    rows = tuple((spelled(name), value) for name, value in mapping(part).items() if value is not None)
    if rows:
        yield Figure(title="How the rows were split", table=TextTable(("", "what it is"), rows))
