"""What a grid will take: batches of the stages that run; weights that do not train are not counted as if they did."""

from benchmark.grid.cells import plan
from benchmark.grid.cost import ADAM, cost, device_bytes, lines
from benchmark.models.registry import GIB, get_model


def bytes_of(suite: str, preset: str, row: str) -> float:
    (cell, *_) = plan(suite, preset, [row], seeds=[0])
    return device_bytes(cell, get_model(cell.preset.model).shape)


def test_weights_that_adapters_train_beside_have_no_optimiser_states():
    shape = get_model("llama-2-7b").shape
    assert 4 * shape.parameters < bytes_of("llm", "paper", "random-LoRA-s20") < ADAM * shape.parameters


def test_a_row_without_training_needs_least_and_larger_batches_need_more():
    dense, pruned = bytes_of("llm", "small", "dense"), bytes_of("llm", "small", "random-LoRA-s20")
    assert dense < pruned < 4.2 * GIB  # recorded peaks of these rows on a CPU, the process itself included
    prune, recover = (f"VTrans-s80[{stage}.batch=256]" for stage in ("prune", "recover"))
    for larger in (prune, recover):
        assert bytes_of("glue", "quick", "VTrans-s80") < bytes_of("glue", "quick", larger)
    split = bytes_of("glue", "quick", "VTrans-s80[prune.batch=256,prune.accumulate=8]")
    assert split == bytes_of("glue", "quick", "VTrans-s80")


def test_gates_alone_need_less_than_weights_and_adapters_count_beside_them():
    assert bytes_of("glue", "quick", "Faster-VTrans-s80") < bytes_of("glue", "quick", "Fast-VTrans-s80")
    assert bytes_of("llm", "paper", "Faster-VTrans-LLM-LoRA-s20") == bytes_of("llm", "paper", "random-LoRA-s20")


def test_the_largest_cell_decides_memory_and_all_add_up_on_disk():
    small, large = plan("glue", "quick", ["dense"], seeds=[0]), plan("glue", "medium", ["VTrans-s80"], ["sst2"], [0])
    both = cost([*small, *large])
    assert both.memory == cost(large).memory and both.disk > cost(large).disk
    assert both.flops == cost(small).flops + cost(large).flops
    text = " ".join(lines(both, "medium", 0.05, on_gpu=False))
    assert f"{both.memory / GIB:.1f} GiB on a GPU" in text and "machine-hours" in text
