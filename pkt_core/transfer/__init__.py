"""Changing chosen student layers towards aligned teacher activations, and its rivals under the same plan."""

import sys

from pkt_core.base.rooms import CallableRoom

sys.modules[__name__].__class__ = CallableRoom
