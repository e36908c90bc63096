"""Few-shot accuracy on procedural classes that the trunk was not trained on: what a recipe is chosen by.

No data set of photographs or scans takes part in the choice, so that accuracy on those stays an honest test.

Source: episodes, Vinyals et al. 2016, Matching Networks, arXiv:1606.04080, section 4.1; a linear head on frozen
features, Tian et al. 2020, arXiv:2003.11539.
"""

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from transfer.pretraining.bank import Bank
from transfer.pretraining.loop import normalised
from transfer.pretraining.render import render
from transfer.records import Preprocess


def few_shot_accuracy(
    trunk: nn.Module,
    bank: Bank,
    preprocess: Preprocess,
    n_episodes: int,
    generator: torch.Generator,
    n_ways: int = 10,
    n_shots: int = 5,
    n_queries: int = 15,
) -> float:
    """Measure a logistic head on frozen features over episodes of held-out classes.

    Args:
        trunk: (N, 3, S, S) -> (N, D); left in evaluation mode.
        bank: classes that the trunk has not seen, at least `n_ways`.
        preprocess: side and normalisation of the images.
        n_episodes: episodes, each with its own classes and images.
        generator: the only source of randomness.
        n_ways: classes of an episode.
        n_shots: labelled images of each class.
        n_queries: test images of each class.

    Returns:
        Mean accuracy in [0, 1].
    """
    trunk.eval()
    correct = 0.0
    for _ in range(n_episodes):
        classes = torch.randperm(bank.n_classes, generator=generator, device=generator.device)[:n_ways]
        train, train_labels = _features(trunk, bank, classes, n_shots, preprocess, generator)
        test, test_labels = _features(trunk, bank, classes, n_queries, preprocess, generator)
        head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        correct += float(head.fit(train.numpy(), train_labels.numpy()).score(test.numpy(), test_labels.numpy()))
    return correct / n_episodes


@torch.no_grad()
def _features(
    trunk: nn.Module, bank: Bank, classes: Tensor, n_each: int, preprocess: Preprocess, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return features float32 (W * n_each, D) and labels int64 (W * n_each,) of W classes, on the CPU."""
    labels = classes.repeat_interleave(n_each)
    images = normalised(render(bank, labels, preprocess.crop_px, generator), preprocess)
    return trunk(images).float().cpu(), labels.cpu()
