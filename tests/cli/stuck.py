"""A model that a server can load and never gets an answer from."""

from __future__ import annotations

import threading


class Stuck:
    """It predicts for ever."""

    def predict(self, rows: object) -> None:
        threading.Event().wait()
