"""Names of lines, set where they do not cover each other."""

from typing import Any


def placed(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The points with `label_y`, where labels close to each other are moved apart, upwards."""
    values = [point["y"] for point in points]
    spread = max(values) - min(values) if values else 0.0
    step = 0.055 * spread if spread > 1e-6 * max(map(abs, values), default=0) else 0.0  # less would move nothing
    taken = list[tuple[float, float]]()
    for point in sorted((p for p in points if p["label"]), key=lambda p: p["y"]):
        y = point["y"] + step / 2
        while any(abs(y - other) < step and max(x, point["x"]) < 1.9 * min(x, point["x"]) for x, other in taken):
            y += step / 4
        taken.append((point["x"], y))
        point["label_y"] = y
    return points
