"""What must hold for the vectors of texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hiereval.testing import inputs
from hiereval.testing.checks import NotApplicable, require
from hiereval.testing.vectors import Vectors
from hiereval.types import TWO_CAPTIONS


@dataclass(frozen=True)
class TextChecks:
    """The checks of a text encoder, on texts that it has vectors of."""

    vectors: Vectors
    texts: tuple[str, ...]
    by_name: bool  # vectors that are stored: no other text can be asked for

    def checks(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Yield the checks in the order in which they are best read."""
        yield "text: shape, type, finite", self.shape
        yield "text: token counts", self.lengths
        yield "text: captions differ", self.captions_differ
        yield "text: repeatable", self.repeats
        yield "text: any batch size", lambda: self.batches(1, 2)
        yield "text: any order", self.order
        yield "text: duplicates equal", self.duplicates
        yield "text: the root alone and among long texts", self.root
        if self.by_name:
            yield "text: of every kind", self.known
        else:
            for kind in inputs.KINDS_OF_TEXT:
                yield f"text: {kind}", lambda kind=kind: self.kind_of_text(kind)  # type: ignore[misc]

    def shape(self) -> str:
        """Vectors are [n, d] float32, finite, and have a direction on a sphere."""
        vectors = self.vectors.adapter.encode_texts(list(self.texts))
        self.vectors.check(vectors, len(self.texts))
        return f"[{len(vectors)}, {vectors.shape[1]}] {str(vectors.dtype).removeprefix('torch.')}"

    def lengths(self) -> str:
        """Token counts are one whole number a text."""
        counts = self.vectors.adapter.text_lengths(list(self.texts))
        require(
            isinstance(counts, list) and len(counts) == len(self.texts),
            f"text_lengths must return a list of {len(self.texts)} numbers, not {counts!r}",
        )
        require(all(isinstance(n, int) for n in counts), f"token counts must be int: {counts}")
        if self.by_name:
            return "unknown (-1)"
        short, long = self.vectors.adapter.text_lengths(["bird", inputs.LONG])
        require(long > short, f"a longer text must count more tokens ({short}, {long})")
        context = self.vectors.adapter.id.context_length
        return f"{short} to {long}" + (f", {context} are read" if context else "")

    def captions_differ(self) -> str:
        """Two captions of as many words have two vectors: the vocabulary is the model's."""
        if self.by_name or self.vectors.adapter.id.n_params == 0:
            raise NotApplicable("no vocabulary")
        first, second = self.vectors.texts(TWO_CAPTIONS)
        require(
            bool((first != second).any()),
            f"{TWO_CAPTIONS[0]!r} and {TWO_CAPTIONS[1]!r} must have two vectors: the "
            "vocabulary is not the model's",
        )
        return "two captions, two vectors"

    def repeats(self) -> str:
        """The same call gives the same vectors: nothing is left in training mode."""
        first, again = (self.vectors.texts(self.texts) for _ in range(2))
        return self.vectors.close(first, again, "of the same texts, encoded twice,")

    def batches(self, *sizes: int) -> str:
        """A vector does not depend on its batch."""
        import torch

        whole = self.vectors.texts(self.texts)
        for size in sizes:
            chunks = [self.texts[i : i + size] for i in range(0, len(self.texts), size)]
            parts = torch.cat([self.vectors.texts(chunk) for chunk in chunks])
            seen = self.vectors.close(whole, parts, f"in batches of {size}")
        return seen

    def order(self) -> str:
        """A vector does not depend on its neighbours' order."""
        whole, backwards = self.vectors.texts(self.texts), self.vectors.texts(self.texts[::-1])
        return self.vectors.close(whole, backwards.flip(0), "in reversed order")

    def duplicates(self) -> str:
        """A text that stands twice in a batch has one vector."""
        found = self.vectors.texts([self.texts[0], *self.texts, self.texts[0]])
        return self.vectors.close(found[[0, 0]], found[[1, -1]], "of the same text in one batch")

    def root(self) -> str:
        """The root is the same alone as beside texts that fill the context."""
        root = self.vectors.adapter.id.root_text
        others = self.texts if self.by_name else (inputs.LONG, *inputs.TEXTS, inputs.LONG)
        alone, among = (
            self.vectors.texts([root]),
            self.vectors.texts([others[0], root, *others[1:]]),
        )
        return self.vectors.close(alone, among[1:2], f"of the root {root!r} alone and in a batch")

    def known(self) -> str:
        """Stored vectors cannot be asked for other texts."""
        raise NotApplicable("vectors exist for some texts alone")

    def kind_of_text(self, kind: str) -> str:
        """Any string has a finite vector."""
        vector = self.vectors.adapter.encode_texts([inputs.KINDS_OF_TEXT[kind]])
        empty_root = self.vectors.adapter.id.geometry != "sphere"
        self.vectors.check(vector, 1, direction=not empty_root)
        return "finite"
