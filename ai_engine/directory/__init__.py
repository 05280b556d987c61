"""Where a registry keeps files on a local disk: whose they are, the versions, and what waits."""
