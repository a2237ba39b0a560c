"""``python -m proofs linearize``: see `proofs.linearize.program`."""

import sys

from proofs.linearize.program import main

if __name__ == "__main__":
    sys.exit(main())
