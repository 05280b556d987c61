"""The score that `benchmarks.evidence.anomalies` prints, against what Numenta's says by hand."""

from __future__ import annotations

import pytest

from benchmarks.evidence.anomalies import nab_score, probationary


@pytest.mark.parametrize(("n", "expected"), [(100, 15), (4_032, 604), (5_000, 750), (22_695, 750)])
def test_at_most_750_rows_are_probationary(n: int, expected: int) -> None:
    assert probationary(n) == expected


@pytest.mark.parametrize(
    ("flagged", "expected"),
    [
        ([], -1.0),
        ([50], 1.0),
        ([55, 50], 1.0),  # the earliest counts, once
        ([59], 0.24824),  # (2 / (1 + exp(-0.5)) - 1) / 0.98661
        ([14], -1.0),  # probationary
        ([15], -1.11),  # before any window
        ([50, 59 + 27], 0.89),  # three windows later
        ([50, 60], 1 - 0.11 * 0.26967),  # just after it: (2 / (1 + exp(5 / 9)) - 1)
    ],
)
def test_flags_score_as_in_the_standard_profile(flagged: list[int], expected: float) -> None:
    assert nab_score(100, flagged, [(50, 59)])[0] == pytest.approx(expected, abs=1e-3)


def test_a_window_within_the_probation_does_not_count() -> None:
    assert nab_score(100, [], [(2, 14), (50, 59)]) == (-1.0, 1)
