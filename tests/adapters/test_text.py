"""Text encoders: equal to sentence-transformers and to transformers with the pooling by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from support import checkpoints

from hiereval.adapters.text import TextEncoder
from hiereval.errors import HierevalError
from hiereval.geometry import normalise
from hiereval.types import LoadOptions

TEXTS = ["", "a bird", "A Blue Bird on a branch.", "two dogs, a ball", "bird " * 60]
SMALL = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers as transformers writes it, of 38 positions."""
    folder = tmp_path_factory.mktemp("text") / "bert"
    checkpoints.bert_tokenizer(folder)
    size = len(transformers.AutoTokenizer.from_pretrained(folder))
    config = transformers.BertConfig(
        vocab_size=size, hidden_size=32, max_position_embeddings=38, **SMALL
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An XLM-RoBERTa whose positions begin at 2, with a language-modelling head."""
    folder = tmp_path_factory.mktemp("text") / "xlmr"
    checkpoints.xlmr_tokenizer(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    config = transformers.XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        max_position_embeddings=40,
        pad_token_id=tokenizer.pad_token_id,
        **SMALL,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.XLMRobertaForMaskedLM(config).save_pretrained(folder)
    return folder


def _sentence_folder(bert: Path, folder: Path, **pooling: Any) -> Path:
    """Write what sentence-transformers wrote before its version 5, by hand."""
    shutil.copytree(bert, folder)
    kinds = {"0": "Transformer", "1": "Pooling", "2": "Normalize"}
    paths = {"0": "", "1": "1_Pooling", "2": "2_Normalize"}
    modules = [
        {"idx": int(i), "name": i, "path": paths[i], "type": f"sentence_transformers.models.{kind}"}
        for i, kind in kinds.items()
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    modes = {f"pooling_mode_{m}": False for m in ("cls_token", "mean_tokens", "max_tokens")}
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 32, **modes, **pooling})
    )
    (folder / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": 20, "do_lower_case": False})
    )
    return folder


def _open(folder: Path, pooling: str | None = None, **options: Any) -> TextEncoder:
    return TextEncoder(str(folder), LoadOptions(**options), pooling)


def _refused(folder: Path, pooling: str | None = None) -> str:
    with pytest.raises(HierevalError) as caught:
        _open(folder, pooling).encode_texts([""])
    return str(caught.value)


@pytest.mark.parametrize("mode", ["cls", "mean", "lasttoken"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_equals_sentence_transformers(mode: str, bert: Path, tmp_path: Path) -> None:
    """Written and read by the library itself, truncated texts included."""
    library = pytest.importorskip("sentence_transformers")
    models = pytest.importorskip("sentence_transformers.models")
    model = library.SentenceTransformer(
        modules=[
            models.Transformer(str(bert), max_seq_length=20),
            models.Pooling(32, pooling_mode=mode),
            models.Normalize(),
        ],
        device="cpu",
    )
    model.save(str(tmp_path / "saved"))
    loaded = library.SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    expected = torch.from_numpy(loaded.encode(TEXTS, show_progress_bar=False))
    adapter = _open(tmp_path / "saved")
    assert adapter.context_length == 20
    torch.testing.assert_close(normalise(adapter.encode_texts(TEXTS)), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_equals_transformers_with_the_pooling_by_hand(pooling: str, roberta: Path) -> None:
    adapter = _open(roberta, pooling)
    assert adapter.context_length == 38  # two positions are padding's
    model = transformers.XLMRobertaModel.from_pretrained(roberta, add_pooling_layer=False).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(roberta)
    ours = adapter.encode_texts(TEXTS)
    for vector, text in zip(ours, TEXTS, strict=True):
        ids = tokenizer(text, truncation=True, max_length=38, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            hidden = model(input_ids=ids).last_hidden_state[0]
        expected = {"mean": hidden.mean(dim=0), "cls": hidden[0], "last": hidden[-1]}[pooling]
        torch.testing.assert_close(vector, expected, atol=1e-6, rtol=1e-5)


def test_the_published_form_of_a_pooling(bert: Path, tmp_path: Path) -> None:
    folder = _sentence_folder(bert, tmp_path / "st", pooling_mode_mean_tokens=True)
    adapter = _open(folder)
    assert (adapter.stated.pooling, adapter.context_length) == ("mean", 20)
    plain = _open(bert, "mean")
    short = TEXTS[:4]
    assert torch.equal(adapter.encode_texts(short), plain.encode_texts(short))
    assert adapter.text_lengths(["", "bird " * 60]) == [2, 62]


def test_a_prompt_and_lower_case_are_applied(bert: Path, tmp_path: Path) -> None:
    folder = _sentence_folder(bert, tmp_path / "st", pooling_mode_cls_token=True)
    before = _open(folder)
    (folder / "sentence_bert_config.json").write_text('{"do_lower_case": true}')
    (folder / "config_sentence_transformers.json").write_text(
        '{"prompts": {"query": "A Bird: "}, "default_prompt_name": "query"}'
    )
    after = _open(folder)
    assert after.written(["Dog"]) == ["a bird: dog"]
    assert after.id.fingerprint() != before.id.fingerprint()


def test_the_pooling_is_never_guessed(bert: Path, tmp_path: Path) -> None:
    assert _refused(bert) == (
        f"The pooling of '{bert}' must be named, because the checkpoint does not: "
        "--model-args pooling=mean|cls|last."
    )
    assert _refused(bert, "men") == (
        "The pooling 'men' must be one of mean, cls, last. Did you mean 'mean'?"
    )
    folder = _sentence_folder(bert, tmp_path / "st", pooling_mode_max_tokens=True)
    assert _refused(folder) == (
        f"The pooling of '{folder}' must be one of cls_token, mean_tokens, lasttoken; it is "
        "max_tokens."
    )
    folder = _sentence_folder(bert, tmp_path / "two", pooling_mode_mean_tokens=True)
    assert _refused(folder, "cls") == (
        f"The pooling 'cls' must be left out: '{folder}' states 'mean'."
    )
    modules = json.loads((folder / "modules.json").read_text())
    modules[2]["type"] = "sentence_transformers.models.Dense"
    (folder / "modules.json").write_text(json.dumps(modules))
    assert _refused(folder) == (
        f"The modules of '{folder}' must be Transformer, Pooling, Normalize; they are "
        "Transformer, Pooling, Dense."
    )


def test_weights_of_the_encoder_must_be_whole(bert: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(bert, tmp_path / "bert"))
    path = folder / "model.safetensors"
    state = load_file(path)
    del state["encoder.layer.1.output.dense.weight"]
    save_file(state, path, {"format": "pt"})
    assert _refused(folder, "mean") == (
        f"The weights of '{folder}' must be exactly those of BertModel; keys: 1 missing "
        "(encoder.layer.1.output.dense.weight)."
    )


def test_vectors_depend_neither_on_the_batch_nor_on_its_order(bert: Path) -> None:
    adapter = _open(bert, "mean")
    together = adapter.encode_texts(TEXTS)
    alone = torch.cat([adapter.encode_texts([text]) for text in TEXTS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_texts_only(bert: Path) -> None:
    from PIL import Image

    adapter = _open(bert, "cls")
    assert adapter.modalities == {"text"}
    for call in (
        lambda: adapter.preprocess(Image.new("RGB", (8, 8))),
        lambda: adapter.encode_images([]),
    ):
        with pytest.raises(HierevalError, match=r"^The model 'bert' must be asked for texts alone"):
            call()


def test_random_init(bert: Path) -> None:
    one, other = _open(bert, "mean", random_init=1), _open(bert, "mean", random_init=2)
    assert not torch.allclose(one.encode_texts(TEXTS), other.encode_texts(TEXTS), atol=1e-3)
    assert torch.equal(
        one.encode_texts(TEXTS), _open(bert, "mean", random_init=1).encode_texts(TEXTS)
    )


# --- real layouts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["PreTraining", "MaskedLM", "SequenceClassification"])
def test_bert_bases_own_file(head: str, bert: Path, tmp_path: Path) -> None:
    """Keys under `bert.`, a pooler and heads that no vector depends on."""
    folder = Path(shutil.copytree(bert, tmp_path / "headed"))
    config = transformers.BertConfig.from_pretrained(folder)
    whole = getattr(transformers, f"BertFor{head}")(config).eval()
    whole.save_pretrained(folder)
    adapter = _open(folder, "cls")
    encoded = adapter.tokenizer(TEXTS[1:4], padding=True, return_tensors="pt")
    with torch.inference_mode():
        expected = whole.bert(**encoded).last_hidden_state[:, 0]
    torch.testing.assert_close(adapter.encode_texts(TEXTS[1:4]), expected, atol=1e-6, rtol=0)


def _prompted(bert: Path, folder: Path, include: bool, **pooling: Any) -> Path:
    _sentence_folder(bert, folder, include_prompt=include, **pooling)
    prompts = {"query": "a man: ", "document": "two dogs: "}
    (folder / "config_sentence_transformers.json").write_text(
        json.dumps({"prompts": prompts, "default_prompt_name": None})
    )
    return folder


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("mode", ["cls_token", "mean_tokens", "lasttoken"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_prompts_equal_sentence_transformers(
    mode: str, include: bool, bert: Path, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    modes = {f"pooling_mode_{mode}": True}
    folder = _prompted(bert, tmp_path / "st", include, **modes)
    library = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    texts = ["", "a bird", "a blue bird on a branch"]
    for name in ("query", "document"):
        adapter = TextEncoder(str(folder), LoadOptions(), prompt=name)
        expected = torch.as_tensor(library.encode(texts, prompt_name=name))
        given = normalise(adapter.encode_texts(texts).double()).float()
        torch.testing.assert_close(given, expected, atol=1e-6, rtol=0)


def test_prompts_are_chosen_and_are_in_the_fingerprint(bert: Path, tmp_path: Path) -> None:
    folder = _prompted(bert, tmp_path / "st", True, pooling_mode_mean_tokens=True)
    written = {
        given: TextEncoder(str(folder), LoadOptions(), prompt=given)
        for given in (None, "none", "query", "document", "a bird:")
    }
    assert {given: adapter.written(["x"]) for given, adapter in written.items()} == {
        None: ["x"], "none": ["x"], "query": ["a man: x"], "document": ["two dogs: x"],
        "a bird:": ["a bird: x"],
    }  # fmt: skip
    assert len({adapter.id.fingerprint() for adapter in written.values()}) == 4
    with pytest.raises(HierevalError) as caught:
        TextEncoder(str(folder), LoadOptions(), prompt="querry")
    assert str(caught.value) == (
        f"The prompt 'querry' must be one that '{folder}' states (query, document), 'none', or "
        "words that end in a colon. Did you mean 'query'?"
    )


def test_an_older_folder_holds_its_network_in_a_subfolder(bert: Path, tmp_path: Path) -> None:
    flat = _sentence_folder(bert, tmp_path / "flat", pooling_mode_mean_tokens=True)
    root = tmp_path / "old"
    root.mkdir()
    shutil.copytree(flat / "1_Pooling", root / "1_Pooling")
    modules = json.loads((flat / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (root / "modules.json").write_text(json.dumps(modules))
    shutil.copytree(flat, root / "0_Transformer")
    assert _open(root).id.fingerprint() == _open(flat).id.fingerprint()
    modules[0]["path"] = "../flat"
    (root / "modules.json").write_text(json.dumps(modules))
    assert _refused(root) == f"The path '../flat' in '{root}' must lie inside the checkpoint."


def test_the_siblings_of_sentence_bert_config_are_read(bert: Path, tmp_path: Path) -> None:
    folder = _sentence_folder(bert, tmp_path / "st", pooling_mode_mean_tokens=True)
    (folder / "sentence_bert_config.json").rename(folder / "sentence_xlm-roberta_config.json")
    assert _open(folder).context_length == 20
    (folder / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": None, "model_args": {"attn_implementation": "x"}})
    )
    assert _refused(folder) == (
        f"The sentence_bert_config.json of '{folder}' must be without model_args: they would "
        "change how the network is loaded."
    )


def test_a_model_saved_without_its_tokenizer_is_refused(bert: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "bare"))
    for file in folder.glob("*token*"):
        file.unlink()
    for file in folder.glob("vocab*"):
        file.unlink()
    assert _refused(folder, "mean") == (
        f"The checkpoint '{folder}' must hold a tokenizer (tokenizer.json, vocab.json + "
        "merges.txt, vocab.txt, spiece.model, sentencepiece.bpe.model, tokenizer.model)."
    )
