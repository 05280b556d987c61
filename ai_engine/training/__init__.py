"""Training: rows of telemetry in, a fitted, measured and saved version out."""
