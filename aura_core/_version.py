"""The version of aura-core; pyproject.toml reads it from here."""

__version__ = "0.1.0"
