"""What people write: aura.toml, AURA_ variables and agent files, each decoded with its place kept for errors."""
