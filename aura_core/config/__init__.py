"""Read what people write: aura.toml, AURA_ variables and agent files, with the place of each value for errors."""
