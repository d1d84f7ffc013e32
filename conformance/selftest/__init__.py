"""The suite, tested: faults are planted into an engine one at a time, and the suite has to find and to name each."""
