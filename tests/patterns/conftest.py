"""Let the tests import the modules that find patterns."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
