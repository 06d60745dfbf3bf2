"""What a method is: the record that its file holds, and the methods there are.

Everything that names methods reads these records: options and help of the command line, the form, rivals of a family, the
model card, citations, the tables of the documentation. No torch is imported with them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, get_args

from pkt_core.transfer.plan import TransferPlan, records
from pkt_core.transfer.settings import Adapted, LayerByLayer, Mapped, Paired

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pkt_core.alignment.pairing import LayerPair
    from pkt_core.models.loading import LoadedModel
    from pkt_core.transfer.batch import Batch, Extraction
    from pkt_core.transfer.trainable import Trainable
else:  # a record is read without torch; whoever carries a method out has it
    Tensor = nn = LayerPair = LoadedModel = Batch = Extraction = Trainable = Any

P = TypeVar("P", bound=TransferPlan)
Terms = dict[str, Tensor]
"""Named terms of a loss, each a mean over rows, added up as they are."""
Extract = dict[str, Tensor]
"""What a method takes from the teacher besides rows, by name."""
Pairs = tuple[LayerPair, ...]
Group = Literal["SemAlign", "Ours", "Rival", "No training"]
GROUPS: tuple[Group, ...] = get_args(Group)


@dataclass(frozen=True)
class Paper:
    """A paper behind a method."""

    key: str
    """Of its BibTeX entry, letters and digits."""
    bibtex: str
    """The whole entry."""


@dataclass(frozen=True)
class Method(Generic[P]):
    """How a student is trained, and how the method is described."""

    plan: type[P]
    """Its settings: the common ones, the groups it uses, its own. `method` has the method's name as its one value."""
    order: int
    """Its place in lists; equal ones by name."""
    title: str
    """For headings: two or three words."""
    sentence: str
    """What it does, without a full stop; model card and form show it."""
    group: Group
    """The kind of method, as the form orders them."""
    pull: str
    """What the student is trained towards, for the table of the documentation."""
    source: str
    """Its source in that table, in Markdown; empty where it needs none."""
    how: str
    """For a methods section, in LaTeX: `by ... \\cite{key}`."""
    papers: tuple[Paper, ...]
    """Those that `how` cites, and no others."""
    terms: Callable[[Batch, P], Terms]
    """The loss on one batch."""
    labels: bool = False
    """Whether it learns from the labels."""
    states: bool = False
    """Whether the teacher's states are targets: mapped ones where the plan has a map, else raw."""
    logits: bool = False
    """Whether the teacher's next-token distribution is a target."""
    layers: bool = True
    """Whether a layer of the teacher plays a part."""
    reconstructed: bool = False
    """Whether it was rebuilt from an abstract and is not the authors' own form."""
    loss_only: tuple[str, ...] = ()
    """Own settings that leave what is recorded of the teacher as it is."""
    extract: Callable[[Extraction, P], Extract] | None = None
    """What else is taken from the teacher, once, kept beside the targets: raise TARGETS_VERSION where it comes to give another."""
    install: Callable[[LoadedModel, P, Pairs, Extract], Trainable] | None = None
    """Put what was extracted into the student; None unfreezes the plan's parameters as they are."""
    foreign: Callable[[P, Pairs, int, int], nn.Module | None] | None = None
    """Weights beside the student (plan, pairs, d_teacher, d_student)."""
    changed: Callable[[P, str, int], str] | None = None
    """For the model card: what of the student changed (plan, which blocks in words, parameters); None describes blocks and LoRA."""

    @property
    def name(self) -> str:
        """As it is typed: `--method NAME`."""
        return str(self.plan.model_fields["method"].default)

    @property
    def own_settings(self) -> list[str]:
        """Those that neither every plan nor a group has."""
        shared = {
            name
            for above in self.plan.__mro__
            if issubclass(above, TransferPlan) and above.__module__ in (TransferPlan.__module__, Mapped.__module__)
            for name in above.model_fields
        }
        return sorted(set(self.plan.model_fields) - shared)

    @property
    def trains(self) -> bool:
        """Whether it takes steps."""
        return "steps" in self.plan.model_fields

    @property
    def layer_by_layer(self) -> bool:
        """Whether one student layer trains after the other, from shallow to deep."""
        return issubclass(self.plan, LayerByLayer)

    @property
    def paired(self) -> bool:
        """Whether student layers are moved towards states of teacher layers."""
        return issubclass(self.plan, Paired)

    @property
    def mapped(self) -> bool:
        """Whether those states come through an alignment map."""
        return issubclass(self.plan, Mapped)

    def what_changed(self, plan: P, n: int) -> str:
        """What of the student changed, and through how many parameters."""
        blocks = "all blocks" if plan.every_block else "the paired blocks"
        if self.changed is not None:
            return self.changed(plan, blocks, n)
        where = f"the MLPs of {blocks}" if isinstance(plan, Adapted) and plan.modules == "mlp" else blocks
        return f"{where}, {'full' if plan.rank is None else f'LoRA of rank {plan.rank}'}, {n:,} parameters"


def methods() -> dict[str, Method[Any]]:
    """All methods by name, in their order."""
    return {method.name: cast(Method[Any], method) for method in records()}


def method_of(plan: TransferPlan) -> Method[Any]:
    """The method of a plan."""
    return methods()[plan.method]
