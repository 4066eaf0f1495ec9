"""What every test shares: array shapes checked at run time, the data where it is, no hub."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook
from support import checked, typed
from support.sources import containing

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
CHECKED = containing("jaxtyping")  # every annotated module, a new one too
install_import_hook(CHECKED, f"{checked.__name__}.call")


def _data_root(file: str) -> Path:
    root = Path(os.environ.get("HIEREVAL_DATA", "does-not-exist"))
    if not (root / file).is_file():
        pytest.skip(f"HIEREVAL_DATA holds no {file}")
    return root


@pytest.fixture(scope="session")
def hierarcaps_root() -> Path:
    """The data root that holds hierarcaps/, where HIEREVAL_DATA says so."""
    return _data_root("hierarcaps/hierarcaps_test.csv")


@pytest.fixture(scope="session")
def himo_root() -> Path:
    """The data root that holds himo/, where HIEREVAL_DATA says so."""
    return _data_root("himo/himo_docci_data.json")


@pytest.fixture(scope="session")
def rare_species_root() -> Path:
    """The data root that holds rare-species/, where HIEREVAL_DATA says so."""
    return _data_root("rare-species/metadata.csv")


@pytest.fixture(scope="session")
def reference_root() -> Path:
    """The folder of reference embeddings and the official code's outputs for them."""
    root = Path(os.environ.get("HIEREVAL_REFERENCE", "does-not-exist"))
    if not (root / "expected.json").is_file():
        pytest.skip("HIEREVAL_REFERENCE holds no expected.json")
    return root


@pytest.fixture(scope="session")
def packs_root() -> Path:
    """The folder of other papers' protocols: inputs and the released code's outputs for them."""
    root = Path(os.environ.get("HIEREVAL_REFERENCE", "does-not-exist")) / "packs"
    if not root.is_dir():
        pytest.skip("HIEREVAL_REFERENCE holds no packs")
    return root


@pytest.fixture(scope="session")
def hycoclip_edges() -> Path:
    """HyCoCLIP's edges of WordNet, where HIEREVAL_DATA has them."""
    root = Path(os.environ.get("HIEREVAL_DATA", "does-not-exist"))
    path = root / "hycoclip" / "imagenet_isa.txt"
    if not path.is_file():
        pytest.skip("HIEREVAL_DATA holds no hycoclip/imagenet_isa.txt")
    return path


@pytest.fixture(scope="session")
def consistency_root() -> Path:
    """The taxonomies and questions of hierarchical-consistency, where HIEREVAL_DATA has them."""
    root = Path(os.environ.get("HIEREVAL_DATA", "does-not-exist")) / "consistency"
    if not (root / "annotations" / "CUB200_with_similar_choice.jsonl").is_file():
        pytest.skip("HIEREVAL_DATA holds no consistency/annotations")
    return root


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> typed.Cli:
    """A function that runs hiereval: words to exit code, standard output and standard error."""

    def run(*words: object) -> typed.Typed:
        code = typed.exit_code(*words)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("HIEREVAL_CACHE", str(tmp_path / "cache"))
