"""How fast minigrad is, beside torch and other autograds: `python -m tests.benchmarks` writes `reports/speed/`.

Everything runs on one thread. The libraries read these settings when they are first imported, so they stand here.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
