"""`python -m tests.conformance.families.capture NAME …`: run programs, and keep what they sent as fixtures."""

from __future__ import annotations

import sys

from tests.conformance.families.__main__ import main

if __name__ == "__main__":
    sys.argv.insert(1, "--capture")
    sys.exit(main())
