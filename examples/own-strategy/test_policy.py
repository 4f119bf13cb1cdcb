"""What the policy saves, and what it costs, beside firstk's `hedged`."""

from policy import THREE_AT_A_TIME

from firstk import SimGrid


def both(hung):
    """Return the results of the policy and of `hedged`, with the first servers hung."""
    results = []
    for strategy in (THREE_AT_A_TIME, "hedged"):
        grid = SimGrid(servers=10, k=3, n=10, rtt=0.05)
        grid.servers[:hung].hang()
        results.append(grid.download(strategy))
    return results


def test_good_grid():
    """On a good grid it is as fast, and asks half as many servers."""
    ours, hedged = both(hung=0)

    assert ours.ttfb == hedged.ttfb == 0.1
    assert (ours.queries, hedged.queries) == (5, 10)


def test_first_three_hang():
    """If all three that it asks first hang, it loses a second, and `hedged` nothing."""
    ours, hedged = both(hung=3)

    assert (ours.ttfb, hedged.ttfb) == (1.1, 0.1)
