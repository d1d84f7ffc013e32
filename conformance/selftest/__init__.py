"""The suite, tested: faults are planted into an engine one at a time, and the suite has to find and to name each.

`faults` and `parts` hold the tables, `planting` says how a fault gets into an engine, `corpus` are the programs of the
default search, `trial` searches for one fault among them, `mutants` changes minigrad's formulas, and `run` does it all.
"""
