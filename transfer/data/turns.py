"""The eight ways to turn and mirror a square image, for pixels and for their cosine transform."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Turn:
    """Exchange rows and columns, or do not; then reverse columns, rows, both or neither.

    Args:
        transposed: whether rows and columns change places, first.
        mirrored: whether columns are reversed: left is right.
        upended: whether rows are reversed: top is bottom.
    """

    transposed: bool
    mirrored: bool
    upended: bool

    def of_pixels(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return images so turned.

        Args:
            images: (N, S, S).
        """
        turned = images.transpose(0, 2, 1) if self.transposed else images
        return turned[:, :: -1 if self.upended else 1, :: -1 if self.mirrored else 1]

    def of_frequencies(self, coefficients: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the cosine transform of the turned images: reversing an axis changes the sign of its odd frequencies.

        Args:
            coefficients: (N, K, K), those of the images as they are, rows first.
        """
        signs = np.where(np.arange(coefficients.shape[1]) % 2, -1.0, 1.0).astype(np.float32)
        turned = coefficients.transpose(0, 2, 1) if self.transposed else coefficients
        turned = turned * signs[None, None, :] if self.mirrored else turned
        return turned * signs[None, :, None] if self.upended else turned


TURNS = tuple(
    Turn(transposed, mirrored, upended)
    for transposed in (False, True)
    for upended in (False, True)
    for mirrored in (False, True)
)
