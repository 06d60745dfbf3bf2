"""`python -m pkt_core` is `pkt`."""

from pkt_core.cli import main

if __name__ == "__main__":
    main()
