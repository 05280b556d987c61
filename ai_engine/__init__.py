"""NovaCron AI Engine: a model registry that lives inside your service and never forgets what it learned."""

__version__ = "0.1.0"
