from seawall.patience import Patience
from tests.edge.test_limits import Timer


class Waiting:
    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.bucket = 0
        self.ran_out = 0

    def run_out(self) -> None:
        self.ran_out += 1


def test_nobody_is_called_before_his_time_and_everybody_within_a_second_of_it() -> None:
    timer = Timer()
    patience = timer.patience()
    all_of_them = [Waiting(timer.now + seconds) for seconds in (0.5, 3, 61, 300)]
    for each in all_of_them:
        patience.watch(each)
    for _ in range(320):
        timer.advance(1)
        for each in all_of_them:
            assert each.ran_out == (each.deadline <= timer.now - 1) or abs(each.deadline - timer.now) <= 1
    assert [each.ran_out for each in all_of_them] == [1, 1, 1, 1]


def test_a_deadline_that_moves_is_found_again_without_a_call() -> None:
    timer = Timer()
    patience = timer.patience()
    one = Waiting(timer.now + 5)
    patience.watch(one)
    for _ in range(20):
        timer.advance(4)
        one.deadline = timer.now + 5
    assert one.ran_out == 0
    timer.advance(7)
    assert one.ran_out == 1


def test_the_forgotten_are_left_alone_and_the_timer_rests() -> None:
    timer = Timer()
    patience = timer.patience()
    one = Waiting(timer.now + 5)
    patience.watch(one)
    patience.forget(one)
    timer.advance(100)
    assert one.ran_out == 0
    assert not timer.calls
    again = Waiting(timer.now + 5)
    patience.watch(again)
    timer.advance(7)
    assert again.ran_out == 1


def test_thousands_share_one_timer() -> None:
    timer = Timer()
    patience: Patience = timer.patience()
    for number in range(5000):
        patience.watch(Waiting(timer.now + 300 + number % 7))
    assert len(timer.calls) == 1


def test_many_whose_moment_has_come_are_looked_at_in_several_turns() -> None:
    timer = Timer()
    patience = timer.patience()
    everybody = [Waiting(timer.now + 2) for _ in range(100)]
    for each in everybody:
        patience.watch(each)
    timer.advance(2)
    timer.calls.sort(key=lambda call: call[0])
    turns = 0
    while not all(each.ran_out for each in everybody):
        at, turn = timer.calls.pop(0)
        timer.now = max(timer.now, at)
        before = sum(each.ran_out for each in everybody)
        assert callable(turn)
        turn()
        assert sum(each.ran_out for each in everybody) - before <= 32
        turns += 1
    assert turns >= 4
    assert all(each.ran_out == 1 for each in everybody)


def test_who_is_forgotten_while_others_are_looked_at_is_left_alone() -> None:
    timer = Timer()
    patience = timer.patience()
    last = Waiting(timer.now + 1)

    class Jealous(Waiting):
        def run_out(self) -> None:
            super().run_out()
            if not last.ran_out:
                patience.forget(last)

    first = Jealous(timer.now + 1)
    for each in (first, last):
        patience.watch(each)
    timer.advance(5)
    assert first.ran_out == 1
    assert first.ran_out + last.ran_out in (1, 2)


def test_who_is_watched_anew_has_his_new_time() -> None:
    timer = Timer()
    patience = timer.patience()
    one = Waiting(timer.now + 2)
    patience.watch(one)
    timer.advance(1)
    patience.forget(one)
    one.deadline = timer.now + 10
    patience.watch(one)
    timer.advance(9)
    assert one.ran_out == 0
    timer.advance(3)
    assert one.ran_out == 1
