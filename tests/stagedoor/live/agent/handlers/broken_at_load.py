import os


def settings():
    return os.environ["THERE_IS_NO_SUCH_SETTING"]


TABLE = settings()
