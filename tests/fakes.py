"""Tiny random models of several families, with a real tokenizer, saved as Hugging Face folders: no hub, milliseconds."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    CohereConfig,
    Gemma2Config,
    Gemma3TextConfig,
    Glm4Config,
    GPT2Config,
    GPTNeoXConfig,
    GraniteConfig,
    LlamaConfig,
    MistralConfig,
    MptConfig,
    OPTConfig,
    PhiConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
    XGLMConfig,
)

from pkt_core.models.catalog import Pair, custom_pair
from pkt_core.models.loading import LoadedModel, load
from pkt_core.models.ref import ModelRef

VOCABULARY = 320
TEXT = [
    "the quick brown fox jumps over the lazy dog",
    "a language model reads text and writes text",
    "Paris is a city in France. Rome is a city in Italy.",
    "numbers such as 1 2 3 and signs such as ( ) ; :",
]


def tokenizer(vocabulary: int = VOCABULARY, texts: list[str] | None = None) -> PreTrainedTokenizerFast:
    """Byte-level BPE with <pad>, <bos>, <eos>; adds no special token by itself."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<pad>", "<bos>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator((texts or TEXT) * 10, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>")


def config(
    family: str, *, layers: int = 3, width: int = 32, rows: int = VOCABULARY, **more: object
) -> PretrainedConfig:
    """A configuration of that family; special token ids inside the small vocabulary."""
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    plain = {
        "vocab_size": rows,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
    }
    mlp = {**plain, "intermediate_size": 2 * width, **ids}
    grouped = {**mlp, "num_key_value_heads": 2}
    makers = {
        "llama": lambda: LlamaConfig(**{**grouped, **more}),
        "qwen2": lambda: Qwen2Config(**{**grouped, **more}),
        "qwen3": lambda: Qwen3Config(**{**grouped, "head_dim": 8, **more}),
        "mistral": lambda: MistralConfig(**{**grouped, **more}),
        "gemma3": lambda: Gemma3TextConfig(**{**grouped, "head_dim": 8, **more}),
        "gemma2": lambda: Gemma2Config(**{**grouped, "head_dim": 8, **more}),
        "granite": lambda: GraniteConfig(**{**grouped, "residual_multiplier": 0.5, "logits_scaling": 4.0, **more}),
        "cohere": lambda: CohereConfig(**{**grouped, "logit_scale": 0.25, **more}),
        "glm4": lambda: Glm4Config(**{**grouped, "head_dim": 8, **more}),
        "mpt": lambda: MptConfig(
            vocab_size=rows,
            d_model=width,
            n_layers=layers,
            n_heads=4,
            max_seq_len=512,
            **{"expansion_ratio": 2, **more},
        ),
        "xglm": lambda: XGLMConfig(
            vocab_size=rows,
            d_model=width,
            num_layers=layers,
            attention_heads=4,
            ffn_dim=2 * width,
            max_position_embeddings=64,
            **{**ids, **more},
        ),
        "gpt2": lambda: GPT2Config(
            vocab_size=rows, n_embd=width, n_layer=layers, n_head=4, n_positions=64, **ids, **more
        ),
        "gpt_neox": lambda: GPTNeoXConfig(**{**mlp, **more}),
        "opt": lambda: OPTConfig(**{**plain, "ffn_dim": 2 * width, "word_embed_proj_dim": width, **ids, **more}),
        "phi": lambda: PhiConfig(**{**mlp, **more}),
        "bert": lambda: BertConfig(**{**mlp, **more}),
    }
    return makers[family]()


FAMILIES = [
    "llama",
    "qwen2",
    "qwen3",
    "mistral",
    "gemma3",
    "gemma2",
    "gpt2",
    "gpt_neox",
    "opt",
    "phi",
    "cohere",
    "glm4",
    "xglm",
]


def folder(path: Path, family: str = "llama", *, seed: int = 0, texts: list[str] | None = None, **more: object) -> Path:
    """A saved random model with its tokenizer."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config(family, **more))
    model.save_pretrained(path)
    tokenizer(texts=texts).save_pretrained(path)
    return path


def loaded(path: Path, family: str = "llama", **more: object) -> LoadedModel:
    """The same, loaded on the CPU in float32."""
    return load(ModelRef(name=str(folder(path, family, **more)), device="cpu", dtype="float32"))


def pair(path: Path) -> Pair:
    """A teacher of three layers and a student of two, in folders of their own."""
    folder(path / "teacher", layers=3, width=48)
    folder(path / "student", seed=1, layers=2)
    return custom_pair(str(path / "teacher"), str(path / "student"))
