"""Times as a measurement might give them, for tests of what follows from them."""

from planning.times import FORMAT, CloudTimes, FrameTimes

GOING = CloudTimes((10_000.0,), (0.004, 0.005, 0.006), (0.002, 0.003), 0.0004, 0.0005, 5e-5, 1e-4)
FINISHED = CloudTimes((500.0,), (0.0006,), (0.0001,), 0.0003, 0.0002, 3e-5, 5e-5)
TIMES = FrameTimes(
    FORMAT, "a machine", 0.2, "litter", "image", "jpeg:90", (0.02,), (0.0001,), (0.002,), 300.0, 0.0, GOING, FINISHED
)
