"""The former place of `pkt_core.data.prompts`, kept so that scripts written for it still run."""

import sys

from pkt_core.data import prompts

sys.modules[__name__] = prompts
