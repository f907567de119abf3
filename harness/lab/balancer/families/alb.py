"""An AWS Application Load Balancer (user guide, "Troubleshoot your Application Load Balancers").

502 = the target refused or reset the connection, closed it while a request was outstanding, or sent invalid HTTP;
503 = the target group has no registered targets; 504 = no connection within the connect timeout (10 s), or no byte
from the target within the idle timeout (60 s); 408 = the client did not send its request within the idle timeout.
It passes the target's Server field on; its own answers have `Server: awselb/2.0`. It never sends a request twice.
"""

from __future__ import annotations

from harness.lab.balancer.families.family import Profile
from harness.lab.balancer.families.pages import pages

ALB = Profile(
    name="alb",
    replies=pages("awselb/2.0"),
    end="{date}Connection: {connection}\r\n",
    own_end="{date}Connection: {connection}\r\n",
    traces=True,
    client_left=460,
)
