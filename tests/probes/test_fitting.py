"""`hiereval fit`, and the fitted probes in a run."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pytest
import torch
from support.typed import exit_code

from hiereval import evaluate, training
from hiereval.errors import HierevalError
from hiereval.probes import artefacts
from hiereval.toy.shapes import split_scenes
from hiereval.types import Chains

SMALL = "epochs=2,batch=256,rank=4"


@pytest.fixture
def few_shapes(tmp_path: Path) -> Path:
    """A few chains of the world's training split, without images."""
    path = tmp_path / "few.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["positive", "negative"])
        for scene in split_scenes("train")[:24]:
            rows.writerow([" => ".join(scene.chain), " => ".join(scene.negatives)])
    return path


def fit(few: Path, out: Path, *more: str) -> int:
    torch.set_num_threads(1)
    flags = ["--model", "toy", "--probe", "radial-linear", "--train-data", str(few)]
    return exit_code("fit", *flags, "--out", str(out), "--probe-args", SMALL, *more)


def test_fit_keeps_three_seeds_and_shuffled_ones_that_a_run_uses(
    few_shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "probe"
    assert fit(few_shapes, out) == 0
    names = sorted(path.name for path in out.iterdir())
    assert names == ["fit.json", *(f"seed-{s}{c}" for s in range(3) for c in ("", "-shuffled"))]
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 7
    assert re.fullmatch(
        rf"{re.escape(str(out / 'seed-0'))}: development loss -?\d\.\d{{4}} -> -?\d\.\d{{4}} "
        r"\(best at step \d of 2\)",
        shown[0],
    )
    assert shown[-1] == f"Measure it: hiereval run --model toy --probes path:{out}"
    found = evaluate(
        "toy", datasets=["shapes"], tasks="ordering", probes=[f"path:{out}"], resamples=20
    )
    unseen = [r for r in found if r.dataset.split != "test"]  # strings that few.csv does not have
    assert len(unseen) == 6
    every = [r for r in found if r.dataset.split == "test"]
    assert [(r.probe.seed, r.probe.training and r.probe.training.shuffled) for r in every] == [
        (s, c) for s in range(3) for c in (False, True)
    ]
    assert {r.status for r in every} == {"ok"}
    assert {r.probe.training.dataset for r in every if r.probe.training} == {"few.csv"}
    fresh = evaluate(
        "toy",
        datasets=["shapes"],
        tasks="ordering",
        resamples=20,
        probes=["radial-linear"],
        probe_args={"epochs": "2", "batch": "256", "rank": "4"},
        train_data=str(few_shapes),
    )
    kept = {(r.probe.seed, r.probe.training.shuffled): r.metrics for r in every if r.probe.training}
    for record in (r for r in fresh if r.dataset.split == "test"):
        assert record.probe.training is not None
        assert record.metrics == kept[record.probe.seed, record.probe.training.shuffled]


def test_a_fitting_that_another_process_has_ended_leaves_nothing(
    few_shapes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, checked = tmp_path / "p", training.checked

    def ended_meanwhile(data: Chains) -> Chains:
        (out / "seed-0").mkdir(parents=True)
        return checked(data)

    monkeypatch.setattr(training, "checked", ended_meanwhile)
    assert fit(few_shapes, out) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: The output folder {str(out)!r} must be new or empty."
    )
    assert not (tmp_path / ".p.unfinished").exists()


def test_a_fitting_that_stopped_is_gone_on_with(
    few_shapes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, work = tmp_path / "p", tmp_path / ".p.unfinished"
    save, saved = artefacts.save, []

    def stop_at_the_third(probe: object, folder: Path, *more: object) -> None:
        saved.append(folder.name)
        if len(saved) == 3:
            raise KeyboardInterrupt
        save(probe, folder, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(artefacts, "save", stop_at_the_third)
    assert fit(few_shapes, out) == 130
    assert not out.exists()
    assert sorted(path.name for path in work.iterdir()) == ["fit.json", "seed-0", "seed-1"]
    assert fit(few_shapes, out, "--probe-args", "rank=8") == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: The unfinished fitting {str(work)!r} must be of the same probes to be gone on "
        "with. Delete it to start again, or name another --out."
    )
    assert fit(few_shapes, out) == 0
    assert saved[3:] == ["seed-2", "seed-0-shuffled", "seed-1-shuffled", "seed-2-shuffled"]
    assert not work.exists()
    shutil.rmtree(out / "seed-1")
    with pytest.raises(HierevalError) as caught:
        evaluate("toy", datasets=["shapes"], tasks="ordering", probes=[f"path:{out}"])
    assert str(caught.value) == (
        f"The probe folder {str(out)!r} must hold every probe of its fitting; seed-1 is not there."
    )


def test_another_models_probe_is_refused_by_a_run(few_shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "probe"
    assert fit(few_shapes, out, "--probe-args", "seed=0,shuffled=false") == 0
    assert sorted(path.name for path in out.iterdir()) == ["fit.json", "seed-0"]
    with pytest.raises(HierevalError, match=r"^The probe .* must be used with the model it was"):
        evaluate(
            "control:words",
            datasets=["shapes"],
            tasks="ordering",
            probes=[f"path:{out}"],
            resamples=20,
        )


def test_what_needs_no_fitting_is_not_fitted(
    few_shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--model", "toy", "--train-data", str(few_shapes), "--out", str(tmp_path / "p")]
    assert exit_code("fit", *flags, "--probe", "mean-root") == 2
    assert capsys.readouterr().err == (
        "error: The probe 'mean-root' must be one that is trained: learned-root, radial-linear. "
        "The others need no fitting: give them to 'hiereval run --probes'.\n"
    )


def test_a_folder_that_exists_is_refused(
    few_shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(few_shapes, tmp_path) == 2
    message = f"error: The output folder {str(tmp_path)!r} must be new or empty.\n"
    assert capsys.readouterr().err == message


def test_training_on_test_images_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(Path("shapes"), tmp_path / "p") == 2
    assert capsys.readouterr().err == (
        "error: The training data 'shapes' must share no image with the test data 'shapes'; they "
        "share 1,000, the first is 'test-0000'.\n"
    )
