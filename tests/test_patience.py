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
