"""Whole deployments on the emulated AWS, with clients that keep on asking."""

import itertools
import time

import attrs
import pytest
from ground import quick_account

import immutable
from emulators.aws.account import REGION, Account
from emulators.plane.traffic import Traffic
from immutable.model import (
    WHOLE,
    DeploymentId,
    FleetName,
    HealthCheck,
    LedgerId,
    Outcome,
    ReleaseNumber,
    Routing,
    ServiceName,
)
from immutable.names import fleet_name
from immutable.urls import Url
from immutable_aws.inventory import inventory
from immutable_aws.session import Place, aws_of
from immutable_aws.switch import open_switch

_PORTS = itertools.count(8200)
_STAY = ("log group ", "rule routing ")
_HELD = {"ReplaceUnhealthy", "AZRebalance", "AlarmNotification", "ScheduledActions"}


@attrs.frozen(kw_only=True)
class Shop:
    """A service with a listener of its own, in an account that tests share."""

    account: Account
    listener: str
    service: immutable.Service
    switch: Url

    @property
    def url(self):
        """Return where clients connect."""
        return self.account.emulator.address_of(self.listener)

    @property
    def live(self):
        """Return the name of the live fleet."""
        return immutable.status(self.service).routing.weights[0][0]

    def deploy(self, words, **options):
        """Deploy an image whose instances do what is said."""
        return immutable.deploy(self.service, self.account.image(words), **options)

    def traffic(self):
        """Return clients, a few of them."""
        return Traffic(url=self.url, clients=2, pause_s=0.01)

    def group(self, name):
        """Return what AWS tells of an Auto Scaling group."""
        found = self.account.autoscaling.describe_auto_scaling_groups(
            AutoScalingGroupNames=[name]
        )
        return found["AutoScalingGroups"][0]

    def held(self, name):
        """Return which processes of a group are suspended."""
        return {each["ProcessName"] for each in self.group(name)["SuspendedProcesses"]}

    def inventory(self):
        """Return everything that exists for the service but logs and old routings."""
        found = inventory(aws_of(Place(region=REGION)), service=self.service.name)
        return {name for name in found if not name.startswith(_STAY)}


@pytest.fixture(scope="module")
def account():
    """Return an account of an emulated AWS, for all tests of this file."""
    with quick_account() as made:
        yield made


@pytest.fixture
def shop(account, tmp_path):
    """Return a service of two instances that was never deployed."""
    port = next(_PORTS)
    listener = account.elbv2.create_listener(
        LoadBalancerArn=account.load_balancer,
        Protocol="HTTP",
        Port=port,
        DefaultActions=[
            {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
        ],
    )["Listeners"][0]["ListenerArn"]
    switch = (
        f"alb://{REGION}?listener={listener}&preview_from=127.0.0.0/8"
        "&staleness=0s&propagation=0s&drain=500ms"
    )
    service = immutable.Service(
        f"shop-{port}",
        backend=f"aws://{REGION}?load_balancer=given&pace=50ms&staleness=0s&drain=500ms",
        switch=switch,
        ledger=f"sqlite:///{tmp_path}/ledger.db",
        size=2,
        ports=8080,
        health="/health",
        strategy=immutable.BlueGreen(bake="50ms", keep_warm="1h"),
        ready_timeout="60s",
        drain="500ms",
    )
    yield Shop(
        account=account, listener=listener, service=service, switch=Url.parse(switch)
    )
    immutable.destroy(service)


def test_a_release_and_a_rollback_cost_no_request(shop):
    """Deploy over a release that serves, and roll back: no client notices but by name."""
    assert shop.deploy("release=one").is_live
    with shop.traffic() as traffic:
        traffic.wait_for(10)
        assert shop.deploy("release=two").is_live
        moved = time.monotonic()
        traffic.wait_for(20)
        settled = traffic.report
        assert immutable.rollback(shop.service).is_live
        back = time.monotonic()
        traffic.wait_for(20)
    report = traffic.report
    assert not report.lost
    assert set(report.releases) == {"one", "two"}
    assert set(settled.since(moved).releases) == {"two"}
    assert set(report.since(back).releases) == {"one"}
    assert shop.account.emulator.bugs() == ()


def test_what_never_gets_healthy_leaves_production_alone_and_nothing_behind(shop):
    """Deploy an image that answers 503 to everything: clients get the old release."""
    assert shop.deploy("release=one").is_live
    live, before = shop.live, shop.inventory()
    hasty = attrs.evolve(shop.service, ready_timeout="3s")
    sick = shop.account.image("release=sick sick")
    with shop.traffic() as traffic:
        traffic.wait_for(10)
        done = immutable.deploy(hasty, sick)
        traffic.wait_for(10)
    assert done.outcome is Outcome.ROLLED_BACK
    assert "Target.ResponseCodeMismatch" in str(done.error)
    assert not traffic.report.lost
    assert set(traffic.report.releases) == {"one"}
    assert (shop.live, shop.inventory()) == (live, before)
    assert not _HELD & shop.held(live)


def test_an_instance_that_dies_while_serving_is_replaced_by_its_group(shop):
    """Terminate one behind everybody's back: its group replaces it, and heal agrees."""
    assert shop.deploy("release=one").is_live
    victim = shop.group(shop.live)["Instances"][0]["InstanceId"]
    shop.account.emulator.kill(victim, state="terminated")

    def replaced():
        found = shop.account.in_service(shop.live)
        return len(found) == 2 and victim not in found

    shop.account.until(replaced)
    assert immutable.heal(shop.service).is_live
    assert victim not in shop.account.in_service(shop.live)
    group = shop.group(shop.live)["TargetGroupARNs"][0]
    shop.account.until(lambda: shop.account.health(group) == {"healthy": 2})


def test_what_its_group_may_not_replace_is_healed(shop):
    """Kill an application whose group was told to replace nothing: heal replaces it."""
    assert shop.deploy("release=one").is_live
    shop.account.autoscaling.suspend_processes(
        AutoScalingGroupName=shop.live, ScalingProcesses=["ReplaceUnhealthy"]
    )
    victim = shop.group(shop.live)["Instances"][0]["InstanceId"]
    shop.account.emulator.kill(victim)
    group = shop.group(shop.live)["TargetGroupARNs"][0]
    shop.account.until(lambda: shop.account.health(group)["healthy"] == 1)
    assert immutable.heal(shop.service).is_live
    assert victim not in shop.account.in_service(shop.live)
    shop.account.until(lambda: shop.account.health(group)["healthy"] == 2)


def test_capacity_and_how_it_scales_is_carried_over(shop):
    """Deploy over a group that has scaled out: the next one has its size and its rules."""
    assert shop.deploy("release=one").is_live
    old = shop.live
    _scale_out(shop, old)
    assert shop.deploy("release=two").is_live
    new = shop.live
    assert new != old
    assert shop.group(new)["DesiredCapacity"] == 3
    assert (shop.group(new)["MinSize"], shop.group(new)["MaxSize"]) == (2, 4)
    assert len(shop.account.in_service(new)) == 3
    scaling = shop.account.autoscaling
    policies = scaling.describe_policies(AutoScalingGroupName=new)["ScalingPolicies"]
    assert [policy["PolicyName"] for policy in policies] == ["cpu"]
    actions = scaling.describe_scheduled_actions(AutoScalingGroupName=new)
    found = [a["ScheduledActionName"] for a in actions["ScheduledUpdateGroupActions"]]
    assert found == ["morning"]
    assert shop.held(old) >= _HELD
    assert not _HELD & shop.held(new)


def _scale_out(shop, name):
    scaling = shop.account.autoscaling
    scaling.update_auto_scaling_group(
        AutoScalingGroupName=name, MinSize=2, MaxSize=4, DesiredCapacity=3
    )
    scaling.put_scaling_policy(
        AutoScalingGroupName=name,
        PolicyName="cpu",
        PolicyType="TargetTrackingScaling",
        TargetTrackingConfiguration={
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "ASGAverageCPUUtilization"
            },
            "TargetValue": 50.0,
        },
    )
    scaling.put_scheduled_update_group_action(
        AutoScalingGroupName=name,
        ScheduledActionName="morning",
        Recurrence="0 6 * * *",
        DesiredCapacity=3,
    )
    shop.account.until(lambda: len(shop.account.in_service(name)) == 3)


def test_a_shift_before_health_loses_requests_and_is_seen(shop):
    """Write the routing by hand to a fleet that is not ready: the harness counts losses."""
    assert shop.deploy("release=one").is_live
    live, name = shop.live, ServiceName(shop.service.name)
    fleet: FleetName = fleet_name(name, ReleaseNumber(9), DeploymentId("hasty"))
    switch = open_switch(shop.switch, service=name, port=8080)
    view = switch.read()
    owner = view.owner or LedgerId("none")
    check = HealthCheck(path="/health", port=8080)
    version = switch.attach(fleet, health=check, owner=owner, expected=view.version)
    found = switch.read().attachment_of(fleet)
    account = shop.account
    account.group(
        fleet, account.image("release=hasty slow=2"), target_group=found.place
    )
    with shop.traffic() as traffic:
        traffic.wait_for(10)
        assert not traffic.report.lost
        hasty = Routing(weights={fleet: WHOLE})
        version = switch.write(hasty, owner=owner, expected=version)
        traffic.wait_for(10)
        old = Routing(weights={live: WHOLE})
        version = switch.write(old, owner=owner, expected=version)
    assert traffic.report.lost
    account.autoscaling.delete_auto_scaling_group(
        AutoScalingGroupName=fleet, ForceDelete=True
    )
    switch.detach(fleet, owner=owner, expected=version)
    account.ec2.delete_launch_template(LaunchTemplateName=fleet)
