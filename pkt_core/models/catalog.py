"""Pairs of models one can choose: the bundled demo pair, hub presets with what they need, and any two of your own."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from pkt_core.base.hub import hub_reachable
from pkt_core.data.examples import CAPITALS
from pkt_core.errors import ModelError
from pkt_core.models.folder import require_folder
from pkt_core.models.ref import Device, DType, ModelRef, short_name


class Pair(BaseModel):
    """A teacher, a student, and what to look at them with."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    """Its name in the command line and in URLs."""
    title: str
    """Its title on screen."""
    teacher: ModelRef
    student: ModelRef
    prompts: str = "general"
    """Prompt set for similarity and maps."""
    examples: str = CAPITALS[0]
    """Example set for attribution and transfer."""
    tasks: tuple[str, ...] = CAPITALS
    """Example sets that behaviour is measured on."""
    layers: tuple[int, int] | None = None
    """Teacher and student layer to start from; None: those that attribution and pairing choose."""
    note: str = ""
    """One sentence on why one would choose it."""
    needs_gib: float = 0.0
    """Memory for both models in 16 bits and a student layer in training, about."""
    bundled: bool = False
    """Whether it needs no download."""

    def held(self, device: Device, dtype: DType) -> Pair:
        """The same pair on another device or in another precision."""
        update = {"device": device, "dtype": dtype}
        return self.model_copy(
            update={
                "teacher": self.teacher.model_copy(update=update),
                "student": self.student.model_copy(update=update),
            }
        )


DEMO_TASKS = ("demo/unknown-seen", "demo/unknown-unseen", "demo/known-seen", "demo/known-unseen")


def demo_pair() -> Pair:
    return Pair(
        name="demo",
        title="Demo: 6 x 256 teacher, 3 x 96 student",
        teacher=ModelRef(name="demo:teacher"),
        student=ModelRef(name="demo:student"),
        prompts="facts",
        examples="demo/unknown-seen",
        tasks=DEMO_TASKS,
        layers=(5, 2),
        note="Two small models trained from scratch: the teacher knows 1,048 facts, the student half of them.",
        needs_gib=0.1,
        bundled=True,
    )


def preset(name: str, teacher: str, student: str, needs_gib: float, note: str) -> Pair:
    return Pair(
        name=name,
        title=f"{short_name(teacher)} to {short_name(student)}",
        teacher=ModelRef(name=teacher),
        student=ModelRef(name=student),
        needs_gib=needs_gib,
        note=note,
    )


def pairs() -> list[Pair]:
    """The catalogue, the bundled pair first."""
    return [
        demo_pair(),
        preset(
            "qwen2.5", "Qwen/Qwen2.5-1.5B", "Qwen/Qwen2.5-0.5B", 5.0, "One family, one tokenizer, three times the size."
        ),
        preset(
            "pythia", "EleutherAI/pythia-410m", "EleutherAI/pythia-160m", 2.0, "Open training data; 24 layers to 12."
        ),
        preset(
            "smollm2", "HuggingFaceTB/SmolLM2-360M", "HuggingFaceTB/SmolLM2-135M", 2.0, "Small enough for a laptop."
        ),
        preset(
            "gemma3",
            "google/gemma-3-1b-pt",
            "google/gemma-3-270m",
            4.0,
            "A 262,144-token vocabulary; licence to accept on the hub.",
        ),
        preset(
            "llama2-chat",
            "meta-llama/Llama-2-13b-chat-hf",
            "meta-llama/Llama-2-7b-chat-hf",
            45.0,
            "The paper's own pair; licence to accept on the hub.",
        ),
    ]


def pair(name: str) -> Pair:
    """A pair of the catalogue. Raises ModelError with the names there are."""
    for one in pairs():
        if one.name == name:
            return one
    raise ModelError(
        f"There is no pair {name!r}; expected one of {', '.join(p.name for p in pairs())}, or give a teacher and a student."
    )


def custom_pair(teacher: str, student: str) -> Pair:
    """Any two models by hub id or local folder. Raises ModelError where a name is empty."""
    if not teacher.strip() or not student.strip():
        raise ModelError("Got only one model; expected both a teacher and a student, each a hub id or a local folder.")
    return Pair(
        name="custom",
        title=f"{short_name(teacher)} to {short_name(student)}",
        teacher=ModelRef(name=teacher),
        student=ModelRef(name=student),
    )


def availability(chosen: Pair) -> str | None:
    """None where both models are available here, else one sentence: what is missing and what to do."""
    from huggingface_hub import try_to_load_from_cache

    for ref in (chosen.teacher, chosen.student):
        try:
            if ref.folder is not None:
                require_folder(ref.folder)
            elif not isinstance(try_to_load_from_cache(ref.name, "config.json"), str) and not hub_reachable():
                return (
                    f"{ref.name} is not in the local Hugging Face cache and the hub cannot be reached. Download it where there "
                    "is a connection, or give the path of a local folder."
                )
        except ModelError as error:
            return str(error)
        except (ValueError, OSError, RuntimeError):  # the hub's rules for names, the file system's, an unknown ~user
            return (
                f"{ref.name[:100]!r} is not a valid model name; expected a hub id such as Qwen/Qwen2.5-0.5B, or a local "
                "folder. Check its spelling."
            )
    return None
