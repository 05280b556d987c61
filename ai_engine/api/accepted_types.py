"""Which of two types of answer a request would rather have."""

from __future__ import annotations


def prefers_html(accept: str) -> bool:
    """Return whether an ``Accept`` header puts HTML before JSON; without a preference JSON is answered.

    >>> prefers_html("text/html,application/xhtml+xml,*/*;q=0.8"), prefers_html("*/*"), prefers_html("")
    (True, False, False)
    >>> prefers_html("application/json, text/html;q=0.5"), prefers_html("text/html;q=0")
    (False, False)

    References
    ----------
    RFC 9110, section 12.5.1: the most specific range that matches counts.
    """
    weights = dict(map(_range, accept.lower().split(",")))

    def weight(*ranges: str) -> float:
        return next((weights[one] for one in ranges if one in weights), 0.0)

    html = weight("text/html", "text/*", "*/*")
    return html > weight("application/json", "application/*", "*/*")


def _range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip() for piece in part.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return name, float(value)
            except ValueError:
                return name, 0.0
    return name, 1.0
