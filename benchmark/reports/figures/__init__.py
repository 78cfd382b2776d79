"""How figures look, and what they are made of: one style for the page and for papers."""
