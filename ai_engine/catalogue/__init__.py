"""Who exists and which version is active."""
