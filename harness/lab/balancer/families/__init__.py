"""The balancers that the lab can imitate: for each, a table of the answers a client gets when a target fails."""

from harness.lab.balancer.families.alb import ALB
from harness.lab.balancer.families.apache import APACHE
from harness.lab.balancer.families.caddy import CADDY
from harness.lab.balancer.families.envoy import ENVOY
from harness.lab.balancer.families.haproxy import HAPROXY
from harness.lab.balancer.families.nginx import NGINX

PROFILES = {family.name: family for family in (ALB, NGINX, ENVOY, HAPROXY, CADDY, APACHE)}
