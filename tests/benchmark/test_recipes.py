"""The recipes of CONTRIBUTING: a method, a task from a CSV file, a family, each by one line."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
import torch
from tiny import inputs, random_decision
from transformers import BertConfig, BertForSequenceClassification

from benchmark.grid import methods as registry
from benchmark.grid.cells import plan
from benchmark.grid.suites import SUITES
from benchmark.records.store import Store
from benchmark.reports.tables import build
from benchmark.runs.runner import run_cells
from benchmark.tasks.registry import TASKS, Task
from benchmark.tasks.sources import Files
from vtrans.anatomy import anatomy_of, register
from vtrans.anatomy import base as families
from vtrans.anatomy.bert import encoder_anatomy
from vtrans.errors import SuiteError
from vtrans.methods.base import CompressionState, Method, Stage
from vtrans.methods.stages import Materialise, Recover
from vtrans.pruning.masking import apply_masks
from vtrans.pruning.size import Size
from vtrans.pruning.surgery import materialise
from vtrans.selectors import SelectorSpec
from vtrans.settings import Budget, Schedule, Setting
from vtrans.tokens import Selector, register_selector


@dataclass(frozen=True)
class LastLayersOff(Stage):
    """Prune whole layers from the top."""

    budget: Budget

    def run(self, state: CompressionState) -> None:
        from vtrans.pruning.masks import Masks

        anatomy = anatomy_of(state.model)
        dense = Masks.dense(anatomy)
        kept = round(len(anatomy.blocks) * (1 - self.budget.sparsity))
        layers = [torch.tensor(float(index < kept)) for index in range(len(anatomy.blocks))]
        state.decision = Masks.of(dense.hidden, dense.heads, dense.ffn, layers, layers)


@dataclass(frozen=True)
class TopDown(Method):
    """A method of one file: whole layers from the top, then recovery."""

    name = "TopDown"
    summary = "whole layers from the top"
    sized = True

    budget: Budget
    recover: Schedule

    @classmethod
    def build(cls, setting: Setting) -> Self:
        return cls(setting.budget, setting.schedules.recover)

    def target(self) -> Budget:
        return self.budget

    def stages(self) -> tuple[Stage, ...]:
        return (LastLayersOff(self.budget), Materialise(), Recover(self.recover))


def test_a_method_is_a_class_and_a_line(tiny_preset, data_dir, tmp_path, monkeypatch):
    monkeypatch.setitem(registry.METHODS, "TopDown", registry.registered(TopDown)["TopDown"])  # the one line
    settings = {"TopDown.recover.lr": "0.001"}
    cells = plan("glue", "tiny", ["TopDown-s50", "TopDown-s50+Transkimmer"], ["sst2"], [0], settings=settings)
    assert [cell.row for cell in cells] == [
        "TopDown-s50[recover.lr=0.001]",
        "TopDown-s50[recover.lr=0.001]+Transkimmer",
    ]
    store = Store(tmp_path / "results", "glue", "tiny")
    run_cells(cells, store, data_dir)
    assert store.read(cells[0]).outcome.parameters.encoder == store.read(cells[0]).outcome.parameters.dense_encoder / 2
    assert [row.row for row in build(store, cells)["sst2"]] == [cell.row for cell in cells]


def test_a_task_from_a_csv_file_is_a_declaration_and_a_line(tiny_preset, tmp_path, monkeypatch):
    words = {"ham": "good film", "spam": "bad plot", "other": "a dull film"}
    for split, rows in (("train", 60), ("test", 12)):
        with (tmp_path / f"{split}.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["message", "note", "label"])
            writer.writerows([f'{words[name]}, "{i}"', "x", name] for i in range(rows // 3) for name in words)
    task = Task(
        "mail",
        Files(train=tmp_path / "train.csv", evaluation=tmp_path / "test.csv"),
        ("accuracy", "matthews_correlation"),
        texts=("message",),
        labels=("ham", "spam", "other"),
    )
    monkeypatch.setitem(TASKS, task.name, task)  # the one line
    preset = SUITES["glue"].presets["tiny"]
    monkeypatch.setitem(SUITES["glue"].presets, "tiny", type(preset)(**vars(preset) | {"more_tasks": ("mail",)}))
    cells, store = plan("glue", "tiny", ["dense", "VTrans-s50"], ["mail"], [0]), Store(tmp_path / "r", "glue", "tiny")
    assert run_cells(cells, store, None) == 2
    record = store.read(cells[1])
    assert set(record.outcome.metrics) == {"accuracy", "matthews_correlation"}
    assert record.data.evaluation_rows == 12 and "test.csv" in record.data.source


class StrangeConfig(BertConfig):
    model_type = "strange"


class StrangeForSequenceClassification(BertForSequenceClassification):
    config_class = StrangeConfig


def test_a_family_is_a_function_and_a_line(monkeypatch):
    monkeypatch.setattr(families, "_FAMILIES", dict(families._FAMILIES))  # so that other tests do not see it

    @register("strange", token_types=True)  # the one line
    def read(model: Any):
        return encoder_anatomy(model, "strange")

    torch.manual_seed(0)
    shape = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 32}
    model = StrangeForSequenceClassification(StrangeConfig(vocab_size=60, **shape)).eval()
    decision = random_decision(model, 0, 0.5)
    small = materialise(model, decision)
    with torch.no_grad(), apply_masks(model, decision):
        masked = model(**inputs()).logits
    torch.testing.assert_close(masked, small(**inputs()).logits, atol=1e-5, rtol=1e-4)
    assert float(Size.of(small).parameters(Size.of(small).dense, "all")) == sum(p.numel() for p in small.parameters())


def incomplete(**attributes: Any) -> type[Method]:
    body = {"name": "Half", "summary": "half", "sized": False, "stages": lambda self: (), "__module__": __name__}
    return type("Half", (Method,), {k: v for k, v in (body | attributes).items() if v is not None})


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"name": None}, "method Half declares no name"),
        ({"sized": None}, "method Half declares no sized"),
        ({"sized": "yes"}, "neither sized nor not"),
        ({"sized": True}, "is sized and names no size; define `target`"),
        ({"scalable": True}, "scalable and cannot be scaled"),
        ({"selector": "predictor"}, "names no selector with MACs"),
    ],
)
def test_a_method_that_lacks_a_part_is_refused_when_it_is_registered(attributes, message):
    with pytest.raises(SuiteError, match=message):
        registry.registered(incomplete(**attributes))


def test_two_methods_of_one_name_are_refused():
    with pytest.raises(SuiteError, match="two methods are called TopDown"):
        registry.registered(TopDown, TopDown)


def test_a_selector_without_macs_is_refused_when_it_is_registered():
    with pytest.raises(SuiteError, match="lacks its kind or its MACs"):
        SelectorSpec("free", None)
    body = {"place": "layer", "learns": False, "__module__": __name__}
    with pytest.raises(SuiteError, match="selector Free lacks spec, forward, settings"):
        register_selector(type("Free", (Selector,), body))


def test_contributing_names_files_that_exist():
    import re

    root = Path(__file__).parents[2]
    named = re.findall(r"`((?:vtrans|baselines|benchmark|tests)/[\w/]+\.py)`", (root / "CONTRIBUTING.md").read_text())
    assert named and not [
        name for name in named if "/NAME" not in name and "/FAMILY" not in name and not (root / name).is_file()
    ]
