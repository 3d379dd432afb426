# The commands of this repository: `uv run just` lists them.

[private]
default:
    @just --list --unsorted

# More test processes than processors, because projects spend half of their time waiting for processes and Kafka to start.
processes := shell("echo $(( $1 * 3 / 2 ))", num_cpus())
pytest := "uv run pytest -n " + processes + " --dist worksteal -rs"

# Run the essential tests: about 10 minutes on two cores
[group("test")]
test *arguments: check docs-build
    @echo "This takes about 10 minutes on two cores. It leaves out most variants and updates, nine tenths of the crash tests,"
    @echo "containers, a real Kafka, benchmarks and guides, which \`just test-all\` includes."
    {{ pytest }} -m "not complete" {{ arguments }}

# Run all tests: `test`, then `test-rest`, about 45 minutes on two cores
[group("test")]
test-all: test test-rest

# Run only the tests that `test` leaves out
[group("test")]
test-rest *arguments:
    {{ pytest }} -m complete {{ arguments }}

# Run only the tests that install no project: a minute or two
[group("test")]
test-fast *arguments:
    {{ pytest }} -m "not complete and not execution" {{ arguments }}

# Render variants and run their checks: just matrix run --only default
[group("test")]
matrix *arguments="list":
    uv run python -m tests.matrix {{ arguments }}

# Compare the performance of the generated service with others: just bench --peer ../full-stack-fastapi-template --write docs/performance/postgres
[group("test")]
bench *arguments:
    uv run python -m tests.bench {{ arguments }}

# Run the service at full load for ten minutes and check for resource leaks: just soak --minutes 30
[group("test")]
soak *arguments:
    uv run python -m tests.bench.soak {{ arguments }}

# Lint and type-check the code in tests/ and migrations/
[group("test")]
check:
    uv run ruff check
    uv run ruff format --check
    uv run ty check

# Format the code and apply automatic fixes
[group("write")]
format:
    uv run ruff check --fix
    uv run ruff format

# Record the committed template as a release: just release 0.3.0
[group("write")]
release version:
    uv run python -m tests.releases record {{ version }}

# Regenerate the example projects from examples/*.yml
[group("write")]
examples:
    uv run python -m tests.examples

# Regenerate the question tables in the documentation from copier.yml
[group("write")]
questions:
    uv run python -m tests.question_docs

# Serve the documentation at http://127.0.0.1:8001 with live reload
[group("documentation")]
docs-serve:
    NO_MKDOCS_2_WARNING=1 uv run --group docs mkdocs serve --dev-addr 127.0.0.1:8001

# Build the documentation; warnings are errors
[group("documentation")]
docs-build:
    NO_MKDOCS_2_WARNING=1 uv run --group docs mkdocs build --strict
