"""For tests: a manager without a disk, and the contracts of the backends as test classes.

Derive a class from a contract, give it the fixture that the contract names, and run it with pytest.
"""

from __future__ import annotations

from ai_engine.testing.in_memory import in_memory

__all__ = ["in_memory"]
