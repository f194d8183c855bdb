"""`python -m aura_core` is the command `aura`."""

from aura_core.cli import main

main()
