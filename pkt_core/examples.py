"""The former place of `pkt_core.data.examples`, kept so that scripts written for it still run."""

import sys

from pkt_core.data import examples

sys.modules[__name__] = examples
