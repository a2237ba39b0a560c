"""Images made in a builder of their own: an instance that nobody logs in to.

The builder has no rights at AWS. It is handed its work, and what it says is handed back, as
objects of one bucket (``?bucket=``), by requests that were signed for it, for these objects
and until it expires. Who may read its user data may send them, too: whoever may call
``ec2:DescribeInstanceAttribute``, and the work itself.

What it needs: an AMI whose cloud-init runs scripts, with Python 3.8, tar and unshare, as those
of Debian, Ubuntu and Amazon Linux; and from its subnet a way to S3, by a gateway endpoint, NAT
or a public address. Where it can reach more than that, so can work that asks for the network;
work that does not is run in a network namespace of its own, which only what is root there on
purpose would leave. What must not be reached at all has to be closed by the security groups
(``?security_groups=``).
"""
