"""A workload is put as a version wants it, and put back as it was: against a server, not against a copy of our idea."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from harness.cluster.trigger import RESTARTED_AT
from harness.errors import UsageError
from harness.experiment.place import (
    ChangedByOthersError,
    differing,
    forget,
    keep,
    kept,
    rolls,
)

if TYPE_CHECKING:
    from pathlib import Path

    from harness.cluster.client.api import Api
    from harness.experiment.place import Place

Object = dict[str, Any]


def version(live: Object, **spec: Any) -> Object:
    document = {"kind": "Deployment", "metadata": {"name": "web"}, "spec": copy.deepcopy(live["spec"])}
    del document["spec"]["replicas"]
    document["spec"] |= spec
    return document


def with_pre_stop(live: Object) -> Object:
    document = version(live)
    container = document["spec"]["template"]["spec"]["containers"][0]
    container["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", "3"]}}}
    return document


def restart(api: Api) -> None:
    marks = {"annotations": {RESTARTED_AT: "2026-11-30T00:00:00Z"}}
    patch = {"spec": {"template": {"metadata": marks}}}
    api.patch("Deployment", "default", "web", patch, field_manager="kubectl-rollout")


def test_a_version_is_rehearsed_without_touching_anything(place: Place) -> None:
    live = place.live()
    spec = place.rehearsed(with_pre_stop(live), live)
    assert "preStop" in spec["template"]["spec"]["containers"][0]["lifecycle"]
    assert place.live()["spec"] == live["spec"]


def test_a_version_replaces_what_somebody_else_wrote(place: Place, api: Api) -> None:
    live = place.live()
    hooked = place.rehearsed(with_pre_stop(live), live)
    api.replace_spec("Deployment", "default", "web", hooked, field_manager="somebody-else")
    assert place.is_as(hooked)
    bare = place.rehearsed(version(live), place.live())
    place.put(bare)
    assert place.is_as(bare)
    assert "lifecycle" not in place.live()["spec"]["template"]["spec"]["containers"][0]


def test_a_restart_and_an_autoscaler_leave_a_version_what_it_is(place: Place, api: Api) -> None:
    live = place.live()
    restart(api)
    api.patch("Deployment", "default", "web", {"spec": {"replicas": 0}}, field_manager="hpa")
    assert place.is_as(live["spec"])


def test_a_version_that_the_server_refuses_is_a_line(place: Place) -> None:
    live = place.live()
    document = version(live, selector={"matchLabels": {"app": "other"}})
    with pytest.raises(UsageError, match="does not take"):
        place.rehearsed(document, live)
    with pytest.raises(UsageError, match=r"no spec\.template"):
        place.rehearsed({"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 1}}, live)


def test_what_was_there_is_put_back_with_its_owners(place: Place, api: Api) -> None:
    live = place.live()
    original = place.original()
    hooked = place.rehearsed(with_pre_stop(live), live)
    place.put(hooked)
    restart(api)
    assert place.restore(original, [hooked]) == ""
    after = place.live()
    assert after["spec"] == live["spec"]
    owners = [(one["manager"], one["operation"]) for one in after["metadata"]["managedFields"]]
    assert owners == [(one["manager"], one["operation"]) for one in live["metadata"]["managedFields"]]


def test_a_version_that_names_replicas_is_another_one_with_another_number(place: Place, api: Api) -> None:
    live = place.live()
    named = version(live)
    named["spec"]["replicas"] = 0
    spec = place.rehearsed(named, live)
    assert place.is_as(spec)
    api.patch("Deployment", "default", "web", {"spec": {"paused": True, "replicas": 4}}, field_manager="hpa")
    other = {**spec, "paused": True}
    assert not place.is_as(other)
    assert place.is_as({key: value for key, value in other.items() if key != "replicas"})


def test_replicas_that_no_version_names_stay_what_an_autoscaler_made_of_them(place: Place, api: Api) -> None:
    live = place.live()
    original = place.original()
    hooked = place.rehearsed({**with_pre_stop(live)}, live)
    assert "replicas" not in hooked
    api.patch("Deployment", "default", "web", {"spec": {"paused": True, "replicas": 4}}, field_manager="hpa")
    place.put({**hooked, "paused": True})
    assert place.live()["spec"]["replicas"] == 4
    assert place.restore(original, [{**hooked, "paused": True}]) == ""
    assert place.live()["spec"]["replicas"] == 4


def test_replicas_that_an_autoscaler_changed_do_not_keep_a_version_that_names_them_there(
    place: Place, api: Api
) -> None:
    live = place.live()
    original = place.original()
    named = with_pre_stop(live)
    named["spec"] |= {"replicas": 0, "paused": True}
    spec = place.rehearsed(named, live)
    place.put(spec)
    api.patch("Deployment", "default", "web", {"spec": {"replicas": 4}}, field_manager="hpa")
    assert place.restore(original, [spec]) == ""
    assert place.live()["spec"] == {**live["spec"], "replicas": 4}


def test_a_version_half_put_there_is_ours_and_is_put_back(place: Place) -> None:
    live = place.live()
    original = place.original()
    hooked = place.rehearsed(with_pre_stop(live), live)
    place.put(hooked)
    assert place.restore(original, [original.spec, hooked]) == ""
    assert place.live()["spec"] == live["spec"]


def test_what_was_never_changed_needs_no_putting_back(place: Place) -> None:
    original = place.original()
    assert place.restore(original, [original.spec]) == ""


def test_what_somebody_else_has_put_there_meanwhile_is_left_alone(place: Place, api: Api) -> None:
    live = place.live()
    original = place.original()
    hooked = place.rehearsed(with_pre_stop(live), live)
    place.put(hooked)
    api.patch("Deployment", "default", "web", {"spec": {"minReadySeconds": 9}}, field_manager="somebody-else")
    with pytest.raises(ChangedByOthersError, match="minReadySeconds"):
        place.restore(original, [hooked])
    assert place.live()["spec"]["minReadySeconds"] == 9


def test_what_is_kept_can_be_read_by_its_owner_only_and_goes(place: Place, tmp_path: Path) -> None:
    assert kept(tmp_path) is None
    original = place.original()
    keep(tmp_path, original)
    assert kept(tmp_path) == original
    assert (tmp_path / "original.json").stat().st_mode & 0o077 == 0
    forget(tmp_path)
    assert kept(tmp_path) is None


def test_only_another_template_replaces_pods() -> None:
    one: Object = {
        "replicas": 2,
        "minReadySeconds": 3,
        "template": {"spec": {"containers": [{"image": "a"}]}},
    }
    assert not rolls(one, {**one, "minReadySeconds": 0, "replicas": 5})
    assert rolls(one, {**one, "template": {"spec": {"containers": [{"image": "b"}]}}})


def test_differences_are_named_by_their_paths() -> None:
    one = {"a": [{"b": 1}, {"b": 2}], "c": 3}
    assert differing(one, {"a": [{"b": 1}, {"b": 5}], "d": 4}) == ["a[1].b", "c", "d"]
    assert differing(one, {"a": [{"b": 1}], "c": 3}) == ["a"]
    assert differing(one, copy.deepcopy(one)) == []
