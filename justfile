# The verbs of the project. `uv run --group dev just VERB`, or plain `just VERB` in an activated environment.

# Lint, format and types: what must be clean before a commit.
check:
    ruff check .
    ruff format --check .
    mypy

# The tests; those that need real data skip unless NIGHTHERD_DATA names it.
test *ARGS:
    pytest {{ARGS}}

# Timings, each in one run beside its peers; see the docstring of each file for what it needs.
bench:
    python benchmarks/simulate.py
    python benchmarks/inference.py
    python benchmarks/training_step.py
    python benchmarks/detectors.py --speed

# The pictures of the documentation, from real output of the bundled flight.
docs:
    python docs/make_pictures.py
