"""Chains as index arrays: their order, their hash, and subsets of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiereval.datasets import head
from hiereval.datasets.chains import assemble, read, subset
from hiereval.errors import HierevalError
from hiereval.types import Chains


@dataclass(frozen=True)
class Named:
    name: str

    def read(self) -> bytes:
        return b""


def small() -> Chains:
    return assemble(
        [("a", "ab"), ("c", "cd"), ("a", "ad")],
        [("x", "a"), ("x", "y"), ("cd", "z")],
        [Named("2.jpg"), Named("1.jpg"), Named("2.jpg")],
        name="own",
        split="all",
        image_source="files",
    )


def test_texts_and_images_stand_in_order_of_first_appearance() -> None:
    data = small()
    assert data.texts == ("a", "ab", "c", "cd", "ad", "x", "y", "z")
    assert [image.name for image in data.images] == ["2.jpg", "1.jpg"]
    assert data.chains.tolist() == [[0, 1], [2, 3], [0, 4]]
    assert data.negatives is not None
    assert data.negatives.tolist() == [[5, 0], [5, 6], [3, 7]]
    assert data.chain_image is not None
    assert data.chain_image.tolist() == [0, 1, 0]
    assert data.pool.tolist() == [0, 1, 2, 3, 0, 4]  # row by row, duplicates kept
    assert all(index.dtype == np.int64 for index in (data.chains, data.negatives, data.pool))
    assert (data.revision, data.image_source) == (None, "files")


def test_a_pool_of_other_captions() -> None:
    data = assemble([("a", "b")], pool=["q", "b", "q"], name="own", split="all")
    assert data.texts == ("a", "b", "q")
    assert data.pool.tolist() == [2, 1, 2]
    assert (data.negatives, data.chain_image, data.images) == (None, None, ())


def test_the_hash_covers_what_a_score_depends_on() -> None:
    base = {"name": "own", "split": "all"}
    chains, negatives, images = [("a", "b"), ("c", "d")], [("x", "y")] * 2, [Named("1"), Named("2")]
    variants = [
        assemble(chains, **base),
        assemble(chains[::-1], **base),
        assemble([("a", "b", "c", "d")], **base),
        assemble(chains, negatives, **base),
        assemble(chains, None, images, **base),
        assemble(chains, None, images[::-1], **base),
        assemble(chains, pool=["a"], **base),
    ]
    assert len({data.sha256 for data in variants}) == len(variants)
    assert assemble(chains, name="else", split="dev").sha256 == variants[0].sha256
    canonical = b'[[["a","b"],["c","d"]],null,[],null]'
    assert variants[0].sha256 == hashlib.sha256(canonical).hexdigest()


def test_head_is_the_first_chains_with_their_captions_as_pool() -> None:
    data = head(small(), 2)
    assert data.texts == ("a", "ab", "c", "cd", "x", "y")
    assert data.pool.tolist() == [0, 1, 2, 3]
    assert data.sha256 != small().sha256
    whole = small()
    assert head(whole, 3) is whole
    with pytest.raises(HierevalError, match=r"^The limit 0 must be at least 1\.$"):
        head(whole, 0)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.data())
def test_a_subset_is_what_its_rows_alone_would_make(data: st.DataObject) -> None:
    caption = st.sampled_from(["a", "b", "c", "d", "e"])
    chain = st.tuples(caption, caption, caption)
    chains = data.draw(st.lists(chain, min_size=1, max_size=8))
    n = len(chains)
    negatives = data.draw(st.none() | st.lists(chain, min_size=n, max_size=n))
    names = data.draw(st.none() | st.lists(st.sampled_from("123"), min_size=n, max_size=n))
    images = None if names is None else [Named(name) for name in names]
    rows = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=8))
    named = {"name": "own", "split": "all", "image_source": "files", "revision": "r"}
    part = subset(assemble(chains, negatives, images, **named), np.array(rows))
    alone = assemble(
        [chains[row] for row in rows],
        None if negatives is None else [negatives[row] for row in rows],
        None if images is None else [images[row] for row in rows],
        **named,
    )
    for field in ("name", "split", "revision", "sha256", "image_source", "texts", "images"):
        assert getattr(part, field) == getattr(alone, field)
    for field in ("chains", "negatives", "chain_image", "pool"):
        np.testing.assert_equal(getattr(part, field), getattr(alone, field))


def test_a_users_file_finds_its_pictures_beside_it(tmp_path: Path) -> None:
    for name in ("1.jpg", "images/2.jpg", "test_imgs/3.jpg", "sub/4.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    path = tmp_path / "own.csv"
    pictures = ("1.jpg", "2.jpg", "http://images.org/v/3.jpg", "sub/4.jpg")
    path.write_text("captions,image\n" + "".join(f"a => b,{p}\n" for p in pictures), "utf-8")
    data = read(path)
    assert [image.name for image in data.images] == ["1.jpg", "2.jpg", "3.jpg", "sub/4.jpg"]
    assert data.images[2].read() == b"test_imgs/3.jpg"
    assert (data.name, data.split, data.image_source) == ("own.csv", "all", "files beside own.csv")


def test_text_alone_and_no_negatives(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"captions": ["a", "b", "c"]}\n', "utf-8")
    data = read(path)
    assert (data.images, data.chain_image, data.negatives) == ((), None, None)
    assert (data.chains.tolist(), data.image_source) == ([[0, 1, 2]], "")


def test_missing_pictures_are_named_among_the_other_problems(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("captions,image\na => b,1.jpg\na => b => c,2.jpg\na => b,1.jpg\n", "utf-8")
    with pytest.raises(HierevalError) as caught:
        read(path)
    assert str(caught.value) == (
        f"The data file {str(path)!r} has 4 problems:\n"
        f"  row 1 (line 2): the image '1.jpg' is not in {str(tmp_path)!r}\n"
        "  row 2 (line 3): 3 captions; most chains have 2\n"
        f"  row 2 (line 3): the image '2.jpg' is not in {str(tmp_path)!r}\n"
        f"  row 3 (line 4): the image '1.jpg' is not in {str(tmp_path)!r}"
    )
