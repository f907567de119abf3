"""The door to AWS, against moto's imitation of Elastic Load Balancing on a real socket; see `nox -s aws`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.cluster.targets.door import Door, TargetsError
from harness.cluster.targets.health import group_event, states

if TYPE_CHECKING:
    from collections.abc import Iterator

boto3 = pytest.importorskip("boto3")
moto = pytest.importorskip("moto")
pytestmark = pytest.mark.filterwarnings("ignore")  # of an SDK that warns of its own future


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """AWS in this process, with a target group of one registered address."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with moto.mock_aws():
        ec2 = boto3.client("ec2", region_name="eu-west-1")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        client = boto3.client("elbv2", region_name="eu-west-1")
        made = client.create_target_group(
            Name="web", Protocol="HTTP", Port=8080, VpcId=vpc, TargetType="ip", HealthCheckIntervalSeconds=10
        )
        arn = made["TargetGroups"][0]["TargetGroupArn"]
        delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "35"}]
        client.modify_target_group_attributes(TargetGroupArn=arn, Attributes=delay)
        client.register_targets(TargetGroupArn=arn, Targets=[{"Id": "10.0.0.7", "Port": 8080}])
        yield client, arn


def test_a_group_s_settings_and_its_targets_are_read(aws: Any) -> None:
    client, arn = aws
    door = Door("eu-west-1")
    settings = group_event(arn, door.group(arn), 0).object["settings"]
    assert settings["deregistration_delay_s"] == 35
    assert settings["check"]["interval_s"] == 10
    found = states(door.health(arn))
    assert list(found) == [("10.0.0.7", 8080)]
    assert found["10.0.0.7", 8080][0] in {"initial", "healthy", "unused", "unavailable"}
    client.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": "10.0.0.7", "Port": 8080}])
    assert ("10.0.0.7", 8080) not in states(door.health(arn)) or states(door.health(arn))["10.0.0.7", 8080][
        0
    ] != (found["10.0.0.7", 8080][0])


def test_a_group_that_is_not_there_is_one_line(aws: Any) -> None:
    _, arn = aws
    with pytest.raises(TargetsError) as error:
        Door("eu-west-1").group(arn[:-4] + "0000")
    assert "\n" not in str(error.value)


def test_missing_credentials_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/6d0ecf831eec9f09"
    with pytest.raises(TargetsError, match="credentials"):
        Door("eu-west-1").health(arn)
