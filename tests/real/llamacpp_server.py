"""llama.cpp's own HTTP server with the local model's weights: prints its address, runs until its
standard input ends.

A process of its own, so that what it speaks is all that the tests share with it.
"""

import sys

from responses_mw.local import CHATML
from responses_mw.weights import SMOLLM2

CONTEXT = 1024


def main() -> None:
    import xllamacpp  # an extra: whoever has it not can still read CONTEXT

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(SMOLLM2.path)
    parameters.model_alias = {"smollm2"}
    parameters.n_ctx = CONTEXT
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    parameters.sampling.temp = 0.0
    parameters.use_jinja = True
    parameters.chat_template = CHATML
    parameters.verbosity = -1
    parameters.ui = False
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
