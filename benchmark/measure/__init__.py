"""Measurements on models: predictions, MACs, latency."""
