"""The doors that NovaCron's own programs knock at, answered from models, telemetry and published formulas."""
