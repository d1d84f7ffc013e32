"""Reports for people and machines, made from a results file alone: neither torch nor an engine is imported."""
