"""One page of all that a preset's records say: `report.html`, and its figures for papers."""
