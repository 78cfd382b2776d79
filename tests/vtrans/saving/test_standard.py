"""Pruned models in transformers' own form: loaded by its classes, in a fresh process too, and refused without us."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import DECODERS, FAMILIES, TOKEN_FAMILIES, inputs, random_decision
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from vtrans.anatomy import Widths, anatomy_of, is_pruned, write_widths
from vtrans.pruning.masks import Masks
from vtrans.pruning.surgery import materialise
from vtrans.saving.pruned import load_pruned, save_pruned
from vtrans.tokens import Predictor, Retention, Threshold, attach, token_pruning_encoder

ROOT = Path(__file__).parents[3]
STOCK = """
import sys, transformers
transformers.utils.logging.set_verbosity_error()
for folder in sys.argv[1:]:
    for load in (transformers.AutoModelForSequenceClassification, transformers.BertForSequenceClassification):
        try:
            load.from_pretrained(folder, ignore_mismatched_sizes=True)  # as its own hint says
            print("loaded")
        except Exception as error:
            print(type(error).__name__)
"""
FRESH = """
import sys, torch
{first}
{second}
torch.set_num_threads(1)  # as here: another number changes the last bits
out = {{}}
for folder in sys.argv[2:]:
    model = getattr(transformers, torch.load(folder + "/class.pt")).from_pretrained(folder).eval()
    with torch.no_grad():
        out[folder] = model(**torch.load(folder + "/inputs.pt")).logits
torch.save(out, sys.argv[1])
"""


def python(text, *args):
    done = subprocess.run([sys.executable, "-c", text, *map(str, args)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def cut(model, hidden=1.0, heads=None, ffn=None, attention=(), layers=()):
    """A decision that keeps a share of the hidden units, so many heads and FFN units, and not the given sub-layers."""
    anatomy = anatomy_of(model)

    def first(kept, of):
        return (torch.arange(of) < (of if kept is None else kept)).float()

    depth = range(len(anatomy.blocks))
    sites = [[first(kept, of) for of in getattr(anatomy, site)] for kept, site in ((heads, "heads"), (ffn, "ffn"))]
    gone = [[torch.tensor(float(i not in without)) for i in depth] for without in (attention, layers)]
    return Masks.of(first(int(hidden * anatomy.hidden), anatomy.hidden), *sites, *gone)


@pytest.mark.parametrize("family", FAMILIES)
@given(seed=st.integers(0, 10_000))
def test_a_config_says_what_the_model_has(family, seed):
    model = FAMILIES[family]()
    small = materialise(model, random_decision(model, seed, 0.3))
    read = type(small.config).from_dict(json.loads(small.config.to_json_string(use_diff=False)))
    assert Widths.read(read) == Widths.read(small.config) == Widths.of(small)
    before = small.config.to_dict()
    write_widths(small)
    assert small.config.to_dict() == before
    with torch.device("meta"):
        assert Widths.of(type(small)(read)) == Widths.of(small)
    assert Widths.read(read) == Widths.of(small)  # building leaves the config as it was


@pytest.mark.parametrize("family", FAMILIES)
def test_models_saved_again_by_transformers_load_again(family, tmp_path):
    model = FAMILIES[family]()
    small = materialise(model, random_decision(model, 5, 1.0)).eval()
    load_pruned(save_pruned(small, tmp_path / "a")).save_pretrained(tmp_path / "b")
    again = load_pruned(tmp_path / "b")
    with torch.no_grad():
        assert torch.equal(again(**inputs()).logits, small(**inputs()).logits)
    twice = materialise(again, random_decision(again, 6, 1.0))
    assert Widths.of(load_pruned(save_pruned(twice, tmp_path / "c"))) == Widths.of(twice)


def test_what_stock_models_hold_is_written_as_a_stock_config():
    model = FAMILIES["bert"]()
    assert not is_pruned(materialise(model, cut(model, ffn=8)).config)
    assert is_pruned(materialise(model, cut(model, heads=1)).config)  # BERT would take them for wider ones
    llama = FAMILIES["llama"]()
    small = materialise(llama, cut(llama, heads=1, ffn=8))
    assert not is_pruned(small.config) and small.config.intermediate_size == 8
    assert small.config.num_key_value_heads == 1 and small.config.head_dim == anatomy_of(llama).head_size


def test_the_layers_of_a_decoder_stand_in_the_form_that_others_read():
    """A sparse map from the layer to flat keys of the config, with a list `skip`: as vLLM's AnyModel documents it."""
    model = DECODERS["llama"]()
    d = Masks.dense(anatomy_of(model))
    heads = [torch.tensor([1.0, 0.0]), *d.heads[1:]]
    ffn = [d.ffn[0], (torch.arange(len(d.ffn[1])) < 5).float(), d.ffn[2]]
    gone = [*d.attention_layer[:2], torch.tensor(0.0)]
    config = materialise(model, Masks.of(d.hidden, heads, ffn, gone, d.ffn_layer)).config.to_dict()
    group = model.config.num_attention_heads // model.config.num_key_value_heads
    wider = {"num_attention_heads": 2 * group, "num_key_value_heads": 2, "intermediate_size": 5}
    assert config["per_layer_config"] == {"1": wider, "2": {"skip": ["attention"]}}
    assert (config["num_attention_heads"], config["num_key_value_heads"]) == (group, 1)  # the most common ones
    assert config["model_type"] == "llama" and config["head_dim"] == anatomy_of(model).head_size


def selectors(model):
    hidden = anatomy_of(model).hidden
    return {
        "predictor": Predictor(hidden, [0, 2]),
        "retention": Retention([6, 4, 2]),
        "threshold": Threshold([0.05] * 3),
    }


@pytest.mark.parametrize("family", TOKEN_FAMILIES)
@pytest.mark.parametrize("kind", ["predictor", "retention", "threshold"])
@pytest.mark.parametrize("static", [False, True])
def test_a_model_that_drops_tokens_is_loaded_by_the_auto_classes(family, kind, static, tmp_path):
    model = TOKEN_FAMILIES[family]()
    model = materialise(model, random_decision(model, 2, 0.0)) if static else model
    model = load_pruned(save_pruned(model, tmp_path / "before"))
    attach(model, Retention([9, 9, 9]))
    attach(model, selectors(model)[kind])
    model.eval()
    assert isinstance(model, type(TOKEN_FAMILIES[family]()))
    model.save_pretrained(tmp_path / "a")
    found = AutoModelForSequenceClassification.from_pretrained(tmp_path / "a").eval()
    short = load_pruned(save_pruned(found, tmp_path / "b"))
    for each in (found, short):
        assert (
            type(each) is type(model)
            and token_pruning_encoder(each).selector.settings() == selectors(model)[kind].settings()
        )
        with torch.no_grad():
            assert torch.equal(each(**inputs()).logits, model(**inputs()).logits)
    bare = AutoModel.from_pretrained(tmp_path / "a")
    assert token_pruning_encoder(bare) is not None and Widths.of(bare) == Widths.of(model)


def test_transformers_alone_refuses_what_it_would_build_wrong(tmp_path):
    def bert():
        return FAMILIES["bert"]()

    dense = bert()
    decisions = {
        "heads": cut(dense, heads=1),
        "hidden": cut(dense, hidden=0.5),
        "skip": cut(dense, attention=[1]),
        "ffn skip": cut(dense, layers=[0]),
        "all": random_decision(dense, 1, 0.3),
    }
    folders = [save_pruned(materialise(dense, d), tmp_path / name) for name, d in decisions.items()]
    for kind in selectors(dense):
        model = bert()
        attach(model, selectors(model)[kind])
        folders.append(save_pruned(model, tmp_path / kind))
    folders.append(save_pruned(materialise(dense, cut(dense, ffn=8)), tmp_path / "plain"))
    said = python(STOCK, *folders)
    assert said[-2:] == ["loaded", "loaded"]  # what stock BERT is
    assert "loaded" not in said[:-2], list(zip(folders, zip(said[::2], said[1::2], strict=True), strict=True))


@pytest.mark.parametrize("order", [("import transformers", "import vtrans"), ("import vtrans", "import transformers")])
def test_a_fresh_process_loads_them_bit_equal(order, tmp_path):
    kinds = {"bert": "SequenceClassification", "roberta": "SequenceClassification", "bert mlm": "MaskedLM"}
    kinds |= dict.fromkeys(DECODERS, "CausalLM")
    expected, x = {}, inputs()
    for family, kind in kinds.items():
        model = FAMILIES[family]()
        small = materialise(model, random_decision(model, 4, 1.0)).eval()
        if family == "roberta":
            attach(small, Retention([6, 4, 2]))
        folder = str(save_pruned(small, tmp_path / family.replace(" ", "-")))
        torch.save(f"AutoModelFor{kind}", folder + "/class.pt")
        torch.save(x, folder + "/inputs.pt")
        with torch.no_grad():
            expected[folder] = load_pruned(folder)(**x).logits
    python(FRESH.format(first=order[0], second=order[1]), tmp_path / "out.pt", *expected)
    found = torch.load(tmp_path / "out.pt")
    assert all(torch.equal(logits, found[folder]) for folder, logits in expected.items())


def test_generation_pipeline_and_lora_work_on_what_is_loaded(tmp_path, model_dir):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

    model = DECODERS["gpt2"]()
    small = AutoModelForCausalLM.from_pretrained(
        save_pruned(materialise(model, random_decision(model, 4, 1.0)), tmp_path / "g")
    )
    prompt = torch.tensor([[7, 9, 11, 8]])
    cached, plain = (small.generate(prompt, max_new_tokens=5, do_sample=False, use_cache=use) for use in (True, False))
    assert torch.equal(cached, plain)
    tuned = get_peft_model(small, LoraConfig(r=2, target_modules=["c_proj"], fan_in_fan_out=True))
    assert tuned(input_ids=prompt, labels=prompt).loss.isfinite()

    bert = FAMILIES["bert"]()
    attach(bert := materialise(bert, random_decision(bert, 4, 1.0)), Retention([6, 4, 2]))
    AutoTokenizer.from_pretrained(model_dir).save_pretrained(save_pruned(bert, tmp_path / "b"))
    (found,) = pipeline("text-classification", model=str(tmp_path / "b"))("a film")
    assert found["label"].startswith("LABEL_") and 0 < found["score"] <= 1


def test_a_damaged_selector_is_named(tmp_path):
    model = FAMILIES["bert"]()
    attach(model, Retention([6, 4, 2]))
    folder = save_pruned(model, tmp_path)
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"retention"', '"unheard"'))
    with pytest.raises(Exception, match="unheard"):
        load_pruned(folder)
    assert AutoConfig.from_pretrained(folder).token_selector["selector"] == "unheard"


AUTO = "from transformers import AutoModelForSequenceClassification as Auto\n"
ORDERS = {
    "load_pruned": "from vtrans.saving.pruned import load_pruned as load",
    "tokenizer": f"import vtrans\nfrom transformers import AutoTokenizer\n{AUTO}load = Auto.from_pretrained",
    "transformers": f"{AUTO}import vtrans\nload = Auto.from_pretrained",
}


@pytest.mark.parametrize("order", ORDERS)
def test_a_model_that_drops_tokens_is_loaded_whatever_was_imported_first(order, tmp_path):
    model = TOKEN_FAMILIES["bert"]()
    attach(model, Retention([6, 4, 2]))
    save_pruned(model, tmp_path / "a")
    text = f"{ORDERS[order]}\nimport sys\nprint(type(load(sys.argv[1])).__name__)"
    assert python(text, tmp_path / "a") == ["TokenDroppingBertForSequenceClassification"]
