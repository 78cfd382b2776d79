"""The suite's own costs, as ratios."""
