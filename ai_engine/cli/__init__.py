"""The command `ai-engine`."""
