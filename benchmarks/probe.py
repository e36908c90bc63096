r"""Compare the closed-form probe with scikit-learn's cross-validated logistic regression on frozen features.

    python benchmarks/probe.py ../shared/datasets/pacs/sketch \
        torchvision/mobilenet_v2@../shared/weights/mobilenet_v2_imagenet.pth

Of every class some images are drawn to learn from, the rest tells accuracy and loss; both probes see the same ones.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from adapters.image_files import list_images, load_examples
from adapters.json_files import sha256_of
from tasks.candidates import candidate
from transfer.backbones.executors import FromPixels, prepare, run_rows
from transfer.backbones.reference import BackboneReference
from transfer.heads.ridge import fit_probe
from transfer.randomness import generator
from transfer.records import Row

Fit = Callable[[Tensor, Tensor, Tensor], Tensor]


def main() -> None:
    """Print a line for every number of images a class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a folder of class folders")
    parser.add_argument("backbone", help="a backbone reference")
    parser.add_argument("--images-per-class", type=int, nargs="+", default=[10, 40])
    parser.add_argument("--draws", type=int, default=3)
    options = parser.parse_args()
    features, labels = features_of(options.data, options.backbone)
    for n_per_class in options.images_per_class:
        for name, fit in (("ridge", ridge_shares), ("logistic", logistic_shares)):
            found = [measured(fit, *draw) for draw in draws(features, labels, n_per_class, options.draws)]
            accuracy, nll, seconds = np.mean(found, axis=0)
            print(f"{n_per_class} a class, {name}: accuracy {accuracy:.3f}, loss {nll:.3f} nats, {seconds:.2f} s")


def features_of(data: Path, reference: str) -> tuple[Tensor, Tensor]:
    """Return the frozen features of all images, and their labels."""
    found = list_images(data)
    digests = [sha256_of(data / file.path) for file in found.files]
    labels = [found.classes.index(file.class_name) for file in found.files]
    rows = [
        Row(file.path, label, "train", digest) for file, label, digest in zip(found.files, labels, digests, strict=True)
    ]
    backbone, _ = candidate(BackboneReference.parse(reference), None)
    pixels = torch.cat(list(load_examples(data, rows, backbone.preprocess))).permute(0, 3, 1, 2)
    run = prepare("onnxruntime", FromPixels(backbone.trunk, backbone.preprocess), pixels[:1])
    return torch.cat(list(run_rows(run, pixels))), torch.tensor([row.label for row in rows])


def draws(
    features: Tensor, labels: Tensor, n_per_class: int, n_draws: int
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Yield features and labels to learn from, and those of the rest."""
    for seed in range(n_draws):
        order = torch.randperm(len(labels), generator=generator(seed, "draw"))
        known = torch.cat([order[labels[order] == label][:n_per_class] for label in labels.unique()])
        unseen = torch.ones(len(labels), dtype=torch.bool)
        unseen[known] = False
        yield features[known], labels[known], features[unseen], labels[unseen]


def measured(fit: Fit, features: Tensor, labels: Tensor, unseen: Tensor, truth: Tensor) -> tuple[float, float, float]:
    """Return accuracy and loss on unseen rows, and the seconds that the fit took."""
    began = time.perf_counter()
    log_shares = fit(features, labels, unseen)
    seconds = time.perf_counter() - began
    right = float((log_shares.argmax(1) == truth).float().mean())
    return right, float(torch.nn.functional.nll_loss(log_shares, truth)), seconds


def ridge_shares(features: Tensor, labels: Tensor, unseen: Tensor) -> Tensor:
    """Return log shares by the closed-form probe."""
    probe = fit_probe(features, labels, int(labels.max()) + 1)
    return (unseen @ probe.weight.T + probe.bias).log_softmax(1)


def logistic_shares(features: Tensor, labels: Tensor, unseen: Tensor) -> Tensor:
    """Return log shares by scikit-learn."""
    model = LogisticRegressionCV(
        Cs=[0.001, 0.01, 0.1, 1.0, 10.0], l1_ratios=(0.0,), use_legacy_attributes=False, scoring="neg_log_loss",
        max_iter=1000,
    )  # fmt: skip
    fitted = make_pipeline(StandardScaler(), model).fit(features.numpy(), labels.numpy())
    return torch.from_numpy(fitted.predict_proba(unseen.numpy())).clamp_min(1e-12).log().float()


if __name__ == "__main__":
    main()
