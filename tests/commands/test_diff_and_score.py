"""`hiereval diff` and `hiereval score` as people use them, and with wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import sampled
from support.made_records import metric
from support.typed import Cli

from hiereval import reading, registry


@pytest.fixture
def cli(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setitem(registry._registered, ("tasks", "coin"), sampled.Coin)
    return cli


def error(result: tuple[int, str, str]) -> str:
    code, _, err = result
    assert code == 2, err
    return err.removeprefix("error: ").rstrip("\n")


# --- diff ----------------------------------------------------------------------------------------


def test_diff_of_the_two_models_in_a_folder(cli: Cli, tmp_path: Path) -> None:
    sampled.write(tmp_path / "results", sampled.coin([0.0, 0.25, 0.5, 0.0]), "old")
    sampled.write(tmp_path / "results", sampled.coin([0.5, 0.75, 1.0, 0.5]), "new")
    code, out, err = cli("diff", "results", "--models", "old", "new", "--resamples", "999")
    assert (code, err) == (0, "")
    lines = [line.rstrip() for line in out.splitlines()]
    assert lines[0] == "A = old    B = new    differences are B - A"
    assert lines[1] == "coin bias=0.5 on flips:test, probe empty-root, 4 items"
    assert lines[2].split("  ")[0] == "metric"
    # every resample differs by 0.5, but four items show no p below 1 / 8; times 2 for two metrics
    assert lines[3].split() == [
        "heads", "0.188", "0.688", "+0.500", "[+0.500,", "+0.500]", "0.1250", "0.2500"
    ]  # fmt: skip
    assert lines[4].split()[:4] == ["tails", "0.812", "0.312", "-0.500"]
    assert lines[6] == (
        "999 paired resamples; Holm over 2 comparisons; bold: p (Holm) < 0.05, and beyond the "
        "spread."
    )
    assert lines[7] == (
        "Intervals cover other items of the same kind, drawn again; they do not cover other "
        "training seeds, other data or other prompts."
    )
    assert cli("diff", "results", "--resamples", "999")[1].startswith("A = new    B = old")


def test_diff_of_two_files_as_json(cli: Cli, tmp_path: Path) -> None:
    a = sampled.write(tmp_path, sampled.coin([1.0, 0.0, 1.0], ["x", "y", "z"]))
    b = sampled.write(
        tmp_path, sampled.coin([0.0, 0.0], ["x", "y"], undefined={"tails": "no"}), "b"
    )
    code, out, _ = cli("diff", str(a), str(b), "--format", "json", "--resamples", "9")
    report = json.loads(out)
    assert code == 0
    assert report["a"] == {
        "name": "a", "fingerprint": "fingerprint of a", "random_init": None
    }  # fmt: skip
    assert report["notes"] == [
        "coin on flips:test: compared on the 2 shared items of 3 (A) and 2 (B)."
    ]
    heads, tails = report["differences"]
    assert (heads["a"], heads["b"], heads["difference"], heads["n"]) == (0.5, 0.0, -0.5, 2)
    assert tails["undefined_reason"] == "B: no"
    assert tails["p"] is None


def test_diff_says_what_it_could_not_compare(cli: Cli, tmp_path: Path) -> None:
    a = sampled.write(tmp_path, sampled.coin([1.0]))
    b = sampled.write(tmp_path, sampled.coin([1.0]), "b", dataset__sha256="0" * 64)
    result = cli("diff", str(a), str(b))
    assert "coin on flips:test: not compared, the two sides saw different data." in result[1]
    assert error(result) == "Nothing could be compared."


def test_diff_refusals(cli: Cli, tmp_path: Path) -> None:
    assert error(cli("diff", "results")) == (
        "The samples 'results' must be a file or folder that exists. 'hiereval run --log-samples' "
        "writes them."
    )
    folder = tmp_path / "results"
    sampled.write(folder, sampled.coin([1.0]), "first")
    assert error(cli("diff", "results")) == (
        "The samples 'results' must be of two models, found first: name the other's as well."
    )
    sampled.write(folder, sampled.coin([1.0]), "second")
    sampled.write(folder, sampled.coin([1.0]), "third")
    assert error(cli("diff", "results")) == (
        "The samples 'results' must be of two models, found first, second, third: --models A B "
        "names them."
    )
    assert error(cli("diff", "results", "results")) == (
        "The samples 'results' must be of one model, found first, second, third: --models A B "
        "names them."
    )
    assert error(cli("diff", "results", "--models", "first", "secnd")) == (
        "The model 'secnd' must be one of first, second, third. Did you mean 'second'?"
    )
    chosen = ["diff", "results", "--models", "first", "second"]
    assert error(cli(*chosen, "--tasks", "coins")) == (
        "The tasks 'coins' must name one of coin. Did you mean 'coin'?"
    )
    assert error(cli("diff", "results", "results", "results")) == (
        "The sources must be one or two files or folders, found 3."
    )
    code, out, _ = cli(*chosen, "--tasks", "co*", "--resamples", "5")
    assert (code, "coin" in out) == (0, True)


def test_the_controls_of_a_run_are_compared_only_if_they_are_named(
    cli: Cli, tmp_path: Path
) -> None:
    folder = tmp_path / "results"
    for name, heads in (("old", 0.0), ("new", 1.0), ("control:words", 0.5)):
        sampled.write(folder, sampled.coin([heads]), name)
    sampled.write(folder, sampled.coin([0.25]), "new", model__random_init=3, record_id="r",
                  model__fingerprint="0" * 64)  # fmt: skip
    out = cli("diff", "results", "--resamples", "9")[1]
    assert out.startswith("A = control") is False
    assert set(out.splitlines()[0].split()) >= {"new", "old"}
    named = ["--models", "control:words", "new", "--resamples", "9"]
    assert cli("diff", "results", *named)[1].startswith("A = control:words    B = new    ")


def test_diff_of_two_probes_of_one_model(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    sampled.write(folder, sampled.coin([0.0, 0.25]), "toy")
    sampled.write(folder, sampled.coin([0.5, 0.75]), "toy", probe__name="mean-root", record_id="m")
    code, out, _ = cli("diff", "results", "--probes", "empty-root", "mean-root", "--resamples", "9")
    lines = [line.rstrip() for line in out.splitlines()]
    assert code == 0
    assert lines[0] == "A = toy, empty-root    B = toy, mean-root    differences are B - A"
    assert " ".join(lines[1:3]) == (
        "coin bias=0.5 on flips:test, probe empty-root (A), mean-root (B), 2 items"
    )
    assert error(cli("diff", "results", "--probes", "empty-root", "mean-rot")) == (
        "The probe 'mean-rot' must be one of mean-root, empty-root. Did you mean 'mean-root'?"
    )


def test_metrics_are_chosen_and_harm_is_marked(cli: Cli, tmp_path: Path) -> None:
    nulls = {"metrics": {"heads": metric(0.5, nulls={"free": NULL})}}
    a = sampled.write(tmp_path, sampled.coin([0.0, 0.25, 0.5, 0.0]), "a", **nulls)
    b = sampled.write(tmp_path, sampled.coin([0.1, 0.35, 0.6, 0.1]), "b", **nulls)
    flags = ["diff", str(a), str(b), "--metrics", "tail*,head*", "--resamples", "999"]
    _, out, _ = cli(*flags)
    lines = [line.rstrip() for line in out.splitlines()]
    assert lines[3].split()[-3:] == ["0.1250", "0.2500", "~0.111"]  # 1.96 sqrt(2) 0.04
    assert lines[4].split()[3] == "-0.100"  # fewer tails are better
    assert lines[-1] == (
        "spread: what two encoders without structure differ by at most, in 95 % of cases; ~: B - A "
        "is within it."
    )
    _, out, _ = cli("diff", str(b), str(a), "--metrics", "heads", "--resamples", "999")
    assert out.splitlines()[3].split()[3] == "▼-0.100"
    assert out.splitlines()[-1] == (
        "▼: B is worse on this metric's own interval, whatever the correction says."
    )
    report = json.loads(cli(*flags, "--format", "json")[1])["differences"][0]
    assert (report["below_spread"], report["clear"], report["harm"]) == (True, False, False)
    assert report["spread"] == pytest.approx(0.11087, abs=1e-5)
    assert error(cli("diff", str(a), str(b), "--metrics", "heds")) == (
        "The metrics 'heds' must be headline, all, or name one of heads, tails. Did you mean "
        "'heads'?"
    )


NULL = {"mean": 0.5, "sd": 0.04, "low": 0.4, "high": 0.6, "p": 0.5, "draws": 99}


def test_models_of_one_name_are_told_apart(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    sampled.write(folder, sampled.coin([1.0]), "toy")
    random = {"record_id": "r", "model__random_init": 0, "model__fingerprint": "0" * 64}
    sampled.write(folder, sampled.coin([0.0]), "toy", **random)
    code, out, _ = cli("diff", "results", "--models", "toy-random-init", "toy", "--resamples", "9")
    assert code == 0
    assert out.startswith("A = toy-random-init    B = toy    ")
    newer = {"record_id": "n", "model__fingerprint": "a" * 64}
    sampled.write(folder, sampled.coin([0.0]), "toy", **newer)
    assert error(cli("diff", "results", "--models", "toy", "toy@aaaaaaaa")) == (
        "The model 'toy' must be one of toy@aaaaaaaa, toy@fingerpr, toy-random-init."
    )
    named = ["--models", "toy@fingerpr", "toy@aaaaaaaa", "--resamples", "9"]
    assert cli("diff", "results", *named)[1].startswith("A = toy@fingerpr    B = toy@aaaaaaaa    ")


# --- score ---------------------------------------------------------------------------------------


def test_score_computes_samples_again(cli: Cli, tmp_path: Path) -> None:
    scores = sampled.coin([1.0, 0.0, 0.5, 0.5], undefined={"tails": "no tails"})
    path = sampled.write(tmp_path / "results", scores)
    code, out, _ = cli("score", "results")
    lines = [line.rstrip() for line in out.splitlines()]
    assert code == 0
    assert lines[0] == "a: coin on flips:test, probe empty-root"
    assert lines[2].split()[:2] == ["heads", "0.500"]
    assert lines[3].split() == ["tails", "n/a", "no", "tails"]
    (again,) = json.loads(cli("score", str(path), "--format", "json")[1])
    assert again["metrics"]["heads"]["value"] == 0.5
    assert again["record_id"] == "a-coin"


CSV = """\
captions,image
animal => bird => blue bird => a blue bird,a.png
thing => car => red car => a red car,b.png
"""


def mine(folder: Path) -> None:
    (folder / "mine.csv").write_text(CSV)
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(b"")
    lines = [
        {"image": "a.png", "chain": ["animal", "bird", "a plane"]},
        {"image": "other.png", "chain": ["thing"]},
    ]
    (folder / "captioner.jsonl").write_text("\n".join(map(json.dumps, lines)))


def test_score_of_generated_chains(cli: Cli, tmp_path: Path) -> None:
    mine(tmp_path)
    code, out, err = cli("score", "captioner.jsonl", "--dataset", "mine.csv", "--log-samples")
    assert code == 0
    assert err.splitlines() == [
        "1 of the answers are to nothing that mine.csv asks: 'other.png'",
        "1 of the questions of mine.csv have no answer and count as not found: 'b.png'",
    ]
    assert out.splitlines()[-1] == (
        "Records: results/captioner.jsonl    Board: hiereval leaderboard results"
    )
    assert cli("validate", "results")[0] == 0
    (record,) = reading.read(tmp_path / "results" / "captioner.jsonl")
    assert record.model.adapter == "answers"
    assert record.model.name == "captioner"
    assert (record.task.name, record.probe.name, record.dataset.name) == (
        "generation", "none", "mine.csv"
    )  # fmt: skip
    values = {name: metric.value for name, metric in record.metrics.items()}
    # a: 2 of 3 are true, tiers 1 and 2 of 4, in order; b: nothing
    assert values["precision"] == pytest.approx(2 / 3)
    assert values["recall"] == pytest.approx((2 / 4 + 0) / 2)
    assert values["ordered_recall"] == pytest.approx((2 / 4 + 0) / 2)
    assert values["recall_tier_2"] == 0.5
    # its samples are scored and compared like a run's
    (again,) = json.loads(cli("score", "results", "--format", "json")[1])
    assert {n: m["value"] for n, m in again["metrics"].items()} == values
    chains = (tmp_path / "captioner.jsonl").read_text()
    (tmp_path / "better.jsonl").write_text(chains.replace("a plane", "blue bird"))
    cli("score", "better.jsonl", "--dataset", "mine.csv", "--log-samples")
    arguments = ["results", "--models", "captioner", "better", "--format", "json"]
    report = json.loads(cli("diff", *arguments, "--resamples", "19")[1])
    assert report["differences"][0]["difference"] == pytest.approx(1 / 3)


def test_the_same_predictions_give_the_same_record(cli: Cli, tmp_path: Path) -> None:
    mine(tmp_path)
    arguments = ["score", "captioner.jsonl", "--dataset", "mine.csv", "--format", "json"]
    one, two = (json.loads(cli(*arguments)[1]) for _ in range(2))
    assert one["record_id"] == two["record_id"]
    assert one["metrics"] == two["metrics"]
    (tmp_path / "captioner.jsonl").write_text('{"image": "a.png", "chain": []}')
    assert json.loads(cli(*arguments)[1])["record_id"] != one["record_id"]


def test_score_refusals(cli: Cli, tmp_path: Path) -> None:
    assert error(cli("score", "none.jsonl")) == (
        "The source 'none.jsonl' must be a file or folder that exists."
    )
    mine(tmp_path)
    (tmp_path / "bad.jsonl").write_text('{"image": "a.png", "chain": "bird"}')
    assert error(cli("score", "bad.jsonl", "--dataset", "mine.csv")) == (
        'bad.jsonl:1: chain: must be a list of texts, not "bird".'
    )
    assert "must be one of" in error(cli("score", "captioner.jsonl", "--dataset", "hierarcap"))
    (tmp_path / "taken").write_text("")
    assert (
        error(cli("score", "captioner.jsonl", "--dataset", "mine.csv", "--output-path", "r.json"))
        == "The output path 'r.json' must be a folder; the files in it are named there."
    )
