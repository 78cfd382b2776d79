"""Running cells: what they run on, what they do, what they measure."""
