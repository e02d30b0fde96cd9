"""Answers for the shop's customers."""

VERSION = "shop 1"


def handler(_event, _context):
    return {"statusCode": 200, "body": VERSION}
