"""Grids of runs: methods, rows, suites, presets, cells."""
