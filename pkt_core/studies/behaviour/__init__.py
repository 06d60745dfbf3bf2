"""What changed in the student, and at what cost? Tasks, general text, generations, controls of one run.

`compute` measures a run's three models; `controls` finds the runs that repeat it with its meaning removed; `user_task` measures a custom
task. Changes are after minus before on the same items, in shares, 0..1.
"""
