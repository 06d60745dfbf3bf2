"""The public API: what `import pkt_core as pkt` gives, one function for each thing a notebook does.

Everything heavy is imported inside, so that the names are there at once. A failure that a person can mend is a `PktError` with one
sentence. Layers count from 0. What is computed for a pair is stored in `cache/` (or `PKT_CACHE`) and read from there the next time.

Not covered: the figures (figures.py).
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from pkt_core.base.progress import Progress, silent
from pkt_core.errors import PlanError

if TYPE_CHECKING:
    from pkt_core.models.catalog import Pair
    from pkt_core.models.ref import Device, DType
    from pkt_core.runs.folder import Run
    from pkt_core.runs.results import RunResults
    from pkt_core.similarity.grid import SimilarityGrid
    from pkt_core.studies.alignment_maps.record import MapComparison
    from pkt_core.studies.comparison.record import Comparison
    from pkt_core.studies.latent_map.record import LatentMap
    from pkt_core.studies.layer_pair.record import CloserLook
    from pkt_core.transfer.plan import TransferPlan


def pair(
    name: str = "demo",
    student: str | None = None,
    *,
    teacher: str | None = None,
    device: Device = "auto",
    dtype: DType = "auto",
) -> Pair:
    """A teacher and a student: a pair of the catalogue by name, or any two Hugging Face decoders by hub id or folder.

        pair = pkt.pair("demo")
        pair = pkt.pair("Qwen/Qwen2.5-1.5B", "Qwen/Qwen2.5-0.5B", device="cuda", dtype="bfloat16")

    device: `auto`, `cpu`, `cuda`, `mps` or `spread`; dtype: `auto`, `float32`, `bfloat16` or `float16`. Loads no model. Raises
    ModelError for an unknown name, PlanError where a model is not available here.
    """
    from typing import get_args

    from pkt_core.models import catalog, ref

    for what, value, known in (("device", device, get_args(ref.Device)), ("dtype", dtype, get_args(ref.DType))):
        if value not in known:
            raise PlanError(f"Got {what} {value!r}; expected one of {', '.join(known)}.")
    if teacher is not None and student is None:
        raise PlanError("Got a teacher without a student; expected both, each a hub id or a local folder.")
    chosen = catalog.pair(name) if student is None else catalog.custom_pair(teacher or name, student)
    chosen = chosen.held(device, dtype)
    if problem := catalog.availability(chosen):
        raise PlanError(problem)
    return chosen


def compare(pair: Pair, *, progress: Progress | None = None, **settings: Any) -> Comparison:
    """Similarity of every teacher layer with every student layer, with its null; recomposition, attribution and pairing.

        comparison = pkt.compare(pkt.pair("demo"), n_prompts=256)
        comparison.grid.best                    # teacher layer, student layer, value
        pkt.figures.heatmap(comparison)

    settings: `prompts` (a bundled set, file or `hf:` dataset), `n_prompts` (512), `pooling` (`mean`, `last`, `tokens`), `part`
    (`block_out`, `block_delta`, `attn_out`, `mlp_out`), `outliers`, `skip_first`, `permutations` (200), `seed` (0).
    progress: called with the name of a stage and the share done, 0..1. Raises PlanError for an invalid setting.
    """
    from pkt_core.studies.comparison import compute

    return compute.compare(_checked(pair), progress=progress or silent, **settings)


def similarity(
    x: Any,
    y: Any = None,
    *,
    measure: str = "debiased_linear_cka",
    progress: Progress | None = None,
    **settings: Any,
) -> SimilarityGrid:
    """The similarity grid of a pair by any measure, or of activation matrices of your own, without any model.

        grid = pkt.similarity(pair, measure="mutual_knn")
        grid = pkt.similarity(x, y, measure="linear_cka", permutations=500, seed=1)
        grid = pkt.similarity("states/teacher", "states/student")

    x, y: layers x samples x width each, the same samples in the same order: NumPy arrays, tensors, nested lists, or folders of
    `.npy` or `.safetensors` files, one layer a file in natural order. x stands as the teacher (rows of the grid), y as the student.
    settings: with a pair those of `compare`, with activations `permutations` (200) and `seed` (0). A grid holds values, 95 %
    intervals and a permutation null. Raises MeasureError for activations or a measure that do not fit, PathError for files.
    """
    if y is None:
        from pkt_core.studies.comparison import compute

        return compute.similarity(_checked(x), measure=measure, progress=progress or silent, **settings)
    from pkt_core.similarity.matrices import activation_layers
    from pkt_core.studies.comparison.grids import grid_of_states

    sides = activation_layers(x, "first"), activation_layers(y, "second")
    if unknown := sorted(set(settings) - {"permutations", "seed"}):
        raise PlanError(f"Got {unknown[0]} with activations of your own; expected permutations or seed. Drop it.")
    return grid_of_states(*sides, measure=measure, progress=progress or silent, **settings)


def closer_look(
    pair: Pair, *, teacher_layer: int, student_layer: int, progress: Progress | None = None, **settings: Any
) -> CloserLook:
    """One pair of layers, prompt by prompt: which prompts are near each other in one model and not in the other.

        look = pkt.closer_look(pair, teacher_layer=5, student_layer=2)
        pkt.figures.closer_look(look)

    settings: those of `compare`. Raises LayerNotFound for a layer that is not there.
    """
    from pkt_core.studies.layer_pair import compute

    return compute.closer_look(
        _checked(pair),
        teacher_layer=teacher_layer,
        student_layer=student_layer,
        progress=progress or silent,
        **settings,
    )


def latent_map(
    pair: Pair, *, teacher_layer: int, student_layer: int, progress: Progress | None = None, **settings: Any
) -> LatentMap:
    """Both models' states of the same prompts in one picture.

        latent = pkt.latent_map(pair, teacher_layer=5, student_layer=2, method="umap")
        pkt.figures.latent_map(latent)

    settings: `method` (`pca`, `umap`), `map` (an alignment map), `prompts`, `n_prompts` (300), `pooling`, `seed`, `shuffled` (True
    draws the null picture). Raises LayerNotFound for a layer that is not there.
    """
    from pkt_core.studies.latent_map import compute

    return compute.latent_map(
        _checked(pair),
        teacher_layer=teacher_layer,
        student_layer=student_layer,
        progress=progress or silent,
        **settings,
    )


def maps(
    pair: Pair, *, teacher_layer: int, student_layer: int, progress: Progress | None = None, **settings: Any
) -> MapComparison:
    """Every kind of alignment map at one pair of layers beside its control, on prompts it was not fitted on.

        scores = pkt.maps(pair, teacher_layer=5, student_layer=2)
        scores.maps["ridge"].cosine.value, scores.controls["ridge"].cosine.value
        pkt.figures.maps(scores)

    settings: `prompts`, `n_prompts` (256), `seed`. Raises LayerNotFound for a layer that is not there, PromptError for fewer than
    32 texts.
    """
    from pkt_core.studies.alignment_maps import compute

    return compute.alignment_maps(
        _checked(pair),
        teacher_layer=teacher_layer,
        student_layer=student_layer,
        progress=progress or silent,
        **settings,
    )


def plan(pair: Pair, *, method: str = "semalign-v1", **settings: Any) -> TransferPlan:
    """A transfer as an intention, with the pair's own examples, tasks and prompts where the settings name no others.

        plan = pkt.plan(pair, method="logit-kd", steps=100, seed=1)
        control = pkt.plan(pair, map="permuted", steps=100, seed=1)

    settings: the fields of `TransferPlan`, the same as the options of `pkt transfer`. Raises PlanError where one cannot be, or
    means nothing to the method.
    """
    from pkt_core.transfer.plan import TransferPlan

    made = TransferPlan.of_pair(_checked(pair), {**settings, "method": method})
    made.check_settings()
    return made


def transfer(plan: TransferPlan, progress: Progress | None = None) -> Run:
    """Carry a plan out in a run folder of its own: train the student, then measure what changed.

        run = pkt.transfer(pkt.plan(pair, method="logit-kd", steps=100))
        run.results().changes
        pkt.figures.behaviour(run)

    progress: called with the name of a stage and the share done, 0..1. `pkt transfer --resume RUN` continues an interrupted run. Raises PlanError,
    ModelError or PromptError where the plan cannot be carried out; no run is left then.
    """
    from pkt_core import runner
    from pkt_core.transfer.plan import TransferPlan
    from pkt_core.transfer.teacher_pass import require_plan

    if not isinstance(plan, TransferPlan):
        raise PlanError(f"Got a {type(plan).__name__}; expected a plan. Make one with pkt.plan(pair, method=...).")
    require_plan(plan, now=True)
    run, _ = runner.carry_out_new(plan, reporter=lambda: nullcontext(progress or silent))
    return run


def evaluate(run: Run | str, progress: Progress | None = None) -> RunResults:
    """Measure a finished run again: teacher, student before and student after. Returns its results, and keeps them in the run.

        results = pkt.evaluate(pkt.runs()[0])
        results.changes

    run: one of `runs()`, or a run's id. Raises StoreError for a run without a trained student, or a recorded one.
    """
    from pkt_core import runner
    from pkt_core.runs.folder import open_run

    opened = open_run(run) if isinstance(run, str) else run
    return runner.carry_out(opened, "evaluate", reporter=lambda: nullcontext(progress or silent))


def runs() -> list[Run]:
    """The runs, newest first, then those that ship with the project.

        run = pkt.runs()[0]
        run.status().state, run.plan()["method"]

    A damaged run is among them; reading it raises StoreError.
    """
    from pkt_core.runs.folder import Run, list_runs

    return [Run(one.id, one.folder, recorded=one.recorded) for one in list_runs(include_recorded=True)]


def _checked(pair: Any) -> Any:
    """The pair. PlanError for anything else."""
    from pkt_core.models.catalog import Pair

    if not isinstance(pair, Pair):
        raise PlanError(f"Got a {type(pair).__name__}; expected a pair of models. Make one with pkt.pair(...).")
    return pair
