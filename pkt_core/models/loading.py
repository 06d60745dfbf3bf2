"""From a name to a model that is known to behave: loaded, put on a device, its layout found and validated.

Weights are read from safetensors only and no code from a model repository is run.

Not covered: quantised checkpoints, encoder-decoders, models split over several machines.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pkt_core.errors import LayerNotFound, ModelError
from pkt_core.models.layout import Layout, find_layout, validate
from pkt_core.models.ref import Device, DType, ModelRef, short_name
from pkt_core.models.sites import Site

HASH_WHOLE_BELOW = 256 * 2**20  # bytes; larger weight files are told apart by header, size and time of change


@dataclass(frozen=True)
class LoadedModel:
    """A decoder ready for use. The model is shared: nothing may train or change it but the job that loaded it."""

    ref: ModelRef
    """What was asked for."""
    model: Any
    """The Hugging Face model, in eval mode, parameters frozen."""
    tokenizer: Any
    """Its fast tokenizer, padding on the right."""
    layout: Layout
    """Where its parts are."""
    digest: str
    """Names the weights: equal digests are equal weights (see `model_digest`)."""

    @property
    def name(self) -> str:
        return short_name(self.ref.name)

    @property
    def n_layers(self) -> int:
        return len(self.layout.blocks)

    @property
    def d_model(self) -> int:
        return self.layout.head.weight.shape[1]

    @property
    def device(self) -> torch.device:
        return self.layout.head.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.layout.head.weight.dtype

    @property
    def context(self) -> int:
        """The longest sequence in tokens, special tokens included."""
        return int(getattr(self.model.config, "max_position_embeddings", 0) or 2048)

    @property
    def n_parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters())

    def require(self, site: Site) -> Site:
        """The site itself, or LayerNotFound where this model lacks it."""
        if site.layer is not None and not 0 <= site.layer < self.n_layers:
            raise LayerNotFound(
                f"{self.name} has layers 0 to {self.n_layers - 1}, got {site.layer}. Pick one of those."
            )
        if site.part in ("attn_out", "mlp_out") and not self.layout.sublayers:
            raise LayerNotFound(
                f"{self.name} does not add attention and MLP outputs to its residual stream one by one, so {site} "
                "does not exist. Use block_out or block_delta."
            )
        return site


def choose_device(device: Device) -> torch.device:
    """Raises ModelError when a device is named that this machine lacks."""
    if device in ("auto", "spread"):
        return torch.device(
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[device]:
        raise ModelError(f"Got device {device}, which this machine does not have. Use --device auto or cpu.")
    return torch.device(device)


def choose_dtype(dtype: DType, device: torch.device) -> torch.dtype:
    if dtype != "auto":
        return getattr(torch, dtype)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.float32


def require_folder(folder: Path) -> None:
    """Raises ModelError where there is no Hugging Face model folder."""
    if not folder.is_dir():
        raise ModelError(f"There is no folder {folder}. Give an existing Hugging Face model folder or a hub id.")
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder} has no config.json. Expected a Hugging Face folder (config, safetensors, tokenizer)."
        )


def load_config(ref: ModelRef) -> Any:
    """The model's configuration, without its weights. Raises ModelError in one sentence for whatever is wrong."""
    from transformers import AutoConfig

    if ref.folder is not None:
        require_folder(ref.folder)
    try:
        config = AutoConfig.from_pretrained(str(ref.folder or ref.name), revision=ref.revision)
    except Exception as error:
        raise ModelError(explain(ref, error)) from error
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(f"{ref.name} is an encoder-decoder ({config.model_type}); expected a decoder-only model.")
    return config


def load(ref: ModelRef) -> LoadedModel:
    """Load, place, freeze and validate a model. Raises ModelError in one sentence for whatever is wrong."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # ours says what is loading; transformers' own would write over it
    load_config(ref)
    device = choose_device(ref.device)
    source = str(ref.folder or ref.name)
    tokenizer = load_tokenizer(ref)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source,
            revision=ref.revision,
            dtype=choose_dtype(ref.dtype, device),
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            device_map="auto" if ref.device == "spread" else None,
        )
        placed = loaded[0] if ref.device == "spread" else loaded[0].to(device)
        model, report = placed.eval().requires_grad_(False), loaded[1]
    except Exception as error:
        raise ModelError(explain(ref, error)) from error
    layout = validate(model, find_layout(model))  # first, so that an encoder without a head is called an encoder
    # transformers fills missing weights with random numbers and only logs it; every figure would then be nonsense.
    if missing := sorted(report["missing_keys"]):
        raise ModelError(
            f"{ref.name} lacks weights for {missing[0]} and {len(missing) - 1} more; the folder is incomplete."
        )
    return LoadedModel(ref, model, tokenizer, layout, model_digest(ref))


def load_tokenizer(ref: ModelRef) -> Any:
    """A model's fast tokenizer, padding on the right. Raises ModelError where there is none."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            str(ref.folder or ref.name), revision=ref.revision, trust_remote_code=False
        )
    except Exception as error:
        raise ModelError(explain(ref, error)) from error
    if not tokenizer.is_fast:
        raise ModelError(f"{ref.name} has no fast tokenizer (tokenizer.json), which is needed for character offsets.")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.bos_token or tokenizer.convert_ids_to_tokens(0)
    tokenizer.padding_side = "right"
    return tokenizer


def explain(ref: ModelRef, error: Exception) -> str:
    """One sentence for the many ways a model fails to load."""
    text = " ".join(str(error).split())
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "out of memory" in text.lower():
        return (
            f"{ref.name} does not fit in this device's memory. Choose a smaller model, dtype bfloat16, or device cpu."
        )
    if "Unrecognized configuration class" in text or "does not recognize this architecture" in text:
        return f"{ref.name} is no causal language model that transformers knows; expected a decoder such as Llama or GPT-2."
    if ref.folder is not None:
        if "safetensors" in text:
            return f"{ref.name} holds no readable safetensors weights ({text[:120]}). Convert or download them again."
        return f"{ref.name} could not be loaded: {text[:160]}"
    return (
        f"{ref.name} is neither in the local Hugging Face cache nor could it be fetched from the hub. Check the id and the "
        "connection, or give the path of a local folder."
    )


def load_with_adapter(ref: ModelRef, folder: Path) -> LoadedModel:
    """A model with a PEFT adapter merged into it. Raises ModelError where the adapter is missing or does not fit."""
    from peft import PeftModel

    base = load(ref)
    try:
        merged = PeftModel.from_pretrained(base.model, str(folder)).merge_and_unload().eval().requires_grad_(False)
    except Exception as error:
        raise ModelError(
            f"{folder} holds no adapter that fits {ref.name} ({' '.join(str(error).split())[:120]})."
        ) from error
    digest = f"{base.digest}+{file_digest(folder / 'adapter_model.safetensors')}"
    return LoadedModel(ref, merged, base.tokenizer, validate(merged, find_layout(merged)), digest)


def release() -> None:
    """Give memory back after a model went out of use."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def model_digest(ref: ModelRef) -> str:
    """A short name for the weights, known without loading them, so that stored results are never another model's.

    Hub models are named by their commit, local folders by their content. Raises ModelError where there is no model.
    """
    if ref.folder is not None:
        require_folder(ref.folder)
        return folder_digest(ref.folder)
    return f"{ref.name}@{getattr(load_config(ref), '_commit_hash', None) or ref.revision or 'main'}"


def file_digest(path: Path) -> str:
    """Whole when small, else by start, size and time of change: reading gigabytes would cost more than it saves."""
    stat = path.stat()
    return digest_as_of(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def digest_as_of(path: Path, size: int, changed: int) -> str:
    """The digest of a file as it was at that size and time; a process that asks often reads it once."""
    with path.open("rb") as file:
        if size < HASH_WHOLE_BELOW:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
        return hashlib.sha256(file.read(2**20) + f"{size} {changed}".encode()).hexdigest()[:16]


def folder_digest(folder: Path) -> str:
    """The digest of a local model folder, from its configuration, weight files and tokenizer."""
    config = json.dumps(json.loads((folder / "config.json").read_text()), sort_keys=True)
    tokenizer = digest_of(sorted(folder.glob("tokenizer*.json")))
    return hashlib.sha256(f"{config} {weights_digest(folder)} {tokenizer}".encode()).hexdigest()[:16]


def weights_digest(folder: Path) -> str:
    """The digest of the weight files in a folder, be they a model's or an adapter's."""
    return digest_of(sorted(folder.glob("*.safetensors")))


def digest_of(paths: list[Path]) -> str:
    """The digest of some files and their names."""
    return hashlib.sha256(" ".join(f"{path.name} {file_digest(path)}" for path in paths).encode()).hexdigest()[:16]
