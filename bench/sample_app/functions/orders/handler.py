"""Answers the shop's HTTP API."""

VERSION = "shop 1"


def handler(_event, _context):
    return {"statusCode": 200, "body": VERSION}
