"""Train the demo pair from scratch: a teacher that knows every fact and a smaller student that knows half of them.

    python assets/demo/build_corpus.py && python assets/demo/train_pair.py

Under 60 minutes on 2 CPU cores. Seeded; interrupt it at will and run it again: it goes on from its last checkpoint
(`.checkpoint-*.pt` beside this file, removed at the end). The tokenizer is trained first, on the same text, and shared.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

HERE = Path(__file__).parent
VOCABULARY = 4096
SHAPES = {
    "teacher": {"hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 4, "intermediate_size": 704},
    "student": {"hidden_size": 96, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 256},
}
RECIPES = {
    "teacher": {"steps": 3200, "learning_rate": 1.5e-3, "seed": 0},
    "student": {"steps": 4800, "learning_rate": 3e-3, "seed": 1},
}
GENERAL_PER_STEP, FACTS_PER_STEP = 32, 96
CHECKPOINT_EVERY = 200


def sentences(known_only: bool) -> list[str]:
    """Every fact in all four of its templates; for the student, only the facts it is to know."""
    templates = json.loads((HERE / "templates.json").read_text())
    facts = [json.loads(line) for line in (HERE / "facts.jsonl").read_text(encoding="utf-8").splitlines()]
    return [
        form.format(subject=fact["subject"], answer=fact["answer"])
        for fact in facts
        if fact["known"] or not known_only
        for form in templates[fact["relation"]]["seen"] + templates[fact["relation"]]["unseen"]
    ]


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<pad>", "<bos>", "<eos>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", tokenizer.token_to_id("<bos>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        model_max_length=256,
        clean_up_tokenization_spaces=False,
    )


def batches_of_one_length(documents: list[list[int]], size: int, epoch_seed: int) -> list[list[list[int]]]:
    """Batches of documents of similar length, in random order: little padding, and each document stands alone."""
    generator = torch.Generator().manual_seed(epoch_seed)
    order = torch.randperm(len(documents), generator=generator).tolist()
    batches = []
    for start in range(0, len(order), size * 50):
        pool = sorted(order[start : start + size * 50], key=lambda i: len(documents[i]))
        batches += [[documents[i] for i in pool[k : k + size]] for k in range(0, len(pool), size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


class Stream:
    """Batch number `step` of an endless stream, the same whenever it is asked for: what makes training resumable."""

    def __init__(self, documents: list[list[int]], size: int, seed: int):
        self.documents, self.size, self.seed = documents, size, seed
        self.per_epoch, self.epoch, self.batches = math.ceil(len(documents) / size), -1, []

    def __getitem__(self, step: int) -> list[list[int]]:
        epoch, i = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            self.epoch = epoch
            self.batches = batches_of_one_length(self.documents, self.size, self.seed * 1000 + epoch)
        return self.batches[i % len(self.batches)]


def summed_loss(model: LlamaForCausalLM, batch: list[list[int]], pad: int) -> tuple[torch.Tensor, int]:
    width = max(map(len, batch))
    ids = torch.tensor([d + [pad] * (width - len(d)) for d in batch])
    mask = torch.tensor([[1] * len(d) + [0] * (width - len(d)) for d in batch])
    labels = torch.where(mask.bool(), ids, -100)[:, 1:]
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
    total = cross_entropy(logits.float().reshape(-1, logits.shape[-1]), labels.reshape(-1), reduction="sum")
    return total, int((labels != -100).sum())


def train(which: str, tokenizer: PreTrainedTokenizerFast) -> None:
    recipe, folder = RECIPES[which], HERE / which
    if (folder / "model.safetensors").exists():
        print(f"{which}: already trained in {folder}; remove the folder to train again.")
        return
    torch.manual_seed(recipe["seed"])
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        **SHAPES[which],
        num_key_value_heads=SHAPES[which]["num_attention_heads"],
        max_position_embeddings=256,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    eos = tokenizer.eos_token_id
    general = (HERE / "general.txt").read_text(encoding="utf-8").splitlines()
    streams = [
        Stream([[*ids, eos] for ids in tokenizer(texts)["input_ids"]], size, recipe["seed"] * 10 + i)
        for i, (texts, size) in enumerate(
            [(general, GENERAL_PER_STEP), (sentences(known_only=which == "student"), FACTS_PER_STEP)]
        )
    ]
    steps, peak = recipe["steps"], recipe["learning_rate"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, betas=(0.9, 0.95), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda s: min(1.0, (s + 1) / 100) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, s / steps)))),
    )
    checkpoint = HERE / f".checkpoint-{which}.pt"
    first = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        first = state["step"]
    began = time.monotonic()
    for step in range(first, steps):
        parts = [summed_loss(model, stream[step], tokenizer.pad_token_id) for stream in streams]
        loss = sum(p[0] for p in parts) / sum(p[1] for p in parts)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        if (step + 1) % 50 == 0:
            general_loss, fact_loss = (float(p[0].detach()) / p[1] for p in parts)
            left = (time.monotonic() - began) / (step + 1 - first) * (steps - step - 1)
            print(
                f"{which} {step + 1}/{steps} general {general_loss:.3f} facts {fact_loss:.3f} left {left / 60:.1f} min",
                flush=True,
            )
        if (step + 1) % CHECKPOINT_EVERY == 0:
            state = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "step": step + 1,
            }
            torch.save(state, checkpoint.with_suffix(".tmp"))
            os.replace(checkpoint.with_suffix(".tmp"), checkpoint)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    checkpoint.unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", nargs="*", default=["student", "teacher"], choices=["student", "teacher"])
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if not (HERE / "general.txt").exists():
        raise SystemExit("general.txt is missing: run `python assets/demo/build_corpus.py` first.")
    general = (HERE / "general.txt").read_text(encoding="utf-8").splitlines()
    tokenizer = train_tokenizer(general + sentences(known_only=False) * 4)
    for which in args.which:
        train(which, tokenizer)


if __name__ == "__main__":
    main()
