"""A step over ranks as events: what bench/scaling.py computes by one formula, rank by rank.

Every rank is a process that works on a core, posts messages and waits for them, as mpi/ does:
backward makes buckets one after another; eden_mpi_grad_ready() adds up what has come and sends
what is ready, two buckets at a time; the step agrees, sends the rest, waits, adds up, tells the
others of its gradients, updates the shard, and gathers the weights. A core is a rank's own, or
all take turns on those that there are. What a rank works on, and each of its exchanges, takes by
chance longer or shorter (log-normal), and a message goes when both of its ends have come to it.
"""
import collections
import heapq
import math
import random

FLIGHTS = 2
TURN = 1e-3  # seconds that a rank has a core for, where there are fewer cores than ranks


class Machine:
    """`link` None: a rank's core copies what it sends and receives, `copy` seconds a byte."""

    def __init__(self, cores=None, link=None, message=0.0, copy=0.0, jitter=0.0, seed=1):
        self.cores, self.link, self.message, self.copy = cores, link, message, copy
        self.jitter, self.chance = jitter, random.Random(seed)

    def by_chance(self, seconds):
        return seconds * self.chance.lognormvariate(0, self.jitter) if self.jitter and seconds else seconds


class Step:
    """What a rank does in a step: seconds of work, bytes of messages."""

    def __init__(self, ranks, buckets, direct, backward=0.0, add=0.0, update=0.0, gradients=0.0, weights=0.0,
                 scans=0.0, agree=0.0, stands=1.0):
        self.ranks, self.buckets, self.direct = ranks, buckets, direct
        self.backward, self.add, self.update = backward, add, update
        self.gradients, self.weights, self.scans = gradients, weights, scans  # that all ranks have together
        self.agree = agree
        self.stands = stands  # buckets that one of these stands for


class Simulation:
    def __init__(self, machine, step):
        self.machine, self.step, self.now = machine, step, 0.0
        self.events, self.order = [], 0
        self.posted, self.arrival, self.waiting = {}, {}, collections.defaultdict(list)
        self.idle, self.queue = machine.cores or 0, collections.deque()
        self.link_free = [0.0] * step.ranks
        self.began, self.ended = [0.0] * step.ranks, [0.0] * step.ranks

    # ---- events -------------------------------------------------------------------------

    def at(self, time, call, *words):
        self.order += 1
        heapq.heappush(self.events, (time, self.order, call, words))

    def resume(self, rank):
        """Let a rank go on until it works or waits."""
        for kind, what in self.programs[rank]:
            if kind == "work":
                self.work(rank, self.machine.by_chance(what))
                return
            if what not in self.arrival:
                self.waiting[what].append(rank)
                return
            if self.arrival[what][rank] > self.now:
                self.at(self.arrival[what][rank], self.resume, rank)
                return

    def run(self):
        self.programs = [self.program(rank) for rank in range(self.step.ranks)]
        for rank in range(self.step.ranks):
            self.resume(rank)
        while self.events:
            self.now, _, call, words = heapq.heappop(self.events)
            call(*words)
        return self

    # ---- cores --------------------------------------------------------------------------

    def work(self, rank, seconds):
        if self.machine.cores is None:
            self.at(self.now + seconds, self.resume, rank)
            return
        self.queue.append((rank, seconds))
        self.give_cores()

    def give_cores(self):
        while self.idle and self.queue:
            rank, left = self.queue.popleft()
            self.idle -= 1
            self.at(self.now + min(left, TURN), self.turn_ends, rank, left - TURN)

    def turn_ends(self, rank, left):
        self.idle += 1
        if left > 0:
            self.queue.append((rank, left))
        self.give_cores()
        if left <= 0:
            self.resume(rank)

    # ---- messages -----------------------------------------------------------------------

    def post(self, name, rank, rounds):
        """A rank comes to an exchange; when the last does, all know when theirs is over."""
        begins = self.posted.setdefault(name, {})
        begins[rank] = self.now
        if len(begins) < self.step.ranks:
            return
        times = [max(begins[r], self.link_free[r]) for r in range(self.step.ranks)]
        ranks, machine = self.step.ranks, self.machine
        slow = [machine.by_chance(1.0) for _ in range(ranks)]
        for hop, size, count in rounds:
            took = count * machine.message + (size / machine.link if machine.link else 0.0)
            others = times[-hop:] + times[:-hop]
            times = [(a if a > b else b) + took * s for a, b, s in zip(times, others, slow)]
        if machine.link:
            self.link_free = times
        self.arrival[name] = times
        for waits in self.waiting.pop(name, ()):
            self.at(max(self.now, times[waits]), self.resume, waits)

    def halving(self, size, count=1.0):
        """To and from the ranks at 1, 2, 4, ...: all have met after the last; `size` bytes of all."""
        ranks, rounds, have = self.step.ranks, [], 1
        while have < ranks:
            more = min(have, ranks - have)
            rounds.append((have, size * more / ranks, count))
            have += more
        return rounds

    def to_each(self, size, count):
        return [(hop, size / self.step.ranks, count) for hop in range(1, self.step.ranks)]

    # ---- a rank -------------------------------------------------------------------------

    def copied(self, size):
        """Seconds of a core for one end of what goes to or comes from the others."""
        return self.machine.copy * size * (self.step.ranks - 1) / self.step.ranks / 2

    def here(self, name, rank):
        return name in self.arrival and self.arrival[name][rank] <= self.now

    def program(self, rank):
        step, sent, landed = self.step, 0, 0
        size, some = step.gradients / step.buckets, step.ranks > 1
        rounds = self.to_each(size, step.stands) if step.direct else self.halving(size, step.stands)[::-1]
        for bucket in range(step.buckets):
            yield "work", step.backward / step.buckets
            while step.backward and some and sent <= bucket and (sent < FLIGHTS or self.here(sent - FLIGHTS, rank)):
                if sent >= FLIGHTS:
                    yield "work", self.copied(size) + step.add / step.buckets
                    landed += 1
                yield "work", self.copied(size)
                self.post(sent, rank, rounds)
                sent += 1
        self.began[rank] = self.now
        if some:
            yield from self.meet("agree", rank, 0, step.agree)
            while landed < step.buckets:
                if sent < step.buckets and sent - landed < FLIGHTS:
                    yield "work", self.copied(size)
                    self.post(sent, rank, rounds)
                    sent += 1
                    continue
                yield "wait", landed
                yield "work", self.copied(size) + step.add / step.buckets
                landed += 1
            yield from self.meet("scans", rank, step.scans, 0)
        yield "work", step.update
        if some:
            yield from self.gather(rank)
        self.ended[rank] = self.now

    def meet(self, name, rank, size, seconds):
        yield "work", seconds
        self.post(name, rank, self.halving(size))
        yield "wait", name

    def gather(self, rank):
        size = self.step.weights / self.step.buckets
        for bucket in range(self.step.buckets + FLIGHTS):
            if bucket >= FLIGHTS:
                yield "wait", ("gather", bucket - FLIGHTS)
                yield "work", self.copied(size)
            if bucket < self.step.buckets:
                yield "work", self.copied(size)
                self.post(("gather", bucket), rank, self.halving(size, self.step.stands))


def seconds(machine, step):
    """Of a step, without what backward would have taken had chance left it alone."""
    return max(Simulation(machine, step).run().ended) - step.backward
