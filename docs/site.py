"""Hooks of mkdocs: pages that lie elsewhere in the repository, the results that pages link to, and the gallery."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
ELSEWHERE = {"index.md": "README.md", "contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
SHOWN = (".md", ".svg", ".html")
PLACES = {source: name for name, source in ELSEWHERE.items()}
CAPTIONS = {
    "pareto": "Score against encoder parameters left, by method, with intervals of 95 %",
    "figure2": "Infor-Coef's figure 2: speed-up by layers and by task, printed beside measured",
    "figure3": "Infor-Coef's figure 3: its norm term against the skim loss",
    "figure4": "Infor-Coef's figure 4: score against MACs as tokens are pressed harder",
    "axis": "An ablation axis: each value of one hyper-parameter, others as they are",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add pages from the root, what lies under `results`, and the gallery."""
    for name, source in ELSEWHERE.items():
        files.append(File.generated(config, name, content=to_site((ROOT / source).read_text(), source)))
    for path in results(*SHOWN):
        files.append(File.generated(config, str(path.relative_to(ROOT)), abs_src_path=str(path)))
    files.append(File.generated(config, "gallery.md", content=gallery()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Links as they are on the site; pages from the root and results have them already."""
    own = (ROOT / "docs" / page.file.src_uri).exists()
    return to_site(markdown, f"docs/{page.file.src_uri}") if own else markdown


def results(*suffixes: str) -> list[Path]:
    """Committed files of the results; of the preset `quick`, whose runs are anybody's own, the trials alone."""
    found = sorted(path for path in (ROOT / "results").rglob("*") if path.suffix in suffixes)
    return [path for path in found if path.parts[len(ROOT.parts) + 1] != "quick" or "search" in path.parts]


def to_site(markdown: str, source: str) -> str:
    """Links of a file of the repository, from its place on the site."""
    here = PLACES.get(source, source).removeprefix("docs/")

    def moved(match: re.Match[str]) -> str:
        """One link."""
        text, target, anchor = match[1], match[2], match[3] or ""
        found = (ROOT / source).parent.joinpath(target).resolve()
        if "://" in target or not found.is_relative_to(ROOT):
            return match[0]
        uri = str(found.relative_to(ROOT))
        return f"{text}({'../' * here.count('/')}{PLACES.get(uri, uri).removeprefix('docs/')}{anchor})"

    return re.sub(r"(\[[^\]]*\])\(([^)#\s]+)(#[^)\s]*)?\)", moved, markdown)


def gallery() -> str:
    """All figures of the results, those of one folder together."""
    lines = ["# Gallery", "", "Each figure is made from committed records; its table lies beside it.", ""]
    for folder in sorted({path.parent for path in results(".svg")}):
        lines += [f"## {folder.relative_to(ROOT / 'results')}", ""]
        for path in sorted(folder.glob("*.svg")):
            caption = CAPTIONS.get(path.stem.split("-")[0], path.stem)
            lines += [f"![{caption}]({path.relative_to(ROOT)})", "", f"{caption}: `{path.stem}`.", ""]
    return "\n".join(lines)
