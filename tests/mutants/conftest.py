"""Let the tests import the list of mutants."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
