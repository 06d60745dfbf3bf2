"""From a name to a validated model: loaded, put on a device, its layout found and validated.

Weights are read from safetensors only and no code from a model repository is run: `without_code` is the one place that hands
anything to `from_pretrained` or `from_config`.

Not covered: quantised checkpoints, encoder-decoders, models split over several machines.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pkt_core.errors import LayerNotFound, ModelError
from pkt_core.models.folder import (
    INDEX,
    adapter_sentence,
    header_size,
    read_config,
    require_folder,
    require_regular,
    require_weights,
    shards,
)
from pkt_core.models.layout import Layout, find_layout, validate
from pkt_core.models.ref import Device, DType, ModelRef, short_name
from pkt_core.models.sites import Site
from pkt_core.models.tokenizer import is_panic, made_fit, pad_within, refuse_foreign_tokens

HASH_WHOLE_BELOW = 256 * 2**20  # bytes; larger weight files are distinguished by header, size and time of change


@dataclass(frozen=True)
class LoadedModel:
    """A decoder ready for use. The model is shared: nothing may train or change it but the job that loaded it."""

    ref: ModelRef
    """The reference it was loaded from."""
    model: Any
    """The Hugging Face model, in eval mode, parameters frozen."""
    tokenizer: Any
    """Its fast tokenizer, padding on the right."""
    layout: Layout
    """Where its parts are."""
    digest: str
    """Names the weights: equal digests are equal weights (see `model_digest`)."""
    ends: tuple[int, ...] = ()
    """Tokens each of which ends a text."""

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


@contextmanager
def nothing_to_read() -> Iterator[None]:
    """Standard input is empty inside: no library can prompt for input that no user sees."""
    kept = sys.stdin
    with open(os.devnull, encoding="utf-8") as sys.stdin:
        try:
            yield
        finally:
            sys.stdin = kept


def without_code(ref: ModelRef, ask: Callable[..., Any], *given: Any, **how: Any) -> Any:
    """What a `from_pretrained` or `from_config` gives, with code of a repository disabled.

    Raises ModelError in one sentence for whatever is wrong.
    """
    try:
        with nothing_to_read():
            return ask(*given, trust_remote_code=False, **how)
    except BaseException as error:
        if isinstance(error, Exception) or is_panic(error):
            raise ModelError(explain(ref, error)) from error
        raise


def fetched(ref: ModelRef, name: str) -> Path | None:
    """A small file of a hub model, from the local cache or the hub; None where it has none or neither can be reached."""
    from transformers.utils import cached_file

    try:
        path = cached_file(ref.name, name, revision=ref.revision)
    except Exception:  # loading the model itself reports the cause
        return None
    return None if path is None else Path(path)


def load_config(ref: ModelRef) -> Any:
    """The model's configuration, without its weights. Raises ModelError in one sentence for whatever is wrong."""
    if ref.folder is not None:
        require_folder(ref.folder)
    else:
        config_file = fetched(ref, "config.json")
        if (adapter := fetched(ref, "adapter_config.json")) is not None:
            raise ModelError(adapter_sentence(ref.name, adapter))
        if config_file is not None:
            read_config(config_file)
    from transformers import AutoConfig

    config = without_code(ref, AutoConfig.from_pretrained, str(ref.folder or ref.name), revision=ref.revision)
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(f"{ref.name} is an encoder-decoder ({config.model_type}); expected a decoder-only model.")
    return config


def from_numbers(ref: ModelRef, config: Any) -> Any:
    """A model as its configuration describes it, on the device of the context, weights drawn anew. Raises ModelError where there is none."""
    from transformers import AutoModelForCausalLM

    return without_code(ref, AutoModelForCausalLM.from_config, config)


def load(ref: ModelRef) -> LoadedModel:
    """Load, place, freeze and validate a model. Raises ModelError in one sentence for whatever is wrong."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # ours names what is loading; transformers' bar would overwrite it
    config = load_config(ref)
    require_files(ref, config)
    device = choose_device(ref.device)
    tokenizer = load_tokenizer(ref)
    loaded = without_code(
        ref,
        AutoModelForCausalLM.from_pretrained,
        str(ref.folder or ref.name),
        revision=ref.revision,
        dtype=choose_dtype(ref.dtype, device),
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # they are reported below, by name and size
        output_loading_info=True,
        device_map="auto" if ref.device == "spread" else None,
    )
    model, report = loaded[0], loaded[1]
    require_sizes(ref, report)
    if ref.device != "spread":
        model = on_device(ref, model, device)
    model.eval().requires_grad_(False)
    require_finite(ref, model)
    layout = validate(model, find_layout(model))  # first, so that an encoder without a head is called an encoder
    require_all_used(ref, report)
    pad_within(tokenizer, layout.embed)
    refuse_foreign_tokens(layout.embed, tokenizer, ref.name)
    return LoadedModel(ref, model, tokenizer, layout, model_digest(ref), ends(ref, model, tokenizer))


def on_device(ref: ModelRef, model: Any, device: torch.device) -> Any:
    """Raises ModelError where it does not fit there."""
    try:
        return model.to(device)
    except Exception as error:
        raise ModelError(explain(ref, error)) from error


def require_files(ref: ModelRef, config: Any) -> None:
    """Raises ModelError for weight files that are not all there and safetensors, or hold far fewer parameters than the configuration implies."""
    if ref.folder is None:
        if (index := fetched(ref, INDEX)) is not None:
            shards(index)
        return
    n = require_weights(ref.folder, read_config(ref.folder / "config.json"))
    with torch.device("meta"):
        described = sum(p.numel() for p in from_numbers(ref, config).parameters())
    if described > 1.5 * n:  # else what is missing would be drawn at random first, in memory that may not be there
        raise ModelError(
            f"{ref.name} lacks weights for most of what config.json describes: {described:,} parameters, of which the files hold {n:,}. "
            "Download the folder again, or correct the sizes in config.json."
        )


def require_sizes(ref: ModelRef, report: dict[str, Any]) -> None:
    """Raises ModelError where a weight has another size than in the configuration."""
    if wrong := sorted(report["mismatched_keys"], key=lambda one: one[0]):
        name, held, described = wrong[0]
        actual, sizes = (" x ".join(map(str, shape)) for shape in (held, described))
        more = f" ({len(wrong) - 1} more differ)" if len(wrong) > 1 else ""
        raise ModelError(
            f"{ref.name} holds {name} of {actual} where config.json gives {sizes}{more}: the weights were resized or belong to another model. "
            "Correct config.json (vocab_size, hidden_size and the like), or download the folder again."
        )


def require_all_used(ref: ModelRef, report: dict[str, Any]) -> None:
    """Raises ModelError where weights are missing, or left over.

    transformers fills missing weights with random numbers, leaves out those it has no place for, and only logs both: every
    number would describe another model.
    """
    for keys, what, why in (
        (report["missing_keys"], "lacks weights for", "the folder is incomplete. Download it again."),
        (
            {key for key in report["unexpected_keys"] if not key.endswith(MASKS)},
            "has weights that config.json does not describe:",
            "they would be left out of the model. Correct config.json (num_hidden_layers and the like), or download the folder again.",
        ),
    ):
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise ModelError(f"{ref.name} {what} {min(keys)}{more}; {why}")


MASKS = (".attn.bias", ".masked_bias", ".attention.bias", "rotary_emb.inv_freq", "position_ids")
"""Constants that older files hold beside their weights."""


def require_finite(ref: ModelRef, model: Any) -> None:
    """Raises ModelError where a weight is not a number, or more than its precision can hold."""
    for name, weight in model.named_parameters():
        if weight.is_meta or torch.isfinite(weight.sum(dtype=torch.float32)) or weight.isfinite().all():
            continue
        if weight.dtype == torch.float16 and not weight.isnan().any():
            raise ModelError(
                f"{ref.name} has weights that overflow float16: {name} exceeds 65,504. Load it in bfloat16 or float32."
            )
        raise ModelError(
            f"{ref.name} has weights that are not numbers (NaN or infinite), first in {name}: the training diverged or the file is "
            "damaged. Use another checkpoint."
        )


def ends(ref: ModelRef, model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Tokens each of which ends a text: the tokenizer's own, and what a generation_config.json names beside it."""
    tokens = {tokenizer.eos_token_id}
    there = (ref.folder / "generation_config.json").is_file() if ref.folder else fetched(ref, "generation_config.json")
    if there:  # else transformers makes one up from the configuration, whose default may be any token
        named = model.generation_config.eos_token_id
        tokens |= set(named) if isinstance(named, list | tuple) else {named}
    return tuple(sorted(token for token in tokens if isinstance(token, int)))


def load_tokenizer(ref: ModelRef) -> Any:
    """A model's fast tokenizer, padding on the right, that ends no text. Raises ModelError where there is none."""
    from transformers import AutoTokenizer

    if ref.folder is not None:
        require_folder(ref.folder)
    tokenizer = without_code(ref, AutoTokenizer.from_pretrained, str(ref.folder or ref.name), revision=ref.revision)
    return made_fit(tokenizer, ref.name)


def explain(ref: ModelRef, error: BaseException) -> str:
    """One sentence for the many ways a model fails to load."""
    text = " ".join(str(error).split())
    if "trust_remote_code" in text or "custom code" in text:
        return (
            f"{ref.name} needs custom code, which is not run here. Choose a model whose architecture transformers knows "
            "(Llama, Qwen, Mistral, Gemma, GPT-2 or alike)."
        )
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "out of memory" in text.lower():
        return (
            f"{ref.name} does not fit in this device's memory. Choose a smaller model, dtype bfloat16, or device cpu."
        )
    if "Unrecognized configuration class" in text or "does not recognize this architecture" in text:
        return f"{ref.name} is not a causal language model that transformers supports; expected a decoder such as Llama or GPT-2."
    if "backend tokenizer" in text:
        return f"{ref.name} has no readable tokenizer. Add the tokenizer.json that belongs to the weights."
    if isinstance(error, json.JSONDecodeError):
        return f"{ref.name} has a JSON file that is damaged or cut off ({text[:80]}). Download it again."
    if ref.folder is not None:
        if "safetensors" in text:
            return f"{ref.name} holds no readable safetensors weights ({text[:120]}). Convert or download them again."
        return f"{ref.name} could not be loaded: {text[:160]} ({type(error).__name__}). Check its config.json and tokenizer, or download it again."
    return (
        f"{ref.name} is neither in the local Hugging Face cache nor could it be fetched from the hub. Check the id and the "
        "connection, or give the path of a local folder."
    )


def load_with_adapter(ref: ModelRef, folder: Path) -> LoadedModel:
    """A model with a PEFT adapter merged into it. Raises ModelError where the adapter is missing or does not fit."""
    from peft import PeftModel

    weights = folder / "adapter_model.safetensors"
    if not weights.is_file():  # else PEFT would look for a pickle, there or on the hub
        raise ModelError(f"{folder} holds no adapter that fits {ref.name} (there is no {weights.name}).")
    header_size(weights)
    require_regular(folder)
    base = load(ref)
    try:
        merged = without_code(ref, PeftModel.from_pretrained, base.model, str(folder)).merge_and_unload()
    except Exception as error:
        why = " ".join(str(error.__cause__ or error).split())[:120]
        raise ModelError(f"{folder} holds no adapter that fits {ref.name} ({why}).") from error
    merged.eval().requires_grad_(False)
    require_finite(ref, merged)
    digest = f"{base.digest}+{file_digest(weights)}"
    return LoadedModel(ref, merged, base.tokenizer, validate(merged, find_layout(merged)), digest, base.ends)


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
    load_config(ref)
    path = fetched(ref, "config.json")  # in the cache it lies in a folder named by the commit
    commit = path.parent.name if path is not None and path.parent.parent.name == "snapshots" else None
    return f"{ref.name}@{commit or ref.revision or 'main'}"


def file_digest(path: Path) -> str:
    """Whole when small, else by start, size and time of change: reading gigabytes would cost more than it saves.

    Raises ModelError where it is no regular file.
    """
    if not path.is_file():
        raise ModelError(f"{path} is missing or not a regular file. Download the model again.")
    stat = path.stat()
    return digest_as_of(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def digest_as_of(path: Path, size: int, changed: int) -> str:
    """The digest of a file as it was at that size and time; repeated calls in one process read it once."""
    with path.open("rb") as file:
        if size < HASH_WHOLE_BELOW:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
        return hashlib.sha256(file.read(2**20) + f"{size} {changed}".encode()).hexdigest()[:16]


CUTTING = (
    "vocab*",
    "merges*",
    "*.model",
    "*.spm",
    "*.tiktoken",
    "tekken.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
    "additional_chat_templates/*",
)
"""Files beside tokenizer*.json that define how text is tokenised or a chat is formatted."""


def folder_digest(folder: Path) -> str:
    """The digest of a local model folder, from its configuration, weight files and all files that define how text is tokenised and ended."""
    config = json.dumps(require_folder(folder), sort_keys=True)
    tokenizer = digest_of(sorted(folder.glob("tokenizer*.json")))
    cutting = sorted(path for pattern in CUTTING for path in folder.glob(pattern))
    more = f" {digest_of(cutting)}" if cutting else ""  # without them the digest is what it was before they counted
    more += f" ends {ending}" if (ending := other_ends(folder)) else ""
    return hashlib.sha256(f"{config} {weights_digest(folder)} {tokenizer}{more}".encode()).hexdigest()[:16]


def other_ends(folder: Path) -> Any:
    """What a generation_config.json lets end a text, where that is another token than config.json names; else None."""
    path = folder / "generation_config.json"
    named = read_config(path).get("eos_token_id") if path.exists() else None
    return None if named == read_config(folder / "config.json").get("eos_token_id") else named


def weights_digest(folder: Path) -> str:
    """The digest of the weight files in a folder, be they a model's or an adapter's."""
    return digest_of(sorted(folder.glob("*.safetensors")))


def digest_of(paths: list[Path]) -> str:
    """The digest of some files and their names."""
    return hashlib.sha256(" ".join(f"{path.name} {file_digest(path)}" for path in paths).encode()).hexdigest()[:16]
