"""The teacher: the dense model that a run starts from, and its outputs, which cells of a task and seed share."""
