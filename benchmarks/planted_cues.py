"""Images whose class is told by a patch at a random place and by nothing else, and whether a map points at it."""

from pathlib import Path

import torch
from torch import Tensor, nn

from adapters.image_files import list_images, load_examples
from adapters.json_files import sha256_of
from transfer.pretraining.textures import texture_fields
from transfer.randomness import generator
from transfer.records import Preprocess, Row

# The last class has a second decoy in place of a cue, so that no cue is told by what is missing.
N_CUES, N_CLASSES = 3, 4
TOLERANCE = 15  # of the side, a 15th: 15 px of 224, as in the pointing game's paper
PATCHES_A_SIDE = 4  # how many patches would fit along a side
WHITE = 255
STRIPES, SHAPES, LETTERS = "stripes", "shapes", "letters"
KINDS = (STRIPES, SHAPES, LETTERS)  # methods are chosen on stripes, and measured on the others
COLOURS = {
    STRIPES: ((0, 0, 0), (255, 255, 255)),
    SHAPES: ((20, 40, 140), (250, 170, 30)),
    LETTERS: ((90, 20, 90), (120, 230, 130)),
}


def backgrounds(kind: str, data: Path, preprocess: Preprocess, n_images: int) -> Tensor:
    """Return uint8 (n_images, 3, S, S): photographs, mirrored where they do not suffice, or generated textures.

    Where mirrored ones do not suffice either, they come again, and have their patches elsewhere.
    """
    side = preprocess.crop_px
    if kind == "textures":
        fields = texture_fields(n_images, 1, side, generator(0, "textures")).reshape(n_images, 1, side, side)
        return (128 + 40 * fields).clamp(0, WHITE).to(torch.uint8).expand(-1, 3, -1, -1).clone()
    rows = [
        Row(f"{part}/{file.path}", 0, "train", sha256_of(data / part / file.path))
        for part in ("train", "val")
        for file in list_images(data / part).files
    ]
    found = torch.cat(list(load_examples(data, rows, preprocess))).permute(0, 3, 1, 2)
    found = found[torch.randperm(len(found), generator=generator(0, "order"))]
    turned = torch.cat((found, found.flip(3), found.flip(2), found.flip(2, 3)))
    return turned[torch.arange(n_images) % len(turned)]


def planted(behind: Tensor, labels: Tensor, kind: str, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Plant a cue of each image's class, and a decoy that overlaps it nowhere, at random places.

    Args:
        behind: uint8 (N, 3, S, S).
        labels: int64 (N,), below `N_CLASSES`.
        kind: of the cues.
        draw: of the places.

    Returns:
        uint8 (N, 3, S, S), and bool (N, S, S): where the cue is.
    """
    n_images, side = len(behind), behind.shape[-1]
    width = side // PATCHES_A_SIDE
    made, cues, shapes = behind.clone(), torch.zeros(n_images, side, side, dtype=torch.bool), patches(width, kind)
    dark, bright = (torch.tensor(colour, dtype=torch.uint8).view(3, 1, 1) for colour in COLOURS[kind])
    for place, label in enumerate(labels.tolist()):
        top, left, other_top, other_left = torch.randint(side - width + 1, (4,), generator=draw).tolist()
        while abs(top - other_top) < width and abs(left - other_left) < width:
            other_top, other_left = torch.randint(side - width + 1, (2,), generator=draw).tolist()
        cue = shapes[label] if label < N_CUES else noise(width, draw)
        made[place, :, top : top + width, left : left + width] = torch.where(cue, bright, dark)
        decoy = torch.where(noise(width, draw), bright, dark)
        made[place, :, other_top : other_top + width, other_left : other_left + width] = decoy
        cues[place, top : top + width, left : left + width] = True
    return made, cues


def patches(width: int, kind: str) -> Tensor:
    """Return what tells the classes, bright or not, about half of it each: bool (N_CUES, width, width).

    Args:
        width: of a patch in pixels.
        kind: stripes down, stripes across and a disc; slanted stripes, a cross and a ring; or the letters T, L and Z.
    """
    at, line = torch.arange(width), (torch.arange(width) + 0.5) / width - 0.5
    radius = line[:, None] ** 2 + line[None] ** 2
    if kind == STRIPES:
        across = (at // max(1, width // 4) % 2 == 1)[:, None].expand(width, width)
        return torch.stack((across, across.T, radius < 0.5 / torch.pi))
    if kind == LETTERS:
        first, last, middle = line < -0.25, line > 0.25, line.abs() < 0.15
        sloping = (line[:, None] + line[None]).abs() < 0.15
        level = (first | last)[:, None]
        return torch.stack((first[:, None] | middle[None], last[:, None] | first[None], level | sloping))
    slanted = (at[:, None] + at[None]) // max(1, width // 4) % 2 == 1
    bar = line.abs() < 0.15
    return torch.stack((slanted, bar[:, None] | bar[None], (radius > 0.08) & (radius < 0.24)))


def noise(width: int, draw: torch.Generator) -> Tensor:
    """Return a decoy, of squares as large as the cues are made of, bright or not by chance: bool (width, width)."""
    cell = max(1, width // 4)
    n_cells = -(-width // cell)
    fields = torch.randint(2, (n_cells, n_cells), generator=draw).repeat_interleave(cell, 0).repeat_interleave(cell, 1)
    return fields[:width, :width].bool()


def hits(maps: Tensor, cues: Tensor) -> Tensor:
    """Say for each map (N, S, S) whether its highest value lies in or at the cue, bool (N, S, S): the pointing game.

    Source: Zhang et al. 2016, Top-down neural attention by excitation backprop, arXiv:1608.00507, with its margin.
    """
    margin = maps.shape[-1] // TOLERANCE
    near = nn.functional.max_pool2d(cues[:, None].float(), 2 * margin + 1, 1, margin)[:, 0].bool()
    return near.flatten(1).gather(1, maps.flatten(1).argmax(1, keepdim=True))[:, 0]


def patches_at_peaks(maps: Tensor) -> Tensor:
    """Return a square as large as a cue around the highest value of each map, bool (N, S, S)."""
    side = maps.shape[-1]
    width = side // PATCHES_A_SIDE
    peaks, at = maps.flatten(1).argmax(1), torch.arange(side)
    starts = [(peak - width // 2).clamp(0, side - width)[:, None] for peak in (peaks // side, peaks % side)]
    rows, columns = ((at >= start) & (at < start + width) for start in starts)
    return rows[:, :, None] & columns[:, None]


def edges_of(images: Tensor) -> Tensor:
    """Return a map (N, S, S) that shows the image alone: how strong its edges are, in the neighbourhood."""
    grey = images.mean(1, keepdim=True)
    steps = nn.functional.pad(grey.diff(dim=2).abs(), (0, 0, 0, 1)) + nn.functional.pad(grey.diff(dim=3).abs(), (0, 1))
    around = 2 * (images.shape[-1] // (2 * PATCHES_A_SIDE)) + 1
    return nn.functional.avg_pool2d(steps, around, 1, around // 2)[:, 0]
