"""What runs in AWS while a stage is deployed: functions that CloudFormation calls for a site's files and for scripts.

Each is asked for a resource's creation, update or deletion and answers CloudFormation itself (`cloudformation.py`,
to be read first). They are copied into AWS as they are: the standard library, and the boto3 that Lambda brings, alone.
"""
