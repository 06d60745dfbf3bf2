"""Errors a user can correct, each in one sentence: what we got, what we expected, what to do."""


class PktError(Exception):
    """Root of all errors that are shown to a user as one clear sentence; anything else is our own fault."""


class ModelError(PktError):
    """A model that cannot be loaded, is no decoder, or does not pass the checks of its layout."""


class LayerNotFound(PktError):
    """A layer or site that the model does not have."""


class VocabularyMismatch(PktError):
    """Two vocabularies that share too few tokens for the chosen method."""


class PromptError(PktError):
    """Prompts that are empty, unreadable or too long for a model's context."""


class ExampleTooLong(PromptError):
    """An example of more tokens than a model reads at once."""


class PlanError(PktError):
    """A transfer plan that contradicts itself or the models it names."""


class MeasureError(PktError):
    """A similarity that cannot be computed from what was given."""


class PathError(PktError):
    """A path that is missing, is no regular file, is too large, or lies outside the folders that may be read."""


class StoreError(PktError):
    """A cached file or run folder that is missing, damaged or cannot be written."""


class BenchmarkError(PktError):
    """A benchmark that is unknown, lacks its items, or is not installed."""


class SandboxError(BenchmarkError):
    """Code written by a model that cannot be sandboxed here, or may not run."""
