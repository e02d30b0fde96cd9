"""What is said of the peers on the page: claims from their sources and their issues, none measured here."""

PEERS = """
**The peers**, from their sources and issues; none of it was measured here. Their tunnels are AWS IoT and AppSync
Events, which the local AWS does not have, so no call can be sent through them on this machine. What is left of them
without a tunnel (a worker thread in one, a function called in the tool's own process in the other) does not do what
ours is measured at, so it stands beside no number.

| | what it does | where it says so |
|---|---|---|
| lambda-live-debugger | splits each message into IoT messages of 50,000 characters | `src/utils/splitIoTMessage.ts` |
| | waits 1,000 ms after a save, then ends all workers | `src/fileWatcher.ts`, `src/nodeWorker.ts` |
| | with nobody there: after 5 s a successful answer whose body says 500 | `src/extension/interceptor.ts` |
| | `getRemainingTimeInMillis()` is always 2,147,483,647; Node functions alone | `src/nodeWorkerRunner.mjs` |
| Stelvio | pieces of 200,000 bytes over AppSync Events | `stelvio/bridge/_chunking.py` |
| | with nobody there: 16 s, then an answer with status 500 | `stelvio/bridge/remote/stub/function_stub.py` |
| | one invocation at a time, in its own process | `stelvio/bridge/local/listener.py` |
| | the handler's file is run anew for each | `stelvio/aws/function/function.py` |
| SST | some of 4 or more requests at once end in 503 | issue #2315, open |
| | answers get lost when several functions start cold; then 16 s and a 500 | issue #6575, open |

lambda-live-debugger at 8724387 (April 2026), Stelvio at 394a7f0 (June 2026).
"""
