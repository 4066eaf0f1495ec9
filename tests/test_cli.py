"""The command line as people use it: help, lists, and every kind of wrong input."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from support.typed import Cli, Typed

from hiereval import registry
from hiereval.cli import main
from hiereval.distribution import NAME
from hiereval.tasks.ordering import Ordering
from hiereval.tasks.pep import Pep

CHAIN = "animal => bird => blue bird => a blue bird on a branch"


@pytest.fixture
def cli(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return cli


def hiereval(*arguments: str, cwd: Path, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "hiereval", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, **more)  # type: ignore[call-overload,no-any-return]


def one_line(result: Typed) -> str:
    code, _, err = result
    assert code == 2, err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err.removeprefix("error: ").strip()


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["ls", "models"], ["ls", "tasks"], ["ls", "adapters", "--json"]],
)
def test_help_and_lists_import_no_torch(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom hiereval.cli import main\n"
        f"try: main({arguments})\n"
        "finally: assert not {'torch', 'transformers', 'open_clip', 'scipy'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("kind", ["models", "tasks", "adapters", "datasets", "probes"])
def test_ls_describes_everything(cli: Cli, kind: str) -> None:
    code, out, _ = cli("ls", kind, "--json")
    rows = json.loads(out)
    assert code == 0
    assert all(row["description"] for row in rows)
    if kind != "models":
        assert [row["name"] for row in rows] == registry.names(kind)  # type: ignore[arg-type]
    assert cli("ls", kind)[1].count("\n") > len(rows)


def test_ls_tasks_names_every_metric_with_its_line(cli: Cli) -> None:
    tasks = {row["name"]: row for row in json.loads(cli("ls", "tasks", "--json")[1])}
    for name, row in tasks.items():
        if row["from"] == NAME:
            declared = {m.name: m.description for m in registry.load("tasks", name).metrics}
            assert row["metrics"] == declared, "run: python docs/make_metrics.py"
    lines = [line.split(maxsplit=1) for line in cli("ls", "tasks")[1].splitlines()]
    assert ["tau_d", "Kendall's tau-b of radius and tier, mean over chains"] in [
        [first, *(part.rstrip() for part in rest)] for first, *rest in lines
    ]


@pytest.mark.parametrize("command", ["run", "ls", "leaderboard", "download", "doctor"])
def test_every_command_has_help(cli: Cli, command: str) -> None:
    code, out, _ = cli(command, "--help")
    assert code == 0
    assert out.startswith(f"Usage: hiereval {command}")


def test_flags_accept_underscores(cli: Cli) -> None:
    assert cli("run", "--model", "toy", "--batch_size", "0")[0] == 2
    assert "'0' must be 'auto' or a whole number" in cli("run", "--model=toy", "--batch_size=0")[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runn"], "There is no command 'runn'. Did you mean 'run'?"),
        (["run"], "The command must be given --model or --models."),
        (["run", "--model", "toy", "--batch-size", "x"], "'x' must be 'auto' or a whole number"),
        (["run", "--model", "toy", "--limit", "0"], "0 must be at least 1."),
        (["run", "--model", "toy", "--seed", "x"], "'x' is not a valid integer."),
        (["run", "--model", "toy", "--task-args", "steps"], "'steps' must be written key=value."),
        (["run", "--model", "toy", "--precision", "int3"], "'int3' is not one of"),
        (["ls", "modles"], "'modles' is not one of"),
    ],
)
def test_usage_errors(cli: Cli, arguments: list[str], message: str) -> None:
    code, _, err = cli(*arguments)
    assert code == 2
    assert message in err


def test_an_unknown_model(cli: Cli) -> None:
    assert one_line(cli("run", "--model", "siglipp", "--dataset", "shapes")) == (
        "The model 'siglipp' must be a known alias or adapter:checkpoint. Did you mean 'siglip'? "
        "'hiereval ls models' and 'hiereval ls adapters' list both."
    )


def test_a_folder_without_an_adapter(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    assert "It is a folder: say which adapter loads it, for example 'hf-clip:checkpoint'." in (
        one_line(cli("run", "--model", "checkpoint", "--dataset", "shapes"))
    )


def test_a_colon_and_nothing(cli: Cli) -> None:
    line = one_line(cli("run", "--model", "hf-clip:", "--dataset", "shapes"))
    assert "The checkpoint after the colon is missing." in line


def test_an_unknown_task(cli: Cli) -> None:
    assert one_line(cli("run", "--model", "toy", "--tasks", "ordering,retreival")) == (
        f"The task 'retreival' must be one of {', '.join(registry.names('tasks'))}. "
        "Did you mean 'retrieval'? 'hiereval ls tasks' describes them."
    )


def test_an_unknown_dataset(cli: Cli) -> None:
    line = one_line(cli("run", "--model", "toy", "--dataset", "shaps"))
    assert "'shaps'" in line
    assert "Did you mean 'shapes'?" in line


def test_an_unknown_task_argument(cli: Cli) -> None:
    line = one_line(cli("run", "--model", "toy", "--tasks", "retrieval", "--task-args", "stepz=10"))
    assert line.startswith("The task argument 'stepz' must be a parameter of a selected task (")
    assert line.endswith("Did you mean 'steps'?")


def test_a_wrong_task_argument(cli: Cli) -> None:
    assert one_line(
        cli("run", "--model", "toy", "--tasks", "retrieval", "--task-args", "steps=ten")
    ) == (
        "The 'steps' parameter of the task 'retrieval' got 'ten': Input should be a valid "
        "integer, unable to parse string as an integer."
    )


def test_an_unknown_model_argument(cli: Cli) -> None:
    line = one_line(cli("run", "--model", "control:words", "--model-args", "x=1"))
    assert line == ("The model argument 'x' must be one that the adapter 'control' takes (none).")


def test_an_unknown_control(cli: Cli) -> None:
    assert one_line(cli("run", "--model", "toy", "--controls", "wrods")) == (
        "The control 'wrods' must be all, none or of words, characters, constant, random-init. "
        "Did you mean 'words'?"
    )


def test_a_device_that_is_not_there(cli: Cli) -> None:
    line = one_line(cli("run", "--model", "toy", "--device", "quantum"))
    assert line.startswith("The device 'quantum' must be one that torch can use here: ")


def test_an_output_path_that_is_a_file_name(cli: Cli) -> None:
    assert (
        one_line(
            cli("run", "--model", "control:words", "--dataset", "shapes", "--output-path", "r.json")
        )
        == "The output path 'r.json' must be a folder; the files in it are named there."
    )


def test_an_unwritable_output_folder(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = one_line(
        cli("run", "--model", "control:words", "--dataset", "shapes", "--output-path", "file/x")
    )
    assert line.startswith("The output folder 'file/x' must be writable: ")


def test_missing_data_offline(cli: Cli, tmp_path: Path) -> None:
    line = one_line(
        cli("run", "--model", "control:words", "--dataset", "hierarcaps", "--offline",
            "--data-dir", str(tmp_path))
    )  # fmt: skip
    assert "hiereval download hierarcaps" in line


def run_words(cli: Cli, csv: str, *more: str) -> Typed:
    return cli("run", "--model", "control:words", "--dataset", csv, "--controls", "none", *more)


def test_a_chain_with_three_tiers(cli: Cli, tmp_path: Path) -> None:
    rows = [CHAIN, "animal => dog => brown dog", CHAIN.replace("bird", "cat")]
    (tmp_path / "c.csv").write_text("captions\n" + "\n".join(rows) + "\n")
    code, _, err = run_words(cli, "c.csv")
    assert code == 2
    assert "3" in err
    assert "c.csv" in err
    assert not list(tmp_path.glob("results/*.jsonl"))


def test_a_truncated_csv(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(f'captions,image\n"{CHAIN}",a.png\n"{CHAIN[:20]}')
    code, _, err = run_words(cli, "c.csv")
    assert code == 2
    assert "c.csv" in err


@pytest.mark.parametrize("content", [b"this is text", b""])
def test_an_image_that_is_none(cli: Cli, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    (tmp_path / "c.csv").write_text(f"captions,image\n{CHAIN},a.png\n")
    line = one_line(
        cli("run", "--model", "control:constant", "--dataset", "c.csv", "--tasks", "retrieval")
    )
    assert "The image 'a.png' is empty or not an image" in line


def test_an_image_of_2_500_000_000_pixels(cli: Cli, tmp_path: Path) -> None:
    Image.new("1", (50_000, 50_000)).save(tmp_path / "a.png")
    (tmp_path / "c.csv").write_text(f"captions,image\n{CHAIN},a.png\n")
    line = one_line(
        cli("run", "--model", "control:constant", "--dataset", "c.csv", "--tasks", "retrieval")
    )
    assert line == "The image 'a.png' has more than 89,478,485 pixels."


def test_a_records_file_with_a_broken_line(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "m.jsonl").write_text('{"run_id": "x"\n')
    assert one_line(cli("leaderboard", "results")) == (
        "results/m.jsonl:1: this line is not JSON; delete it, or move the file away"
    )


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(Exception, match="The model 'nope' must be"):
        main(["--debug", "run", "--model", "nope"])


def test_debug_shows_the_traceback_of_a_task_that_failed(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("inside the task")

    monkeypatch.setattr("hiereval.tasks.ordering.Ordering.score", broken)
    (tmp_path / "c.csv").write_text(f"captions\n{CHAIN}\n{CHAIN}\n")
    code, out, err = run_words(cli, "c.csv", "--tasks", "ordering")
    assert (code, "Traceback" in err) == (1, False)
    assert "failed: RuntimeError: inside the task" in out
    code, _, err = cli("--debug", "run", "--model", "control:words", "--dataset", "c.csv")
    assert code == 1
    assert "in broken" in err
    assert "RuntimeError: inside the task" in err


def test_several_models_end_with_their_board(cli: Cli, tmp_path: Path) -> None:
    rows = [CHAIN, "food => fruit => red apple => a red apple on a plate"]
    (tmp_path / "c.csv").write_text("captions\n" + "\n".join(rows) + "\n")
    models = ["--model", "control:words", "--model", "nope", "--model", "control:characters"]
    code, out, err = cli("run", *models, "--dataset", "c.csv", "--tasks", "ordering")
    assert code == 2
    assert err.startswith("error: nope: The model 'nope' must be a known alias")
    assert out.count("Asked    ") == 2
    assert "Came out ordering tau_d " in out
    assert "Nothing could be measured" not in out
    assert (tmp_path / "results" / "control-characters.jsonl").exists()


def test_the_next_command_can_be_typed(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(f"captions\n{CHAIN}\n{CHAIN}\n")
    code, out, _ = run_words(cli, "c.csv", "--tasks", "ordering", "--output-path", "my results")
    assert code == 0
    assert "\nNext     hiereval leaderboard 'my results'    or keep" in out


def test_data_that_is_nowhere_is_said_once(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else is installed: a plugin's task may have data that are here."""
    monkeypatch.setattr("hiereval.run.plan_tasks", lambda *_: {"hierarcaps": [Ordering(), Pep()]})
    code, _, err = cli("run", "--model", "control:words", "--offline", "--data-dir", "nowhere")
    first, last = err.splitlines()
    assert code == 2
    assert first.startswith("error: ordering, pep: not run. HierarCaps must be complete under ")
    assert last == "What needs no download: hiereval run --model toy --dataset shapes"


def test_an_alias_of_ones_own(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "models.toml"
    monkeypatch.setenv("HIEREVAL_MODELS", str(table))
    table.write_text('[counts]\nadapter = "control"\ncheckpoint = "words"\n')
    (tmp_path / "c.csv").write_text(f"captions\n{CHAIN}\nfood => fruit => apple => red apple\n")
    arguments = ["run", "--dataset", "c.csv", "--tasks", "ordering", "--controls", "none"]
    assert cli(*arguments, "--model", "counts")[0] == 0
    assert (tmp_path / "results" / "counts.jsonl").exists()
    assert "counts" in cli("ls", "models")[1]
    table.write_text('[counts]\nadaptor = "control"\n')
    assert one_line(cli(*arguments, "--model", "counts")) == (
        f"The model 'counts' of the file {str(table)!r} must have fields of adapter, checkpoint, "
        "description, revision, parameters, context_length, licence, paper, link, needs, "
        "model_args; 'adaptor' is none. Did you mean 'adapter'?"
    )


def test_a_control_runs_and_is_shown(cli: Cli, tmp_path: Path) -> None:
    rows = [CHAIN, "food => fruit => red apple => a red apple on a plate"]
    (tmp_path / "c.csv").write_text("captions\n" + "\n".join(rows) + "\n")
    code, out, err = run_words(cli, "c.csv", "--tasks", "ordering")
    assert (code, err) == (0, "")
    assert "tau_d" in out
    assert (
        "Kept     Records: results/control-words.jsonl    Picture: results/control-words.html"
        in out
    )
    again = run_words(cli, "c.csv", "--tasks", "ordering")[1]
    assert "1 of 1 records were there already (--overwrite always measures them again)." in again


def test_a_share_encodes_and_scores_nothing(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(f"captions\n{CHAIN}\n")
    for number in (1, 2):
        code, out, err = run_words(cli, "c.csv", "--tasks", "ordering", "--share", f"{number}/2")
        assert (code, err) == (0, "")
        assert out == (
            f"Share {number} of 2 is encoded. Copy the caches' `embeddings` folders into one, file "
            "by file: a run there encodes nothing.\n"
        )
    assert not (tmp_path / "results" / "control-words.jsonl").exists()
    code, out, err = run_words(cli, "c.csv", "--tasks", "ordering", "--share", "3/2")
    assert (code, out) == (2, "")
    assert err == "error: The share '3/2' must be R/N with R from 1 to N, for example 2/8.\n"
    stored = run_words(cli, "c.csv", "--tasks", "ordering", "--stored-only")
    assert stored[0] == 0, stored


def test_ctrl_c_keeps_what_is_finished(tmp_path: Path) -> None:
    """Interrupt a real process in the middle of encoding; the next run goes on from there."""
    (tmp_path / "slow.py").write_text(
        "import time\n"
        "from fakes import HashAdapter\n"
        "from hiereval.registry import register\n"
        "class Slow(HashAdapter):\n"
        "    def encode_texts(self, texts):\n"
        "        open('encoding', 'a').write(f'{len(texts)}\\n')\n"
        "        time.sleep(0.2)\n"
        "        return super().encode_texts(texts)\n"
        "register('adapters', 'slow', Slow)\n"
    )
    rows = [f"a{i} => b{i} => c{i} => d{i}" for i in range(200)]
    (tmp_path / "c.csv").write_text("captions\n" + "\n".join(rows) + "\n")
    shutil.copy(Path(__file__).parent / "support" / "fakes.py", tmp_path)
    arguments = ["run", "--plugins", "slow", "--model", "slow:a", "--dataset", "c.csv"]
    arguments += ["--tasks", "ordering", "--controls", "none", "--batch-size", "4"]
    command = [sys.executable, "-P", "-m", "hiereval", *arguments]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    log = tmp_path / "encoding"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (log.exists() and log.read_text().count("\n") > 3):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip() == "interrupted; everything finished so far is kept"
    before = sum(map(int, log.read_text().split()))
    log.unlink()

    done = hiereval(*arguments, cwd=tmp_path, timeout=300, env={**os.environ})
    assert done.returncode == 0, done.stderr
    encoded = sum(map(int, log.read_text().split()))
    assert encoded < 801
    assert encoded + before <= 801 + 32  # at most the interrupted batches are done again


def test_a_name_that_the_file_system_refuses_is_one_line(cli: Cli) -> None:
    code, out, err = cli("leaderboard", "x" * 5000)
    assert (code, out) == (2, "")
    assert err == f"error: The file or folder {'x' * 200!r} cannot be used: File name too long.\n"


def test_bytes_that_are_no_text_are_refused(cli: Cli) -> None:
    code, out, err = cli("leaderboard", "\udcff")
    assert (code, out) == (2, "")
    assert err == ("error: The argument '\\udcff' must be text in the terminal's encoding.\n")
