"""How fast minigrad is, beside torch and other autograds: `python -m tests.benchmarks` writes `reports/speed/`."""
