"""What must hold for the vectors of pictures, and for their preprocessing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hiereval import models
from hiereval.hooks import folder_prefix
from hiereval.testing import inputs
from hiereval.testing.checks import require
from hiereval.testing.preprocessing import altered, same
from hiereval.testing.vectors import Vectors
from hiereval.types import Adapter


@dataclass(frozen=True)
class PictureChecks:
    """The checks of an image encoder; `make` opens it once more, `reopen` another checkpoint."""

    vectors: Vectors
    make: Callable[[], Adapter] | None
    reopen: Callable[[str], Adapter] | None

    def checks(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Yield the checks in the order in which they are best read."""
        yield "image: shape, type, finite", self.shape
        yield "image: any batch size, order and duplicates", self.batches
        for kind in inputs.KINDS_OF_PICTURE:
            yield f"image: {kind}", lambda kind=kind: self.kind_of_picture(kind)  # type: ignore[misc]
        yield "image: a mode changes no colour", self.modes_agree
        yield "image: preprocessing is thread-safe", self.threads
        yield "fingerprint follows preprocessing", self.follows_preprocessing

    def shape(self) -> str:
        """Vectors are [n, d] float32, finite, and have a direction on a sphere."""
        vectors = self.vectors.pictures_raw([inputs.picture(i) for i in range(3)])
        self.vectors.check(vectors, 3)
        return f"[3, {vectors.shape[1]}] {str(vectors.dtype).removeprefix('torch.')}"

    def batches(self) -> str:
        """A picture's vector does not depend on its batch, and preprocessing keeps the picture."""
        import torch

        pictures = [inputs.picture(i) for i in (0, 1, 2, 0)]
        before = [picture.tobytes() for picture in pictures]
        whole = self.vectors.pictures(pictures)
        alone = torch.cat([self.vectors.pictures([picture]) for picture in pictures])
        self.vectors.close(whole, alone, "of pictures alone and in a batch")
        backwards = self.vectors.pictures(pictures[::-1])
        self.vectors.close(whole, backwards.flip(0), "in reversed order")
        seen = self.vectors.close(whole[:1], whole[3:], "of the same picture in one batch")
        kept = before == [picture.tobytes() for picture in pictures]
        require(kept, "preprocess must not change the picture that it is given")
        return seen

    def kind_of_picture(self, kind: str) -> str:
        """A picture of any mode and shape has a finite vector, beside an ordinary one."""
        pictures = [inputs.kinds_of_picture()[kind], inputs.picture()]
        self.vectors.check(self.vectors.pictures_raw(pictures), 2)
        return "finite"

    def modes_agree(self) -> str:
        """Grey, palette and opaque pictures mean what they show in RGB."""
        base = inputs.picture()
        palette = base.convert("P")
        deep = inputs.kinds_of_picture()["16-bit"]
        pairs = {
            "L": (base.convert("L"), base.convert("L").convert("RGB")),
            "LA": (base.convert("LA"), base.convert("L").convert("RGB")),
            "P": (palette, palette.convert("RGB")),
            "RGBA": (base.convert("RGBA"), base),
            "16-bit": (deep, base.convert("L").convert("RGB")),
        }
        for mode, (given, shown) in pairs.items():
            a, b = self.vectors.pictures([given]), self.vectors.pictures([shown])
            self.vectors.close(a, b, f"of a picture in mode {mode} and in RGB")
        return ", ".join(pairs)

    def threads(self) -> str:
        """Eight threads that share an adapter get what one thread gets."""
        adapter = self.vectors.adapter if self.make is None else self.make()
        pictures = [inputs.picture(i, (40 + i, 60 - i)) for i in range(16)]
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(adapter.preprocess, pictures))
        one_by_one = [self.vectors.adapter.preprocess(picture) for picture in pictures]
        equal = [same(a, b) for a, b in zip(together, one_by_one, strict=True)]
        require(all(equal), f"{equal.count(False)} of 16 pictures differ when 8 threads preprocess")
        return "8 threads, 16 pictures"

    def follows_preprocessing(self) -> str:
        """Other preprocessing is another model: its vectors must not be taken from the store."""
        model = self.vectors.adapter.id
        require(
            model.preprocess_fingerprint is not None,
            "id.preprocess_fingerprint must say what is done to pictures",
        )
        checkpoint = models.located(model.checkpoint)
        folder = Path(checkpoint.removeprefix(folder_prefix(self.vectors.adapter)))
        if self.reopen is None or not folder.is_dir():
            return "stated in the id"
        with tempfile.TemporaryDirectory() as temporary:
            copy = Path(temporary) / folder.name
            changed = altered(folder, copy)
            if not changed:
                return "stated in the id"
            other = self.reopen(checkpoint.replace(str(folder), str(copy)))
            picture = inputs.picture()
            if same(other.preprocess(picture), self.vectors.adapter.preprocess(picture)):
                return f"{', '.join(changed)} of the folder is not used"
            require(
                other.id.fingerprint() != model.fingerprint(),
                f"{', '.join(changed)} was changed, pixels changed, the fingerprint did not",
            )
        return f"another {', '.join(changed)}, another fingerprint"
