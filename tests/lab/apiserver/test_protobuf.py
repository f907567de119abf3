"""Kubernetes' protobuf, as much of it as kubectl's create commands send."""

from __future__ import annotations

import pytest

from harness.lab.apiserver.protobuf import UnknownMessageError, read


def field(number: int, value: bytes | str | int) -> bytes:
    """Write one field: a number, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def enveloped(kind: str, raw: bytes, version: str = "v1") -> bytes:
    about = field(1, version) + field(2, kind)
    return b"k8s\0" + field(1, about) + field(2, raw) + field(3, "") + field(4, "")


META = field(1, field(1, "x") + field(3, "") + field(8, b"") + field(11, field(1, "a") + field(2, "b")))


def test_an_object_comes_out_as_json_would_have_it_and_what_is_not_set_is_left_out() -> None:
    entry = field(1, "k") + field(2, "v")
    assert read(enveloped("ConfigMap", META + field(2, entry))) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "x", "labels": {"a": "b"}},
        "data": {"k": "v"},
    }
    secret = read(enveloped("Secret", META + field(2, entry) + field(3, "Opaque")))
    assert (secret["data"], secret["type"]) == ({"k": "dg=="}, "Opaque")


def test_no_replicas_is_a_number_and_a_percentage_is_a_text() -> None:
    spec = field(1, 0) + field(2, field(1, field(1, "app") + field(2, "x")))
    assert read(enveloped("Deployment", META + field(2, spec)))["spec"] == {
        "replicas": 0,
        "selector": {"matchLabels": {"app": "x"}},
    }
    percent = field(1, field(1, 1) + field(2, 0) + field(3, "50%"))
    whole = field(3, field(1, 0) + field(2, 2) + field(3, ""))
    for part, wanted in ((percent, {"minAvailable": "50%"}), (whole, {"maxUnavailable": 2})):
        assert read(enveloped("PodDisruptionBudget", META + field(2, part)))["spec"] == wanted


def test_a_question_about_permissions_is_understood() -> None:
    asked = field(1, field(1, "ns") + field(2, "get") + field(5, "pods") + field(6, ""))
    found = read(enveloped("SelfSubjectAccessReview", META + field(2, asked) + field(3, field(1, 0))))
    assert found["spec"] == {"resourceAttributes": {"namespace": "ns", "verb": "get", "resource": "pods"}}


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"{}", ValueError),
        (enveloped("CronJob", META), UnknownMessageError),
        (enveloped("Deployment", META + field(2, field(9, 600))), UnknownMessageError),
        (enveloped("ConfigMap", META)[:-9], ValueError),
        (enveloped("ConfigMap", b"\x80"), ValueError),
        (enveloped("ConfigMap", b"\x0d1234"), ValueError),
        (enveloped("ConfigMap", field(1, 7)), ValueError),
    ],
)
def test_unknown_protobuf_is_refused_and_not_guessed(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read(data)
