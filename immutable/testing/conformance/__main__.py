"""Print the page that lists all cases."""

import sys

from immutable.testing.conformance.listing import page

sys.stdout.write(page())
