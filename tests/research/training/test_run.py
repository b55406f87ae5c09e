"""One run on a toy: it validates, keeps the best, stops, goes on, and says how it was made."""

import sys

import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")

from finesight.errors import InputError  # noqa: E402
from finesight.files import need_new  # noqa: E402
from finesight.research.training.run import (  # noqa: E402
    Learner,
    Plan,
    Progress,
    Run,
    load_bundle,
    provenance,
    warm_cosine,
)


class Counting(Learner):
    """Adds 1 to its weight per round; the score of weight w is `scores[w]`."""

    def __init__(self, scores=()):
        self.module = torch.nn.Linear(1, 1, bias=False)
        self.module.weight.data.zero_()
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=1.0)
        self.scores, self.rounds = scores, []

    def train(self, number):
        assert self.module.training
        self.rounds.append(number)
        return {"loss": self.descend(-self.module.weight.sum(), clip=9.0)}

    def validate(self):
        assert not self.module.training
        return {"score": self.scores[round(self.module.weight.item())]}


def test_the_best_weights_are_left_and_it_stops_in_time():
    learner, seen = Counting([0.1, 0.5, 0.9, 0.8, 0.2, 1.0]), []
    plan = Plan(5, patience=2, first=True)
    assert Run(report=seen.append).learn(learner, plan, {}) == {"score": 0.9}
    assert learner.module.weight.item() == 2 and not learner.module.training
    assert [(step.done, step.score) for step in seen] == [
        (0, 0.1), (1, 0.5), (2, 0.9), (3, 0.8), (4, 0.2),
    ]  # fmt: skip


def test_without_patience_the_last_weights_count():
    learner = Counting([0.1, 0.9, 0.5, 0.2])
    assert Run().learn(learner, Plan(3), {}) == {"score": 0.2}
    assert learner.module.weight.item() == 3


def test_without_validation_the_last_loss_is_the_result():
    seen = []
    found = Run(report=seen.append).learn(Counting(), Plan(3, validate_every=None), {})
    assert found == {"loss": -2.0}
    assert [(step.loss, step.scores) for step in seen] == [(0, {}), (-1, {}), (-2, {})]


def test_losses_are_means_since_the_last_validation():
    seen = []
    Run(report=seen.append).learn(Counting(range(9)), Plan(5, validate_every=2), {})
    assert [step.loss for step in seen if step.scores] == [-0.5, -2.5, -4.0]


@pytest.mark.parametrize("stopped", [1, 2, 3, 4])
def test_an_interrupted_run_goes_on_after_its_last_checkpoint(tmp_path, stopped):
    kept = tmp_path / "deep" / "run"
    scores = [0.0, 0.3, 0.1, 0.2, 0.4, 0.5]
    plan = Plan(5, patience=9, validate_every=2, keep_every=2)

    def stop(step):
        if step.done == stopped:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Run(kept, stop).learn(Counting(scores), plan, {"seed": 1})
    learner, seen = Counting(scores), []
    assert Run(kept, seen.append).learn(learner, plan, {"seed": 1}) == {"score": 0.5}
    assert learner.rounds == list(range(stopped // 2 * 2, 5))
    assert [step.loss for step in seen if step.scores][-1] == -4.0
    with pytest.raises(InputError, match=r"other settings \(seed\)"):
        Run(kept).learn(Counting(scores), plan, {"seed": 2})


def test_parts_have_checkpoints_of_their_own_and_all_go(tmp_path):
    run = Run.into(tmp_path / "[out]")
    for part in ("one", "two"):
        run.of(part).learn(Counting([0, 1, 2]), Plan(2), {})
    assert {path.name for path in tmp_path.iterdir()} == {
        "[out].checkpoint-one", "[out].checkpoint-two",
    }  # fmt: skip
    assert run.finish() == 0
    assert not list(tmp_path.iterdir())


def test_progress_is_a_line():
    step = Progress(3, 9, "epoch", {"loss": 0.43114}, {"validation rsum": 312.34}, "sgr")
    assert str(step) == "sgr epoch 3: loss 0.4311  validation rsum 312.3"
    assert str(Progress(0, 9, "step", {}, {"score": 0.5})) == "before the first step: score 0.5"


def test_folders_stand_in_provenance_by_their_names(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", "train", "fusion", "--out", "/home/me/my model", "-k8"])
    found = provenance(settings={"epochs": 3})
    assert found["command"] == "finesight train fusion --out 'my model' -k8"
    assert found["settings"] == {"epochs": 3}
    assert set(found["versions"]) == {"torch", "numpy", "pillow"}


def test_what_a_run_needs_is_checked(tmp_path):
    with pytest.raises(InputError, match="is there already"):
        need_new(tmp_path)
    with pytest.raises(InputError, match="unknown model"):
        load_bundle("nowhere")
    model, folder = load_bundle("mini")
    assert folder == model.directory


def test_the_rate_warms_up_and_falls_to_nothing():
    assert [warm_cosine(step, 8, 4) for step in (0, 3, 4, 6)] == [0.25, 1, 1, 0.5]
    assert warm_cosine(0, 1, 0) == 1
