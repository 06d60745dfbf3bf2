"""Activations: a model's internal states while it reads a text.

`capture` hooks the sites of a running model and runs the rest of it from a replaced state; `collect` streams pooled activations of
many prompts, a batch at a time; `pooling` makes one vector of a text's tokens; `spans` splits a text into spans shared by two tokenizers;
`paired` gives each student token the teacher's state that has read as far.

Words: a *site* is a named place in a layer (`models/sites.py`), an *activation* or state the tensor there, `[prompt, token, d_model]`
before pooling. Layers are blocks, counted from 0.

To add a pooling: its name in `Pooling` and its branch in `pooling.py`, its choice in page and CLI, and a hand-computed value in
`tests/test_activations.py`. Raise `CAPTURE_VERSION` where stored activations come to be others.
"""

from pkt_core.activations.capture import Capture
from pkt_core.activations.collect import collect, stream

__all__ = ["Capture", "collect", "stream"]
