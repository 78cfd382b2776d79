"""Where kept and pruned heads look."""
