"""Names of lines, set where they do not cover each other."""

from typing import Any


def placed(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The points with `label_y`, where labels close to each other are moved apart, upwards."""
    values = [point["y"] for point in points]
    step, taken = 0.055 * (max(values) - min(values) if values else 0), list[tuple[float, float]]()
    for point in sorted((p for p in points if p["label"]), key=lambda p: p["y"]):
        y = point["y"] + step / 2
        while any(abs(y - other) < step and max(x, point["x"]) < 1.9 * min(x, point["x"]) for x, other in taken):
            y += step / 4
        taken.append((point["x"], y))
        point["label_y"] = y
    return points
