"""From suite and preset to cells, and from a cell to its run key."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from benchmark.common.digests import key_of
from benchmark.grid.methods import METHODS
from benchmark.grid.rows import RowSpec, build, forced, parse_row, refuse_unused, sized_setting, with_settings
from benchmark.grid.suites import Preset, get_preset, get_suite
from benchmark.models.registry import get_model
from benchmark.tasks.kind import kind_of
from benchmark.tasks.registry import Task, get_task
from vtrans.errors import SuiteError, did_you_mean
from vtrans.methods.base import Method, config_of
from vtrans.settings import Setting

SCHEMA = 2  # of records; a new number makes all records stale
FAMILY = (0.4, 0.6, 0.8, 0.9, 0.95)
SPLITS = ("validation", "dev")


@dataclass(frozen=True)
class Cell:
    """One run: one row of a table, on one task, with one seed."""

    suite: str
    preset: Preset
    task: str
    row: str
    seed: int
    split: str = "validation"

    @cached_property
    def parsed(self) -> RowSpec:
        """What the row's name says."""
        return parse_row(self.row)

    @cached_property
    def method(self) -> Method:
        """The method of the row, under the preset's schedules."""
        row = with_settings(self.row, self.preset.settings, self.setting) if self.preset.settings else self.row
        return build(row, sized_setting(row, self.setting))

    @property
    def setting(self) -> Setting:
        """What methods are built for in the cell's place."""
        return self.preset.setting(self.home, get_task(self.task), get_model(self.preset.model).shape.layers)

    @cached_property
    def config(self) -> dict[str, Any]:
        """Everything that the result depends on, as JSON values."""
        teacher = None if self.is_dense else self.teacher.config["method"]
        base = {"base": self.base.config["method"]} if not self.starts_dense else {}
        if self.base.task != self.task:
            base = {"base": self.base.config}
        if self.below:
            base = {"below": self.below.config["method"]} | self._chain
        return base | {
            "schema": SCHEMA,
            "model": self.preset.model,
            "task": self.task,
            "split": self.split,
            "max_length": self.preset.max_length,
            "seed": self.seed,
            "method": config_of(self.method),
            "teacher": teacher,
            **self.preset.on(self.split).scope,
        }

    @property
    def _chain(self) -> dict[str, Any]:
        """The sizes that a family went through before, where they are others than `FAMILY`, which go without saying."""
        sizes = [cell.parsed.sparsity for cell in self.needed if cell.parsed.method == self.parsed.method]
        usual = [size for size in FAMILY if size < (self.parsed.sparsity or 0)]
        return {} if sizes == usual else {"family": sizes}

    @cached_property
    def key(self) -> str:
        """Hash of the config: names the record."""
        return key_of(self.config)

    @property
    def home(self) -> str:
        """Suite of the cells that this one starts from."""
        return get_suite(self.suite).home or self.suite

    @property
    def teacher(self) -> "Cell":
        """The dense cell of the same task and seed."""
        return Cell(self.home, self.preset, self.task, self.parsed.teacher, self.seed, self.split)

    @property
    def base(self) -> "Cell":
        """The cell whose model the row's method starts from: the dense one, that of a static method, or one on text."""
        row = self.parsed.base
        if text_base := self.parsed.text_base:
            text = get_preset(self.preset.name, "mlm")
            return Cell("mlm", text, text.tasks[0], text_base, self.seed, self.split)
        return Cell(self.home, self.preset, self.task, row, self.seed, self.split) if row else self.teacher

    @property
    def below(self) -> "Cell | None":
        """The cell of the next smaller size of the same family, whose pruning this one goes on with."""
        return replace(self, row=self.parsed.below) if self.parsed.below else None

    @property
    def needed(self) -> "list[Cell]":
        """The cells that it starts from, in the order they have to run."""
        base = [self.teacher] if self.base == self.teacher else [self.teacher, *self.base.needed, self.base]
        below = [*self.below.needed, self.below] if self.below else []
        return [cell for cell in dict.fromkeys([*base, *below]) if cell != self]

    @property
    def is_dense(self) -> bool:
        """Whether it is a dense row, a teacher itself."""
        return self.parsed.method == "dense"

    @property
    def starts_dense(self) -> bool:
        """Whether its method starts from its teacher, or is that."""
        return self.base == self.teacher

    @property
    def name(self) -> str:
        """Name for people and files; without the key it is the same for all configs of the row."""
        return f"{self.task}--{self.row}--{self.split}--seed{self.seed}"


def plan(
    suite: str,
    preset: str,
    rows: Sequence[str] = (),
    tasks: Sequence[str] = (),
    seeds: Sequence[int] = (),
    split: str = "validation",
    precision: str = "auto",
    settings: dict[str, str] | None = None,
) -> list[Cell]:
    """Cells of a suite in the order they run: task by task, seed by seed, the dense row first.

    Args:
        suite, preset: names.
        rows, tasks, seeds: narrow the preset's; any sparsity may be asked for, as `VTrans-s70`, and a
            method's bare name stands for all its rows of the preset.
        split: `validation`, or `dev` to select on rows held out of train.
        precision: that all training is forced to; `auto` leaves the choice to the device.
        settings: hyper-parameters to set, values by METHOD.PATH; rows that have one are marked with it, and run alone.

    Raises:
        SuiteError: an unknown name.
    """
    chosen = get_preset(preset, suite)
    if split not in SPLITS:
        raise did_you_mean("split", split, list(SPLITS))
    if (only := get_suite(suite).split) and split != only:
        raise SuiteError(
            f"suite {suite} chooses by rows held out of train, never by validation", f"give --split {only}"
        )
    names = [get_task(task).name for task in tasks] or list(chosen.tasks)
    known = (*chosen.tasks, *chosen.more_tasks)
    foreign = [t for t in names if t not in known]
    if foreign:
        raise SuiteError(f"task {foreign[0]} is not in preset {preset}", f"its tasks: {', '.join(known)}")
    of_suite = get_suite(suite).rows[preset]
    wanted = [name for row in rows for name in _expand(row, of_suite)] or list(of_suite)
    for name in names:
        for row in wanted:
            check_row_fits(row, get_task(name))
    if precision != "auto":
        wanted = [forced(row, precision) for row in wanted]
    cells = [
        Cell(suite, chosen, task, row, seed, split)
        for task in names
        for seed in (seeds or chosen.seeds)
        for row in dict.fromkeys(wanted)
    ]
    return _set(cells, settings) if settings else cells


def _set(cells: Sequence[Cell], settings: dict[str, str]) -> list[Cell]:
    """Cells whose rows have one of the hyper-parameters, with it set."""
    refuse_unused(settings, [cell.row for cell in cells])
    found = [replace(cell, row=with_settings(cell.row, settings, cell.setting)) for cell in cells]
    return [new for new, old in zip(found, cells, strict=True) if new.row != old.row]


def check_row_fits(row: str, task: Task) -> None:
    """Raise `SuiteError` where a row's method cannot serve a task."""
    kind = kind_of(task)
    if METHODS[parse_row(row).method].selector and not kind.allows_token_dropping:
        raise SuiteError(
            f"{row} drops tokens, but {task.name} predicts a token at any position",
            "choose a static method, VTrans-s60 for example",
        )
    if METHODS[parse_row(row).method].decodes and not kind.decodes:
        raise SuiteError(
            f"{row} prunes causal language models, and {task.name} is not a task of theirs", "choose Faster-VTrans-s60"
        )
    if METHODS[parse_row(row).method].text_method and not kind.has_labels:
        raise SuiteError(f"{row} is fine-tuned on a task with labels, which {task.name} has not", "choose VTrans-s60")


def known_method(text: str) -> str:
    """The registry's spelling of a text that is the name of a method and no more; empty for any other."""
    return next((name for name in METHODS if name.lower() == text.lower()), "")


def _expand(row: str, known: Sequence[str]) -> list[str]:
    of_method = [r for r in known if re.sub(r"-s[\d.]+$", "", r).lower() == row.lower() != r.lower()]
    if of_method:
        return of_method
    if sizes := METHODS[name].family if (name := known_method(row)) else ():
        return [parse_row(f"{name}-s{size * 100:g}").name for size in sizes]
    return [parse_row(row).name]
