# Everyday commands; `just` lists them. CI runs .ci/run, which needs no just.

default:
    @just --list

# The quick loop: types and lints.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# All tests of the workspace.
test *words:
    cargo test --workspace {{words}}

# A conformance suite through the release binary, as in `just suite ../shared/conformance/cwl-v1.2/conformance_tests.yaml`.
suite index *words:
    cargo build --release
    cargo run -q -p moil-conformance --bin conformance -- run {{index}} --tool "$(cargo metadata --no-deps --format-version 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/release/toil-cwl-runner" {{words}}

# The suite of CWL v1.2 on the test cluster: what passes in Apptainer passes there. With TOIL_KUBERNETES_POD_PER_JOB=true each job
# has a pod of its own.
conformance-kubernetes *words:
    cargo build --release --workspace
    conformance/containers/registry.sh start && conformance/containers/images.sh
    conformance/kubernetes/cluster.sh up
    conformance/kubernetes/cluster.sh exec conformance/kubernetes/suite.sh "$(cargo metadata --no-deps --format-version 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/release" ../shared/conformance/cwl-v1.2/conformance_tests.yaml -j 6 --expect conformance/expected/apptainer/v1.2.txt {{words}}

# The examples through the release binary.
examples:
    just suite examples/tests.yaml

# The benchmarks, as in `just bench --only scatter`.
bench *words:
    cargo build --release
    python3 benchmarks/bench.py --moil "$(cargo metadata --no-deps --format-version 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/release/toil-cwl-runner" {{words}}

# Licences, bans and sources of the dependencies.
deny:
    cargo deny check licenses bans sources

# Everything that CI does.
ci:
    bash .ci/run
