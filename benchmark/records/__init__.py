"""Records of runs: their schema, their place on disk, where they come from."""
