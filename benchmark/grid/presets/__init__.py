"""Presets, suite by suite. Every number in them enters the run keys."""
