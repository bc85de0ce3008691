"""Sending units through a network at the least cost: one at a time, along the cheapest way that is left (successive
shortest paths, Dijkstra's with potentials). Costs are whole numbers, not negative; the same network gives the same."""

from heapq import heappop, heappush

# Dearer than every way.
NO_WAY = 1 << 60


class Network:
    """Nodes joined by edges with a capacity and a cost. Each has its counterpart, which takes back what it sent."""

    def __init__(self) -> None:
        self._edges_of: list[list[int]] = []
        self._to: list[int] = []
        self._left: list[int] = []
        self._cost: list[int] = []
        self._potential: list[int] = []

    def add(self) -> int:
        """A new node."""
        self._edges_of.append([])
        self._potential.append(0)
        return len(self._edges_of) - 1

    def join(self, start: int, end: int, *, capacity: int, cost: int) -> int:
        """An edge; its counterpart is the one after it."""
        edge = len(self._to)
        for number, (one, other, left, price) in enumerate(((start, end, capacity, cost), (end, start, 0, -cost))):
            self._to.append(other)
            self._left.append(left)
            self._cost.append(price)
            self._edges_of[one].append(edge + number)
        return edge

    def is_used(self, edge: int) -> bool:
        """Whether something goes along an edge."""
        return self._left[edge + 1] > 0

    def send(self, source: int, sink: int) -> bool:
        """One unit more, along the cheapest way; False when there is none. Where units before it went may change.

        After every unit, all that was sent has the least cost that it can have.
        """
        to, left, cost, potential = self._to, self._left, self._cost, self._potential
        dearest, reached = NO_WAY, {source: 0}
        came: dict[int, int] = {}
        done: dict[int, int] = {}
        heap = [(0, source)]
        while heap:
            dist, node = heappop(heap)
            if node in done:
                continue
            done[node] = dist
            if node == sink:
                break
            base = dist + potential[node]
            for edge in self._edges_of[node]:
                if not left[edge]:
                    continue
                end = to[edge]
                ahead = base + cost[edge] - potential[end]
                if ahead < dearest and ahead < reached.get(end, dearest):
                    reached[end], came[end] = ahead, edge
                    heappush(heap, (ahead, end))
                    if end == sink:
                        dearest = ahead
        if sink not in done:
            return False
        for node, dist in done.items():
            potential[node] += dist - dearest
        node = sink
        while node != source:
            edge = came[node]
            left[edge] -= 1
            left[edge ^ 1] += 1
            node = to[edge ^ 1]
        return True
