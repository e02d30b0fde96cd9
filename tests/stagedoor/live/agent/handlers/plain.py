def echo(event, context):
    print("hello")
    return {"event": event, "id": context.aws_request_id, "left": context.get_remaining_time_in_millis() > 0}
