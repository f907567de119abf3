"""`zdtest ab` and `zdtest ablate`: what they refuse, in one line and before anything is touched, and whole ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness.cli.experiments.ablate import _again, _versions
from harness.cluster.client.api import Api
from harness.cluster.client.resources import WORKLOADS
from harness.errors import UsageError
from harness.experiment.arms import arm, unchanged
from harness.experiment.place import Place, keep, kept
from harness.recording.series import experiment as file
from harness.recording.series.experiment import Experiment, Step
from tests.fastlab import fast_lab, web

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fastlab import FastLab

SECRET = "hunter2-of-this-test"  # noqa: S105
QUICK = ["-c", "4", "-d", "3s", "--trigger-after", "1s", "--settle", "1s"]


def zdtest(here: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *map(str, words)],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def write(path: Path, documents: list[dict[str, Any]]) -> Path:
    path.write_text(yaml.safe_dump_all(documents))
    return path


def without_pre_stop(on_term: str = "exit", **env: str) -> list[dict[str, Any]]:
    found = web(ON_TERM=on_term, **env)
    del found[0]["spec"]["template"]["spec"]["containers"][0]["lifecycle"]
    return found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ab",), "ab takes two files: BEFORE and AFTER"),
        (("ab", "a.yaml"), "1 file and 0 URLs were given; ab takes two files"),
        (("ab", "--live", "a.yaml", "b.yaml"), "one file with --live: AFTER"),
        (("ab", "a.yaml", "b.yaml", "http://x", "http://y"), "at most one URL"),
        (("ab", "a.yaml", "b.yaml", "--rollouts", "1"), "1 is not in the range x>=2"),
        (("ab", "a.yaml", "b.yaml", "--trigger", "restart"), "No such option"),
        (("ab", "a.yaml", "missing.yaml", "http://x"), "cannot read the manifest missing.yaml"),
        (("ab", "a.yaml", "service.yaml", "http://x"), "service.yaml: it holds no workload"),
        (("ab", "a.yaml", "b.yaml", "--resume", "somewhere"), "drop the files and the URL"),
        (("ab", "--resume", "somewhere"), "somewhere is no experiment"),
        (("ab", "--restore", "."), ". is no experiment"),
        (("ablate", "a.yaml"), "add the URL of the service on a cluster, or --lab"),
        (("ablate", "a.yaml", "b.yaml"), "ablate takes one scenario or manifest"),
        (("ablate", "no-such-scenario"), "no-such-scenario"),
        (("ab", "a.yaml", "odd.yaml", "http://x"), "odd.yaml: it holds no workload"),
        (("ablate", "odd.yaml"), "add the URL of the service on a cluster, or --lab"),
        (("ablate", "--trigger", "restart"), "No such option"),
        (("ablate", "--resume", "."), ". is no experiment"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_exit_code_2(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    write(tmp_path / "a.yaml", web())
    write(tmp_path / "b.yaml", without_pre_stop())
    write(tmp_path / "service.yaml", web()[1:])
    write(tmp_path / "odd.yaml", [{"kind": {"a": "b"}}, {"kind": "Deployment", "metadata": ["web"]}])
    before = sorted(tmp_path.iterdir())
    done = zdtest(tmp_path, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert sorted(tmp_path.iterdir()) == before


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastLab]:
    with fast_lab(tmp_path_factory.mktemp("fast") / "lab") as found:
        yield found


def on(lab: FastLab) -> list[object]:
    context = Api.connect(lab.kubeconfig, None).context
    return [lab.url, "--kubeconfig", lab.kubeconfig, "--context", context, "-n", "default"]


def there(lab: FastLab) -> dict[str, Any]:
    """The workload's spec, and who owns what of it; not when, nor the status."""
    found: dict[str, Any] = Api.connect(lab.kubeconfig, None).get(WORKLOADS["Deployment"], "default", "web")
    owners = [
        (one["manager"], one["operation"], one["fieldsV1"])
        for one in found["metadata"]["managedFields"]
        if one.get("subresource") != "status"
    ]
    return {"spec": found["spec"], "owners": owners}


def test_what_the_cluster_says_no_to_is_one_line_and_touches_nothing(tmp_path: Path, lab: FastLab) -> None:
    good = write(tmp_path / "a.yaml", web())
    before = there(lab)
    other = web()
    other[1]["spec"]["ports"][0]["port"] = 81
    selecting = web()
    selecting[0]["spec"]["selector"]["matchLabels"]["tier"] = "front"
    selecting[0]["spec"]["template"]["metadata"]["labels"]["tier"] = "front"
    renamed = web()
    renamed[0]["metadata"]["name"] = "shop"
    for documents, said in (
        (other, "Service web is different in"),
        (selecting, "the server does not take deployment/web"),
        (renamed, "holds no Deployment web"),
    ):
        bad = write(tmp_path / "b.yaml", documents)
        done = zdtest(tmp_path, "ab", good, bad, *on(lab), "--deployment", "web")
        assert done.returncode == 2, done.stderr
        assert said in done.stderr.splitlines()[-1]
    assert there(lab) == before
    assert not (tmp_path / "results").exists()


def cut_off(lab: FastLab, here: Path, **changes: Any) -> Path:
    """The folder of an experiment that was killed before its first run; its scenario is zdtest.yaml in `here`."""
    write(here / "zdtest.yaml", [{"target": {"url": lab.url}, "workload": "deployment/web"}])
    directory = here / "results" / "ab"
    directory.mkdir(parents=True)
    api = Api.connect(lab.kubeconfig, None)
    flags = {"cluster.kubeconfig": lab.kubeconfig, "cluster.context": api.context, "namespace": "default"}
    found = Experiment(
        "ab",
        (
            arm("before", write(here / "a.yaml", web())),
            arm("after", write(here / "b.yaml", without_pre_stop())),
        ),
        (Step("before", 1), Step("after", 1)),
        0.05,
        workload="Deployment default/web",
        request={"flags": flags, "withheld": ["target.headers"], "folder": str(here)},
    )
    file.write(directory, replace(found, **changes))
    keep(directory, Place(api, "Deployment", "default", "web").original())
    return directory


def test_to_put_back_takes_no_secret_and_no_certain_folder(tmp_path: Path, lab: FastLab) -> None:
    (tmp_path / "here").mkdir()
    directory = cut_off(lab, tmp_path / "here")
    before = there(lab)
    done = zdtest(tmp_path, "ab", "--resume", directory)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "give -H again" in done.stderr
    done = zdtest(tmp_path, "ab", "--restore", directory)
    assert done.returncode == 0, done.stderr
    assert "restored: to the server" in done.stderr
    assert kept(directory) is None
    assert there(lab) == before


def test_what_is_not_the_workload_of_before_is_refused_and_stays(tmp_path: Path, lab: FastLab) -> None:
    directory = cut_off(lab, tmp_path)
    before = there(lab)
    original = kept(directory)
    assert original
    keep(directory, replace(original, uid="another"))
    done = zdtest(tmp_path, "ab", "--resume", directory, "-H", "X: y")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "is not the one that the experiment began with" in done.stderr
    file.write(directory, replace(file.read(directory), workload="Deployment default/shop"))
    done = zdtest(tmp_path, "ab", "--resume", directory, "-H", "X: y")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "the experiment is about Deployment default/shop, not Deployment default/web" in done.stderr
    assert there(lab) == before


@pytest.mark.parametrize("restored", ["", "not restored: the server would still change replicas"])
def test_an_original_that_is_lost_is_not_taken_for_one_that_was_put_back(
    tmp_path: Path, lab: FastLab, restored: str
) -> None:
    directory = cut_off(lab, tmp_path, restored=restored)
    (directory / "original.json").unlink()
    for words in (["--restore", directory], ["--resume", directory, "-H", "X: y"]):
        done = zdtest(tmp_path, "ab", *words)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "what ran before the experiment is not known" in done.stderr
    assert not (directory / "original.json").exists()


@pytest.mark.parametrize("spec", [None, {"template": {"spec": {"containers": ["web"]}}}])
def test_a_manifest_that_is_none_is_a_line(tmp_path: Path, spec: object) -> None:
    odd = write(tmp_path / "odd.yaml", [{"kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}])
    live = {"kind": "Deployment", "metadata": {"name": "web"}}
    with pytest.raises(UsageError, match=r"odd\.yaml: the manifest is none that Kubernetes takes"):
        _versions(odd, live, tmp_path)


def test_an_ablation_of_a_manifest_is_resumed_with_that_manifest(tmp_path: Path, lab: FastLab) -> None:
    manifest = write(tmp_path / "good.yaml", web())
    live = {
        "kind": "Deployment",
        **Api.connect(lab.kubeconfig, None).get(WORKLOADS["Deployment"], "default", "web"),
    }
    begun = _versions(manifest, live, tmp_path)
    found = Experiment("ablate", tuple(v.arm for v in begun), (), 0.05)
    (tmp_path / "again").mkdir()
    del live["spec"]["template"]["spec"]["containers"][0][
        "readinessProbe"
    ]  # it runs without some of them by now
    again = _again(tmp_path / "again")(found, live)
    assert [v.document for v in again] == [v.document for v in begun]
    manifest.write_text(manifest.read_text() + "# edited\n")
    with pytest.raises(UsageError, match="has changed since the experiment began"):
        unchanged(found.arms)


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_an_experiment_that_is_killed_goes_on_is_compared_and_leaves_everything_as_it_was(
    tmp_path: Path, lab: FastLab
) -> None:
    # Both lose requests, and neither is what runs: a busy machine puts no rollout in doubt.
    drains = write(tmp_path / "drains.yaml", without_pre_stop("drain", TOKEN=SECRET))
    exits = write(tmp_path / "exits.yaml", without_pre_stop("exit", TOKEN=SECRET))
    before = there(lab)
    words = [
        sys.executable,
        "-m",
        "harness",
        "ab",
        drains,
        exits,
        *on(lab),
        "--rollouts",
        "2",
        "--seed",
        "5",
        *QUICK,
    ]
    with subprocess.Popen(
        list(map(str, words)), cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr
        for line in process.stderr:
            if line.startswith("--- rollout 2"):
                break
        time.sleep(1)
        os.killpg(process.pid, signal.SIGKILL)
    (directory,) = (tmp_path / "results").iterdir()
    halfway = file.read(directory)
    assert (halfway.state, halfway.done) == ("running", 1)
    first = halfway.order[0].run
    done = zdtest(tmp_path, "ab", "--resume", directory)
    assert done.returncode in {0, 1}, done.stderr
    whole = file.read(directory)
    assert (whole.state, whole.done, whole.order[0].run) == ("complete", 4, first)
    assert "which may be chance; 2 against 2 can never tell" in " ".join(done.stdout.split())
    assert there(lab) == before
    assert whole.restored.startswith("restored")
    everything = b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())
    assert SECRET.encode() not in everything
    lost = [
        json.loads((directory / step.run / "verdict.json").read_text())["verdict"]["lost"]
        for step in whole.order
    ]
    assert all(lost), lost

    assert "<svg" in (directory / "compare.html").read_text()
    again = zdtest(tmp_path, "compare", directory, "--format", "json")
    assert json.loads(again.stdout)["before"]["name"] == "before"
    nothing = zdtest(tmp_path, "ab", "--restore", directory)
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "nothing to restore" in nothing.stderr


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_each_protection_of_what_runs_is_switched_off_and_the_table_says_what_it_buys(
    tmp_path: Path, lab: FastLab
) -> None:
    before = there(lab)
    done = zdtest(
        tmp_path, "ablate", *on(lab), "--deployment", "web", "--rollouts", "1", "--format", "json", *QUICK
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [row["name"] for row in rows] == [
        "everything on", "no readinessProbe", "no preStop", "no grace period", "no drain", "no maxUnavailable",
    ]  # fmt: skip
    assert "keep-alive order: the manifest has none to switch off" in done.stderr
    assert there(lab) == before
