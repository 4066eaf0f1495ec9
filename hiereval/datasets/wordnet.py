"""WordNet's nouns through nltk's corpus reader; the corpus stands in the user's folder.

Miller: WordNet: A Lexical Database for English, CACM 38(11), 1995. ImageNet's class names
(n01440764) are offsets into the nouns of WordNet 3.0.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hiereval.distribution import install
from hiereval.errors import HierevalError


@dataclass(frozen=True)
class WordNet:
    """The part of WordNet that a class hierarchy needs."""

    reader: Any  # nltk's WordNetCorpusReader
    source: str

    def name(self, wnid: str) -> str:
        """Return the synset's first word."""
        return str(self._synset(wnid).lemma_names()[0]).replace("_", " ")

    def edges(self, wnids: Iterable[str]) -> list[tuple[str, str]]:
        """Return (child, parent) for these nouns and everything above them."""
        found: list[tuple[str, str]] = []
        done: set[str] = set()
        todo = [(wnid, self._synset(wnid)) for wnid in wnids]
        while todo:
            child, synset = todo.pop()
            if child in done:
                continue
            done.add(child)
            for above in synset.hypernyms() + synset.instance_hypernyms():
                parent = f"n{above.offset():08d}"
                found.append((child, parent))
                todo.append((parent, above))
        return found

    def _synset(self, wnid: str) -> Any:
        synset = None
        if len(wnid) == 9 and wnid[0] == "n" and wnid[1:].isdigit():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                synset = self.reader.synset_from_pos_and_offset("n", int(wnid[1:]))
        if synset is None:
            raise HierevalError(
                f"The class {wnid!r} must be a noun of WordNet 3.0, like n01440764 ({self.source})."
            )
        return synset


@contextmanager
def open_wordnet(root: Path) -> Iterator[WordNet]:
    """Open WordNet in <data root>/wordnet, or where nltk keeps its data."""
    try:
        import nltk.data
        from nltk.corpus.reader.wordnet import WordNetCorpusReader
    except ImportError as error:
        raise HierevalError(
            f"WordNet needs nltk: {install('wordnet')}; a file of your own, "
            f"'{root / 'imagenet' / 'hierarchy.csv'}' (child,parent), needs neither."
        ) from error
    folder: Any = root / "wordnet"
    if not (folder / "data.noun").is_file():
        folder = None
        for place in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
            try:
                folder = folder or nltk.data.find(place)
            except LookupError:
                continue
    if folder is None:
        raise HierevalError(
            f"WordNet 3.0 must stand in '{root / 'wordnet'}' (data.noun, ...) or in nltk's data "
            "folder, where 'python -m nltk.downloader wordnet' puts it; or give a hierarchy of "
            f"your own in '{root / 'imagenet' / 'hierarchy.csv'}' (child,parent)."
        )
    if str(folder) not in nltk.data.path:  # nltk reads nothing outside the folders in this list
        nltk.data.path.append(str(folder))

    class Reader(WordNetCorpusReader):  # type: ignore[misc]
        def map_wn(self, version: str = "wordnet") -> None:
            """Skip the map to other versions: it would load a second WordNet."""

    with warnings.catch_warnings():  # that the multilingual part is missing
        warnings.simplefilter("ignore")
        try:
            reader = Reader(folder if not isinstance(folder, Path) else str(folder), None)
        except (OSError, LookupError) as error:
            raise HierevalError(f"WordNet in '{folder}' cannot be read: {error}") from error
    try:
        yield WordNet(reader, str(folder))
    finally:  # the reader has no close of its own
        for file in reader._data_file_map.values():
            file.close()
