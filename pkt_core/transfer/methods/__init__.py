"""What each method needs of the teacher and pulls the student towards, under the same plan and the same data."""

from pkt_core.transfer.methods.baselines import LOGIT_KD, SFT
from pkt_core.transfer.methods.features import FEATURE_KD
from pkt_core.transfer.methods.laten import LATEN
from pkt_core.transfer.methods.method import Batch, Extraction, Method
from pkt_core.transfer.methods.seeking import SEEKING
from pkt_core.transfer.methods.semalign import SEMALIGN_ACLR, SEMALIGN_V1, SEMALIGN_V2R
from pkt_core.transfer.methods.stitch import STITCH
from pkt_core.transfer.plan import Method as MethodName

METHOD: dict[MethodName, Method] = {
    "semalign-v1": SEMALIGN_V1,
    "semalign-v2r": SEMALIGN_V2R,
    "semalign-aclr": SEMALIGN_ACLR,
    "sft": SFT,
    "logit-kd": LOGIT_KD,
    "feature-kd": FEATURE_KD,
    "seeking": SEEKING,
    "laten": LATEN,
    "stitch": STITCH,
    "ours": LOGIT_KD,  # what sets it apart is where it trains and what holds it: the plan's modules, decay and anchor
}

__all__ = ["METHOD", "Batch", "Extraction", "Method"]
