"""The files that docs/nightly.md tells people to copy are valid, and do with each exit code what the page says."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness.k8s import schema
from harness.scenario.reading import validate
from harness.suite.schema import Listing, SuiteFile
from tests.docs.pages import DOCS, ROOT, Quoted, blocks
from tests.docs.test_commands import fault
from tests.podsecurity import violations

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = DOCS / "examples"
FILES = sorted(path for path in EXAMPLES.iterdir() if path.is_file())
JENKINS = (EXAMPLES / "Jenkinsfile").read_text(encoding="utf-8")


def job() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((EXAMPLES / "argocd-postsync.yaml").read_text(encoding="utf-8"))
    return found


def sh_steps() -> list[str]:
    return re.findall(r"sh(?:\(.*?script: | )'''(.*?)'''", JENKINS, re.DOTALL) + re.findall(
        r"sh '([^'\n]+)'", JENKINS
    )


def test_every_example_is_linked_from_a_page() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    assert [path.name for path in FILES if f"examples/{path.name})" not in pages] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_commands_in_an_example_are_ones_that_zdtest_takes(path: Path) -> None:
    text = re.sub(r">-\n(\s+)(.*)\n\s+", r"\2 ", path.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if not line.strip().startswith(("#", "//", "name:"))]
    found = [match[1] for line in lines if (match := re.search(r"zdtest ((?:run|report|lint)\b.*)", line))]
    for rest in found:
        words = re.split(r"[>|]", rest)[0].split()
        assert fault(Quoted(path.name, tuple(words))) == ""
    if path.name not in {"zdtest.yaml", "argocd-postsync.yaml", "suite.yaml"}:
        assert found


def test_the_example_of_a_suite_is_one() -> None:
    text = (EXAMPLES / "suite.yaml").read_text(encoding="utf-8")
    found = SuiteFile.model_validate(yaml.safe_load(text))
    assert set(SuiteFile.model_fields) == found.model_fields_set, "it shows every field"
    shown = {name for one in found.scenarios for name in one.model_fields_set}
    assert shown == set(Listing.model_fields)
    for fields in (found.defaults, found.overrides, *(one.overrides for one in found.scenarios)):
        validate(dict(fields), {}, in_part=True)


@pytest.mark.parametrize(
    ("file", "builtin"),
    [("github-actions.yml", "vendor.github-workflows"), ("gitlab-ci.yml", "vendor.gitlab-ci")],
)
def test_a_pipeline_is_valid_by_its_own_schema(file: str, builtin: str) -> None:
    if not os.environ.get("ZDTEST_DOCS"):
        pytest.importorskip("check_jsonschema", reason="`nox -s docs` has it")
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", builtin, str(EXAMPLES / file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_an_inconclusive_night_does_not_fail_the_gitlab_pipeline() -> None:
    pipeline = yaml.safe_load((EXAMPLES / "gitlab-ci.yml").read_text(encoding="utf-8"))
    assert pipeline["zero-downtime"]["allow_failure"] == {"exit_codes": [3]}


def test_the_argo_hook_is_a_job_whose_pod_kubernetes_and_pod_security_take() -> None:
    found = job()
    assert (found["apiVersion"], found["kind"]) == ("batch/v1", "Job")
    assert found["metadata"]["annotations"]["argocd.argoproj.io/hook"] == "PostSync"
    assert set(found["spec"]) == {
        "backoffLimit",
        "activeDeadlineSeconds",
        "ttlSecondsAfterFinished",
        "template",
    }
    template = found["spec"]["template"]
    assert schema.unknown_fields(template, schema.root("v1", "Pod")) == []
    assert violations(template["spec"], template["metadata"]["annotations"]) == []
    cronjob = yaml.safe_load((ROOT / "deploy/kustomize/cronjob.yaml").read_text(encoding="utf-8"))
    assert (
        template["spec"]["containers"]
        == cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    )


def test_the_jenkinsfile_is_balanced() -> None:
    code = re.sub(r"'''.*?'''|'[^'\n]*'|\"[^\"\n]*\"|//[^\n]*", "", JENKINS, flags=re.DOTALL)
    for opened, closed in ("{}", "()", "[]"):
        assert code.count(opened) == code.count(closed) > 0
    assert [line for line in ("agent", "stages", "steps", "post", "always") if f"{line} {{" not in code] == []


def test_the_jenkinsfile_s_shell_steps_are_shell() -> None:
    assert len(sh_steps()) == 3
    for step in sh_steps():
        subprocess.run(["bash", "-n"], input=step, text=True, check=True)


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_jenkinsfile_s_run_step_ends_with_zdtest_s_exit_code(tmp_path: Path, code: int) -> None:
    program = tmp_path / ".venv/bin/zdtest"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\nmkdir -p results/now\necho said > results/now/summary.md\nexit {code}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "results/last-night").mkdir(parents=True)
    (run,) = [step for step in sh_steps() if "zdtest run" in step]
    (show,) = [step for step in sh_steps() if "summary.md" in step]
    assert subprocess.run(["bash", "-xe"], input=run, text=True, cwd=tmp_path, check=False).returncode == code
    shown = subprocess.run(
        ["bash", "-xe"], input=show, text=True, cwd=tmp_path, capture_output=True, check=True
    )
    assert shown.stdout == "said\n"


def test_the_crontab_mails_what_is_no_pass_and_only_that(tmp_path: Path) -> None:
    line = (EXAMPLES / "crontab").read_text(encoding="utf-8").splitlines()[-1]
    minute, hour, *_ = line.split()
    assert (minute, hour) == ("0", "3")
    command = line.split("  ", 1)[1].replace("/srv/zdtest", str(tmp_path))
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for name, text in (
        (".venv/bin/zdtest", '#!/bin/sh\necho report\nexit "$CODE"\n'),
        ("mail", '#!/bin/sh\necho "$2" >> sent; cat >> sent\n'),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    for code in "03":
        subprocess.run(
            ["sh", "-c", command], check=True, env={"CODE": code, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        )
    assert (tmp_path / "sent").read_text() == "zdtest: exit code 3\nreport\n"


def test_what_the_page_shows_of_a_file_is_in_it() -> None:
    texts = [path.read_text(encoding="utf-8") for path in FILES]
    assert [
        block for block in blocks(DOCS / "nightly.md", "yaml") if not any(block in text for text in texts)
    ] == []
