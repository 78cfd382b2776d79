"""Distilled students: their layers, widths and start, each loss by hand, and that they learn."""

import pytest
import torch
from tiny import FAMILIES, inputs, tiny_bert, tiny_examples

from baselines.distilbert import DistilBert
from baselines.parts.student_losses import StudentLosses
from baselines.parts.student_objective import StudentObjective
from baselines.parts.students import KeepLayers, kept_layers
from baselines.tinybert import TinyBert
from vtrans.anatomy import anatomy_of
from vtrans.errors import SuiteError
from vtrans.methods.base import CompressionState
from vtrans.objectives.distillation import masked_mse
from vtrans.settings import Schedule
from vtrans.teaching.outputs import RunningTeacher, TeacherOutputs
from vtrans.teaching.teacher import Teacher
from vtrans.training.loop import RunContext

SHORT = Schedule(steps=6, batch=8, lr=1e-3, precision="fp32")


def new_state(teacher, folder=None) -> CompressionState:
    return CompressionState(Teacher(teacher), tiny_examples(), 0, RunContext(folder=folder))


def test_layers_of_the_papers():
    assert kept_layers(12, 2) == [1, 3, 5, 7, 9, 11]
    assert kept_layers(12, 3) == [2, 5, 8, 11]  # TinyBERT4: g(m) = 3 m
    assert kept_layers(6, 3) == [2, 5]
    with pytest.raises(SuiteError, match="needs a teacher of more than 2"):
        kept_layers(2, 3)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cut_student_has_its_layers_and_widths(family):
    teacher = FAMILIES[family]()
    work = new_state(teacher)
    work.model = teacher
    KeepLayers(every=3, hidden=0.5, ffn=0.25).run(work)
    kept = work.decision.kept()
    dense = anatomy_of(teacher)
    assert kept["hidden"] == dense.hidden // 2
    assert kept["ffn"] == [0, 0, dense.ffn[2] // 4] and kept["heads"] == [0, 0, dense.heads[2]]
    assert work.report["pruning"]["layers"] == [3]


def test_a_distilbert_student_keeps_the_teachers_weights_in_its_layers():
    teacher = tiny_bert(num_hidden_layers=4)
    small = DistilBert(Schedule(steps=1, batch=4, lr=1e-12, precision="fp32")).compress(new_state(teacher))
    assert anatomy_of(small).heads == (0, 4, 0, 4)
    for layer in (1, 3):
        ours, theirs = (m.bert.encoder.layer[layer].attention.self.query.weight for m in (small, teacher))
        torch.testing.assert_close(ours, theirs)


def objective(losses: StudentLosses) -> StudentObjective:
    teacher, student = tiny_bert(num_hidden_layers=4), tiny_bert(num_hidden_layers=4, seed=1)
    return StudentObjective(student, RunningTeacher(teacher, (0, 2, 4)), losses, [1, 3], torch.eye(24))


def test_a_student_that_is_its_teacher_has_no_loss():
    teacher = tiny_bert(num_hidden_layers=4, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    losses = StudentLosses(cosine=1.0, hidden=1.0, prediction=1.0)
    work = StudentObjective(teacher, RunningTeacher(teacher, (0, 2, 4)), losses, [1, 3], None)
    terms = work.losses(tiny_examples().batch([0, 1]), 0, 1)
    assert all(float(term.detach()) == pytest.approx(0, abs=1e-5) for term in terms.values())


def test_terms_by_hand():
    losses = StudentLosses(cosine=2.0, hidden=3.0, prediction=7.0, temperature=2.0)
    work = objective(losses)
    work.transform.bias.data.zero_()
    batch = inputs()
    with work.attending(), torch.no_grad():
        for module in work.modules.values():
            module.eval()
        models = (work.modules["model"], work.teach.model)
        ours, theirs = (m(**batch, output_hidden_states=True) for m in models)
        terms = work._weighted(ours, TeacherOutputs.of(theirs), batch["attention_mask"])
    mask = batch["attention_mask"]
    hidden = sum(masked_mse(ours.hidden_states[i], theirs.hidden_states[i], mask) for i in (0, 2, 4))
    torch.testing.assert_close(terms["hidden"], 3 * hidden)
    cos = torch.nn.functional.cosine_similarity(ours.hidden_states[-1], theirs.hidden_states[-1], dim=-1)
    torch.testing.assert_close(terms["cosine"], 2 * (1 - cos)[mask.bool()].mean())
    assert set(terms) == {"cosine", "hidden", "prediction"}


def test_attention_is_matched_layer_by_layer_and_zero_for_the_teacher_itself():
    teacher = tiny_bert(num_hidden_layers=4)
    for parameter in teacher.parameters():
        parameter.requires_grad_(False)
    losses, lecturer = StudentLosses(attention=1.0, hidden=1.0), RunningTeacher(teacher, ())
    work = StudentObjective(teacher, lecturer, losses, [0, 1, 2, 3], torch.eye(24), teacher)
    work.transform.bias.data.zero_()
    with work.attending():
        out = teacher.eval()(**inputs(), output_hidden_states=True, output_attentions=True)
        terms = work._weighted(out, TeacherOutputs.of(out), inputs()["attention_mask"])
    assert float(terms["attention"]) == 0 and float(terms["hidden"]) < 1e-10
    assert teacher.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("method", [DistilBert(SHORT), TinyBert(SHORT, SHORT, every=2, hidden=0.5, ffn=0.5)])
def test_students_learn_and_come_out_smaller(method, tmp_path):
    teacher = tiny_bert(num_hidden_layers=4)
    work = new_state(teacher, tmp_path)
    small = method.compress(work)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in teacher.parameters())
    assert small.config._attn_implementation == "sdpa"
    with torch.no_grad():
        assert small(**inputs()).logits.shape == (3, 2)


def test_longer_training_brings_a_student_closer():
    teacher = tiny_bert(num_hidden_layers=4, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    gaps = []
    for steps in (1, 60):
        schedule = Schedule(steps=steps, batch=16, lr=2e-3, precision="fp32")
        small = DistilBert(schedule, losses=StudentLosses(prediction=1.0)).compress(new_state(teacher))
        with torch.no_grad():
            batch = tiny_examples().batch(range(48))
            ours, theirs = (model(**batch).logits.log_softmax(-1) for model in (small, teacher))
            gaps.append(float((ours - theirs).abs().mean()))  # what the loss sees: logits may shift
    assert gaps[1] < 0.7 * gaps[0]
