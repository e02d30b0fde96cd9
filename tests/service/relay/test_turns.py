"""Of many who come at once, some begin in each turn of the loop."""

import asyncio

from service.relay.turns import Turns


def test_what_the_first_began_goes_on_before_the_last_begins():
    told: list[str] = []

    async def caller(turns: Turns, name: int, more: asyncio.Event) -> None:
        await turns.take()
        told.append(f"begins {name}")
        more.set()

    async def writer(more: asyncio.Event) -> None:
        await more.wait()
        told.append("written")

    async def all_of_them() -> None:
        turns, more = Turns(4), asyncio.Event()
        await asyncio.gather(writer(more), *(caller(turns, number, more) for number in range(20)))

    asyncio.run(all_of_them())
    assert [said for said in told if said != "written"] == [f"begins {number}" for number in range(20)]
    assert told.index("written") <= 8, "the first four do not wait for sixteen others"


def test_who_goes_while_waiting_takes_nobodys_turn():
    async def some_go() -> list[int]:
        turns, begun = Turns(1), []

        async def caller(number: int) -> None:
            await turns.take()
            begun.append(number)

        tasks = [asyncio.create_task(caller(number)) for number in range(4)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await turns.take()  # and one who comes when all is quiet does not wait for anything
        return begun

    assert asyncio.run(some_go()) == [0, 2, 3]
