"""Telemetry as it comes, to rows with a time and a machine, and what was understood of it."""
