"""Make the proofs importable, which no distribution contains."""

import sys
from pathlib import Path

# At the end: the package itself is tested as it is installed, not as it lies here.
sys.path.append(str(Path(__file__).parents[2]))
