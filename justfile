# The commands of this repository: `uv run just` lists them.

[private]
default:
    @just --list --unsorted

# More processes than processors: half of the time a project waits, for its own processes to start or for Kafka.
processes := shell("echo $(( $1 * 3 / 2 ))", num_cpus())
pytest := "uv run pytest -n " + processes + " --dist worksteal -rs"

# Check this repository, read every variant, execute the essential ones: about 10 minutes on two cores
[group("test")]
test *arguments: check docs-build
    @echo "Takes about 10 minutes on two cores. Not included: most variants and updates, nine tenths of the crash tests,"
    @echo "containers, a real Kafka, benchmarks, guides. \`just test-all\` runs these too."
    {{ pytest }} -m "not complete" {{ arguments }}

# Check everything: `test`, then `test-rest`, about 30 minutes on two cores
[group("test")]
test-all: test test-rest

# Only what `test` leaves out of `test-all`
[group("test")]
test-rest *arguments:
    {{ pytest }} -m complete {{ arguments }}

# Only what installs no project: a minute or two
[group("test")]
test-fast *arguments:
    {{ pytest }} -m "not complete and not execution" {{ arguments }}

# Render variants and run their checks: just matrix run --only default
[group("test")]
matrix *arguments="list":
    uv run python -m tests.matrix {{ arguments }}

# Measure the generated service beside others: just bench --peer ../full-stack-fastapi-template --write docs/performance/postgres
[group("test")]
bench *arguments:
    uv run python -m tests.bench {{ arguments }}

# Use the service at full load for ten minutes, and see whether what it holds grows: just soak --minutes 30
[group("test")]
soak *arguments:
    uv run python -m tests.bench.soak {{ arguments }}

# Lint and check the types of what tests the template
[group("test")]
check:
    uv run ruff check
    uv run ruff format --check
    uv run ty check

# Format and repair what can be repaired
[group("write")]
format:
    uv run ruff check --fix
    uv run ruff format

# Record the committed template as a release: just release 0.3.0
[group("write")]
release version:
    uv run python -m tests.releases record {{ version }}

# Render examples/*.yml anew, into the folders beside them
[group("write")]
examples:
    uv run python -m tests.examples

# Write what the documentation says about the questions, from copier.yml
[group("write")]
questions:
    uv run python -m tests.question_docs

# Read the documentation on http://127.0.0.1:8001, with live reload
[group("documentation")]
docs-serve:
    NO_MKDOCS_2_WARNING=1 uv run --group docs mkdocs serve --dev-addr 127.0.0.1:8001

# Build the documentation; warnings are errors
[group("documentation")]
docs-build:
    NO_MKDOCS_2_WARNING=1 uv run --group docs mkdocs build --strict
