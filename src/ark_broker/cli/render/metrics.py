"""Figures of `/metrics`."""

from __future__ import annotations

import math


def families(text: str) -> dict[str, float]:
    """Sum over the labels of each sample name, of Prometheus' text format; what is no sample is passed over."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name_and_labels, _, value = line.rpartition(" ")
        name = name_and_labels.partition("{")[0].strip()
        try:
            number = float(value)
        except ValueError:
            continue
        if name and math.isfinite(number):
            found[name] = found.get(name, 0.0) + number
    return found
