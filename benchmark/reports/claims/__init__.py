"""Claims of papers as data, and what the records say of each."""
