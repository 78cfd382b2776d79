"""The figures, as Vega-Lite specifications: of the page, where a script gives them data, and of papers."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.common.files import write_atomically
from benchmark.reports.figures import style

Points = Sequence[dict[str, Any]]


def _scale(alt: Any, scales: dict[str, Any]) -> dict[str, Any]:
    """Channels that tell methods apart, without a legend: marks are labelled."""
    return {
        "color": alt.Color("method:N", scale=alt.Scale(**scales["colour"]), legend=None),
        "shape": alt.Shape("method:N", scale=alt.Scale(**scales["shape"]), legend=None),
        "dash": alt.StrokeDash("method:N", scale=alt.Scale(**scales["dash"]), legend=None),
    }


def pareto(points: Points, methods: Sequence[str], x: str, y: str, logarithmic: bool = True) -> dict[str, Any]:
    """Score against what is left, one line a method, bars for intervals of 95 %.

    Args:
        points: with x, left, y, low, high, method, row, and label and label_y where the method's name is to stand.
        methods: all of the page, in the order of their colours.
        x, y: titles of the axes.
        logarithmic: whether x is.
    """
    import altair as alt

    known = _scale(alt, style.by_method(methods))
    base = alt.Chart(alt.Data(values=list(points))).encode(
        x=alt.X("x:Q", title=x, scale=alt.Scale(type="log" if logarithmic else "linear", nice=False, padding=14)),
        color=known["color"],
        tooltip=[alt.Tooltip("row:N"), *(alt.Tooltip(f"{n}:Q", format=".4~g") for n in ("left", "y", "low", "high"))],
    )
    value = alt.Y("y:Q", title=y, scale=alt.Scale(zero=False, domain=_around(points, "y")))
    lines = base.mark_line(strokeWidth=1.3).encode(
        y=value, strokeDash=known["dash"], order="x:Q", detail="method:N", tooltip=alt.value(None)
    )
    bars = base.mark_rule(strokeWidth=1, opacity=0.55, clip=True).encode(y=alt.Y("low:Q"), y2="high:Q")
    marks = base.mark_point(filled=True, size=55, opacity=1).encode(y=value, shape=known["shape"])
    names = base.mark_text(align="left", dx=8, fontSize=10).encode(y=alt.Y("label_y:Q"), text="label:N")
    return _finished(alt.layer(lines, bars, marks, names), 380)


def _around(points: Points, name: str) -> list[float]:
    """The range of the points and a tenth of it on both sides: an interval that is wider is cut off."""
    values = [point[name] for point in points] or [0.0, 1.0]
    margin = 0.12 * (max(values) - min(values)) or 1.0
    return [min(values) - margin, max(values) + 1.5 * margin]


def lines(points: Points, methods: Sequence[str], x: str, y: str) -> dict[str, Any]:
    """A share by layer, one line a row, its name at the end.

    Args:
        points: with x, y, method and row, and label and label_y at the end of a line.
        methods: all of the page, in the order of their colours.
        x, y: titles of the axes.
    """
    import altair as alt

    known = _scale(alt, style.by_method(methods))
    base = alt.Chart(alt.Data(values=list(points))).encode(
        x=alt.X("x:O", title=x, axis=alt.Axis(labelAngle=0)),
        y=alt.Y("y:Q", title=y, scale=alt.Scale(domain=[0, 100])),
        color=known["color"],
        tooltip=["row:N", "x:O", alt.Tooltip("y:Q", format=".1f")],
    )
    drawn = base.mark_line(strokeWidth=1.3).encode(strokeDash=known["dash"], detail="row:N", tooltip=alt.value(None))
    marks = base.mark_point(filled=True, size=45, opacity=1).encode(shape=known["shape"])
    names = base.mark_text(align="right", dx=-6, fontSize=10).encode(y=alt.Y("label_y:Q"), text="label:N")
    return _finished(alt.layer(drawn, marks, names), 260)


def curves(points: Points, x: str, y: str) -> dict[str, Any]:
    """Numbers over steps, one line a name; points with x, y and name."""
    import altair as alt

    base = alt.Chart(alt.Data(values=list(points))).encode(
        x=alt.X("x:Q", title=x, scale=alt.Scale(nice=False)),
        y=alt.Y("y:Q", title=y),
        color=alt.Color("name:N", title=None, scale=alt.Scale(range=list(style.COLOURS)), legend=_top(alt)),
        strokeDash=alt.StrokeDash("name:N", title=None, scale=alt.Scale(range=list(style.DASHES)), legend=_top(alt)),
        tooltip=["name:N", "x:Q", alt.Tooltip("y:Q", format=".1f")],
    )
    return _finished(base.mark_line(strokeWidth=1.5), 240)


def heads(points: Points) -> dict[str, Any]:
    """Share of runs that keep a head: layer by head."""
    import altair as alt

    colour = alt.Color(
        "share:Q",
        title="runs that keep it, %",
        scale=alt.Scale(scheme=style.SEQUENTIAL, domain=[0, 100]),
        legend=alt.Legend(orient="top", gradientLength=120),
    )
    base = alt.Chart(alt.Data(values=list(points))).encode(
        x=alt.X("head:O", title="head", axis=alt.Axis(labelAngle=0)), y=alt.Y("layer:O", title="layer")
    )
    tiles = base.mark_rect(stroke="#888", strokeWidth=0.4).encode(
        color=colour, tooltip=["layer:O", "head:O", alt.Tooltip("share:Q", format=".0f")]
    )
    return _finished(tiles, 180)


def widths(points: Points) -> dict[str, Any]:
    """FFN units left in each layer, mean over seeds."""
    import altair as alt

    base = alt.Chart(alt.Data(values=list(points))).encode(
        y=alt.Y("layer:O", title="layer"), x=alt.X("units:Q", title="FFN units kept")
    )
    bars = base.mark_bar(color=style.COLOURS[1]).encode(tooltip=["layer:O", alt.Tooltip("units:Q", format=".0f")])
    numbers = base.mark_text(align="left", dx=3, fontSize=10).encode(text=alt.Text("units:Q", format=".0f"))
    return _finished(alt.layer(bars, numbers), 180)


def boxes(points: Points, x: str, y: str) -> dict[str, Any]:
    """The spread of a share in each group; points with group and y."""
    import altair as alt

    base = alt.Chart(alt.Data(values=list(points))).encode(
        x=alt.X("group:N", title=x, axis=alt.Axis(labelAngle=0)), y=alt.Y("y:Q", title=y)
    )
    return _finished(base.mark_boxplot(color=style.COLOURS[1], size=30), 220)


def costs(points: Points, x: str) -> dict[str, Any]:
    """What training each row took, on a logarithmic axis."""
    import altair as alt

    base = alt.Chart(alt.Data(values=list(points))).encode(
        y=alt.Y("row:N", title=None, sort=None, axis=alt.Axis(labelLimit=220)),
        x=alt.X("cost:Q", title=x, scale=alt.Scale(type="log", nice=True)),
    )
    marks = base.mark_point(filled=True, size=50, color=style.COLOURS[2], opacity=1).encode(
        tooltip=["row:N", alt.Tooltip("cost:Q", format=".3~g")]
    )
    numbers = base.mark_text(align="left", dx=7, fontSize=10).encode(text=alt.Text("cost:Q", format=".2~f"))
    return _finished(alt.layer(marks, numbers), alt.Step(17))


def sweep(points: Points, x: str, y: str) -> dict[str, Any]:
    """An ablation axis: a score by value, one line a size and method with its name at the end, bars for intervals.

    Args:
        points: with label, group, y, low, high, and end, the group's name at its last point and empty elsewhere.
        x, y: titles of the axes.
    """
    import altair as alt

    base = alt.Chart(alt.Data(values=list(points))).encode(
        x=alt.X("label:O", title=x, sort=None, axis=alt.Axis(labelAngle=-25)),
        color=alt.Color("group:N", scale=alt.Scale(range=list(style.COLOURS)), legend=None),
        tooltip=["label:N", "group:N", "y:Q"],
    )
    value = alt.Y("y:Q", title=y, scale=alt.Scale(zero=False, padding=8))
    drawn = base.mark_line(strokeWidth=1.2).encode(y=value, tooltip=alt.value(None))
    bars = base.mark_rule(opacity=0.6).encode(y="low:Q", y2="high:Q")
    marks = base.mark_point(filled=True, size=50, opacity=1).encode(y=value, shape=alt.Shape("group:N", legend=None))
    names = base.mark_text(align="right", dx=-3, dy=-9, fontSize=10).encode(y=value, text="end:N")
    return _finished(alt.layer(drawn, bars, marks, names), 240)


def _top(alt: Any) -> Any:
    return alt.Legend(orient="top")


def _finished(chart: Any, height: Any) -> dict[str, Any]:
    """A specification as wide as what holds it, in the style of all figures."""
    found: dict[str, Any] = chart.properties(width="container", height=height).to_dict()
    found["config"] = style.config()
    found["background"] = None
    return found


def printed(spec: dict[str, Any], suffix: str, width: int = style.COLUMN) -> bytes:
    """A specification as `svg` or `pdf`, each panel of a paper's column by default."""
    import vl_convert

    fixed = {**spec, "background": "white"} | ({} if "concat" in spec else {"width": width})
    if suffix == "pdf":
        return bytes(vl_convert.vegalite_to_pdf(fixed))
    # Clipping paths are numbered on from figure to figure: begin anew, so that the same records give the same file.
    names: dict[str, str] = {}
    found = str(vl_convert.vegalite_to_svg(fixed))
    return re.sub(r"\bclip\d+", lambda match: names.setdefault(match[0], f"clip{len(names)}"), found).encode()


def write_printed(folder: Path, name: str, spec: dict[str, Any]) -> list[Path]:
    """Write `NAME.svg` and `NAME.pdf`; a PDF, which no two times comes out the same, only where the figure changed."""
    paths = [folder / f"{name}.svg", folder / f"{name}.pdf"]
    drawn = printed(spec, "svg")
    if not (all(path.exists() for path in paths) and paths[0].read_bytes() == drawn):
        write_atomically(paths[1], printed(spec, "pdf"))
        write_atomically(paths[0], drawn)
    return paths


def side_by_side(panels: dict[str, dict[str, Any]], columns: int = 2, width: int = style.COLUMN) -> dict[str, Any]:
    """Specifications under their titles, each as wide as a paper's column, in so many columns."""
    bare = {"config", "background", "$schema"}
    parts = [
        {name: value for name, value in spec.items() if name not in bare} | {"title": title, "width": width}
        for title, spec in panels.items()
    ]
    independent = {"scale": dict.fromkeys(("x", "y"), "independent")}
    schema = {name: spec["$schema"] for spec in panels.values() for name in ("$schema",)}
    return {**schema, "concat": parts, "columns": columns, "resolve": independent, "config": style.config()}


def library() -> str:
    """The drawing library as one script, for a page that is read without a network."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
