"""Which method teaches best at equal compute? One plan with its rivals, controls and seeds.

`compute.members` lists the plans of a family, `compute.table` sets their runs beside each other.
"""
