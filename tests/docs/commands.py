"""Which commands of the documents a test runs, and why the others are not run."""

RUN = frozenset({"README.md", "docs/command-line.md", "clients/python/README.md"})
"""All shell and Python blocks of these are run by `test_readme.py`, but for the commands below."""

RUN_IN_ORDER = frozenset({"docs/operations.md"})
"""All shell blocks of these are run by `test_operations.py`, one after the other."""

NOT_RUN = {
    "make demo": "runs `hfgateway demo`, as tests/cli/test_demo.py does",
    "make test": "is what runs this",
    "make simulate SEEDS=1000": "runs `python -m tests.simulation`, as tests/simulation does with fewer seeds",
    "make simulate SEEDS=5000-9999": "the same",
    "python -m tests.simulation --replay 901": "tests/simulation/test_replay.py runs it without a process of its own",
    "make chaos": "runs `python -m chaos`, as tests/chaos does for a shorter time",
    "make soak": "the same for a quarter of an hour",
    'hfgateway keys create --tenant shop --name "order service"': "tests/access/test_keys.py runs the command",
    "hfgateway keys list": "the same",
    "cd clients/typescript && npm ci && npm pack": "tests/clients/test_typescript.py packs and installs it",
    "make page": "is checked by a step of CI: what is served is what the sources give",
    "ghz --insecure --proto protos/hfgateway/v1/generation_service.proto --import-paths protos    "
    "--call hfgateway.v1.GenerationService/ListGenerations --data '{}' --total 2000 --concurrency 50 127.0.0.1:50051": (
        "tests/conformance/test_grpc_tools.py runs ghz so"
    ),
    'hfgateway agents ask "a poster for a jazz night"': "tests/cli/test_agents.py runs the command",
    "hfgateway callbacks create https://shop.example/hooks/higgsfield --label team=red": (
        "tests/callbacks/test_command.py runs the command"
    ),
    "hfgateway callbacks test 01a1f995-33a9-7975-b0a6-839650fe2c62": "the same",
    "hfgateway callbacks deliveries 01a1f995-33a9-7975-b0a6-839650fe2c62 --failed": "the same",
    "hfgateway upload start.png": "tests/cli/test_upload.py runs the command",
    'hfgateway generate --dop --image start.png "slow push in"': "the same",
    "make setup": "made what runs this",
    ". .venv/bin/activate": "puts the commands on the PATH, as test_readme.py does",
    "make format": "rewrites files; tests/tooling holds the rules that it follows",
    "make lint": "is a step of its own in CI",
    "go get github.com/hfgateway/hfgateway/clients/go@latest": "tests/clients/test_go.py does, from a release it made",
    "pip install ./clients/python": "installs; `make setup` installs the same folder",
    "cd clients/java && mvn install": "tests/clients/test_java.py runs it with a repository of its own",
    "cd clients/java && mvn generate-sources": "`make check-generated` does the same",
    "cargo add hfgateway-client --path clients/rust": "tests/clients/test_rust.py runs it with the package",
    "cargo add tokio --features macros,rt-multi-thread": "the same",
}
"""Command → why no test of the documents runs it."""
