"""HTTP: the registry and the trainings as a service."""
