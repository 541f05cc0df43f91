"""`otel_openai_v2`, with the newer conventions."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

os.environ["CONVENTION"] = "latest"
runpy.run_path(str(Path(__file__).parents[1] / "otel_openai_v2" / "main.py"), run_name="__main__")
