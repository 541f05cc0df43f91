"""Benchmarks. Each prints a figure beside a limit measured in the same run, and their ratio."""
