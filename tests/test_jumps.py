from responses_mw.jumps import Jumps

LEASE_S = 30


class Clocks:
    wall = 1_000_000.0
    steady = 5.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    def jumps(self) -> Jumps:
        return Jumps(LEASE_S, wall=lambda: self.wall, steady=lambda: self.steady)


def test_time_that_passes_is_no_jump() -> None:
    clocks = Clocks()
    jumps = clocks.jumps()
    for seconds in (0, 10, 3600, 10):
        clocks.pass_by(seconds)
        assert jumps.settled()


def test_a_clock_that_is_kept_right_is_no_jump() -> None:
    clocks = Clocks()
    jumps = clocks.jumps()
    for _ in range(1000):
        clocks.pass_by(10)
        clocks.wall += 0.5
        assert jumps.settled()


def test_a_jump_in_either_direction_is_waited_out() -> None:
    for jump in (3600, -3600, LEASE_S, -LEASE_S / 2):
        clocks = Clocks()
        jumps = clocks.jumps()
        clocks.pass_by(10)
        assert jumps.settled()
        clocks.wall += jump
        clocks.pass_by(10)
        assert not jumps.settled()
        clocks.pass_by(LEASE_S - 1)
        assert not jumps.settled()
        clocks.pass_by(1)
        assert jumps.settled()


def test_every_jump_is_waited_out() -> None:
    clocks = Clocks()
    jumps = clocks.jumps()
    for _ in range(3):
        clocks.wall += 3600
        assert not jumps.settled()
        clocks.pass_by(20)
        assert not jumps.settled()
    clocks.pass_by(10)
    assert jumps.settled()
