"""What a person changed between two manifests, and Fisher's exact test on rollouts."""

from __future__ import annotations

import pytest

from harness.judge import odds
from harness.judge.verdict.fieldchanges import field_changes


@pytest.mark.parametrize(
    ("bad", "of", "others", "of_others"),
    [(3, 10, 0, 10), (5, 5, 0, 3), (2, 7, 6, 9), (0, 4, 0, 9), (6, 6, 6, 6)],
)
def test_the_exact_test_agrees_with_scipys(bad: int, of: int, others: int, of_others: int) -> None:
    from scipy import stats

    known = stats.fisher_exact([[bad, of - bad], [others, of_others - others]]).pvalue
    assert odds.shares_p(bad, of, others, of_others) == pytest.approx(known)


def test_what_the_server_writes_is_no_difference() -> None:
    def deployment(revision: str, image: str) -> dict[str, object]:
        return {
            "kind": "Deployment",
            "metadata": {
                "name": "web",
                "uid": revision,
                "resourceVersion": revision,
                "annotations": {"deployment.kubernetes.io/revision": revision},
            },
            "status": {"replicas": revision},
            "spec": {
                "template": {
                    "metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": revision}},
                    "spec": {"containers": [{"name": "web", "image": image}]},
                }
            },
        }

    assert field_changes([deployment("1", "web:1")], [deployment("2", "web:1")]) == ()
    (change,) = field_changes([deployment("1", "web:1")], [deployment("2", "web:2")])
    assert (change.path, change.before, change.after) == (
        "Deployment spec.template.spec.containers[web].image",
        "web:1",
        "web:2",
    )


def test_containers_are_matched_by_name_not_by_place() -> None:
    def pod(*names: str) -> dict[str, object]:
        return {
            "kind": "Pod",
            "metadata": {"name": "x"},
            "spec": {"containers": [{"name": n, "image": n} for n in names]},
        }

    assert field_changes([pod("a", "b")], [pod("b", "a")]) == ()


def test_several_objects_of_a_kind_are_told_apart_by_name() -> None:
    def service(name: str, port: int) -> dict[str, object]:
        return {"kind": "Service", "metadata": {"name": name}, "spec": {"port": port}}

    changes = field_changes([service("a", 1), service("b", 2)], [service("a", 1), service("b", 3)])
    assert [(change.path, change.after) for change in changes] == [("Service/b spec.port", "3")]
