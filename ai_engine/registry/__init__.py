"""The use cases: save, load, activate, measure, clean up. Knows no concrete backend."""
