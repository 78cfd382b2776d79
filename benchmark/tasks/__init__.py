"""Tasks: what they are, where their data come from, how they are encoded and scored."""
