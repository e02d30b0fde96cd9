"""A CDK app that puts the service on AWS, and the roles that it deploys with into target accounts.

In comes `cdk.json`'s context (`wishes.py`); out come the stacks of one variant. Read `app.py` first: `standard` is one
service a role behind a load balancer, `single` one machine, `target` what an account needs that stages live in.
"""
