"""What is derived from telemetry: pure functions of what was given, without a request or a registry."""
