"""Where updates are computed: precision, layout, compiled networks, devices; on a GPU as well where there is one."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from transfer.backbones.backbone import Backbone, Classifier
from transfer.data.batches import Augmentation
from transfer.data.examples import Examples, Target
from transfer.finetuning.budget import Budget
from transfer.finetuning.engine import COMPILES_FROM_S, Engine, pays_to_compile
from transfer.finetuning.inputs import Pixels, Views
from transfer.finetuning.loop import train
from transfer.finetuning.parallel import Together
from transfer.finetuning.plan import scratch_plan
from transfer.finetuning.problem import Problem
from transfer.finetuning.snapshot import Snapshot
from transfer.finetuning.states import clone_state
from transfer.records import EpochRecord, Rescue

MakeBackbone = Callable[[], Backbone]
MakeExamples = Callable[[int, int], Examples]
BUDGET = Budget(160, 4, 8, 0.0, 0.0, None, Augmentation(flip_probability=0.5, trivial=True))
EVERYTHING = scratch_plan(("stem", "middle", "deep"), 0.02)
GPU = torch.device("cuda")


def learned(make: MakeBackbone, striped: MakeExamples, engine: Engine, start: Snapshot | None = None):
    classifier = Classifier(make(), 2)
    engine.placed(classifier)
    for module in classifier.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    problem = Problem.of_images(classifier, Target(striped(40, 0), striped(20, 1), 2), BUDGET.augmentation, engine)
    kept: list[Snapshot] = []
    events = list(train(classifier, problem, EVERYTHING, BUDGET, 0, start, kept.append))
    engine.taken_back(classifier)
    return classifier, [event for event in events if isinstance(event, EpochRecord)], kept


def test_updates_in_bfloat16_learn_and_leave_weights_in_float32(
    tiny_backbone: MakeBackbone, striped: MakeExamples
) -> None:
    _, exact, _ = learned(tiny_backbone, striped, Engine())
    classifier, records, kept = learned(tiny_backbone, striped, Engine(bfloat16=True))
    losses = [record.train_loss for record in records]
    assert losses != [record.train_loss for record in exact]
    assert losses == pytest.approx([record.train_loss for record in exact], rel=0.1)
    assert {value.dtype for value in classifier.state_dict().values()} <= {torch.float32, torch.int64}
    assert all(value.dtype == torch.float32 for value in kept[-1].tensors.values() if value.is_floating_point())


@pytest.mark.slow
def test_a_compiled_network_learns_the_same(tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    said: list[str] = []
    _, plain, _ = learned(tiny_backbone, striped, Engine())
    _, records, _ = learned(tiny_backbone, striped, Engine(compiled=True, say=said.append))
    if said:
        pytest.skip(said[0])
    assert [one.train_loss for one in records] == pytest.approx([one.train_loss for one in plain], rel=1e-3)


def test_a_compiler_that_gives_up_is_named_and_training_goes_on(
    tiny_backbone: MakeBackbone, striped: MakeExamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compiled(_: torch.nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
        def run(_: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("no compiler\nand a long story")

        return run

    monkeypatch.setattr(torch, "compile", compiled)
    said: list[str] = []
    _, plain, _ = learned(tiny_backbone, striped, Engine())
    _, records, _ = learned(tiny_backbone, striped, Engine(compiled=True, say=said.append))
    assert said == ["Updates run uncompiled: RuntimeError: no compiler"]
    assert records == plain


def test_compiling_must_pay() -> None:
    on_gpu = Engine(GPU)
    assert pays_to_compile(on_gpu, COMPILES_FROM_S, shares_norms=True)
    assert not pays_to_compile(on_gpu, COMPILES_FROM_S / 2, shares_norms=False)
    assert not pays_to_compile(Engine(), 10 * COMPILES_FROM_S, shares_norms=False)
    shared = replace(on_gpu, ranks=Together(0, 2))
    assert not pays_to_compile(shared, COMPILES_FROM_S, shares_norms=True)
    assert pays_to_compile(shared, COMPILES_FROM_S, shares_norms=False)


def test_batches_are_made_on_the_device(striped: MakeExamples) -> None:
    """The meta device computes nothing and refuses to mix with another one, as a GPU would."""
    nowhere, examples = torch.device("meta"), striped(70, 0)
    how = replace(BUDGET.augmentation, trivial=False)
    pixels = Pixels(examples, _preprocess(), how, nowhere)
    varied = pixels.varied(torch.arange(6), 1, torch.Generator().manual_seed(0), slice(2, 5))
    assert (varied.device.type, varied.shape) == ("meta", (3, 3, 8, 8))
    assert varied.is_contiguous(memory_format=torch.channels_last)
    assert [(one.device.type, len(one)) for one in pixels.plain()] == [("meta", 64), ("meta", 6)]
    views = Views(torch.zeros(2, 70, 5, dtype=torch.float16), examples.labels, nowhere)
    made = views.varied(torch.arange(6), 1, torch.Generator())
    assert (made.device.type, made.dtype) == ("meta", torch.float32)


@pytest.mark.parametrize("turn", [3, torch.tensor([1, 2, 1, 4])])
def test_a_part_of_a_batch_is_of_the_views_it_is_of_within_it(turn: int | torch.Tensor) -> None:
    views, rows = Views(torch.arange(12.0).reshape(3, 4, 1), torch.zeros(4)), torch.tensor([1, 1, 0, 3])
    whole = views.varied(rows, turn, torch.Generator())
    assert torch.equal(views.varied(rows, turn, torch.Generator(), slice(1, 3)), whole[1:3])


def _preprocess():
    from transfer.records import Preprocess

    return Preprocess(8, 8, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@pytest.fixture
def gpu() -> Engine:
    """Return the engine of the first GPU; skip where there is none."""
    if not torch.cuda.is_available():
        pytest.skip("this machine has no GPU that PyTorch can use")
    return Engine(GPU, bfloat16=True)


@pytest.mark.gpu
def test_a_gpu_learns_what_the_processor_does(gpu: Engine, tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    _, plain, _ = learned(tiny_backbone, striped, Engine())
    classifier, exact, _ = learned(tiny_backbone, striped, replace(gpu, bfloat16=False))
    _, rounded, _ = learned(tiny_backbone, striped, gpu)
    expected = [record.train_loss for record in plain]
    assert [record.train_loss for record in exact] == pytest.approx(expected, rel=1e-2)
    assert [record.train_loss for record in rounded] == pytest.approx(expected, rel=0.1)
    assert {value.device.type for value in classifier.state_dict().values()} == {"cpu"}
    assert all(value.is_contiguous() for value in classifier.state_dict().values())


@pytest.mark.gpu
def test_snapshots_of_a_gpu_are_taken_up_there_and_on_a_processor(
    gpu: Engine, tiny_backbone: MakeBackbone, striped: MakeExamples
) -> None:
    whole, records, kept = learned(tiny_backbone, striped, gpu)
    assert {value.device.type for value in kept[-1].tensors.values()} == {"cpu"}
    for engine, tolerance in ((gpu, 0.0), (Engine(), 0.1)):
        resumed, later, _ = learned(tiny_backbone, striped, engine, kept[-1])
        assert later[-1].train_loss == pytest.approx(records[-1].train_loss, rel=tolerance or 1e-6)
        if not tolerance:
            state = clone_state(whole)
            assert all(torch.equal(value, state[name]) for name, value in resumed.state_dict().items())


@pytest.mark.gpu
def test_a_gpu_compiles(gpu: Engine, tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    said: list[str] = []
    _, plain, _ = learned(tiny_backbone, striped, gpu)
    _, records, _ = learned(tiny_backbone, striped, replace(gpu, compiled=True, say=said.append))
    assert said == []
    assert [one.train_loss for one in records] == pytest.approx([one.train_loss for one in plain], rel=0.1)


@pytest.mark.gpu
def test_a_gpu_without_memory_makes_parts(gpu: Engine, tiny_backbone: MakeBackbone, striped: MakeExamples) -> None:
    class Hungry(torch.nn.Module):
        def __init__(self, network: torch.nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if torch.is_grad_enabled() and len(images) > 4:
                torch.empty(1 << 50, device=images.device)
            made: torch.Tensor = self.network(images)
            return made

    classifier = Classifier(tiny_backbone(), 2)
    gpu.placed(classifier)
    problem = Problem.of_images(classifier, Target(striped(40, 0), striped(20, 1), 2), BUDGET.augmentation, gpu)
    events = list(train(classifier, replace(problem, network=Hungry(classifier)), EVERYTHING, BUDGET, 0))
    assert [(event.what, event.at_once) for event in events if isinstance(event, Rescue)] == [("memory", 4)]
