"""The version of this software, for everything inside the package that tells it."""

__version__ = "0.1.0"
