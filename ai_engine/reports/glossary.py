"""What each number means, in two sentences: one source for the page of a report and for the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Term:
    """A number that the engine shows.

    Attributes
    ----------
    key : str
        As it is called in JSON.
    label : str
        As people read it.
    meaning : str
        Two sentences: what it is, and how to read it.
    """

    key: str
    label: str
    meaning: str


_TERMS: Final = (
    Term(
        "mae",
        "mean error",
        "The mean of |observed − predicted| over the held-out rows, in the unit of the target. Of classes"
        " and of labelled anomalies it is the share of wrong rows.",
    ),
    Term(
        "mse",
        "mean squared error",
        "The mean of (observed − predicted)² over the held-out rows, in the square of the target's unit. "
        "A few large errors weigh more in it than many small ones.",
    ),
    Term(
        "r2",
        "R²",
        "The share of the held-out values' variance that the predictions explain. 1 is perfect, 0 is what"
        " their mean would reach, and below 0 is worse than that.",
    ),
    Term(
        "baseline",
        "baseline",
        "The simple answer that a model has to beat: the last value or the one a season ago, a mean or a "
        "median, or the most frequent class. Of several it is the one that was best on the training rows.",
    ),
    Term(
        "baseline_mae",
        "baseline's error",
        "The mean error of the baseline over the same held-out rows. It says how hard the rows were to "
        "foretell without any model.",
    ),
    Term(
        "skill",
        "skill",
        "1 − mean error / baseline's error: how much of the baseline's error the model takes away. 1 is "
        "perfect, 0 is no better than the baseline, and below 0 the simple answer is better.",
    ),
    Term(
        "accuracy_score",
        "right rows, or within 10 % of the range",
        "Of classes and of labelled anomalies the share of right rows. Of numbers it is the share of "
        "held-out values that were predicted to within a tenth of the range that the target had in "
        "training, which is no accuracy and is never called one.",
    ),
    Term(
        "confidence_score",
        "inside the 90 % interval",
        "The share of held-out values that fell inside their 90 % prediction interval. Near 0.9 the "
        "intervals say the truth, below they promise too much, and above they are wider than they had to "
        "be.",
    ),
    Term(
        "training_time",
        "seconds to train",
        "How long reading the rows, comparing candidates, fitting and measuring took, in seconds. It is "
        "of the machine and of what else ran on it.",
    ),
    Term(
        "prediction_time",
        "seconds a prediction",
        "Seconds for one predicted row or step, measured over many at once. A single call takes longer, "
        "as it has to load and to check.",
    ),
    Term(
        "training_samples",
        "rows to fit",
        "How many rows the measured fit learned from. The rows that were held out are not among them.",
    ),
    Term(
        "validation_samples",
        "rows held out",
        "How many rows were kept from the fit and used once to measure. With times they are the latest ones.",
    ),
    Term(
        "feature_count",
        "columns of X",
        "How many numbers the model sees of each row, categories and formulas over the past included. "
        "Many columns with few rows are easily learned by heart.",
    ),
    Term(
        "precision",
        "precision",
        "Of the rows that were flagged as anomalies, the share that are labelled as such. 1 means that "
        "there was no false alarm.",
    ),
    Term(
        "recall",
        "recall",
        "Of the rows that are labelled as anomalies, the share that were flagged. 1 means that none was "
        "missed.",
    ),
    Term(
        "f1",
        "F1",
        "The harmonic mean of precision and recall. It is high only where both are.",
    ),
    Term(
        "flagged_share",
        "rows flagged",
        "The share of held-out rows that were called anomalous. Without labels it is all that can be known.",
    ),
    Term(
        "average_precision",
        "average precision",
        "The mean of the precision over all thresholds, weighted by the recall that each adds; candidates"
        " for labelled anomalies are compared by it. A random score reaches the share of labelled rows.",
    ),
    Term(
        "by_target",
        "by target",
        "The same measures for each column that is foretold. Of several targets what has a unit stands "
        "only here, and what has none is above as the mean over targets.",
    ),
    Term(
        "data",
        "data",
        "What was understood of the rows: which columns say when and where, which were used or left out, "
        "and what was repaired. Read it first: a column that was misread spoils every number below.",
    ),
    Term(
        "split",
        "split",
        "Which rows were held out, and whether the kept object was fitted once more on all rows after "
        "measuring (refit). With times the split is in time, so that nothing was learned from the future.",
    ),
    Term(
        "leaderboard",
        "leaderboard",
        "The mean error of each candidate on training rows that its fit had not seen. It decided which "
        "one was taken, and the held-out rows had no say in it.",
    ),
    Term(
        "metrics",
        "metrics",
        "The measures over all held-out rows. They are of the fit that had not seen these rows.",
    ),
    Term(
        "by_horizon",
        "by step ahead",
        "The errors of a forecast by how many steps ahead it was made. They grow with the distance, and "
        "where the model's line meets the baseline's it stops to help.",
    ),
    Term(
        "by_group",
        "by machine",
        "The errors of each machine, or of each group of rows. A good mean may hide machines for which "
        "the simple answer is better, and these stand first.",
    ),
    Term(
        "mase",
        "MASE",
        "The mean error as a multiple of the mean absolute change from one training row of the same "
        "machine to the next (Hyndman & Koehler 2006, in-sample naive forecast). It has no unit, so that "
        "machines of different sizes compare; forecasts of many steps are often above 1.",
    ),
    Term(
        "calibration",
        "calibration",
        "Whether intervals and probabilities keep what they say. Of intervals the share of values inside "
        "is put beside the 90 % that were promised, of classes the share of right answers beside their "
        "probability.",
    ),
    Term(
        "coverage",
        "coverage",
        "The share of values inside their 90 % prediction interval, of one machine or of one step ahead. "
        "The promise is 0.9 over all of them, and not for each by itself.",
    ),
    Term(
        "mean_width",
        "mean width",
        "How wide the 90 % intervals are on average, in the unit of the target. Of two models that hold "
        "the same share the one with the narrower intervals says more.",
    ),
    Term(
        "interval_score",
        "interval score",
        "The width of an interval plus 20 times the distance to a value outside, averaged (Winkler 1972; "
        "Gneiting & Raftery 2007). The smaller the better: neither wide intervals nor missed values come "
        "cheap.",
    ),
    Term(
        "scaled_interval_score",
        "scaled interval score",
        "The interval score as a multiple of the baseline's mean error. It has no unit, so that targets "
        "compare.",
    ),
    Term(
        "expected_error",
        "expected calibration error",
        "The mean distance between the probability of the named class and the share of right answers, "
        "over ten bins weighted by their rows. 0 means that of answers given with 80 % eight in ten are "
        "right.",
    ),
    Term(
        "forecast",
        "forecasts",
        "Some held-out windows: what was known, what was foretold with its 90 % interval, and what came. "
        "Of the machine in the middle and of the worst one, a usual window and the worst window are "
        "shown.",
    ),
    Term(
        "importance",
        "importance",
        "By how much the error on held-out rows grows where the values of one column are shuffled among "
        "them (Breiman 2001). 0 means that the model does without the column; of two columns that tell "
        "the same each may show little.",
    ),
    Term(
        "worst",
        "largest errors",
        "The machines, or else the rows, with the largest errors. Look at them in the data: they show "
        "what the model does not know.",
    ),
)

TERMS: Final = {term.key: term for term in _TERMS}
