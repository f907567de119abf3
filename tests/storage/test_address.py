"""Where runs are stored, as users write it."""

from __future__ import annotations

from functools import partial

import pytest

from harness.cli.storing import Output, output_of
from harness.storage.address import Address, InPod, parse, parse_source
from tests.complaints import complaint


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("s3://nights", Address("s3", "nights")),
        ("s3://nights/", Address("s3", "nights")),
        ("s3://nights/shop/web", Address("s3", "nights", ("shop", "web"))),
        ("gs://nights/team=shop/", Address("gs", "nights", ("team=shop",))),
        ("az://account/container/shop", Address("az", "account", ("container", "shop"))),
    ],
)
def test_an_address_is_a_bucket_and_a_prefix(text: str, address: Address) -> None:
    assert parse(text) == address
    assert str(address) == text.rstrip("/")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ftp://host/x", "s3://, gs:// or az://BUCKET/PREFIX"),
        ("s3://", "no bucket's name"),
        ("s3:///x", "no bucket's name"),
        ("s3://b/x", "no bucket's name"),
        ("s3://nights/../other", "'..' cannot be part of a prefix"),
        ("s3://nights//web", "'' cannot be part of a prefix"),
        ("s3://nights/a b", "cannot be part of a prefix"),
        ("s3://nights/x?versionId=1", "cannot be part of a prefix"),
    ],
)
def test_any_other_address_is_refused_in_one_line(text: str, said: str) -> None:
    assert said in complaint(lambda: parse(text))


def test_credentials_in_an_address_are_refused_and_not_repeated() -> None:
    for text in ("s3://AKID:c4n4ry@nights/x", "s3://c4n4ry@nights", "s3://nights/x?token=c4n4ry"):
        assert "c4n4ry" not in complaint(partial(parse, text))
    assert "AWS_ACCESS_KEY_ID" in complaint(lambda: parse("s3://a:b@nights"))


def test_a_pod_s_folder_is_a_source_and_no_place_to_store() -> None:
    assert parse_source("pod/zdtest-1:/results") == InPod("zdtest-1", "/results")
    assert "pod/NAME:/results" in complaint(lambda: parse_source("results"))
    assert "pod/NAME:/results" in complaint(lambda: parse_source("pod/zdtest-1:results"))
    assert "pod/NAME:/results" in complaint(lambda: parse_source("pod/--as=admin:/results"))


def test_runs_are_recorded_in_one_folder_and_stored_at_one_address() -> None:
    assert output_of(()) == Output()
    both = output_of(("s3://nights/shop", "here"))
    assert (str(both.folder), str(both.address)) == ("here", "s3://nights/shop")
    assert str(output_of(("s3://nights",)).folder) == "results"
    assert "one folder" in complaint(lambda: output_of(("a", "b")))
    assert "one address" in complaint(lambda: output_of(("s3://nights", "gs://nights")))
