import words


def handle(event, context):
    print("asked for", event["rawPath"])
    if event["rawPath"] == "/broken":
        raise LookupError("no such door")
    return {"word": words.WORD, "ms": context.get_remaining_time_in_millis()}
