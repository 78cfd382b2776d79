"""Intervals of what tables and claims compare, from the predictions that records keep."""
