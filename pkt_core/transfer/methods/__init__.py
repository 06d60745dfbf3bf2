"""What each method pulls the student towards: named terms of one loss, given the same batch."""

from pkt_core.transfer.methods.baselines import logit_kd_terms, sft_terms
from pkt_core.transfer.methods.semalign import semalign_v1_terms

TERMS = {"semalign-v1": semalign_v1_terms, "sft": sft_terms, "logit-kd": logit_kd_terms}

__all__ = ["TERMS"]
